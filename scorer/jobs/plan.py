"""What a run is to do: one job for every input file, each with the place of its output."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scorer.errors import OutputError, UsageError
from scorer.jobs.inputs import Found, Inputs, default_output, find_inputs
from scorer.jobs.publish import Target, local_target, remote_target
from scorer.jobs.score import Job
from scorer.tables import STDIN
from scorer.tables.remote import is_url, remote_file, split_query


@dataclass(frozen=True)
class Plan:
    """The jobs of a run, in order.

    folder    the folder that takes the outputs, if there is one
    ignored   files of input folders that are no tables
    """

    jobs: tuple[Job, ...]
    folder: str | None = None
    ignored: tuple[str, ...] = ()


def plan(inputs: Sequence[str], output: str | None, run_id: str = "") -> Plan:
    """Find the inputs and place the outputs; nothing is read or written.

    Without `output` a file's goes beside it (`reviews.scored.csv`), a folder's into a folder
    beside it (`inbox.scored/`) with the same layout, stdin's to stdout. `run_id` keeps the
    rejects of one stdin from another's. Raises InputError for an input that is not there,
    OutputError and UsageError where an output cannot be meant.
    """
    local = output is not None and output != STDIN and not is_url(output)
    found = find_inputs(inputs, Path(output) if output is not None and local else None)
    if output == STDIN or (output is None and inputs[0] == STDIN):
        return Plan((_to_stdout(found, run_id),), ignored=found.ignored)
    folder = _folder(found, output)
    many = len(found.found) > 1
    outputs = [_place(file, output, folder) for file in found.found]
    jobs = tuple(
        Job(file.source, _target(file, name, folder), one_of_many=many)
        for file, name in zip(found.found, outputs, strict=True)
    )
    twice = [name for name, count in Counter(job.target.name for job in jobs).items() if count > 1]
    if twice:
        raise UsageError(f"{twice[0]}: two inputs would be written there: score them apart")
    return Plan(jobs, folder, found.ignored)


def _to_stdout(found: Inputs, run_id: str) -> Job:
    if len(found.found) > 1:
        raise UsageError("several inputs cannot share stdout: give --output a directory")
    source = found.found[0].source
    beside = (
        source.path if source.path is not None else Path(f"stdin-{run_id}" if run_id else "stdin")
    )
    return Job(source, local_target(beside), sys.stdout.buffer)


def _folder(found: Inputs, output: str | None) -> str | None:
    """The folder that takes the outputs; None where each is a file of its own."""
    if output is not None:
        several = len(found.found) > 1 or found.folder is not None
        existing = not is_url(output) and Path(output).is_dir()
        if not (several or existing or output.endswith("/")):
            return None
        if not is_url(output) and Path(output).is_file():
            raise UsageError(f"{output}: several inputs need a directory as --output")
        return output
    if found.folder is None:
        return None
    if is_url(found.folder):
        base, query = split_query(found.folder)
        return f"{base.rstrip('/')}.scored{query}"
    path = Path(found.folder)
    if path.name in ("", ".."):  # "." and the like have no name of their own
        path = path.resolve()
    return str(path.with_name(f"{path.name}.scored"))


def _place(file: Found, output: str | None, folder: str | None) -> str:
    """The name, a path or a URL, of a file's output."""
    if folder is not None:
        if file.relative == "stdin":
            raise UsageError(f"{folder}: is a directory: name the file to write")
        base, query = split_query(folder) if is_url(folder) else (folder, "")
        return f"{base.rstrip('/')}/{file.relative}{query}"
    return output if output is not None else default_output(file.source.name)


def _target(file: Found, name: str, folder: str | None) -> Target:
    if is_url(name):
        if name == file.source.name:
            raise UsageError(f"{name}: is the input itself: name another output")
        return remote_target(remote_file(name))
    path = Path(name)
    if file.source.path is not None and path.exists() and path.samefile(file.source.path):
        raise UsageError(f"{name}: is the input itself: name another output")
    if folder is None and not path.parent.is_dir():
        raise OutputError(f"{name}: there is no directory {path.parent}: make it first")
    return local_target(path)
