"""How predictions, lengths and unknown words are spread: what can be shown without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.predictions import PredictionCounter
from scorer.evaluation.result import (
    Bin,
    Distributions,
    Histogram,
    PredictionSlice,
    SlicedPredictions,
)
from scorer.evaluation.slices import Sliced
from scorer.evaluation.spread import Spread, WholeNumbers, shares
from scorer.scores import Scores
from scorer.tasks import Problem, Truth

BINS = 40
#: what is beyond this quantile is counted into the last bin, so that the others can be seen
OUTERMOST = 0.999


def spread_histogram(spread: Spread, name: str, low: float, high: float | None) -> Histogram:
    """Equal bins from `low` to `high`, or to where all but a thousandth of the values lie."""
    values, counts = spread.counted()
    reached = np.cumsum(counts)
    if high is None:
        high = float(values[np.searchsorted(reached, OUTERMOST * reached[-1])])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    inside, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges, weights=counts)
    bins = zip(edges, edges[1:], inside, strict=False)
    return Histogram(
        series=(name,),
        bins=tuple(
            Bin(low=round(float(a), 6), high=round(float(b), 6), counts=(int(n),))
            for a, b, n in bins
        ),
    )


def distributions(
    predictions: PredictionCounter,
    tokens: Spread,
    oov_share: Spread,
    problem: Problem,
    slices: Sequence[PredictionSlice],
) -> Distributions:
    """Needs at least one scored row."""
    if problem.task.truth is Truth.NUMBER:
        values, counts = predictions.score.counted()
        reached = np.cumsum(counts)
        low = float(values[np.searchsorted(reached, (1 - OUTERMOST) * reached[-1])])
        score = spread_histogram(predictions.score, "rows", math.floor(low), None)
    else:
        score = spread_histogram(predictions.score, "rows", 0.0, 1.0)
    return Distributions(
        score=score,
        tokens=spread_histogram(tokens, "rows", 0.0, None),
        oov_share=spread_histogram(oov_share, "rows", 0.0, None),
        slices=tuple(slices),
    )


def prediction_slice(cut: Sliced, problem: Problem, scores: Scores) -> PredictionSlice:
    """What was said of every value of a slice; `scores` are of scored rows only, as `cut`."""
    found = []
    for code, value in enumerate(cut.names):
        inside = cut.codes == code
        part = Scores(*(array[inside] for array in _arrays(scores)))
        said, tokens, unknown = PredictionCounter(problem), WholeNumbers(), shares()
        said.add(part)
        tokens.add(part.n_tokens)
        unknown.add(part.n_oov / np.maximum(part.n_tokens, 1))
        predictions, lengths, oov_share = said.result(), tokens.quartiles(), unknown.quartiles()
        if predictions is None or lengths is None or oov_share is None:
            continue
        found.append(
            SlicedPredictions(
                value=value,
                rows=predictions.rows,
                predicted={item.label: item.rows for item in predictions.labels},
                score=predictions.score,
                tokens=lengths,
                oov_share=oov_share,
            )
        )
    return PredictionSlice(column=cut.column, note=cut.note, rows=tuple(found))


def _arrays(scores: Scores) -> tuple[NDArray[Any], ...]:
    return scores.outputs, scores.n_tokens, scores.n_oov, scores.truncated, scores.scored
