"""Whole runs by format beside the same work in memory: what reading and writing cost.

A whole run of a loaded model reads, vectorizes, scores, writes and publishes. In memory the same
rows are texts that it vectorizes and scores, or token ids that it only scores. All take turns in
every round of one process. The seconds are the clock's and the processor's: on a machine that
others use, the second are the better measure.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scorer.api import score_file
from scorer.model import Model, load_model
from scripts.benchmarks import stages

MODELS = ("imdb-bow-lr", "imdb-tfidf-lr", "imdb-bilstm")
HEAD = ["model", "what", "rows/s", "share", "processor µs a row", "share"]
IDS, TEXTS = "network, ids in memory", "vectorizer and network, texts in memory"


def compared(
    files: Mapping[str, Path], texts: pa.Array, threads: int, repeats: int, scratch: Path
) -> list[list[str]]:
    """A table of MODELS on the same rows in several formats, by name."""
    table = [HEAD]
    for name in MODELS:
        model = load_model(name, engine="cpu")
        work = _in_memory(model, texts, threads)
        work |= {each: _whole(model, path, threads, scratch) for each, path in files.items()}
        table += rows_of(name, _measured(work, repeats), len(texts))
    return table


def rows_of(
    model: str, measured: Mapping[str, Sequence[tuple[float, float]]], rows: int
) -> Iterator[list[str]]:
    """A row for each of `measured`: what -> each round's seconds of the clock and the processor.

    Shares are medians of the rounds' own ratios of speeds, that of TEXTS being 1.
    """
    for what, rounds in measured.items():
        line = [f"`{model}`", what]
        for kind in (0, 1):
            pairs = zip(measured[TEXTS], rounds, strict=True)
            share = statistics.median(texts[kind] / each[kind] for texts, each in pairs)
            seconds = statistics.median(each[kind] for each in rounds)
            line += [f"{1e6 * seconds / rows:.1f}" if kind else f"{rows / seconds:,.0f}"]
            line += [f"{share:.2f}"]
        yield line


def _measured(
    work: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, list[tuple[float, float]]]:
    for function in work.values():
        function()
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, function in work.items():
            clock, processor = time.perf_counter(), time.process_time()
            function()
            spent = time.perf_counter() - clock, time.process_time() - processor
            rounds[name].append(spent)
    return rounds


def _in_memory(model: Model, texts: pa.Array, threads: int) -> dict[str, Callable[[], object]]:
    parts = stages.windows(texts)
    tokens = [model.vectorize(part) for part in parts]
    return {
        IDS: lambda: stages.over_threads(lambda each: model.engine.run(*each), tokens, threads),
        TEXTS: lambda: stages.over_threads(model.score, parts, threads),
    }


def _whole(model: Model, path: Path, threads: int, scratch: Path) -> Callable[[], object]:
    out = scratch / f"whole{path.suffix}"
    return lambda: score_file(path, model, out, threads=threads, report=False, force=True)


def texts_of(path: Path, column: str) -> pa.Array:
    return pq.read_table(path, columns=[column])[column].combine_chunks()
