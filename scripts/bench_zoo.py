"""Measures every shipped model beside ONNX Runtime on the same rows, and tells the cards.

    python scripts/bench_zoo.py --imdb imdb_test.parquet --wine wine.parquet --tweets tweets.parquet
    python scripts/bench_zoo.py --imdb imdb_test.parquet --write

Rows per second of vectorizer and network together; medians of several rounds in turn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.card import Card, render_card
from scorer.errors import UnsupportedModel
from scorer.model import Model, load_model
from scorer.zoo import Entry, list_models, shipped_zoo, write_index
from scripts.bench import print_table
from scripts.benchmarks import stages

FAMILIES = {"imdb": "text", "wine": "description", "twitter": "text"}


@dataclass(frozen=True)
class Texts:
    """Rows to measure on, with the name that a card gives them."""

    name: str
    values: pa.Array


@click.command()
@click.option("--imdb", type=click.Path(exists=True, path_type=Path))
@click.option("--wine", type=click.Path(exists=True, path_type=Path))
@click.option("--twitter", type=click.Path(exists=True, path_type=Path))
@click.option("--rows", default=10_000, show_default=True)
@click.option("--threads", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--write", is_flag=True, help="Write the speeds into the cards and the index.")
def main(rows: int, threads: int, repeats: int, write: bool, **files: Path | None) -> None:
    """Measure the shipped models whose family has a file."""
    table = [["model", "rows/s", "ONNX Runtime, rows/s", "times"]]
    for entry in [e for e in list_models() if e.zoo == shipped_zoo()]:
        family = entry.card.scorer.name.split("-")[0]
        path = files.get(family)
        if path is None:
            continue
        texts = _texts(path, FAMILIES[family], rows)
        row, speed = measure(entry, texts, threads, repeats)
        table.append(row)
        if write:
            _write_speed(entry, {"rows_per_second": speed, "threads": threads, "data": texts.name})
    if write:
        write_index(shipped_zoo())
    print_table("zoo", table)


def _texts(path: Path, column: str, rows: int) -> Texts:
    values = pq.read_table(path, columns=[column])[column].combine_chunks().drop_null()
    return Texts(f"{min(rows, len(values)):,} rows of {path.name}", values.slice(0, rows))


def measure(entry: Entry, texts: Texts, threads: int, repeats: int) -> tuple[list[str], float]:
    """The table's row for one model, and its rows per second."""
    model = load_model(entry.card.ref, engine="cpu")
    parts = stages.windows(texts.values)
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: stages.over_threads(model.score, parts, threads)
    }
    runner = _onnx(model, texts.values, threads)
    if runner is not None:
        feeds = runner.feeds(runner.best_batch(1_000))
        contestants["onnx"] = lambda: runner.run(feeds)
    ours, *others = stages.side_by_side(contestants, len(texts.values), repeats)
    onnx = others[0] if others else None
    cells = [f"{onnx.rows_per_second:,.0f}", f"{1 / onnx.ratio:.1f}"] if onnx else ["-", "-"]
    speed = float(f"{ours.rows_per_second:.2g}")
    return [f"`{entry.card.scorer.name}`", f"{ours.rows_per_second:,.0f}", *cells], speed


def _onnx(model: Model, texts: pa.Array, threads: int) -> stages.OnnxRunner | None:
    """ONNX Runtime on prepared ids (without a vectorizer: it has none), where it has the layers."""
    try:
        return stages.OnnxRunner(model.bundle, model.vectorizer(texts), threads)
    except UnsupportedModel:
        return None


def _write_speed(entry: Entry, speed: dict[str, Any]) -> None:
    fields = entry.card.model_dump(mode="json", by_alias=True) | {"body": entry.card.body}
    fields["scorer"]["speed"] = speed
    entry.card_path.write_text(render_card(Card.model_validate(fields)), encoding="utf-8")


if __name__ == "__main__":
    main()
