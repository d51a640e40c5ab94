"""Measures the runners with 1 and more workers, and a model of what a run on a cluster costs.

    python scripts/bench_runners.py reviews.parquet                 (needs the extras ray and spark)
    python scripts/bench_runners.py reviews.parquet --write         (into docs/, too)
    python scripts/bench_runners.py reviews.parquet --files 16 --workers 4 --runner ray

A run over `files` equal files of `rows` rows each, on `workers` cores, is taken to last

    start + open + ceil(files / workers) * (per_file + rows * per_row)

The terms come from the run with one worker; what they predict of the others is set beside what
those took. Measure on a machine that does nothing else.
"""

from __future__ import annotations

import math
import multiprocessing as mp
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.distributed import open_runner
from scorer.jobs.each import LocalRunner, Runner
from scorer.jobs.plan import plan
from scorer.jobs.policy import RunPolicy
from scorer.jobs.run import run_jobs
from scorer.jobs.settings import Settings
from scorer.jobs.spec import OutputSpec
from scorer.model import Model, load_model
from scripts import figures
from scripts.bench import print_table

REPEATS = 3
#: of all files together: the table's, again and again
ROWS = 100_000


@dataclass(frozen=True)
class Times:
    """Seconds of one runner: until it is there, and of runs over the files.

    tiny_first, tiny   files of one row: the first run, in which workers start and open the model,
                       and the fastest of the next
    full               the files themselves, the fastest run
    """

    start: float
    tiny_first: float
    tiny: float
    full: float

    @property
    def opening(self) -> float:
        return max(self.tiny_first - self.tiny, 0.0)

    @property
    def whole(self) -> float:
        """What a run takes for which everything must be started."""
        return self.start + self.opening + self.full


@dataclass(frozen=True)
class CostModel:
    """The terms of the formula above, in seconds."""

    start: float
    opening: float
    per_file: float
    per_row: float

    @classmethod
    def fitted(cls, one: Times, files: int, rows: int) -> CostModel:
        """From a run with one worker over `files` files of `rows` rows."""
        per_row = (one.full - one.tiny) / (files * (rows - 1))
        return cls(one.start, one.opening, one.tiny / files, per_row)

    def seconds(self, files: int, rows: int, workers: int) -> float:
        rounds = math.ceil(files / workers)
        return self.start + self.opening + rounds * (self.per_file + rows * self.per_row)


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("-m", "--model", default="imdb-bilstm", show_default=True)
@click.option("--files", default=8, show_default=True)
@click.option("--workers", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option(
    "--runner", "runners", multiple=True, default=["local", "ray", "spark"], show_default=True
)
@click.option(
    "--write", is_flag=True, help="Write the figures into docs/figures.json and the page."
)
def main(
    table: Path, model: str, files: int, workers: int, runners: tuple[str, ...], write: bool
) -> None:
    """Split TABLE into files, score them by every runner, and print what it took."""
    counts = sorted({1, workers})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = _split(table, folder, files)
        times = {
            (runner, count): _apart(runner, count, folder, model)
            for runner in runners
            for count in counts
        }
    models = {name: CostModel.fitted(times[name, 1], files, rows) for name in runners}
    terms, runs = _terms(models), _runs(times, models, files, rows)
    print_table("terms", terms)
    print_table("runs", runs)
    if write:
        measured = {
            "machine": figures.machine(workers),
            "model": model,
            "data": table.name,
            "files": files,
            "rows": rows,
            "terms": terms,
            "runs": runs,
        }
        figures.store("runners", measured)


def _split(table: Path, folder: Path, files: int) -> int:
    """Write `full/` and `tiny/` below the folder; returns the rows of a file of `full/`."""
    read = pq.read_table(table)
    whole = pa.concat_tables([read] * math.ceil(ROWS / read.num_rows)).slice(0, ROWS)
    rows = ROWS // files
    for kind, length in {"full": rows, "tiny": 1}.items():
        (folder / kind).mkdir()
        for i in range(files):
            pq.write_table(whole.slice(i * rows, length), folder / kind / f"{i}.parquet")
    return int(rows)


def _apart(runner: str, workers: int, folder: Path, model: str) -> Times:
    """Measure in a process of its own, so that none finds anything started."""
    with ProcessPoolExecutor(1, mp.get_context("spawn")) as pool:
        return pool.submit(_measure, runner, workers, folder, model).result()


def _measure(name: str, workers: int, folder: Path, reference: str) -> Times:
    model = load_model(reference)
    start = _timed(lambda: _START[name](workers))
    local = name == "local"
    runner = LocalRunner(model) if local else open_runner(name, model)
    settings = Settings(
        OutputSpec(evaluation=None), RunPolicy(threads=workers if local else 1, force=True)
    )

    def scored(kind: str) -> float:
        return _timed(lambda: _score(model, folder / kind, folder / "out", settings, runner))

    first = scored("tiny")
    tiny, full = (min(scored(kind) for _ in range(REPEATS)) for kind in ("tiny", "full"))
    return Times(start, first, tiny, full)


def _score(model: Model, source: Path, output: Path, settings: Settings, runner: Runner) -> None:
    summary = run_jobs(model, plan([str(source)], f"{output}/"), settings, runner=runner)
    if summary.exit_code:
        raise SystemExit(f"failed: {summary.failures}")


def _timed(function: Callable[[], object]) -> float:
    started = perf_counter()
    function()
    return perf_counter() - started


def _start_ray(workers: int) -> None:
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (as the other runners' workers)
    ray.init(num_cpus=workers, log_to_driver=False, logging_level="ERROR")


def _start_spark(workers: int) -> None:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder: Any = SparkSession.builder.master(f"local[{workers}]")
    builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()


_START: dict[str, Callable[[int], None]] = {
    "local": lambda workers: None,
    "ray": _start_ray,
    "spark": _start_spark,
}


def _terms(models: dict[str, CostModel]) -> list[list[str]]:
    lines = [["runner", "start, s", "open, s", "per file, s", "rows/s of a core"]]
    for name, terms in models.items():
        cells = (f"{terms.start:.1f}", f"{terms.opening:.1f}", f"{terms.per_file:.3f}")
        lines.append([f"`{name}`", *cells, f"{1 / terms.per_row:,.0f}"])
    return lines


def _runs(
    times: dict[tuple[str, int], Times], models: dict[str, CostModel], files: int, rows: int
) -> list[list[str]]:
    lines = [
        [
            "runner",
            "workers",
            "s, started",
            "rows/s, started",
            "s, whole",
            "predicted",
            "difference",
        ]
    ]
    for (name, workers), took in times.items():
        predicted = models[name].seconds(files, rows, workers)
        rate = f"{files * rows / took.full:,.0f}"
        off = f"{predicted / took.whole - 1:+.0%}"
        cells = (f"{took.full:.1f}", rate, f"{took.whole:.1f}", f"{predicted:.1f}", off)
        lines.append([f"`{name}`", str(workers), *cells])
    return lines


if __name__ == "__main__":
    main()
