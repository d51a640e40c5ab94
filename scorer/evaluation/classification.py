"""Figures of binary and multiclass models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation import confusion
from scorer.evaluation.blocks import in_blocks
from scorer.evaluation.metrics import Measured
from scorer.evaluation.ranking import rank
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
    values = confusion.figures(confusion.confusion_matrix(sample))
    drawn = resampler.counts(confusion.cells(sample), k * k).drawn.reshape(-1, k, k)
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


def _right(part: Sample) -> Doubles:
    """float64 (n,): the probability that every row's true class was given."""
    return np.take_along_axis(part.probabilities, part.target[:, None].astype(int), 1)[:, 0]


def _log_loss(part: Sample) -> Doubles:
    """float64 (n,): of every row."""
    return np.asarray(-np.log(np.clip(_right(part), EPSILON, 1 - EPSILON)))


def _brier(part: Sample) -> Doubles:
    """float64 (n,): (p - y)^2 of every binary row, else summed over classes (Brier 1950)."""
    summed = (part.probabilities**2).sum(axis=1) - 2 * _right(part) + 1
    return np.asarray(summed / 2 if part.problem.n_classes == 2 else summed)


def _probability_figures(sample: Sample, resampler: Resampler) -> Measured:
    from sklearn import metrics as sk

    labels = list(range(sample.problem.n_classes))

    def log_loss(part: Sample) -> float:
        clipped = np.clip(part.probabilities, EPSILON, 1 - EPSILON)
        clipped /= clipped.sum(axis=1, keepdims=True)
        return float(sk.log_loss(part.target, clipped, labels=labels))

    def brier(part: Sample) -> float:
        if part.problem.n_classes == 2:
            return float(sk.brier_score_loss(part.target, part.probabilities[:, 1], pos_label=1))
        return float(sk.brier_score_loss(part.target, part.probabilities, labels=labels))

    return Measured(
        {"log_loss": sample.mean(log_loss), "brier": sample.mean(brier)},
        {
            "log_loss": resampler.means(map(_log_loss, sample.blocks())),
            "brier": resampler.means(map(_brier, sample.blocks())),
        },
    )


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
    values = rank(sample, c).areas()
    bins = quantile_bins(sample.output[:, min(c, sample.output.shape[1] - 1)], SCORE_BINS)
    parts = zip(in_blocks(sample.target), in_blocks(bins), strict=True)
    cells = ((target == c) * SCORE_BINS + bin_ for target, bin_ in parts)
    counts = resampler.counts(cells, 2 * SCORE_BINS)
    replicates = {}
    for name, formula in (("roc_auc", _binned_auc), ("pr_auc", _binned_precision)):
        binned = formula(counts.whole.reshape(1, 2, SCORE_BINS))[0]
        drawn = formula(counts.drawn.reshape(-1, 2, SCORE_BINS))
        replicates[name] = centred(drawn, float(binned), values[name])
    return Measured(values, replicates)


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
    parts = ((calibration_bins(p.confidence), p.event - p.confidence) for p in sample.blocks())
    gap = resampler.sums(parts, CALIBRATION_BINS)
    return Measured(
        {"ece": float(np.abs(gap.whole).sum() / len(sample))},
        {"ece": np.abs(gap.drawn).sum(axis=1) / resampler.drawn_rows},
    )


def calibration_bins(confidence: Doubles) -> NDArray[np.int64]:
    """int64 (n,): which of 15 equal bins of [0, 1] each probability falls into."""
    return np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _divide(above: Doubles, below: Doubles) -> Doubles:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
