"""Which inputs a command line means, and where the output of each goes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from scorer.errors import InputError, OutputError, UsageError
from scorer.jobs.publish import Target
from scorer.jobs.score import Job
from scorer.tables import STDIN, local_source, stdin_source
from scorer.tables.formats import split_suffixes


def plan(inputs: Sequence[str], output: str | None) -> list[Job]:
    """One job for every input file, checked as far as possible before anything is read.

    Raises InputError for an input that is not there, UsageError where an output cannot be meant.
    """
    jobs = [_job(name, output, alone=len(inputs) == 1) for name in inputs]
    targets = [job.target.path for job in jobs if job.stream is None]
    for target in targets:
        if targets.count(target) > 1:
            raise UsageError(f"{target}: two inputs would be written there: score them apart")
    return jobs


def _job(name: str, output: str | None, *, alone: bool) -> Job:
    if name == STDIN:
        source, default = stdin_source(sys.stdin.buffer), None
    else:
        path = Path(name)
        _check_file(path)
        source, default = local_source(path), default_output(path)
    if output == STDIN or (output is None and default is None):
        if not alone:
            raise UsageError("several inputs cannot share stdout: give --output a directory")
        rejects = default or Path("stdin")
        return Job(source, Target(rejects), sys.stdout.buffer)
    target = _target(name, output, alone) if output is not None else default
    assert target is not None
    if source.path is not None:
        check_not_input(source.path, target)
    return Job(source, Target(target))


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a directory: name a file in it")
    if not path.exists():
        raise InputError(f"{path}: no such file")


def _target(name: str, output: str, alone: bool) -> Path:
    path = Path(output)
    if path.is_dir() or output.endswith("/"):
        if name == STDIN:
            raise UsageError(f"{output}: is a directory: name the file to write")
        path = path / Path(name).name
    elif not alone:
        raise UsageError(f"{output}: several inputs need a directory as --output")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no directory {path.parent}: make it first")
    return path


def default_output(source: Path) -> Path:
    """`reviews.scored.csv.gz` beside `reviews.csv.gz`."""
    stem, suffixes = split_suffixes(source.name)
    return source.with_name(f"{stem}.scored{suffixes}")


def check_not_input(source: Path, target: Path) -> None:
    """Raise UsageError where the output would replace the input."""
    if target.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the input itself: name another output")
