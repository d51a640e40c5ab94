"""What a run is to do: one job for every input file, each with the place of its output."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scorer.errors import OutputError, ScorerError, UsageError
from scorer.files import (
    own_descriptor,
    refuse_inputs,
    regular_target,
    takes_stream,
    with_name_of_its_own,
)
from scorer.jobs.inputs import InputFile, Inputs, default_output, find_inputs
from scorer.jobs.parts.place import FolderPlace, contents_of, folder_target
from scorer.jobs.publish import LocalPlace, Stream, Target, local_target, remote_target
from scorer.jobs.score import Job
from scorer.jobs.summary import Failure
from scorer.jobs.unexpected import as_expected
from scorer.tables import STDIN
from scorer.tables.formats import check_output_name, writable_name
from scorer.tables.remote import RemoteFile, is_url, remote_file, split_query

#: the files behind standard input and output, if they are files
STDIN_PATH, STDOUT_PATH = Path("/dev/stdin"), Path("/dev/stdout")
STDOUT_DESCRIPTOR = 1


@dataclass(frozen=True)
class RunPlan:
    """The jobs of a run, in order.

    folder     the folder that takes the outputs, if there is one
    ignored    files of input folders that are not tables
    failures   inputs that could not be found, listed or given an output
    warnings   what of the inputs was left out, and why
    """

    jobs: tuple[Job, ...]
    folder: str | None = None
    ignored: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()


def plan(
    names: Sequence[str], output: str | None, run_id: str = "", *, split_output: bool = False
) -> RunPlan:
    """Find the inputs and place the outputs; nothing is read or written.

    Without `output` a file's goes beside it (`reviews.scored.csv`), a folder's into a folder
    beside it (`inbox.scored/`) with the same layout, stdin's to stdout. `run_id` keeps the
    rejects of one stdin from another's. With `split_output` an output is a folder of parts, by the
    same name. Raises InputError for an input that is not there,
    OutputError and UsageError where an output cannot be meant.
    """
    local = output is not None and output != STDIN and not is_url(output)
    inputs = find_inputs(names, Path(output) if output is not None and local else None)
    stream = _stream(names[0], output)
    if stream is not None:
        job = _to_stream(inputs, stream, run_id)
        return RunPlan((job,), None, inputs.ignored, inputs.failures, inputs.warnings)
    folder = _folder(inputs, output, split_output=split_output)
    outputs = [_place(file, output, folder) for file in inputs.files]
    place = folder_target if split_output else local_target
    jobs, failures = _jobs(inputs.files, outputs, folder, place)
    _refuse_inputs(jobs)
    places = [_real(job.target.work) for job in jobs]
    counts = Counter(places)
    twice = [job.target.name for job, place in zip(jobs, places, strict=True) if counts[place] > 1]
    if twice:
        raise UsageError(
            f"{twice[0]}: two inputs would be written to this file: score them separately"
        )
    return RunPlan(jobs, folder, inputs.ignored, (*inputs.failures, *failures), inputs.warnings)


def _jobs(
    files: Sequence[InputFile],
    outputs: Sequence[str],
    folder: str | None,
    place: Callable[[Path], Target],
) -> tuple[tuple[Job, ...], list[Failure]]:
    """A job for every file with an output; and the files for which the place cannot be told."""
    root = remote_file(folder) if folder is not None and is_url(folder) else None
    jobs: list[Job] = []
    failures: list[Failure] = []
    for file, name in zip(files, outputs, strict=True):
        try:
            target = _target(name, file, folder, root, place)
        except ScorerError:
            raise
        except Exception as error:
            expected = as_expected(error, file.source.name)
            if len(files) == 1:
                raise expected from error
            failures.append(Failure(file.source.name, str(expected), expected.exit_code))
        else:
            jobs.append(Job(file.source, target, marks_done=len(files) > 1))
    return tuple(jobs), failures


def _stream(first: str, output: str | None) -> Stream | None:
    """What takes the rows as they come, if anything does."""
    if output == STDIN or (output is None and first == STDIN):
        return Stream()
    if output is None or is_url(output) or not takes_stream(Path(output)):
        return None
    is_stdout = own_descriptor(Path(output)) == STDOUT_DESCRIPTOR
    return Stream() if is_stdout else Stream(output, Path(output))


def _to_stream(inputs: Inputs, stream: Stream, run_id: str) -> Job:
    if len(inputs.files) > 1:
        raise UsageError(f"several inputs cannot share {stream.name}: give --output a folder")
    source = inputs.files[0].source
    if source.path is not None or source.stat is None:  # else a URL, which is not a local file
        refuse_inputs([stream.path or STDOUT_PATH], [source.path or STDIN_PATH])
    beside = (
        source.path if source.path is not None else Path(f"stdin-{run_id}" if run_id else "stdin")
    )
    job = Job(source, local_target(beside), stream)
    _refuse_inputs([job])
    return job


def _refuse_inputs(jobs: Sequence[Job]) -> None:
    """Raise UsageError where an output or a rejects file is one of the inputs."""
    places = [job.target.rejects for job in jobs]
    places += [job.target.output for job in jobs if job.stream is None]
    outputs = [place.path for place in places if isinstance(place, LocalPlace)]
    inputs = [job.source.path for job in jobs if job.source.path is not None]
    refuse_inputs(outputs, inputs)
    folders = {_real(place.path) for place in places if isinstance(place, FolderPlace)}
    inside = next((path for path in inputs if _real(path).parent in folders), None)
    if inside is not None:
        raise UsageError(f"{inside}: lies in the folder of an output: choose another output")


def check_summary(path: Path, made: RunPlan) -> None:
    """Raise where a summary cannot be written to `path`, or would meet an input or an output."""
    regular_target(path)
    refuse_inputs([path], [job.source.path for job in made.jobs if job.source.path is not None])
    taken: set[Path] = set()
    for job in made.jobs:
        taken.add(_real((job.stream.path or STDOUT_PATH) if job.stream else job.target.work))
    if _real(path) in taken:
        raise UsageError(f"{path}: the rows are written there: choose another file for the summary")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _folder(inputs: Inputs, output: str | None, *, split_output: bool) -> str | None:
    """The folder that takes the outputs; None where each is a file of its own."""
    if output is not None:
        existing = not is_url(output) and Path(output).is_dir()
        if split_output and existing and not inputs.several and contents_of(Path(output)):
            return None  # the output that a run before has made
        if not (inputs.several or existing or output.endswith("/")):
            return None
        if not is_url(output) and Path(output).exists() and not existing:
            raise UsageError(f"{output}: several inputs need a folder as --output")
        return output
    if inputs.folder is None:
        return None
    if is_url(inputs.folder):
        base, query = split_query(inputs.folder)
        return f"{base.rstrip('/')}.scored{query}"
    path = with_name_of_its_own(Path(inputs.folder))
    return str(path.with_name(f"{path.name}.scored"))


def _place(file: InputFile, output: str | None, folder: str | None) -> str:
    """The name, a path or a URL, of a file's output."""
    if folder is not None:
        if file.relative == "stdin":
            raise UsageError(f"{folder}: is a folder: give a file name")
        base, query = split_query(folder) if is_url(folder) else (folder, "")
        return f"{base.rstrip('/')}/{writable_name(file.relative)}{query}"
    if output is None:
        return default_output(file.name)
    check_output_name(output, file.source.name)
    return output


def _target(
    name: str,
    file: InputFile,
    folder: str | None,
    root: RemoteFile | None,
    place: Callable[[Path], Target],
) -> Target:
    """The output's place; below `root`, the folder on another file system, if there is one."""
    if is_url(name) and name == file.source.name:
        raise UsageError(f"{name}: is the input itself: choose another output")
    if root is not None:
        relative = split_query(name)[0].removeprefix(split_query(root.url)[0].rstrip("/"))
        return remote_target(root.child(root.path.rstrip("/") + relative))
    if is_url(name):
        return remote_target(remote_file(name))
    path = Path(name)
    if folder is None and not path.parent.is_dir():
        raise OutputError(f"{name}: the folder {path.parent} does not exist: create it first")
    return place(path)
