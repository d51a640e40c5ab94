"""Measures every shipped model beside ONNX Runtime or scikit-learn, and tells the cards.

    python scripts/bench_zoo.py --imdb imdb.parquet --wine wine.parquet --twitter tweets.parquet
    python scripts/bench_zoo.py --imdb imdb.parquet --write

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
from scorer.model import Model, load_model
from scorer.zoo import Entry, list_models, shipped_zoo, write_index
from scripts import figures
from scripts.bench import print_table
from scripts.benchmarks import stages

FAMILIES = dict.fromkeys(("imdb", "reviews", "posts", "twitter"), "text") | {"wine": "description"}


@dataclass(frozen=True)
class Texts:
    """Rows to measure on, with the name that a card gives them."""

    name: str
    values: pa.Array


@click.command()
@click.option("--imdb", type=click.Path(exists=True, path_type=Path))
@click.option("--reviews", type=click.Path(exists=True, path_type=Path))
@click.option("--posts", type=click.Path(exists=True, path_type=Path))
@click.option("--wine", type=click.Path(exists=True, path_type=Path))
@click.option("--twitter", type=click.Path(exists=True, path_type=Path))
@click.option("--rows", default=10_000, show_default=True)
@click.option("--threads", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option(
    "--write", is_flag=True, help="Write the speeds into cards, index and docs/figures.json."
)
def main(rows: int, threads: int, repeats: int, write: bool, **files: Path | None) -> None:
    """Measure the shipped models whose family has a file."""
    table = [["model", "rows/s", "other", "rows/s", "times"]]
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
    print_table("zoo", table)
    if write:
        write_index(shipped_zoo())
        known = figures.load().get("zoo", {}).get("table", [])
        figures.store("zoo", {"machine": figures.machine(threads), "table": _with(known, table)})


def _with(known: list[list[str]], table: list[list[str]]) -> list[list[str]]:
    """The table with the rows of models that this run did not measure, by name."""
    head, *rows = table
    mine = {row[0] for row in rows}
    return [head, *sorted([*rows, *(row for row in known[1:] if row[0] not in mine)])]


def _texts(path: Path, column: str, rows: int) -> Texts:
    values = pq.read_table(path, columns=[column])[column].combine_chunks().drop_null()
    return Texts(f"{min(rows, len(values)):,} rows of {path.name}", values.slice(0, rows))


def measure(entry: Entry, texts: Texts, threads: int, repeats: int) -> tuple[list[str], float]:
    """The table's row for one model, and its rows per second."""
    model = load_model(entry.card.ref, engine="cpu")
    parts = stages.windows(texts.values)
    name, other = _other(model, texts.values, threads)
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: stages.over_threads(model.score, parts, threads),
        name: other,
    }
    ours, theirs = stages.side_by_side(contestants, len(texts.values), repeats)
    cells = [name, f"{theirs.rows_per_second:,.0f}", f"{1 / theirs.ratio:.1f}"]
    speed = float(f"{ours.rows_per_second:.2g}")
    return [f"`{entry.card.scorer.name}`", f"{ours.rows_per_second:,.0f}", *cells], speed


def _other(model: Model, texts: pa.Array, threads: int) -> tuple[str, Callable[[], object]]:
    """What a model is compared with, by what its network is."""
    if model.bundle.head:
        return _keras(model, texts)
    if model.bundle.vectorizer.output_mode != "int":
        return _scikit_learn(model, texts)
    return _onnx(model, texts, threads)


def _keras(model: Model, texts: pa.Array) -> tuple[str, Callable[[], object]]:
    """The keras engine with our vectorizers: OnnxRunner sorts rows by the length of one input."""
    other = load_model(model.ref, engine="keras", device="cpu")
    parts = [texts.slice(i, 1024) for i in range(0, len(texts), 1024)]
    return "the keras engine", lambda: [other.score(part) for part in parts]


def _onnx(model: Model, texts: pa.Array, threads: int) -> tuple[str, Callable[[], object]]:
    """ONNX Runtime on prepared ids, sorted by length: it has no vectorizer to be timed."""
    (tokens,) = model.vectorize(texts)
    runner = stages.OnnxRunner(model.bundle, tokens, threads)
    batch = runner.best_batch(1_000)
    feeds = runner.feeds(batch)
    return f"ONNX Runtime, batches of {batch}, ids given", lambda: runner.run(feeds)


def _scikit_learn(model: Model, texts: pa.Array) -> tuple[str, Callable[[], object]]:
    """TF-IDF and logistic regression over as many words, from text. Its speed does not depend on
    what it has learnt, so it learns made-up labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    spec = model.bundle.vectorizer
    sizes = min(spec.ngrams), max(spec.ngrams)
    words = TfidfVectorizer(max_features=len(spec.vocabulary), ngram_range=sizes)
    strings = texts.to_pylist()
    pipeline = make_pipeline(words, LogisticRegression())
    pipeline.fit(strings, [i % 2 for i in range(len(strings))])
    return "scikit-learn TF-IDF + LR", lambda: pipeline.predict_proba(strings)


def _write_speed(entry: Entry, speed: dict[str, Any]) -> None:
    fields = entry.card.model_dump(mode="json", by_alias=True) | {"body": entry.card.body}
    fields["scorer"]["speed"] = speed
    entry.card_path.write_text(render_card(Card.model_validate(fields)), encoding="utf-8")


if __name__ == "__main__":
    main()
