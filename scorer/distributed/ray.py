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

from scorer.distributed.worker import (
    ATTEMPTS,
    FileWork,
    PartResult,
    WorkerResult,
    file_work,
    table_work,
)
from scorer.errors import RunnerError, pip_install
from scorer.jobs.each import Outcome
from scorer.jobs.parts import LookOn, Splitter, nobody
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.jobs.unexpected import as_expected
from scorer.model import Model
from scorer.tables.parts import Part
from scorer.tasks import OutputOptions

try:
    import ray
except ImportError as error:
    raise RunnerError(f"Ray is not installed ({error}): {pip_install('ray')}") from error


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
            tasks = _Tasks(file_work(self.model, settings), self.look_on)
            try:
                for job in jobs:
                    tasks.start(job)
                while tasks.running:
                    job, outcome = tasks.next_ended()
                    yield job, outcome
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


class _Tasks:
    """Tasks on their way, each a try at a job.

    Tried again here and not by Ray, which does not tell a task that it has been tried before. They
    are waited for in Python: `ray.wait` lets no signal but Ctrl-C through.
    """

    def __init__(self, work: FileWork, look_on: LookOn) -> None:
        self.running: dict[Any, _Try] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()
        self._work = ray.put(work)
        self._splitter = Splitter(work.settings, look_on)
        threads = work.settings.policy.threads
        self._task = ray.remote(_score_file).options(num_cpus=threads, max_retries=0)
        self._part = ray.remote(_score_part).options(num_cpus=threads, max_retries=ATTEMPTS - 1)

    def start(self, job: Job) -> None:
        """Begin a job, and the parts of its file where there are any."""
        parts = self._splitter.parts(job)
        told = [self._part.remote(self._work, job, part) for part in parts]
        self._begin(_Try(job, 0, parts, told))

    def _begin(self, begun: _Try) -> None:
        # Waits for its parts, and fails where one of them did.
        ref = self._task.remote(self._work, begun.job, begun.tries, *begun.told)
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
                return job, as_expected(error, job.source.name)
            except ray.exceptions.RayError as error:
                if ended.tries + 1 < ATTEMPTS:
                    self._begin(ended.next())
                    continue
                reason = str(error).partition("\n")[0]
                message = f"{job.source.name}: its worker died {ATTEMPTS} times: {reason}"
                return job, RunnerError(message)
            return job, result.received()

    def cancel(self) -> None:
        """Kill what is running; it leaves what a killed run leaves."""
        for ref, begun in self.running.items():
            for each in (ref, *begun.told):
                if isinstance(each, ray.ObjectRef):
                    ray.cancel(each, force=True)


def _score_file(work: FileWork, job: Job, tries: int, *parts: PartResult) -> WorkerResult:
    return work(job, tries, parts)


def _score_part(work: FileWork, job: Job, part: Part) -> PartResult:
    return work.part(job, part)


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
