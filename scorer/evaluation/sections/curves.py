"""Curves and histograms of a sample, thinned to what a screen can show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.part import Figure
from scorer.evaluation.result import (
    Bin,
    Calibration,
    Curve,
    Histogram,
    LabelCalibration,
    Residuals,
    Threshold,
    ThresholdAdvice,
)
from scorer.evaluation.statistics.blocks import in_blocks, occurrences
from scorer.evaluation.statistics.ranking import Ranking, rank, rank_together, ranking_sums
from scorer.evaluation.statistics.resample import Doubles, Resampler, interval, quantile_bins
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import MAX_RANKED_CLASSES, Resampled, ranked_classes
from scorer.evaluation.statistics.sums import calibration as calibration_sums
from scorer.figures.formulas import CalibrationSums, RankingSums, pr_auc, ratio, roc_auc
from scorer.tasks import Truth

CURVE_POINTS = 160
CURVE_STEPS = 4_096
MAX_CURVES = 10
HISTOGRAM_BINS = 40
RESIDUAL_GROUPS = 20


def ranking_curves(sample: Sample) -> tuple[tuple[Curve, ...], tuple[Curve, ...]]:
    """ROC and precision-recall curves of every ranked class against the rest."""
    ranked = ranked_classes(sample)
    if len(ranked) > MAX_RANKED_CLASSES:
        return (), ()
    roc, precision_recall = [], []
    for part, c in ranked[:MAX_CURVES]:
        ranking = rank(part, c)
        if ranking.defined:
            sums = RankingSums(*(x[..., None] for x in ranking_sums(ranking.falling())))
            points = _curve_points(ranking)
            label = part.problem.labels[c]
            roc.append(_thinned(label, *_roc_points(*points), float(roc_auc(sums))))
            precision_recall.append(_thinned(label, *_pr_points(*points), float(pr_auc(sums))))
    return tuple(roc), tuple(precision_recall)


def _curve_points(ranking: Ranking) -> tuple[Doubles, Doubles]:
    """Rows of the class and other rows that reach each threshold, the highest threshold first."""
    _, yes, no = ranking.steps(CURVE_STEPS)
    return np.cumsum(yes[::-1], dtype=np.float64), np.cumsum(no[::-1], dtype=np.float64)


def _roc_points(found: Doubles, wrong: Doubles) -> tuple[Doubles, Doubles]:
    """False and true positive rates from (0, 0) to (1, 1), without points inside a straight line.

    Many rows come one after the other without a row of the other kind in between.
    """
    bends = (np.diff(wrong, 2) != 0) | (np.diff(found, 2) != 0)
    keep = np.concatenate([[True], bends, [True]]) if len(found) > 2 else slice(None)
    x, y = (np.concatenate([[0.0], n[keep] / n[-1]]) for n in (wrong, found))
    return x, y


def _pr_points(found: Doubles, wrong: Doubles) -> tuple[Doubles, Doubles]:
    """Recall and precision, in rising recall."""
    return found / found[-1], found / (found + wrong)


def _thinned(label: str, x: Doubles, y: Doubles, area: float) -> Curve:
    """At most CURVE_POINTS points, evenly spaced along the curve rather than among its points."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    stops = np.linspace(0, way[-1], min(CURVE_POINTS, len(x)))
    keep = np.unique(np.append(np.searchsorted(way, stops).clip(max=len(x) - 1), len(x) - 1))
    return Curve(label=label, x=rounded(x[keep]), y=rounded(y[keep]), area=round(area, 6))


def calibration(sums: Resampled[CalibrationSums]) -> tuple[Calibration, ...]:
    """The reliability diagram's points, one for each bin that has rows."""
    whole = sums.whole
    stated, observed = ratio(whole.stated, whole.rows), ratio(whole.events, whole.rows)
    drawn = ratio(sums.drawn.events, sums.drawn.rows)
    return tuple(
        Calibration(
            rows=int(whole.rows[i]),
            stated=round(float(stated[i]), 6),
            observed=figure(float(observed[i]), interval(drawn[:, i])),
        )
        for i in np.flatnonzero(whole.rows)
    )


def label_calibrations(sample: Sample, resampler: Resampler) -> tuple[LabelCalibration, ...]:
    """The reliability diagrams of labels that do not exclude each other; of so many as have curves.

    Exclusive labels have one diagram together.
    """
    if len(sample.questions) < 2:
        return ()
    return tuple(
        LabelCalibration(
            label=part.problem.labels[-1], bins=calibration(calibration_sums(part, resampler))
        )
        for part in sample.questions[:MAX_CURVES]
    )


def score_histogram(sample: Sample) -> Histogram:
    """How the scores of each true class are spread (regression: truth and predictions)."""
    if sample.problem.task.truth is Truth.NUMBER:
        edges = _whole_number_edges(sample.target)
        if edges is None:
            edges = _equal_edges(np.concatenate([sample.target, sample.output[:, 0]]))
    else:
        edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    return histogram(map(_score_series, sample.blocks()), edges)


