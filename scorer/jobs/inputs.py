"""Which files a command's inputs mean: files, folders, wildcards, URLs, standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scorer.errors import InputError, UsageError
from scorer.tables import STDIN, Source, format_of_name, local_source, stdin_source
from scorer.tables.formats import format_names, split_suffixes, writable_name
from scorer.tables.remote import has_wildcards, is_url, matching, remote_file, split_query

REJECTS_SUFFIX = ".rejects.jsonl"


@dataclass(frozen=True)
class Found:
    """An input file, and the path below an output folder at which its rows go."""

    source: Source
    relative: str


@dataclass(frozen=True)
class Inputs:
    """All the input files in order, the files of folders that are no tables, and what was given.

    `folder` is the one folder that was named, if nothing else was.
    """

    found: tuple[Found, ...]
    ignored: tuple[str, ...] = ()
    folder: str | None = None


def find_inputs(names: Sequence[str], skip: Path | None = None) -> Inputs:
    """The files that `names` mean; below the folder `skip` (the output's) none is looked for.

    Raises InputError where one is not there, UsageError for an impossible combination.
    """
    if STDIN in names and len(names) > 1:
        raise UsageError("stdin cannot be scored together with other inputs")
    folders = [name for name in names if _is_folder(name)]
    alone = len(names) == 1
    found: list[Found] = []
    ignored: list[str] = []
    for name in names:
        prefix = "" if alone else _last(name) + "/"
        files = list(_expand(name, prefix, skip))
        if name in folders or len(files) > 1:
            files = _without_outputs(files)
        for file in files:
            if name in folders and format_of_name(file.source.name) is None:
                ignored.append(file.source.name)
            else:
                found.append(file)
    if not found:
        where = ", ".join(names)
        raise InputError(f"{where}: holds no {format_names('or')} file")
    return Inputs(tuple(found), tuple(ignored), folders[0] if alone and folders else None)


def _without_outputs(files: Sequence[Found]) -> list[Found]:
    """The files less what earlier runs over them left beside them: outputs and rejects."""
    outputs = {default_output(file.source.name) for file in files}
    return [
        file
        for file in files
        if file.source.name not in outputs and not file.source.name.endswith(REJECTS_SUFFIX)
    ]


def default_output(name: str) -> str:
    """`reviews.scored.csv.gz` beside `reviews.csv.gz`."""
    base, query = split_query(name) if is_url(name) else (name, "")
    folder, slash, last = base.rpartition("/")
    stem, suffixes = split_suffixes(writable_name(last))
    return f"{folder}{slash}{stem}.scored{suffixes}{query}"


def _is_folder(name: str) -> bool:
    if name == STDIN or has_wildcards(name):
        return False
    if is_url(name):
        return remote_file(name).is_folder
    return Path(name).is_dir()


def _expand(name: str, prefix: str, skip: Path | None) -> Iterator[Found]:
    if name == STDIN:
        yield Found(stdin_source(sys.stdin.buffer), "stdin")
    elif is_url(name):
        yield from _expand_url(name, prefix)
    elif Path(name).is_dir():
        for path in _walk(Path(name), skip):
            yield Found(local_source(path), prefix + path.relative_to(name).as_posix())
    elif Path(name).exists():
        yield Found(local_source(Path(name)), Path(name).name)
    elif has_wildcards(name):
        paths = [Path(path) for path in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
        if not paths:
            raise InputError(f"{name}: no file matches")
        yield from (Found(local_source(path), path.name) for path in paths if path.is_file())
    else:
        raise InputError(f"{name}: no such file")


def _expand_url(name: str, prefix: str) -> Iterator[Found]:
    if has_wildcards(name):
        files = matching(name)
        if not files:
            raise InputError(f"{name}: no file matches")
        yield from (Found(file.source(), _last(file.path)) for file in files)
        return
    file = remote_file(name)
    if not file.is_folder:
        if not file.exists():
            raise InputError(f"{name}: no such file")
        yield Found(file.source(), _last(file.path))
        return
    for child in file.walk():
        relative = child.path.removeprefix(file.path).lstrip("/")
        if not any(_hidden(part) for part in PurePosixPath(relative).parts):
            yield Found(child.source(), prefix + relative)


def _walk(folder: Path, skip: Path | None) -> Iterator[Path]:
    """The files below a folder in order; hidden ones, Spark's `_SUCCESS` and the like are none."""
    avoided = skip.resolve() if skip is not None else None

    def refused(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=refused):
        folders[:] = sorted(
            name
            for name in folders
            if not _hidden(name)
            and not name.endswith(".report")  # an evaluation's: its JSON is no input
            and (Path(root) / name).resolve() != avoided
        )
        yield from (Path(root) / name for name in sorted(files) if not _hidden(name))


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _last(name: str) -> str:
    """The last part of a path or URL."""
    return PurePosixPath(Path(name).resolve() if not is_url(name) else name.partition("?")[0]).name
