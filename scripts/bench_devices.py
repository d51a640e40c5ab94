"""One model on every device that is here: rows a second, and how far its scores are from the cpu
engine's.

    python scripts/bench_devices.py imdb_test.parquet --model imdb-bilstm

Only what ran is in the table: without a GPU there is no row for one. Choose Keras' backend with
KERAS_BACKEND. Texts are turned into ids beforehand; moving ids and results is measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.errors import EngineError
from scorer.model import Model, load_model
from scripts.bench import print_table
from scripts.benchmarks import stages


@click.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-m", "--model", default="imdb-bilstm", show_default=True)
@click.option("--column", default="text", show_default=True, help="The column of texts.")
@click.option("--rows", default=25_000, show_default=True, help="How many of the first rows.")
@click.option("--threads", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option("--repeats", default=3, show_default=True)
def main(data: Path, model: str, column: str, rows: int, threads: int, repeats: int) -> None:
    """Measure a model on every device that is here."""
    texts = pq.read_table(data, columns=[column])[column].combine_chunks().slice(0, rows)
    models = {name: load() for name, load in contestants(model).items() if available(load)}
    work = {name: _work(each, texts, threads) for name, each in models.items()}
    rates = stages.side_by_side(work, len(texts), repeats)
    outputs = {name: np.concatenate(run()) for name, run in work.items()}
    table = [["device", "rows/s", "times the cpu engine", "largest difference from it"]]
    for rate in rates:
        gap = float(np.abs(outputs[rate.name] - outputs["cpu engine"]).max())
        table.append([rate.name, f"{rate.rows_per_second:,.0f}", f"{rate.ratio:.2f}", f"{gap:.1e}"])
    print_table(f"{model} on {data.name}, {len(texts):,} rows, {threads} threads", table)


def contestants(model: str) -> dict[str, Callable[[], Model]]:
    """What loads the model for each device, the cpu engine first."""
    loads: dict[str, Callable[[], Model]] = {"cpu engine": partial(load_model, model, engine="cpu")}
    for device in ("cpu", "gpu"):
        for precision in ("float32", "mixed"):
            loads[f"Keras, {device}, {precision}"] = partial(
                load_model, model, device=device, engine="keras", precision=precision
            )
    return loads


def available(load: Callable[[], Model]) -> bool:
    try:
        load()
    except EngineError as error:
        print(f"left out: {error}", file=sys.stderr)
        return False
    return True


def _work(model: Model, texts: pa.Array, threads: int) -> Callable[[], list[np.ndarray]]:
    size = model.engine.window_rows
    tokens = [model.vectorize(texts.slice(i, size)) for i in range(0, len(texts), size)]
    return partial(stages.over_threads, lambda parts: model.engine.run(*parts), tokens, threads)


if __name__ == "__main__":
    main()
