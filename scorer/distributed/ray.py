"""Ray: a task for every file and every part of a large one, and `map_batches` for data sets."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

import pyarrow as pa

from scorer.distributed.held import HeldFolder, hold_folder
from scorer.distributed.worker import (
    ATTEMPTS,
    FileWork,
    PartMade,
    PartResult,
    WorkerResult,
    file_work,
    table_work,
)
from scorer.errors import RunnerError, ScorerError, pip_install
from scorer.jobs.each import Outcome
from scorer.jobs.parts.scoring import LookOn, Splitter, nobody
from scorer.jobs.parts.staged import Staged
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.jobs.unexpected import as_expected, attempted
from scorer.model import Model
from scorer.tables.parts import Part
from scorer.tasks import OutputOptions

try:
    import ray
except ImportError as error:
    raise RunnerError(f"Ray is not installed ({error}): {pip_install('ray')}") from error


#: outputs that one process holds at a time: each has a lock file open
MOST_HELD = 256


@dataclass(frozen=True)
class RayRunner:
    """Scores each file in a Ray task that takes as many CPUs as `settings.policy.threads`.

    Uses the Ray that this process is connected to; else the cluster that RAY_ADDRESS names, or a
    Ray of its own on this machine, until the jobs are done. Raises RunnerError.
    """

    model: Model
    look_on: LookOn = nobody

    def __call__(self, jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        with _connected(settings.policy.threads):
            tasks = _Tasks(self.model, settings, self.look_on)
            try:
                for job in jobs:
                    while tasks.held >= MOST_HELD:
                        yield tasks.next_ended()
                    refused = tasks.start(job)
                    if refused is not None:
                        yield job, refused
                while tasks.running:
                    yield tasks.next_ended()
            finally:
                tasks.cancel()


@dataclass(frozen=True)
class _Try:
    """A try at a job after `tries` others; `told` are the results of its file's parts."""

    job: Job
    tries: int
    parts: Sequence[Part]
    told: Sequence[Any]

    def next(self) -> _Try:
        """The same again; where it fails for a part that failed, without what the parts told."""
        told: Sequence[Any] = self.told
        if self.tries >= 1:
            told = [PartResult(part) for part in self.parts] if self.tries == 1 else ()
        return replace(self, tries=self.tries + 1, told=told)

    def ended(self, outcome: Outcome) -> Outcome:
        return outcome


@dataclass(frozen=True)
class _Folder:
    """A job whose output is a folder; `told` are the results of its parts. Ray tries each again."""

    held: HeldFolder
    told: Sequence[Any]

    @property
    def job(self) -> Job:
        return self.held.job

    def ended(self, outcome: Outcome) -> Outcome:
        return self.held.ended(outcome)


