"""Benchmarks, every figure from two things run side by side on this machine.

    python scripts/bench.py imdb_test.parquet --model imdb-bilstm
    python scripts/bench.py imdb_test.parquet --only network --only stages
    python scripts/bench.py imdb_test.parquet --write       # into docs/figures.json and the pages
    python scripts/bench.py imdb_test.parquet --against main --write    # into docs/history.json

Figures are medians; a ratio is the median of the rounds' own ratios.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer import zoo
from scorer.binding import Binding
from scorer.model import Model, load_model
from scorer.tables import Window, local_source, open_reader, open_writer
from scorer.vectorizer import TokenBatch
from scripts import figures
from scripts.benchmarks import against as commits
from scripts.benchmarks import formats, limits, processes, stages, starts
from scripts.pages import ROOT

SCORE = str(Path(sys.executable).with_name("score"))
KERAS_SCRIPT = str(Path(__file__).with_name("benchmarks") / "keras_predict.py")
MANY_ROWS = 500_000
LIMIT_ROWS = 5_000

Contestants = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Setting:
    """What is measured: a model on a file of texts."""

    model: str
    data: Path
    column: str
    threads: int
    repeats: int
    scratch: Path

    def score(self, data: Path) -> list[str]:
        return [*self.command(data), "-m", self.model]

    def command(self, data: Path) -> list[str]:
        """What scores a file; the model is to be added."""
        out = str(self.scratch / "out.parquet")
        options = ["--force", "--quiet", "--no-report", "--threads", str(self.threads)]
        return [SCORE, str(data), "-o", out, *options]

    def texts(self) -> pa.Array:
        return formats.texts_of(self.data, self.column)

    def slice_of(self, rows: int, name: str) -> Path:
        """A file of the data's first rows, repeated as often as needed."""
        table = pq.read_table(self.data)
        path = self.scratch / name
        with pq.ParquetWriter(path, table.schema) as writer:
            for start in range(0, rows, len(table)):
                writer.write_table(table.slice(0, min(len(table), rows - start)))
        return path


