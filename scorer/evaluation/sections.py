"""The sections of a model's report that compare parts of its sample: classes and slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from scorer.evaluation import confusion, regression
from scorer.evaluation.curves import figure
from scorer.evaluation.metrics import HEADLINES, METRICS, Measured
from scorer.evaluation.resample import Doubles, Resampler, interval
from scorer.evaluation.result import ClassFigures, Figure, Slice, SliceRow
from scorer.evaluation.sample import Sample
from scorer.evaluation.slices import Sliced

MAX_SLICED_CLASSES = 6
MIN_SLICE_ROWS = 30


def figures(measured: Measured) -> dict[str, Figure]:
    """Every figure with its interval."""
    return {name: figure(v, measured.interval(name)) for name, v in measured.values.items()}


def class_figures(sample: Sample, resampler: Resampler) -> tuple[ClassFigures, ...]:
    """Precision, recall and F1 of every class, with intervals."""
    k = sample.problem.n_classes
    counts = confusion.confusion_matrix(sample.target, sample.predicted, k)
    cells = sample.target.astype(np.int64) * k + sample.predicted
    drawn = confusion.replicate_classes(resampler.counts(cells, k * k).reshape(-1, k, k))
    values = confusion.per_class(counts)
    return tuple(
        ClassFigures(
            label=label,
            support=int(counts[c].sum()),
            predicted=int(counts[:, c].sum()),
            precision=figure(float(values["precision"][c]), interval(drawn["precision"][:, c])),
            recall=figure(float(values["recall"][c]), interval(drawn["recall"][:, c])),
            f1=figure(float(values["f1"][c]), interval(drawn["f1"][:, c])),
        )
        for c, label in enumerate(sample.problem.labels)
    )


def main_figure(sample: Sample) -> str:
    """The figure by which slices and models are compared."""
    return HEADLINES[sample.problem.task][0]


def slice_section(sample: Sample, cut: Sliced, resampler: Resampler) -> Slice:
    """The main figures of every value of a slice, and its gap to all other rows."""
    values, drawn, rest, rest_drawn = (
        _sliced_errors(sample, cut, resampler)
        if sample.problem.task == "regression"
        else _sliced_classes(sample, cut, resampler)
    )
    main = main_figure(sample)
    rows = np.bincount(cut.codes, minlength=len(cut.names))
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
    k, s = sample.problem.n_classes, len(cut.names)
    truth, guess = sample.target.astype(np.int64), sample.predicted.astype(np.int64)
    if k > MAX_SLICED_CLASSES:
        # Right or wrong is all that accuracy asks; k * k cells a slice would fill the memory.
        k, truth, guess = 2, np.ones(len(sample), np.int64), (truth == guess).astype(np.int64)
    cells = cut.codes * k * k + truth * k + guess
    whole = np.bincount(cells, minlength=s * k * k).reshape(s, k, k).astype(np.float64)
    drawn = resampler.counts(cells, s * k * k).reshape(-1, s, k, k)
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


def _sliced_errors(sample: Sample, cut: Sliced, resampler: Resampler) -> _Cut:
    """Per slice: figures, their replicates (r, slices); MAE of the other rows, likewise."""
    s = len(cut.names)
    guess = sample.output[:, 0].astype(np.float64)
    error = guess - sample.target
    exact = []
    for i in range(s):
        inside = cut.codes == i
        values = regression.figures(sample.target[inside], guess[inside])
        exact.append({name: values[name] for name in ("mae", "bias", "rmse")})
    rows = resampler.counts(cut.codes, s)
    size = resampler.sums(np.abs(error), cut.codes, s)
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = {
            "mae": size / rows,
            "bias": resampler.sums(error, cut.codes, s) / rows,
            "rmse": np.sqrt(resampler.sums(error**2, cut.codes, s) / rows),
        }
        rest = (size.sum(axis=1, keepdims=True) - size) / (rows.sum(axis=1, keepdims=True) - rows)
        counts = np.bincount(cut.codes, minlength=s)
        sizes = np.bincount(cut.codes, weights=np.abs(error), minlength=s)
        exact_rest = (sizes.sum() - sizes) / (counts.sum() - counts)
    return exact, replicates, list(exact_rest), rest
