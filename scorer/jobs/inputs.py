"""Which files a command's inputs mean: files, folders, wildcards, URLs, standard input.

Of folders only regular files are read. What is left out is said in `Inputs.warnings`, and what
cannot be listed or found is in `Inputs.failures`, while the other inputs are read.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from scorer.errors import InputError, ScorerError, UsageError
from scorer.jobs.summary import Failure
from scorer.jobs.unexpected import as_expected
from scorer.tables import STDIN, Source, format_of_name, local_source, stdin_source
from scorer.tables.formats import format_names, name_parts, split_suffixes, writable_name
from scorer.tables.remote import has_wildcards, is_url, matching, remote_file, split_query
from scorer.tables.source import shown, stream_source

REJECTS_SUFFIX = ".rejects.jsonl"
REPORT_SUFFIX = ".report"
#: names of files left out that a warning lists
SHOWN = 10

NOT_TABLES = "ignored (not tables)"
LINKS = "links to folders, not followed (name one as an input to score what it holds)"
SPECIAL = "not read (pipes, sockets or devices)"
EARLIER = "taken for outputs of earlier runs and left out (name one as an input to score it)"
REPORTS = "taken for reports of earlier runs and left out (name one as an input to score it)"
MATCHED = "folders that match, not entered (name one as an input, or use ** in the wildcard)"


@dataclass(frozen=True)
class InputFile:
    """An input file, and the path below an output folder at which its rows go."""

    source: Source
    relative: str

    @property
    def name(self) -> str:
        """The file's path, whatever its bytes, or URL."""
        return self.source.name if self.source.path is None else str(self.source.path)


@dataclass(frozen=True)
class Inputs:
    """All the input files in order, and what was met beside them.

    ignored    the files of folders that are not tables
    folder     the one folder that was named, if nothing else was
    several    whether the names may mean several files, however many they mean today
    failures   what could not be found or listed
    warnings   what was left out, and why
    """

    files: tuple[InputFile, ...]
    ignored: tuple[str, ...] = ()
    folder: str | None = None
    several: bool = False
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()


def find_inputs(names: Sequence[str], skip: Path | None = None) -> Inputs:
    """The files that `names` mean; below the folder `skip` (the output's) none is looked for.

    A name that means nothing is in `failures`, unless there is nothing else to do. Raises
    InputError then, and UsageError for an impossible combination.
    """
    if STDIN in names and len(names) > 1:
        raise UsageError("stdin cannot be scored together with other inputs")
    search = _Search(None if skip is None else skip.resolve())
    alone = len(names) == 1
    files: list[InputFile] = []
    for name in names:
        try:
            files += search.expand(name, "" if alone else _last(name) + "/")
        except UsageError:
            raise
        except Exception as error:
            expected = as_expected(error, name)
            search.failures.append(Failure(name, str(expected), expected.exit_code))
            search.errors.append(expected)
    if not files:
        if search.errors:
            raise search.errors[0]
        where = ", ".join(names)
        raise InputError(f"{where}: holds no {format_names('or')} file{search.also()}")
    return Inputs(
        tuple(files),
        tuple(search.left_out.get(NOT_TABLES, ())),
        search.folders[0] if alone and search.folders else None,
        not alone or bool(search.folders) or search.wildcards,
        tuple(search.failures),
        tuple(search.warnings()),
    )