@click.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-m", "--model", default="imdb-bilstm", show_default=True)
@click.option("--column", default="text", show_default=True, help="The column of texts.")
@click.option("--threads", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option(
    "--only",
    multiple=True,
    help="whole, start, stages, formats, network, limit or memory (repeatable).",
)
@click.option(
    "--write", is_flag=True, help="Write the figures into docs/figures.json and the pages."
)
@click.option(
    "--against",
    metavar="REV",
    help="Measure this tree beside a commit, and nothing else; --write appends to "
    "docs/history.json.",
)
def main(
    data: Path,
    model: str,
    column: str,
    threads: int,
    repeats: int,
    only: tuple[str, ...],
    write: bool,
    against: str | None,
) -> None:
    """Measure a model on a Parquet file of texts, beside Keras and ONNX Runtime."""
    if against and only:
        raise click.UsageError("--against measures whole runs: leave --only out")
    if write and only:
        raise click.UsageError("--write wants all tables: leave --only out")
    tables: dict[str, list[list[str]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        setting = Setting(model, data, column, threads, repeats, Path(scratch))
        print(f"{model} on {data.name}, {threads} threads, median of {repeats}", flush=True)
        if against:
            two_commits(setting, against, write=write)
            return
        for name, bench in BENCHES.items():
            if not only or name in only:
                tables[name] = bench(setting)
                print_table(name, tables[name])
    if write:
        figures.store(
            "bench",
            {
                "machine": figures.machine(threads),
                "model": model,
                "data": data.name,
                "rows": pq.ParquetFile(data).metadata.num_rows,
                "repeats": repeats,
                "tables": tables,
            },
        )


def two_commits(setting: Setting, revision: str, *, write: bool) -> None:
    """This tree's whole runs in turn with those of a commit."""
    ten = setting.slice_of(10, "ten.parquet")
    runs = commits.Runs(
        zoo.shipped_zoo(),
        setting.model,
        setting.threads,
        commits.files_of(setting.data, ten, setting.scratch),
        setting.scratch,
    )
    with commits.tree_of(ROOT, revision) as theirs:
        measured = commits.rounds(runs, ROOT, theirs, setting.repeats)
        against = commits.commit_of(theirs)
    table = commits.compared(measured, revision)
    print_table(f"against {revision}", table)
    if write:
        entry = {
            "commit": commits.commit_of(ROOT),
            "against": against,
            "machine": figures.machine(setting.threads),
            "model": setting.model,
            "rows": pq.ParquetFile(setting.data).metadata.num_rows,
            "repeats": setting.repeats,
            "table": table,
        }
        commits.append_history(ROOT / "docs" / "history.json", entry)
        figures.write()


def print_table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table; the first row is its head."""
    print(f"\n**{title}**\n\n{figures.markdown(rows)}", flush=True)


def whole(setting: Setting) -> list[list[str]]:
    """`score` from process start to exit, against Keras `predict` on the same strings."""
    archive = str(zoo.find(setting.model).model_path)
    out = str(setting.scratch / "keras.npy")
    keras = [sys.executable, KERAS_SCRIPT, archive, str(setting.data), setting.column, out]
    pair = processes.paired(setting.score(setting.data), keras, setting.repeats)
    rows = pq.ParquetFile(setting.data).metadata.num_rows
    return [
        ["whole run", "s", "rows/s", "peak MB", "times ours"],
        ["`score`", *_whole_row(pair.a, rows), "1"],
        ["Keras `predict`", *_whole_row(pair.b, rows), f"{pair.ratio:.1f}"],
    ]


def _whole_row(run: processes.Run, rows: int) -> list[str]:
    return [f"{run.seconds:.2f}", f"{rows / run.seconds:,.0f}", f"{run.peak_mb:.0f}"]


def start(setting: Setting) -> list[list[str]]:
    """Ten rows from process start to exit by several models, against `import keras` alone."""
    ten = setting.slice_of(10, "ten.parquet")
    listing = [SCORE.replace("score", "zoo"), "list"]
    commands = starts.commands(setting.model, setting.command(ten), listing)
    return starts.compared(commands, 2 * setting.repeats + 1)


def by_stage(setting: Setting) -> list[list[str]]:
    """Each stage alone; those that run in the workers on one thread and on all."""
    model, texts = _loaded(setting)
    parts = stages.windows(texts)
    tokens = [model.vectorize(part) for part in parts]
    scores = [model.score(part) for part in parts]
    binding = Binding(model, None)
    work: dict[str, Callable[[int], object]] = {
        "vectorize": lambda n: stages.over_threads(model.vectorize, parts, n),
        "network": lambda n: stages.over_threads(lambda t: model.engine.run(*t), tokens, n),
        "append": lambda n: stages.over_threads(binding.output, scores, n),
    }
    rows = [["stage", "rows/s, 1 thread", f"rows/s, {setting.threads} threads", "gain"]]
    for name, stage in work.items():
        rivals: Contestants = {str(n): partial(stage, n) for n in (1, setting.threads)}
        one, all_ = stages.side_by_side(rivals, len(texts), setting.repeats)
        speeds = [f"{one.rows_per_second:,.0f}", f"{all_.rows_per_second:,.0f}"]
        rows.append([name, *speeds, f"{all_.ratio:.2f}"])
    files: Contestants = {
        "read": partial(_read, setting),
        "read and write": partial(_write, setting, model),
    }
    for rate in stages.side_by_side(files, len(texts), setting.repeats):
        rows.insert(1 if rate.name == "read" else len(rows), _file_row(rate))
    return rows


def _file_row(rate: stages.Rate) -> list[str]:
    return [rate.name, f"{rate.rows_per_second:,.0f}", "", ""]


def _read(setting: Setting) -> list[Window]:
    reader, _ = open_reader(local_source(setting.data))
    try:
        return list(reader.windows(setting.column))
    finally:
        reader.close()


def _write(setting: Setting, model: Model) -> None:
    """Read, encode and write, with two columns of made-up predictions."""
    reader, found = open_reader(local_source(setting.data))
    names = ("prediction", "probability")
    with (setting.scratch / "written").open("wb") as stream:
        schema = pa.schema([(names[0], pa.string()), (names[1], pa.float32())])
        writer = open_writer(stream, found.format, reader, schema, {"model": model.ref})
        for window in reader.windows(setting.column):
            values = pa.array(np.zeros(window.rows, np.float32))
            label = pa.array(["positive"] * window.rows, pa.string())
            writer.write(writer.encode(window, pa.record_batch([label, values], names=names)))
        writer.close()
    reader.close()


def by_format(setting: Setting) -> list[list[str]]:
    """Whole runs of `formats.MODELS` on each format, beside the same work in memory."""
    ten = setting.slice_of(10, "ten.parquet")
    files = commits.files_of(setting.data, ten, setting.scratch)
    del files["ten rows"]
    return formats.compared(
        files, setting.texts(), setting.threads, setting.repeats, setting.scratch
    )


def network(setting: Setting) -> list[list[str]]:
    """The network on prepared tokens, against ONNX Runtime at its best batch size."""
    model, texts = _loaded(setting)
    parts = [model.vectorize(part) for part in stages.windows(texts)]
    (tokens,) = model.vectorize(texts)
    runner = stages.OnnxRunner(model.bundle, tokens, setting.threads)
    batch = runner.best_batch(2_000)
    feeds = runner.feeds(batch)

    def run(tokens: Sequence[TokenBatch]) -> np.ndarray:
        return model.engine.run(*tokens)

    contestants: Contestants = {
        "cpu engine": lambda: stages.over_threads(run, parts, setting.threads),
        f"ONNX Runtime, sorted, batches of {batch}": lambda: runner.run(feeds),
    }
    rates = stages.side_by_side(contestants, len(texts), setting.repeats)
    ours = np.concatenate(stages.over_threads(run, parts, setting.threads))
    gap = float(np.abs(ours - runner.in_order(runner.run(feeds))).max())
    table = [["network", "rows/s", "times ours"]]
    table += [[r.name, f"{r.rows_per_second:,.0f}", f"{r.ratio:.2f}"] for r in rates]
    return [*table, *_limit(model, len(tokens.ids) / len(texts), setting.threads, gap)]


def _limit(model: Model, tokens_per_row: float, threads: int, gap: float) -> list[list[str]]:
    flops = stages.recurrent_flops_per_token(model.bundle) * tokens_per_row
    rows = [["largest difference between the two", f"{gap:.1e}", ""]]
    if flops:
        gflops = stages.product_gflops(threads)
        limit = f"{gflops * 1e9 / flops:,.0f}"
        rows.append([f"limit: the products alone at {gflops:.0f} GFLOP/s", limit, ""])
    return rows


def limit(setting: Setting) -> list[list[str]]:
    """Recurrent networks on one thread, beside their matrix products alone."""
    return limits.compared(setting.texts().slice(0, LIMIT_ROWS), setting.repeats)


def memory(setting: Setting) -> list[list[str]]:
    """Peak memory on 25,000 and on 500,000 rows."""
    table = [["rows", "peak MB", "s", "rows/s"]]
    for rows in (25_000, MANY_ROWS):
        run = processes.run(setting.score(setting.slice_of(rows, f"{rows}.parquet")))
        speed = f"{rows / run.seconds:,.0f}"
        table.append([f"{rows:,}", f"{run.peak_mb:.0f}", f"{run.seconds:.1f}", speed])
    return table


def _loaded(setting: Setting) -> tuple[Model, pa.Array]:
    return load_model(setting.model, engine="cpu"), setting.texts()


BENCHES: dict[str, Callable[[Setting], list[list[str]]]] = {
    "start": start,
    "whole": whole,
    "stages": by_stage,
    "formats": by_format,
    "network": network,
    "limit": limit,
    "memory": memory,
}

if __name__ == "__main__":
    main()