class _Tasks:
    """Tasks on their way, each a try at a job.

    A file is tried again here and not by Ray, which does not tell a task that it has been tried
    before. They are waited for in Python: `ray.wait` lets no signal but Ctrl-C through.
    """

    def __init__(self, model: Model, settings: Settings, look_on: LookOn) -> None:
        self.running: dict[Any, _Try | _Folder] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._model, self._settings = model, settings
        self._work = ray.put(file_work(model, settings))
        self._splitter = Splitter(settings, look_on)
        once = {"num_cpus": settings.policy.threads, "max_retries": 0}
        again = {**once, "max_retries": ATTEMPTS - 1}
        self._task = ray.remote(_score_file).options(**once)
        self._part = ray.remote(_score_part).options(**again)
        self._make_part = ray.remote(_make_part).options(**again)
        self._finish = ray.remote(_finish).options(**again)

    @property
    def held(self) -> int:
        """How many outputs this process holds."""
        return sum(isinstance(begun, _Folder) for begun in self.running.values())

    def start(self, job: Job) -> Outcome | None:
        """Begin a job, and the parts of its file where there are any; or say why it cannot be."""
        if not self._settings.spec.split_output:
            parts = self._splitter.parts(job)
            told = [self._part.remote(self._work, job, part) for part in parts]
            self._begin(_Try(job, 0, parts, told))
            return None
        held = attempted(
            job.source.name,
            lambda: hold_folder(self._model, job, self._settings, self._splitter),
        )
        if isinstance(held, ScorerError):
            return held
        if held is None:
            self._begin(_Try(job, 0, (), ()))
        else:
            self._begin_folder(held)
        return None

    def _begin(self, begun: _Try) -> None:
        # Waits for its parts, and fails where one of them did.
        self._await(self._task.remote(self._work, begun.job, begun.tries, *begun.told), begun)

    def _begin_folder(self, held: HeldFolder) -> None:
        job, begun = held.job, held.begun
        told = [self._make_part.remote(self._work, job, begun, n) for n in begun.lacking()]
        self._await(self._finish.remote(self._work, job, begun, *told), _Folder(held, told))

    def _await(self, ref: Any, begun: _Try | _Folder) -> None:
        self.running[ref] = begun
        ref.future().add_done_callback(lambda _: self._ended.put(ref))

    def next_ended(self) -> tuple[Job, Outcome]:
        """Wait for the next job that will not be tried again."""
        while True:
            ref = self._ended.get()
            ended = self.running.pop(ref)
            job = ended.job
            try:
                result: WorkerResult = ray.get(ref)
            except ray.exceptions.RayTaskError as error:  # outside what FileWork attempts
                return job, ended.ended(as_expected(error, job.source.name))
            except ray.exceptions.RayError as error:
                if isinstance(ended, _Try) and ended.tries + 1 < ATTEMPTS:
                    self._begin(ended.next())
                    continue
                reason = str(error).partition("\n")[0]
                message = f"{job.source.name}: its worker died {ATTEMPTS} times: {reason}"
                return job, ended.ended(RunnerError(message))
            return job, ended.ended(result.received())

    def cancel(self) -> None:
        """Kill what is running; it leaves what a killed run leaves."""
        for ref, begun in self.running.items():
            for each in (ref, *begun.told):
                if isinstance(each, ray.ObjectRef):
                    ray.cancel(each, force=True)
            if isinstance(begun, _Folder):
                begun.held.release()


def _score_file(work: FileWork, job: Job, tries: int, *parts: PartResult) -> WorkerResult:
    return work(job, tries, parts)


def _score_part(work: FileWork, job: Job, part: Part) -> PartResult:
    return work.part(job, part)


def _make_part(work: FileWork, job: Job, begun: Staged, number: int) -> PartMade:
    return work.make_part(job, begun, number)


def _finish(work: FileWork, job: Job, begun: Staged, *made: PartMade) -> WorkerResult:
    return work.finish(job, begun, made)


@contextmanager
def _connected(threads: int) -> Iterator[None]:
    """Ray, started or connected to unless this process has done so, and left as it was found."""
    if ray.is_initialized():
        _check_threads(threads)
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # an offline tool sends nothing
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise RunnerError(f"Ray cannot be used: {' '.join(str(error).split())}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray's would end the process with another code
    try:
        _check_threads(threads)
        yield
    finally:
        ray.shutdown()


def _check_threads(threads: int) -> None:
    """Raise RunnerError where no node could ever run a task of so many threads."""
    most = max((node["Resources"].get("CPU", 0) for node in ray.nodes()), default=0)
    if threads > most:
        raise RunnerError(f"Ray's largest node has {most:.0f} CPUs: lower --threads {threads}")


def score_dataset(
    dataset: Any,
    model: str | Model,
    *,
    text_column: str | None = None,
    options: OutputOptions | None = None,
) -> Any:
    """A `ray.data.Dataset` with a model's predictions appended; lazy, as its operations are.

    `model` is a reference as for `scorer.load`, or a loaded model. Raises ColumnError where the
    text's column is missing or a new one's name is taken.
    """
    schema = dataset.schema()
    known = pa.schema(zip(schema.names, map(_arrow_type, schema.types), strict=True))
    work, _ = table_work("the data set", known, model, text_column, options)

    def score(table: pa.Table) -> pa.Table:
        return work(table)

    return dataset.map_batches(score, batch_format="pyarrow", num_cpus=1)


def _arrow_type(kind: Any) -> pa.DataType:
    """A column's type; strings where Ray knows but that they are Python objects."""
    return kind if isinstance(kind, pa.DataType) else pa.string()
