"""Recurrent networks beside the time that their matrix products alone take, on one thread.

The products that remain are those of the state with the recurrent weights, and from the second
layer on those of the input: the first layer's inputs are looked up. Their time is taken at the
speed of a large product of float32, measured in the same rounds.
"""

from __future__ import annotations

import statistics

import pyarrow as pa

from scorer.model import Model, load_model
from scripts.benchmarks import stages

MODELS = ("imdb-bilstm", "imdb-lstm", "imdb-bilstm-wide", "imdb-stacked-bilstm")
HEAD = ["model", "units", "rows/s, 1 thread", "the products alone", "share"]


def compared(texts: pa.Array, repeats: int) -> list[list[str]]:
    """A table of MODELS on the same texts."""
    return [HEAD, *(_row(load_model(name, engine="cpu"), texts, repeats) for name in MODELS)]


def _row(model: Model, texts: pa.Array, repeats: int) -> list[str]:
    parts = [model.vectorize(part) for part in stages.windows(texts)]
    tokens = sum(len(ids.ids) for (ids,) in parts)
    flops = stages.recurrent_flops_per_token(model.bundle) * tokens / len(texts)

    def run() -> None:
        for each in parts:
            model.engine.run(*each)

    run()
    rounds = [(len(texts) / stages.seconds(run), _limit(flops)) for _ in range(repeats)]
    ours, limit = (statistics.median(side) for side in zip(*rounds, strict=True))
    share = statistics.median(rate / most for rate, most in rounds)
    units = ", ".join(dict.fromkeys(str(width) for width in stages.recurrent_units(model.bundle)))
    return [f"`{model.card.scorer.name}`", units, f"{ours:,.0f}", f"{limit:,.0f}", f"{share:.2f}"]


def _limit(flops: float) -> float:
    """Rows a second where nothing but the products took time."""
    return stages.product_gflops(1) * 1e9 / flops
