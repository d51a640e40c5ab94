"""Curves and histograms of a sample, thinned to what a screen can show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.classification import (
    CALIBRATION_BINS,
    MAX_RANKED_CLASSES,
    calibration_bins,
    class_ranking,
)
from scorer.evaluation.resample import Doubles, Resampler, interval, quantile_bins
from scorer.evaluation.result import (
    Bin,
    Calibration,
    Curve,
    Figure,
    Histogram,
    Residuals,
    Threshold,
)
from scorer.evaluation.sample import Sample

CURVE_POINTS = 160
MAX_CURVES = 10
HISTOGRAM_BINS = 40
RESIDUAL_GROUPS = 20


def ranking_curves(sample: Sample) -> tuple[tuple[Curve, ...], tuple[Curve, ...]]:
    """ROC and precision-recall curves: of the last label (binary) or of each class v. the rest."""
    from sklearn import metrics as sk

    labels = sample.problem.labels
    if len(labels) > MAX_RANKED_CLASSES:
        return (), ()
    classes = [1] if len(labels) == 2 else range(min(len(labels), MAX_CURVES))
    roc, precision_recall = [], []
    for c in classes:
        truth, score = sample.target == c, sample.probabilities[:, c]
        areas = class_ranking(truth, score)
        if not np.isfinite(areas["roc_auc"]):
            continue
        false, true, _ = sk.roc_curve(truth, score)
        roc.append(_thinned(labels[c], false, true, areas["roc_auc"]))
        precision, recall, _ = sk.precision_recall_curve(truth, score)
        # scikit-learn's curve falls in recall and ends in an artificial (0, 1).
        precision_recall.append(
            _thinned(labels[c], recall[-2::-1], precision[-2::-1], areas["pr_auc"])
        )
    return tuple(roc), tuple(precision_recall)


def _thinned(label: str, x: Doubles, y: Doubles, area: float) -> Curve:
    """At most CURVE_POINTS points, evenly spaced along the curve rather than among its points."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    stops = np.linspace(0, way[-1], min(CURVE_POINTS, len(x)))
    keep = np.unique(np.append(np.searchsorted(way, stops).clip(max=len(x) - 1), len(x) - 1))
    return Curve(label=label, x=rounded(x[keep]), y=rounded(y[keep]), area=round(area, 6))


def calibration(sample: Sample, resampler: Resampler) -> tuple[Calibration, ...]:
    """The reliability diagram's points, one for each bin that has rows."""
    bins = calibration_bins(sample.confidence)
    n = CALIBRATION_BINS
    rows = np.bincount(bins, minlength=n)
    stated = np.bincount(bins, weights=sample.confidence, minlength=n)
    happened = np.bincount(bins, weights=sample.event, minlength=n)
    drawn = resampler.counts(bins, n)
    events = resampler.sums(sample.event.astype(np.float64), bins, n)
    found = []
    for i in np.flatnonzero(rows):
        share = np.divide(
            events[:, i], drawn[:, i], out=np.full(len(drawn), np.nan), where=drawn[:, i] > 0
        )
        found.append(
            Calibration(
                rows=int(rows[i]),
                stated=round(float(stated[i] / rows[i]), 6),
                observed=figure(float(happened[i] / rows[i]), interval(share)),
            )
        )
    return tuple(found)


def score_histogram(sample: Sample) -> Histogram:
    """How the scores of each true class are spread (regression: truth and predictions)."""
    if sample.problem.task == "regression":
        series = {"truth": sample.target, "prediction": sample.output[:, 0]}
        return histogram(series, _whole_number_edges(sample.target))
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    if sample.problem.task == "binary":
        series = {
            label: sample.confidence[sample.target == c]
            for c, label in enumerate(sample.problem.labels)
        }
    else:
        series = {
            "right": sample.confidence[sample.event],
            "wrong": sample.confidence[~sample.event],
        }
    return histogram(series, edges)


def histogram(series: dict[str, NDArray[Any]], edges: NDArray[Any] | None = None) -> Histogram:
    """Equal bins over all series; without `edges` from the 0.1% to the 99.9% quantile, the
    outermost bins taking in what lies beyond."""
    if edges is None:
        everything = np.concatenate([np.asarray(v, dtype=np.float64) for v in series.values()])
        low, high = np.quantile(everything, [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1, HISTOGRAM_BINS + 1)
    inside = [
        np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] for values in series.values()
    ]
    bins = [
        Bin(
            low=round(float(edges[i]), 6),
            high=round(float(edges[i + 1]), 6),
            counts=tuple(int(counts[i]) for counts in inside),
        )
        for i in range(len(edges) - 1)
    ]
    return Histogram(series=tuple(series), bins=tuple(bins))


def _whole_number_edges(target: Doubles) -> Doubles | None:
    """Bins around whole numbers (stars, points), which equal bins would tear into a comb."""
    low, high = np.floor(target.min()), np.ceil(target.max())
    if high - low >= 2 * HISTOGRAM_BINS or not np.array_equal(target, np.round(target)):
        return None
    return np.arange(low - 0.5, high + 1.0)


def thresholds(sample: Sample) -> tuple[Threshold, ...]:
    """What other thresholds of a binary model would do, and which has the best F1 on this data."""
    score = sample.output[:, 0]
    yes, no = np.sort(score[sample.target == 1]), np.sort(score[sample.target == 0])
    own = np.float32(sample.problem.threshold)
    notes = {float(own): "in use"}
    grid = {float(np.float32(x)) for x in np.arange(1, 20) / 20}
    if len(yes):
        best = _best_f1(yes, no)
        notes[best] = "in use, best F1 here" if best == float(own) else "best F1 here"
    return tuple(_at(t, yes, no, notes.get(t, "")) for t in sorted(grid | set(notes)))


def _best_f1(yes: NDArray[Any], no: NDArray[Any]) -> float:
    tries = np.unique(yes)
    found = len(yes) - np.searchsorted(yes, tries)
    wrong = len(no) - np.searchsorted(no, tries)
    return float(tries[np.argmax(2 * found / (len(yes) + found + wrong))])


def _at(threshold: float, yes: NDArray[Any], no: NDArray[Any], note: str) -> Threshold:
    cut = np.float32(threshold)
    found = len(yes) - int(np.searchsorted(yes, cut))
    wrong = len(no) - int(np.searchsorted(no, cut))
    total = len(yes) + len(no)
    return Threshold(
        threshold=round(threshold, 6),
        accuracy=round((found + len(no) - wrong) / total, 6),
        precision=_share(found, found + wrong),
        recall=_share(found, len(yes)),
        f1=_share(2 * found, len(yes) + found + wrong),
        share_predicted=round((found + wrong) / total, 6),
        note=note,
    )


def residuals(sample: Sample) -> Residuals:
    """The errors' histogram, and their quantiles along the predictions."""
    guess = sample.output[:, 0].astype(np.float64)
    error = guess - sample.target
    bins = quantile_bins(guess, RESIDUAL_GROUPS)
    groups = [bins == i for i in np.unique(bins)]
    quantiles = [np.quantile(error[g], [0.1, 0.5, 0.9]) for g in groups]
    return Residuals(
        histogram=histogram({"error": error}),
        predicted=rounded([guess[g].mean() for g in groups]),
        observed=rounded([sample.target[g].mean() for g in groups]),
        low=rounded([q[0] for q in quantiles]),
        middle=rounded([q[1] for q in quantiles]),
        high=rounded([q[2] for q in quantiles]),
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
