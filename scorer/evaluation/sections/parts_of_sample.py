"""The sections of a model's report that compare parts of its sample: classes and slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.part import Figure
from scorer.evaluation.result import ClassFigures, Slice, SliceRow
from scorer.evaluation.sections.curves import figure
from scorer.evaluation.slices import Sliced
from scorer.evaluation.statistics.blocks import occurrences
from scorer.evaluation.statistics.label_sets import grouped_label_counts
from scorer.evaluation.statistics.measure import Measured
from scorer.evaluation.statistics.resample import Resampler, interval
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import (
    Groups,
    Resampled,
    grouped_counts,
    grouped_errors,
)
from scorer.figures import figure_spec
from scorer.figures.formulas import ByLabel, class_f1, class_precision, class_recall
from scorer.tasks import Truth

MAX_SLICED_CLASSES = 6
MAX_SLICED_LABELS = 60
MIN_SLICE_ROWS = 30


def figures(measured: Measured) -> dict[str, Figure]:
    """Every figure with its interval."""
    return {name: figure(v, measured.interval(name)) for name, v in measured.values.items()}


def class_figures(labels: Sequence[str], sums: Resampled[Any]) -> tuple[ClassFigures, ...]:
    """Precision, recall and F1 of every class, with intervals; `sums` are `ByLabel`."""
    whole: ByLabel = sums.whole
    precision, recall, f1 = (
        _by_class(rate, sums) for rate in (class_precision, class_recall, class_f1)
    )
    return tuple(
        ClassFigures(
            label=label,
            support=int(whole.support[c]),
            predicted=int(whole.predicted[c]),
            precision=precision[c],
            recall=recall[c],
            f1=f1[c],
        )
        for c, label in enumerate(labels)
    )


def _by_class(rate: Callable[[ByLabel], NDArray[np.float64]], sums: Resampled[Any]) -> list[Figure]:
    whole, drawn = rate(sums.whole), rate(sums.drawn)
    return [figure(float(value), interval(drawn[:, c])) for c, value in enumerate(whole)]


def slice_section(sample: Sample, cut: Sliced, resampler: Resampler) -> Slice:
    """The task's slice figures of every value of a slice, and the first one's gap to the rest."""
    groups = Groups(cut.codes, len(cut.names))
    sliced = _SLICED[sample.problem.task.truth](sample, groups, resampler)
    sums, main = sliced.sums, figure_spec(sliced.figures[0])
    gaps = main.formula(sums.whole) - main.formula(_all_but(sums.whole, axis=0))
    drawn_gaps = main.formula(sums.drawn) - main.formula(_all_but(sums.drawn, axis=1))
    by_name = {name: _of_groups(name, sliced) for name in sliced.figures}
    rows = occurrences(cut.codes, len(cut.names))
    found = []
    for i, value in enumerate(cut.names):
        gap = figure(float(gaps[i]), interval(drawn_gaps[:, i]))
        found.append(
            SliceRow(
                value=value,
                rows=int(rows[i]),
                figures={name: figures[i] for name, figures in by_name.items()},
                gap=gap,
                verdict="too few rows" if rows[i] < MIN_SLICE_ROWS else judge(gap, main.name),
            )
        )
    return Slice(column=cut.column, note=cut.note, main_figure=main.name, rows=tuple(found))


def _of_groups(name: str, sliced: _SlicedSums) -> list[Figure]:
    """The figure of every group."""
    formula = figure_spec(name).formula
    values, drawn = formula(sliced.sums.whole), formula(sliced.sums.drawn)
    if name != sliced.figures[0]:
        values = np.where(sliced.one_class, np.nan, values)
    return [figure(float(value), interval(drawn[:, i])) for i, value in enumerate(values)]


def _all_but(sums: Any, axis: int) -> Any:
    """Sums of all groups but each: along the groups' axis, the total less the group's own."""
    return type(sums)(*(array.sum(axis=axis, keepdims=True) - array for array in sums))


def judge(difference: Figure, metric: str) -> Literal["better", "worse", "no difference"]:
    """Whether a difference's interval lies on one side of zero, and which side is better."""
    if difference.low is None or difference.high is None:
        return "no difference"
    if difference.low <= 0 <= difference.high:
        return "no difference"
    return "better" if (difference.low > 0) == (figure_spec(metric).better > 0) else "worse"


@dataclass(frozen=True)
class _SlicedSums:
    """Sums of every group, and the names of the figures that they give, the main one first.

    one_class    bool (groups,): rows of one class only. A mean over classes says nothing there.
    """

    sums: Resampled[Any]
    figures: tuple[str, ...]
    one_class: NDArray[np.bool_]


def _sliced_classes(sample: Sample, groups: Groups, resampler: Resampler) -> _SlicedSums:
    names, classes = sample.problem.task.slice_figures, sample.problem.n_classes
    if classes > MAX_SLICED_CLASSES:
        names, classes = names[:1], 2
    sums = grouped_counts(sample, groups, resampler, classes)
    present = np.count_nonzero(sums.whole.counts.sum(axis=2), axis=1)
    return _SlicedSums(sums, names, present < 2)


def _sliced_sets(sample: Sample, groups: Groups, resampler: Resampler) -> _SlicedSums:
    names = sample.problem.task.slice_figures
    many = sample.problem.n_classes > MAX_SLICED_LABELS
    sums = grouped_label_counts(sample, groups, resampler, together=many)
    names = names[:1] if many else names
    return _SlicedSums(sums, names, np.zeros(groups.n, dtype=np.bool_))


def _sliced_numbers(sample: Sample, groups: Groups, resampler: Resampler) -> _SlicedSums:
    sums = grouped_errors(sample, groups, resampler)
    names = sample.problem.task.slice_figures
    return _SlicedSums(sums, names, np.zeros(groups.n, dtype=np.bool_))


_SLICED: dict[Truth, Callable[[Sample, Groups, Resampler], _SlicedSums]] = {
    Truth.CLASS: _sliced_classes,
    Truth.SET: _sliced_sets,
    Truth.NUMBER: _sliced_numbers,
}
