"""The figures of a sample as cards state them: by the product's own formulas, rounded."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scorer.card.out_of_domain import MeasuredFigure
from scorer.evaluation.labelled import Baseline
from scorer.evaluation.sections.baseline import majority_baseline
from scorer.evaluation.statistics.measure import measure
from scorer.evaluation.statistics.resample import Resampler
from scorer.evaluation.statistics.sample import Sample

DOMAIN_FIGURES = ("accuracy", "macro_f1", "roc_auc")
CLASS_FIGURES = ("accuracy", "macro_f1", "balanced_accuracy", "roc_auc", "ece")


def measured(
    sample: Sample, names: Sequence[str]
) -> tuple[tuple[MeasuredFigure, ...], dict[str, float]]:
    """The figures of those names that are defined, with their 95% intervals; and what the
    prediction that is best without reading a text scores, by the name of the figure."""
    resampler = Resampler(len(sample))
    found = measure(sample, resampler)
    made = []
    for name in names:
        if math.isfinite(found.values.get(name, math.nan)):
            low, high = found.interval(name) or (None, None)
            bounds = {"low": _rounded(low), "high": _rounded(high)}
            value = _rounded(found.values[name])
            made.append(MeasuredFigure.model_validate({"metric": name, "value": value, **bounds}))
    return tuple(made), _best_unread(majority_baseline(sample, found, resampler))


def _best_unread(baseline: Baseline) -> dict[str, float]:
    value = baseline.figures[baseline.main_figure].value
    return {} if value is None else {baseline.main_figure: round(value, 4)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
