"""Figures of binary and multiclass models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation import confusion
from scorer.evaluation.metrics import Measured
from scorer.evaluation.resample import Doubles, Resampler, centred, quantile_bins
from scorer.evaluation.sample import Sample

CALIBRATION_BINS = 15
SCORE_BINS = 256
MAX_RANKED_CLASSES = 20
# A float32 sigmoid of 17 is exactly 1: losses are cut where float32 cannot tell the difference.
EPSILON = float(np.finfo(np.float32).eps)


def measure_classification(sample: Sample, resampler: Resampler) -> Measured:
    """Figures with replicates; see `METRICS` for their names."""
    k = sample.problem.n_classes
    cells = sample.target.astype(np.int64) * k + sample.predicted
    counts = confusion.confusion_matrix(sample.target, sample.predicted, k)
    values = confusion.figures(counts)
    drawn = resampler.counts(cells, k * k).reshape(-1, k, k)
    replicates = {
        name: array for name, array in confusion.replicate_figures(drawn).items() if name in values
    }
    for measured in (
        _probability_figures(sample, resampler),
        _ranking_figures(sample, resampler),
        _calibration_error(sample, resampler),
    ):
        values |= measured.values
        replicates |= measured.replicates
    return Measured(values, replicates)


def row_losses(sample: Sample) -> tuple[Doubles, Doubles]:
    """float64 (n,) each: log loss and Brier score of every row.

    The binary Brier score is (p - y)^2, the multiclass one the sum over classes (Brier 1950).
    """
    right = np.take_along_axis(sample.probabilities, sample.target[:, None].astype(int), 1)[:, 0]
    log_loss = -np.log(np.clip(right, EPSILON, 1 - EPSILON))
    if sample.problem.task == "binary":
        return log_loss, (1 - right) ** 2
    squares = (sample.probabilities**2).sum(axis=1)
    return log_loss, squares - 2 * right + 1


def _probability_figures(sample: Sample, resampler: Resampler) -> Measured:
    from sklearn import metrics as sk

    labels = list(range(sample.problem.n_classes))
    clipped = np.clip(sample.probabilities, EPSILON, 1 - EPSILON)
    clipped /= clipped.sum(axis=1, keepdims=True)
    values = {"log_loss": float(sk.log_loss(sample.target, clipped, labels=labels))}
    if sample.problem.task == "binary":
        values["brier"] = float(
            sk.brier_score_loss(sample.target, sample.probabilities[:, 1], pos_label=1)
        )
    else:
        values["brier"] = float(
            sk.brier_score_loss(sample.target, sample.probabilities, labels=labels)
        )
    log_loss, brier = row_losses(sample)
    n = len(sample)
    replicates = {
        "log_loss": resampler.sums(log_loss)[:, 0] / n,
        "brier": resampler.sums(brier)[:, 0] / n,
    }
    drawn = resampler.sums(np.ones(n))[:, 0] / n
    return Measured(values, {name: array / drawn for name, array in replicates.items()})


def _ranking_figures(sample: Sample, resampler: Resampler) -> Measured:
    """ROC AUC and average precision: of the last label, or the mean of each class v. the rest."""
    k = sample.problem.n_classes
    classes = [1] if k == 2 else list(range(k))
    if k > MAX_RANKED_CLASSES:
        return Measured({}, {})
    found = [_rank_class(sample, c, resampler) for c in classes]
    known = [m for m in found if np.isfinite(m.values["roc_auc"])]
    if not known:
        return found[0]
    return Measured(
        {name: float(np.mean([m.values[name] for m in known])) for name in known[0].values},
        {
            name: np.mean([m.replicates[name] for m in known], axis=0)
            for name in known[0].replicates
        },
    )


def _rank_class(sample: Sample, c: int, resampler: Resampler) -> Measured:
    truth = sample.target == c
    score = sample.probabilities[:, c]
    values = class_ranking(truth, score)
    bins = quantile_bins(sample.output[:, min(c, sample.output.shape[1] - 1)], SCORE_BINS)
    cells = truth * SCORE_BINS + bins
    whole = np.bincount(cells, minlength=2 * SCORE_BINS).astype(np.float64)
    drawn = resampler.counts(cells, 2 * SCORE_BINS)
    replicates = {}
    for name, formula in (("roc_auc", _binned_auc), ("pr_auc", _binned_precision)):
        binned = formula(whole.reshape(1, 2, SCORE_BINS))[0]
        replicates[name] = centred(
            formula(drawn.reshape(-1, 2, SCORE_BINS)), float(binned), values[name]
        )
    return Measured(values, replicates)


def class_ranking(truth: NDArray[np.bool_], score: NDArray[Any]) -> dict[str, float]:
    """ROC AUC and average precision by scikit-learn; NaN where only one of the two occurs."""
    from sklearn import metrics as sk

    if truth.all() or not truth.any():
        return {"roc_auc": float("nan"), "pr_auc": float("nan")}
    return {
        "roc_auc": float(sk.roc_auc_score(truth, score)),
        "pr_auc": float(sk.average_precision_score(truth, score)),
    }


def _binned_auc(counts: Doubles) -> Doubles:
    """Mann-Whitney with ties from (..., 2, bins) counts, bins in rising order of score."""
    no, yes = counts[..., 0, :], counts[..., 1, :]
    below = np.cumsum(no, axis=-1) - no / 2
    pairs = no.sum(axis=-1) * yes.sum(axis=-1)
    return _divide((yes * below).sum(axis=-1), pairs)


def _binned_precision(counts: Doubles) -> Doubles:
    """Average precision from (..., 2, bins) counts, bins in rising order of score."""
    no, yes = counts[..., 0, ::-1], counts[..., 1, ::-1]
    found = np.cumsum(yes, axis=-1)
    precision = np.divide(
        found, found + np.cumsum(no, axis=-1), out=np.zeros_like(found), where=found > 0
    )
    return _divide((precision * yes).sum(axis=-1), yes.sum(axis=-1))


def _calibration_error(sample: Sample, resampler: Resampler) -> Measured:
    """Expected calibration error (Naeini et al. 2015): mean |observed - stated| over bins."""
    bins = calibration_bins(sample.confidence)
    gap = sample.event - sample.confidence
    exact = np.abs(np.bincount(bins, weights=gap, minlength=CALIBRATION_BINS)).sum()
    drawn = np.abs(resampler.sums(gap, bins, CALIBRATION_BINS)).sum(axis=1)
    rows = resampler.sums(np.ones(len(sample)))[:, 0]
    return Measured({"ece": float(exact / len(sample))}, {"ece": drawn / rows})


def calibration_bins(confidence: Doubles) -> NDArray[np.int64]:
    """int64 (n,): which of 15 equal bins of [0, 1] each probability falls into."""
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _divide(above: Doubles, below: Doubles) -> Doubles:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
