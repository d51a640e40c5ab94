"""Other file systems by URL: pyarrow's own (s3, gs, abfs, hdfs), else what fsspec knows.

A call into pyarrow that asks a network may wait for minutes, deaf to signals. So each question
goes to a thread of its own, which is abandoned when it does not answer in time.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

import pyarrow as pa

from scorer.errors import InputError, OutputError, ScorerError, UsageError
from scorer.tables.source import Source

#: seconds: to connect to a store, for it to answer a request, and for all tries at one question
CONNECT_S = 10
REQUEST_S = 15
ANSWER_S = 60
#: seconds for the list of a whole folder, which takes many requests
LIST_S = 600
#: how often a request is sent
TRIES = 3
#: of another library's error text
LINE_CHARS = 300

Result = TypeVar("Result")

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
        """What the file system says of it."""
        with store_errors(self.url, InputError, "read"):
            return answer(lambda: self.files.get_file_info(self.path), ANSWER_S)

    def kind(self) -> str:
        """File, Directory or NotFound."""
        return str(self.info.type.name)

    def exists(self) -> bool:
        return bool(self.info.is_file)

    def source(self) -> Source:
        """This file as an input."""

        def stream() -> Any:
            return self.files.open_input_stream(self.path, compression=None)

        def opened() -> BinaryIO:
            with store_errors(self.url, InputError, "read"):
                return cast(BinaryIO, answer(stream, ANSWER_S))

        def random() -> Any:
            with store_errors(self.url, InputError, "read"):
                return answer(lambda: self.files.open_input_file(self.path), ANSWER_S)

        return Source(self.url, opened, random=random, stat=self._fingerprint)

    def _fingerprint(self) -> dict[str, Any]:
        info = self.info
        if not info.is_file:
            raise InputError(f"{self.url}: no such file")
        return {"size": info.size, "modified_ns": info.mtime_ns}

    def upload(self, path: Path) -> None:
        """Make this file from a local one; an object store shows it whole or not at all."""
        from pyarrow import fs

        with store_errors(self.url, OutputError, "written"):
            if isinstance(self.files, fs.LocalFileSystem):  # which, unlike a store, has folders
                Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            fs.copy_files(
                str(path),
                self.path,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=self.files,
            )

    def remove(self) -> None:
        with store_errors(self.url, OutputError, "removed"):
            if self.exists():
                answer(lambda: self.files.delete_file(self.path), ANSWER_S)

    def walk(self, *, missing_ok: bool = False) -> list[RemoteFile]:
        """Every file below this folder, in the order of their paths."""
        from pyarrow import fs

        everything = fs.FileSelector(self.path, recursive=True, allow_not_found=missing_ok)
        with store_errors(self.url, InputError, "listed"):
            listing = answer(lambda: self.files.get_file_info(everything), LIST_S)
        return [self.child(info.path) for info in sorted(listing, key=_path_of) if info.is_file]


@contextmanager
def store_errors(url: str, kind: type[ScorerError], verb: str) -> Iterator[None]:
    """Turn whatever a store's library raises into an error of this kind that names the file."""
    try:
        yield
    except ScorerError:
        raise
    except Exception as error:  # fsspec's file systems raise what they like
        raise kind(f"{url}: cannot be {verb}: {_line(error)}") from error


_waiting: set[object] = set()


def waiting() -> bool:
    """Whether a call was abandoned that has not returned since."""
    return bool(_waiting)


def answer(ask: Callable[[], Result], seconds: float) -> Result:
    """What `ask` returns or raises. Raises TimeoutError where that takes more than `seconds`.

    Signals are heard meanwhile; the thread that asks is left behind then, as after a time-out.
    """
    answers: list[Result] = []
    errors: list[BaseException] = []
    done, token = threading.Event(), object()

    def call() -> None:
        try:
            answers.append(ask())
        except BaseException as error:
            errors.append(error)
        finally:
            _waiting.discard(token)
            done.set()

    _waiting.add(token)
    threading.Thread(target=call, name="scorer-remote", daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    if errors:
        raise errors[0]
    return answers[0]


def _path_of(info: Any) -> str:
    return str(info.path)


def split_query(url: str) -> tuple[str, str]:
    """A URL without its query, and the query with its question mark."""
    base, mark, query = url.partition("?")
    return base, mark + query


def remote_file(url: str) -> RemoteFile:
    """Resolve a URL. Raises UsageError where nothing installed understands it.

    Raises InputError where its store does not answer.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in ("http", "https"):
        raise UsageError(
            f"{url}: web addresses are not read: download it first, for example: curl -LO {url!r}"
        )
    try:
        files, path = answer(lambda: _resolved(url, scheme), ANSWER_S)
    except ScorerError:
        raise
    except TimeoutError as error:
        raise InputError(f"{url}: cannot be reached: {error}") from error
    except ImportError as error:
        remedy = f": pip install {error.name}" if error.name else ""
        raise UsageError(
            f"{url}: needs a Python package that is not installed ({_line(error)}){remedy}"
        ) from error
    except Exception as error:  # whatever a stranger's package raises
        raise UsageError(f"{url}: {_line(error)}") from error
    return RemoteFile(url, files, path)


def _resolved(url: str, scheme: str) -> tuple[Any, str]:
    """The file system of a URL, with time-outs where it has any, and the path on it."""
    from pyarrow import fs

    if scheme in ("gs", "gcs") and "retry_limit_seconds=" not in url:
        limit = f"retry_limit_seconds={ANSWER_S}"
        files, path = fs.FileSystem.from_uri(f"{url}{'&' if '?' in url else '?'}{limit}")
        return files, path
    try:
        files, path = fs.FileSystem.from_uri(url)
    except pa.ArrowInvalid:  # not one of pyarrow's own
        return _by_fsspec(url)
    return _hurried(files), path


def _hurried(files: Any) -> Any:
    """An S3 file system with time-outs and few tries; others as they are."""
    if files.type_name != "s3":
        return files
    from pyarrow import fs

    _, (options,) = files.__reduce__()  # all that the URL and the environment said
    limits = {"connect_timeout": CONNECT_S, "request_timeout": REQUEST_S}
    own = {name: limit for name, limit in limits.items() if options[name] <= 0}
    retry = fs.AwsStandardS3RetryStrategy(max_attempts=TRIES)
    return fs.S3FileSystem(**{**options, **own, "retry_strategy": retry})


def _by_fsspec(url: str) -> tuple[Any, str]:
    from pyarrow import fs

    files, path = importlib.import_module("fsspec.core").url_to_fs(url)
    return fs.PyFileSystem(fs.FSSpecHandler(files)), path


def _line(error: Exception) -> str:
    """An error's text on one line, without the pages that some packages write."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LINE_CHARS else f"{text[:LINE_CHARS]}..."


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
