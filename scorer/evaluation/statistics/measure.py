"""Every figure of a sample with its bootstrap replicates, whatever the task."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.evaluation.statistics import label_sets, sums
from scorer.evaluation.statistics.resample import Doubles, Resampler, interval
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import Resampled
from scorer.figures import FigureSpec, figure_spec, figures_of
from scorer.tasks import Statistic, Truth

Compute = Callable[[Sample, Resampler], Resampled[Any] | None]

#: what computes each statistic, by what the rows' truth is; equal functions are called once
STATISTICS: dict[Truth, dict[Statistic, Compute]] = {
    Truth.CLASS: {
        Statistic.CONFUSION: sums.class_counts,
        Statistic.BY_LABEL: sums.class_counts,
        Statistic.POSITIVE: sums.class_counts,
        Statistic.LOSSES: sums.loss_sums,
        Statistic.RANKING: sums.ranking,
        Statistic.CALIBRATION: sums.calibration,
    },
    Truth.SET: {
        Statistic.BY_LABEL: label_sets.label_counts,
        Statistic.POOLED: label_sets.label_counts,
        Statistic.SETS: label_sets.set_sums,
        Statistic.LOSSES: sums.loss_sums,
        Statistic.RANKING: sums.ranking,
        Statistic.POOLED_RANKING: label_sets.pooled_ranking,
        Statistic.CALIBRATION: sums.calibration,
    },
    Truth.NUMBER: {
        Statistic.ERRORS: sums.error_sums,
        Statistic.MIDDLE_ERRORS: sums.middle_errors,
        Statistic.RANKS: sums.rank_moments,
    },
}


@dataclass(frozen=True)
class Measured:
    """Figures of one sample by name, with their bootstrap replicates, each float64 (replicates,).

    A figure that is not defined (ROC AUC of a single class) is NaN. `statistics` are what they
    were computed from.
    """

    values: dict[str, float]
    replicates: dict[str, Doubles]
    statistics: Mapping[Statistic, Resampled[Any]]

    def interval(self, name: str) -> tuple[float, float] | None:
        """95% interval of a figure, kept inside the figure's range."""
        if not math.isfinite(self.values[name]):
            return None
        bounds = interval(self.replicates[name])
        if bounds is None:
            return None
        spec = figure_spec(name)
        low, high = np.clip(bounds, spec.low, spec.high)
        return float(low), float(high)


def measure(sample: Sample, resampler: Resampler, names: Collection[str] | None = None) -> Measured:
    """The figures of the sample's task, all or those of `names`. Needs at least one row."""
    specs = [spec for spec in figures_of(sample.problem.task) if not names or spec.name in names]
    statistics = _statistics(sample, resampler, {spec.needs for spec in specs})
    values, replicates = {}, {}
    for spec in specs:
        if spec.needs in statistics:
            values[spec.name], replicates[spec.name] = figure_of(spec, statistics[spec.needs])
    return Measured(values, replicates, statistics)


def figure_of(spec: FigureSpec, sums: Resampled[Any]) -> tuple[float, Doubles]:
    """A figure and its replicates (replicates,), without what binning adds to them."""
    value, drawn = float(spec.formula(sums.whole)), spec.formula(sums.drawn)
    if sums.binned is not None:
        shifted = drawn + (value - float(np.squeeze(spec.formula(sums.binned))))
        drawn = np.clip(shifted, spec.low, spec.high)
    return value, drawn


def _statistics(
    sample: Sample, resampler: Resampler, needed: Collection[Statistic]
) -> dict[Statistic, Resampled[Any]]:
    """What is `needed` to compute figures from, without what this sample does not have."""
    task = sample.problem.task
    by_name = {name: STATISTICS[task.truth][name] for name in task.statistics if name in needed}
    computed = {compute: compute(sample, resampler) for compute in dict.fromkeys(by_name.values())}
    every = {name: computed[compute] for name, compute in by_name.items()}
    return {name: sums for name, sums in every.items() if sums is not None}
