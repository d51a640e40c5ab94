"""Spark: a job of one task for every file, and `mapInArrow` for data frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from scorer.distributed.held import hold_folder
from scorer.distributed.worker import ATTEMPTS, PartMade, PartResult, file_work, table_work
from scorer.errors import RunnerError, ScorerError, pip_install
from scorer.jobs.each import Outcome
from scorer.jobs.parts.scoring import LookOn, Splitter, nobody
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.jobs.unexpected import as_expected, attempted
from scorer.model import Model
from scorer.tasks import OutputOptions

try:
    from py4j.protocol import Py4JError, Py4JJavaError
    from pyspark import TaskContext, inheritable_thread_target
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
except ImportError as error:
    raise RunnerError(f"Spark is not installed ({error}): {pip_install('spark')}") from error

#: files that are with Spark at a time, a thread each: more than the cores of most clusters
IN_FLIGHT = 512


@dataclass(frozen=True)
class SparkRunner:
    """Scores each file in a Spark task that takes as many cores as `settings.policy.threads`.

    Uses the session that is active in this process; else one by Spark's own settings, on this
    machine where they name no master, until the jobs are done. Raises RunnerError.
    """

    model: Model
    look_on: LookOn = nobody

    def __call__(self, jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        with _session(settings.policy.threads) as session:
            context = session.sparkContext
            inheriting = inheritable_thread_target(session)
            work = context.broadcast(file_work(self.model, settings))
            splitter = Splitter(settings, self.look_on)

            # A Spark job a file: one that kills its workers fails alone, and not its stage.
            def score(job: Job) -> Outcome:
                if settings.spec.split_output:
                    outcome = _made_folder(context, work, job, self.model, settings, splitter)
                    if outcome is not None:
                        return outcome
                told = context.broadcast(_parts_told(context, work, job, settings, splitter))
                task = context.parallelize([job.source.name], 1).map(
                    lambda _: work.value(job, TaskContext.get().attemptNumber(), told.value)
                )
                return _outcome(task, job)

            pool = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="scorer-spark")
            pending = {pool.submit(inheriting(score), job): job for job in jobs}
            try:
                for done in as_completed(pending):
                    yield pending[done], done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                context.cancelAllJobs()
                pool.shutdown()


def _made_folder(
    context: Any, work: Any, job: Job, model: Model, settings: Settings, splitter: Splitter
) -> Outcome | None:
    """What came of a job whose output is a folder; None where one task is to do all of it."""
    held = attempted(job.source.name, lambda: hold_folder(model, job, settings, splitter))
    if held is None or isinstance(held, ScorerError):
        return held
    begun, lacking = held.begun, held.begun.lacking()
    made: list[PartMade] = []
    try:
        if lacking:
            tasks = context.parallelize(lacking, len(lacking))
            made = _collected(tasks.map(lambda n: work.value.make_part(job, begun, n)), job)
        task = context.parallelize([job.source.name], 1)
        (result,) = _collected(task.map(lambda _: work.value.finish(job, begun, made)), job)
        return held.ended(result.received())
    except ScorerError as error:
        return held.ended(error)
    finally:
        held.release()


def _parts_told(
    context: Any, work: Any, job: Job, settings: Settings, splitter: Splitter
) -> list[PartResult]:
    """What the tasks of a job's parts told; nothing where its file is not split."""
    parts = () if settings.spec.split_output else splitter.parts(job)
    if not parts:
        return []
    tasks = context.parallelize(parts, len(parts)).map(lambda part: work.value.part(job, part))
    try:
        told: list[PartResult] = tasks.collect()
    except Py4JJavaError:  # one of them, which ends them all; some are recorded
        return [PartResult(part) for part in parts]
    return told


def _outcome(task: Any, job: Job) -> Outcome:
    """Run a task of one element, and say what came of its job."""
    try:
        (result,) = _collected(task, job)
    except ScorerError as error:
        return error
    received: Outcome = result.received()
    return received


def _collected(tasks: Any, job: Job) -> list[Any]:
    """What tasks of a job tell. Raises RunnerError where workers die, and defects as they are."""
    try:
        told: list[Any] = tasks.collect()
    except Py4JJavaError as error:
        reason = _reason(error)
        if "PythonException" in reason:  # outside what FileWork attempts
            raise as_expected(error, job.source.name) from error
        raise RunnerError(
            f"{job.source.name}: its worker died {ATTEMPTS} times: {reason}"
        ) from error
    return told


def _reason(error: Exception) -> str:
    """The first line of what went wrong, in Java where it did there."""
    java = getattr(error, "java_exception", None)
    return str(error if java is None else java.getMessage()).partition("\n")[0]


@contextmanager
def _session(threads: int) -> Iterator[Any]:
    """The active session; else one that is made here and ended afterwards."""
    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    # What Spark takes where neither spark-submit nor spark-defaults.conf name another: all cores
    # of this machine, a task that fails tried as often as on a cluster.
    os.environ.setdefault("MASTER", f"local[*,{ATTEMPTS}]")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("scorer").config("spark.task.cpus", threads)
    builder = builder.config("spark.log.level", "ERROR")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    try:
        session = builder.getOrCreate()
    except (PySparkException, Py4JError) as error:
        raise RunnerError(
            f"Spark cannot be used (it needs Java 17 or later): {_reason(error)}"
        ) from error
    try:
        yield session
    finally:
        session.stop()


def score_dataframe(
    frame: Any,
    model: str | Model,
    *,
    text_column: str | None = None,
    options: OutputOptions | None = None,
) -> Any:
    """A Spark DataFrame with a model's predictions appended; lazy, as its operations are.

    `model` is a reference as for `scorer.load`, or a loaded model. Raises ColumnError where the
    text's column is missing or a new one's name is taken.
    """
    schema = to_arrow_schema(frame.schema)
    work, added = table_work("the data frame", schema, model, text_column, options)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from work(pa.Table.from_batches([batch])).combine_chunks().to_batches()

    fields = [*frame.schema.fields, *from_arrow_schema(added).fields]
    return frame.mapInArrow(score, type(frame.schema)(fields))
