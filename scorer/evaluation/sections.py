"""The sections of a model's report that compare parts of its sample: classes and slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation import confusion
from scorer.evaluation.blocks import in_blocks, occurrences
from scorer.evaluation.curves import figure
from scorer.evaluation.metrics import METRICS, Measured
from scorer.evaluation.resample import Doubles, Resampler, interval
from scorer.evaluation.result import ClassFigures, Figure, Slice, SliceRow
from scorer.evaluation.sample import Sample
from scorer.evaluation.slices import Sliced
from scorer.tasks import Truth

MAX_SLICED_CLASSES = 6
MIN_SLICE_ROWS = 30


def figures(measured: Measured) -> dict[str, Figure]:
    """Every figure with its interval."""
    return {name: figure(v, measured.interval(name)) for name, v in measured.values.items()}


def class_figures(sample: Sample, resampler: Resampler) -> tuple[ClassFigures, ...]:
    """Precision, recall and F1 of every class, with intervals."""
    k = sample.problem.n_classes
    counts = confusion.confusion_matrix(sample)
    drawn = resampler.counts(confusion.cells(sample), k * k).drawn
    again = confusion.replicate_classes(drawn.reshape(-1, k, k))
    values = confusion.per_class(counts)
    return tuple(
        ClassFigures(
            label=label,
            support=int(counts[c].sum()),
            predicted=int(counts[:, c].sum()),
            precision=figure(float(values["precision"][c]), interval(again["precision"][:, c])),
            recall=figure(float(values["recall"][c]), interval(again["recall"][:, c])),
            f1=figure(float(values["f1"][c]), interval(again["f1"][:, c])),
        )
        for c, label in enumerate(sample.problem.labels)
    )


def main_figure(sample: Sample) -> str:
    """The figure by which slices and models are compared."""
    return sample.problem.task.headlines[0]


def slice_section(sample: Sample, cut: Sliced, resampler: Resampler) -> Slice:
    """The main figures of every value of a slice, and its gap to all other rows."""
    values, drawn, rest, rest_drawn = (
        _sliced_errors(sample, cut, resampler)
        if sample.problem.task.truth is Truth.NUMBER
        else _sliced_classes(sample, cut, resampler)
    )
    main = main_figure(sample)
    rows = occurrences(cut.codes, len(cut.names))
    found = []
    for i, name in enumerate(cut.names):
        gap = figure(values[i][main] - rest[i], interval(drawn[main][:, i] - rest_drawn[:, i]))
        found.append(
            SliceRow(
                value=name,
                rows=int(rows[i]),
                figures={f: figure(v, interval(drawn[f][:, i])) for f, v in values[i].items()},
                gap=gap,
                verdict="too few rows" if rows[i] < MIN_SLICE_ROWS else judge(gap, main),
            )
        )
    return Slice(column=cut.column, note=cut.note, main_figure=main, rows=tuple(found))


def judge(difference: Figure, metric: str) -> Literal["better", "worse", "no difference"]:
    """Whether a difference's interval lies on one side of zero, and which side is better."""
    if difference.low is None or difference.high is None:
        return "no difference"
    if difference.low <= 0 <= difference.high:
        return "no difference"
    return "better" if (difference.low > 0) == (METRICS[metric].better > 0) else "worse"


_Cut = tuple[Sequence[dict[str, float]], dict[str, Doubles], Sequence[float], Doubles]


def _sliced_classes(sample: Sample, cut: Sliced, resampler: Resampler) -> _Cut:
    """Per slice: figures, their replicates (r, slices); accuracy of the other rows, likewise."""
    k, s = min(sample.problem.n_classes, MAX_SLICED_CLASSES), len(cut.names)
    k = k if k == sample.problem.n_classes else 2
    counts = resampler.counts(_sliced_cells(sample, cut, k), s * k * k)
    whole, drawn = counts.whole.reshape(s, k, k), counts.drawn.reshape(-1, s, k, k)
    names = ("accuracy", "macro_f1") if sample.problem.n_classes == k else ("accuracy",)
    exact = confusion.replicate_figures(whole)
    # The mean over classes says nothing where only one can be right.
    exact["macro_f1"][np.count_nonzero(whole.sum(axis=2), axis=1) < 2] = np.nan
    others = whole.sum(axis=0) - whole
    others_drawn = drawn.sum(axis=1, keepdims=True) - drawn
    replicates = confusion.replicate_figures(drawn)
    return (
        [{name: float(exact[name][i]) for name in names} for i in range(s)],
        {name: replicates[name] for name in names},
        list(confusion.replicate_figures(others)["accuracy"]),
        confusion.replicate_figures(others_drawn)["accuracy"],
    )


def _sliced_cells(sample: Sample, cut: Sliced, k: int) -> Iterator[NDArray[np.int64]]:
    """Blocks of int64 (rows,): (slice * k + true class) * k + predicted class."""
    for part, code in zip(sample.blocks(), in_blocks(cut.codes), strict=True):
        truth, guess = part.target.astype(np.int64), part.predicted
        if k != sample.problem.n_classes:
            # Right or wrong is all that accuracy asks; all classes' cells would fill the memory.
            truth, guess = np.ones_like(truth), truth == guess
        yield (code * np.int64(k) + truth) * k + guess


def _sliced_errors(sample: Sample, cut: Sliced, resampler: Resampler) -> _Cut:
    """Per slice: figures, their replicates (r, slices); MAE of the other rows, likewise."""
    s = len(cut.names)

    def by_slice(values: Callable[[Sample], Doubles]) -> tuple[Doubles, Doubles]:
        parts = zip(in_blocks(cut.codes), map(values, sample.blocks()), strict=True)
        sums = resampler.sums(parts, s)
        return sums.whole[None, :], sums.drawn

    both = zip(
        by_slice(lambda part: np.ones(len(part))),
        by_slice(lambda part: np.abs(part.error)),
        by_slice(lambda part: part.error),
        by_slice(lambda part: part.error**2),
        strict=True,
    )
    (exact, rest), (drawn, drawn_rest) = (_error_figures(*sums) for sums in both)
    values = [{name: float(array[0, i]) for name, array in exact.items()} for i in range(s)]
    return values, drawn, list(rest[0]), drawn_rest


def _error_figures(
    rows: Doubles, size: Doubles, error: Doubles, square: Doubles
) -> tuple[dict[str, Doubles], Doubles]:
    """Of sums (r, slices): every slice's figures, and the MAE of all other rows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {"mae": size / rows, "bias": error / rows, "rmse": np.sqrt(square / rows)}
        rest = size.sum(axis=1, keepdims=True) - size
        return found, rest / (rows.sum(axis=1, keepdims=True) - rows)