def _score_series(part: Sample) -> dict[str, NDArray[Any]]:
    if part.problem.task.truth is Truth.NUMBER:
        return {"truth": part.target, "prediction": part.output[:, 0]}
    if part.problem.task.truth is Truth.SET:
        has = part.target == 1
        return {"rows with the label": part.output[has], "without it": part.output[~has]}
    groups = part.score_groups
    return {name: part.confidence[inside] for name, inside in groups.items()}


def histogram(blocks: Iterable[dict[str, NDArray[Any]]], edges: NDArray[Any]) -> Histogram:
    """Every series' values by bins, the outermost ones taking in what lies beyond."""
    counts: dict[str, NDArray[np.int64]] = {}
    for series in blocks:
        for name, values in series.items():
            inside = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
            counts[name] = counts.get(name, 0) + inside
    bins = [
        Bin(
            low=round(float(edges[i]), 6),
            high=round(float(edges[i + 1]), 6),
            counts=tuple(int(inside[i]) for inside in counts.values()),
        )
        for i in range(len(edges) - 1)
    ]
    return Histogram(series=tuple(counts), bins=tuple(bins))


def _equal_edges(values: NDArray[Any]) -> Doubles:
    """Equal bins from the 0.1% to the 99.9% quantile."""
    low, high = np.quantile(values, [0.001, 0.999])
    return np.linspace(low, high if high > low else low + 1, HISTOGRAM_BINS + 1)


def _whole_number_edges(target: Doubles) -> Doubles | None:
    """Bins around whole numbers (stars, points), which equal bins would tear into a comb."""
    low, high = np.floor(target.min()), np.ceil(target.max())
    if high - low >= 2 * HISTOGRAM_BINS or not np.array_equal(target, np.round(target)):
        return None
    return np.arange(low - 0.5, high + 1.0)


def thresholds(sample: Sample, advice: Sequence[ThresholdAdvice]) -> tuple[Threshold, ...]:
    """What other thresholds would do, those with the best figures on this data among them.

    One threshold is for all labels: of several, the figures are of all labels together.
    """
    exclusive = sample.problem.task.exclusive
    ranking = rank(sample, 1) if exclusive else rank_together(sample)
    own = float(np.float32(sample.problem.threshold))
    notes = {own: ["in use"]}
    for item in advice:
        best = own if item.value <= item.in_use else float(np.float32(item.threshold))
        notes.setdefault(best, []).append(f"best {_SHORT[item.figure]}")
    grid = {float(np.float32(x)) for x in np.arange(1, 20) / 20}
    return tuple(_at(t, ranking, ", ".join(notes.get(t, ()))) for t in sorted(grid | set(notes)))


_SHORT = {"f1": "F1", "accuracy": "accuracy"}


def _at(threshold: float, ranking: Ranking, note: str) -> Threshold:
    found, wrong = (int(n) for n in ranking.reached(np.float32(threshold)))
    yes, no = len(ranking.yes), len(ranking.no)
    return Threshold(
        threshold=round(threshold, 6),
        accuracy=round((found + no - wrong) / (yes + no), 6),
        precision=_share(found, found + wrong),
        recall=_share(found, yes),
        f1=_share(2 * found, yes + found + wrong),
        share_predicted=round((found + wrong) / (yes + no), 6),
        note=note,
    )


def residuals(sample: Sample) -> Residuals:
    """The errors' histogram, and their quantiles along the predictions."""
    error = sample.column(lambda part: part.error)
    bins = quantile_bins(sample.output[:, 0], RESIDUAL_GROUPS)
    predicted, observed, quantiles = [], [], []
    for i in np.flatnonzero(occurrences(bins, RESIDUAL_GROUPS)):
        inside = bins == i
        predicted.append(sample.output[inside, 0].mean(dtype=np.float64))
        observed.append(sample.target[inside].mean(dtype=np.float64))
        quantiles.append(np.quantile(error[inside], [0.1, 0.5, 0.9]))
    low, middle, high = zip(*quantiles, strict=True)
    return Residuals(
        histogram=histogram(({"error": e} for e in in_blocks(error)), _equal_edges(error)),
        predicted=rounded(predicted),
        observed=rounded(observed),
        low=rounded(low),
        middle=rounded(middle),
        high=rounded(high),
    )


def figure(value: float, bounds: tuple[float, float] | None) -> Figure:
    """A figure rounded to six digits after the point; null where it is not finite."""
    if not np.isfinite(value):
        return Figure(value=None)
    low, high = bounds or (None, None)
    return Figure(
        value=round(value, 6),
        low=None if low is None else round(low, 6),
        high=None if high is None else round(high, 6),
    )


def rounded(values: Any) -> tuple[float, ...]:
    """Five digits after the point are more than a screen shows."""
    return tuple(round(float(v), 5) for v in values)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
