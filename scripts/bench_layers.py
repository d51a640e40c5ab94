"""Networks that no shipped model has, with made-up weights, beside ONNX Runtime on the same ids.

    python scripts/bench_layers.py imdb_test.parquet
    python scripts/bench_layers.py imdb_test.parquet --only gru --repeats 9
    python scripts/bench_layers.py imdb_test.parquet --write     # into docs/, too

Rows per second of the network alone: both are given token ids. ONNX Runtime has the rows sorted by
their length and the batch size that is best for it. The two run in turn; the ratio is the median of
the rounds' own ratios.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.bundle import Bundle, read_bundle
from scorer.engines.cpu import CpuEngine
from scorer.vectorizer import Vectorizer
from scripts import figures
from scripts.bench import print_table
from scripts.benchmarks import stages

WORDS, WIDTH, LENGTH = 5000, 100, 400

#: keras.layers and what the vectorizer gives, to what the last Dense reads
Network = Callable[[Any, Any], Any]


def _recurrent(kind: str, **settings: Any) -> Network:
    def network(k: Any, ids: Any) -> Any:
        return getattr(k, kind)(64, **settings)(k.Embedding(WORDS, WIDTH, mask_zero=True)(ids))

    return network


def _unmasked(k: Any, ids: Any) -> Any:
    return k.LSTM(64)(k.Embedding(WORDS, WIDTH)(ids))


def _kims_cnn(k: Any, ids: Any) -> Any:
    words = k.Embedding(WORDS, WIDTH)(ids)
    maxima = [
        k.GlobalMaxPooling1D()(k.Conv1D(100, taps, activation="relu")(words)) for taps in (3, 4, 5)
    ]
    return k.Concatenate()(maxima)


#: name -> network, and the fixed length that it needs
NETWORKS: dict[str, tuple[Network, int | None]] = {
    "lstm": (_recurrent("LSTM"), None),
    "gru": (_recurrent("GRU"), None),
    "gru-reset-before": (_recurrent("GRU", reset_after=False), None),
    "simple-rnn": (_recurrent("SimpleRNN"), None),
    "lstm-unmasked": (_unmasked, LENGTH),
    "kims-cnn": (_kims_cnn, LENGTH),
}


@click.command()
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--column", default="text", show_default=True, help="The column of texts.")
@click.option("--rows", default=5_000, show_default=True)
@click.option("--threads", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(NETWORKS)), help="Repeatable.")
@click.option(
    "--write", is_flag=True, help="Write the figures into docs/figures.json and the page."
)
def main(
    data: Path,
    column: str,
    rows: int,
    threads: int,
    repeats: int,
    only: tuple[str, ...],
    write: bool,
) -> None:
    """Measure the cpu engine on networks of one kind each."""
    if write and only:
        raise click.UsageError("--write wants the whole table: leave --only out")
    texts = pq.read_table(data, columns=[column])[column].combine_chunks().slice(0, rows)
    table = [["network", "rows/s", "ONNX Runtime's best", "batch", "times"]]
    for name in only or NETWORKS:
        bundle = _bundle(*NETWORKS[name], texts)
        table.append([name, *_measured(bundle, texts, threads, repeats)])
    print_table(f"{len(texts):,} rows of {data.name}, {threads} threads", table)
    if write:
        measured = {"machine": figures.machine(threads), "data": data.name, "rows": len(texts)}
        figures.store("layers", measured | {"repeats": repeats, "table": table})


def _bundle(network: Network, length: int | None, texts: pa.Array) -> Bundle:
    import keras

    vectorize = keras.layers.TextVectorization(max_tokens=WORDS, output_sequence_length=length)
    vectorize.adapt(texts.to_pylist())
    text = keras.Input((), dtype="string")
    end = keras.layers.Dense(1, activation="sigmoid")(network(keras.layers, vectorize(text)))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.keras"
        keras.Model(text, end).save(path)
        return read_bundle(path)


def _measured(bundle: Bundle, texts: pa.Array, threads: int, repeats: int) -> list[str]:
    """Rows per second of both, ONNX Runtime's batch size, and how many times it is."""
    engine, vectorizer = CpuEngine(bundle), Vectorizer(bundle.vectorizer)
    tokens = vectorizer(texts)
    parts = [vectorizer(part) for part in stages.windows(texts)]
    runner = stages.OnnxRunner(bundle, tokens, threads)
    batch = runner.best_batch(1_000)
    feeds = runner.feeds(batch)
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: stages.over_threads(engine.run, parts, threads),
        "onnx": lambda: runner.run(feeds),
    }
    ours, theirs = stages.side_by_side(contestants, len(texts), repeats)
    speeds = [f"{rate.rows_per_second:,.0f}" for rate in (ours, theirs)]
    return [*speeds, str(batch), f"{1 / theirs.ratio:.1f}"]


if __name__ == "__main__":
    main()