@dataclass
class _Search:
    """Looks for input files, and keeps what it meets beside them.

    left_out   reason -> names
    folders    the names that meant folders
    """

    skip: Path | None
    left_out: dict[str, list[str]] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    errors: list[ScorerError] = field(default_factory=list)
    wildcards: bool = False

    def leave_out(self, reason: str, name: Path | str) -> None:
        self.left_out.setdefault(reason, []).append(shown(name) if isinstance(name, Path) else name)

    def warnings(self) -> Iterator[str]:
        for reason, names in self.left_out.items():
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"{reason}: {', '.join(names[:SHOWN])}{more}"

    def also(self) -> str:
        """What an error adds where nothing was found: what there was instead."""
        return "".join(f"; {warning}" for warning in self.warnings())

    def expand(self, name: str, prefix: str) -> list[InputFile]:
        """The files that one name means. Raises InputError where there are none."""
        if name == STDIN:
            return [InputFile(stdin_source(sys.stdin.buffer), "stdin")]
        if is_url(name):
            return self._of_url(name, prefix)
        path = Path(name)
        if path.is_dir():
            self.folders.append(name)
            return self._tables(
                InputFile(local_source(file), prefix + file.relative_to(path).as_posix())
                for file in self._walk(path)
            )
        if path.exists():
            source = local_source(path) if path.is_file() else stream_source(path)
            return [InputFile(source, path.name)]
        if has_wildcards(name):
            matches = self._matching(name)
            return self._without_outputs(matches) if len(matches) > 1 else matches
        raise InputError(f"{shown(Path(name))}: no such file")

    def _matching(self, pattern: str) -> list[InputFile]:
        self.wildcards = True
        paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
        if self.skip is not None:
            paths = [path for path in paths if self.skip not in path.resolve().parents]
        if not paths:
            raise InputError(f"{pattern}: no file matches")
        files = [path for path in paths if self._is_regular(path)]
        if "**" not in pattern:  # which enters the folders that it matches
            for path in paths:
                if path.is_dir():
                    self.leave_out(MATCHED, path)
        return [InputFile(local_source(path), path.name) for path in files]

    def _of_url(self, name: str, prefix: str) -> list[InputFile]:
        if has_wildcards(name):
            self.wildcards = True
            files = matching(name)
            if not files:
                raise InputError(f"{name}: no file matches")
            matches = [InputFile(file.source(), _last(file.path)) for file in files]
            return self._without_outputs(matches) if len(matches) > 1 else matches
        file = remote_file(name)
        kind = file.kind()
        if kind == "Directory":
            self.folders.append(name)
            return self._tables(
                InputFile(child.source(), prefix + relative)
                for child in file.walk()
                if not _is_hidden(relative := child.path.removeprefix(file.path).lstrip("/"))
            )
        if kind != "File":
            raise InputError(f"{name}: no such file")
        return [InputFile(file.source(), _last(file.path))]

    def _tables(self, files: Iterable[InputFile]) -> list[InputFile]:
        """The tables of a folder, by their names."""
        tables = []
        for file in self._without_outputs(list(files)):
            if format_of_name(file.source.name) is None:
                self.leave_out(NOT_TABLES, file.source.name)
            else:
                tables.append(file)
        return tables

    def _without_outputs(self, files: Sequence[InputFile]) -> list[InputFile]:
        """The files less what earlier runs over them left beside them: outputs, parts, rejects."""
        outputs = {default_output(file.name) for file in files}
        inputs = []
        for file in files:
            folder = file.name.rpartition("/")[0]
            if file.name in outputs or folder in outputs or file.name.endswith(REJECTS_SUFFIX):
                self.leave_out(EARLIER, file.source.name)
            else:
                inputs.append(file)
        return inputs

    def _walk(self, folder: Path) -> Iterator[Path]:
        """The regular files below a folder in order; no hidden ones, `_SUCCESS` and the like."""

        def refused(error: OSError) -> None:
            name = shown(Path(os.fsdecode(error.filename)))
            unlisted = InputError(f"{name}: cannot be listed: {error.strerror}")
            if Path(error.filename) == folder:
                raise unlisted from error
            self.failures.append(Failure(name, str(unlisted), unlisted.exit_code))
            self.errors.append(unlisted)

        for root, folders, files in os.walk(folder, onerror=refused):
            folders[:] = [name for name in sorted(folders) if self._enters(Path(root) / name)]
            for name in sorted(files):
                path = Path(root) / name
                if not _is_hidden(name) and self._is_regular(path):
                    yield path

    def _enters(self, folder: Path) -> bool:
        if _is_hidden(folder.name) or folder.resolve() == self.skip:
            return False
        if folder.name.endswith(REPORT_SUFFIX):
            self.leave_out(REPORTS, folder)
            return False
        if folder.is_symlink():
            self.leave_out(LINKS, folder)
            return False
        return True

    def _is_regular(self, path: Path) -> bool:
        """Whether to read it. A link to nothing, too: its input says that it is not there."""
        try:
            mode = path.stat().st_mode
        except OSError:
            return True
        if stat.S_ISREG(mode):
            return True
        if not stat.S_ISDIR(mode):
            self.leave_out(SPECIAL, path)
        return False


def default_output(name: str) -> str:
    """`reviews.scored.csv.gz` beside `reviews.csv.gz`."""
    base, query = split_query(name) if is_url(name) else (name, "")
    folder, slash, last = base.rpartition("/")
    stem, suffixes = split_suffixes(writable_name(last))
    unknown = name_parts(writable_name(last)).unknown
    if unknown[1:2].isalpha():  # y.txt becomes y.scored.txt
        stem, suffixes = stem.removesuffix(unknown), unknown + suffixes
    return f"{folder}{slash}{stem}.scored{suffixes}{query}"


def _is_hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(relative).parts)


def _last(name: str) -> str:
    """The last part of a path or URL."""
    return PurePosixPath(Path(name).resolve() if not is_url(name) else name.partition("?")[0]).name
