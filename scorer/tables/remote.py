"""Other file systems by URL: pyarrow's own (s3, gs, abfs, hdfs), else what fsspec knows."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import pyarrow as pa

from scorer.errors import InputError, OutputError, ScorerError, UsageError
from scorer.tables.source import Source

_URL = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_GLOB = re.compile(r"[*?\[]")


def is_url(name: str) -> bool:
    return bool(_URL.match(name))


@dataclass(frozen=True)
class RemoteFile:
    """A file, or a folder, on a file system that a URL names."""

    url: str
    files: Any
    path: str

    def child(self, path: str) -> RemoteFile:
        """The file that `path`, a full one as this file system lists it, names."""
        base, query = split_query(self.url)
        return RemoteFile(base.removesuffix(self.path) + path + query, self.files, path)

    @property
    def info(self) -> Any:
        """What the file system says of it; `type.name` is File, Directory or NotFound."""
        with self._explained(InputError, "read"):
            return self.files.get_file_info(self.path)

    @property
    def is_folder(self) -> bool:
        return str(self.info.type.name) == "Directory"

    def exists(self) -> bool:
        return bool(self.info.is_file)

    def source(self) -> Source:
        """This file as an input."""

        def opened() -> BinaryIO:
            with self._explained(InputError, "read"):
                return cast(BinaryIO, self.files.open_input_stream(self.path, compression=None))

        def random() -> Any:
            with self._explained(InputError, "read"):
                return self.files.open_input_file(self.path)

        return Source(self.url, opened, random=random, stat=self._fingerprint)

    def _fingerprint(self) -> dict[str, Any]:
        info = self.info
        if not info.is_file:
            raise InputError(f"{self.url}: no such file")
        return {"size": info.size, "modified_ns": info.mtime_ns}

    def upload(self, path: Path) -> None:
        """Make this file from a local one; an object store shows it whole or not at all."""
        from pyarrow import fs

        with self._explained(OutputError, "written"):
            if isinstance(self.files, fs.LocalFileSystem):  # which, unlike a store, has folders
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            fs.copy_files(
                str(path),
                self.path,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=self.files,
            )

    def remove(self) -> None:
        with self._explained(OutputError, "removed"):
            if self.exists():
                self.files.delete_file(self.path)

    def walk(self) -> list[RemoteFile]:
        """Every file below this folder, in the order of their paths."""
        from pyarrow import fs

        with self._explained(InputError, "listed"):
            found = self.files.get_file_info(fs.FileSelector(self.path, recursive=True))
        return [self.child(info.path) for info in sorted(found, key=_path_of) if info.is_file]

    @contextmanager
    def _explained(self, kind: type[ScorerError], verb: str) -> Iterator[None]:
        try:
            yield
        except ScorerError:
            raise
        except (OSError, pa.ArrowException, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise kind(f"{self.url}: cannot be {verb}: {reason}") from error


def _path_of(info: Any) -> str:
    return str(info.path)


def split_query(url: str) -> tuple[str, str]:
    """A URL without its query, and the query with its question mark."""
    base, mark, query = url.partition("?")
    return base, mark + query


def remote_file(url: str) -> RemoteFile:
    """Resolve a URL. Raises UsageError where nothing installed understands it."""
    from pyarrow import fs

    try:
        files, path = fs.FileSystem.from_uri(url)
    except pa.ArrowInvalid as error:
        files, path = _by_fsspec(url, error)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{url}: {' '.join(str(error).split())}") from error
    return RemoteFile(url, files, path)


def _by_fsspec(url: str, refusal: Exception) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        files, path = importlib.import_module("fsspec.core").url_to_fs(url)
    except ImportError as error:
        missing = f"; for other kinds of URL: pip install {error.name or 'fsspec'}"
        raise UsageError(f"{url}: {' '.join(str(refusal).split())}{missing}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{url}: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(files)), path


def matching(url: str) -> list[RemoteFile]:
    """The files that a URL with wildcards names; a `*` stays within one folder."""
    base, query = split_query(url)
    if "**" in base:
        raise UsageError(f"{url}: ** is for local files: name the folder instead")
    cut = _GLOB.search(base)
    assert cut is not None
    folder = base[: cut.start()].rpartition("/")[0]
    root = remote_file(folder + query)
    pattern = "/" + root.path.strip("/") + base.removeprefix(folder)
    return [
        file for file in root.walk() if PurePosixPath("/" + file.path.lstrip("/")).match(pattern)
    ]


def has_wildcards(name: str) -> bool:
    return bool(_GLOB.search(split_query(name)[0] if is_url(name) else name))
