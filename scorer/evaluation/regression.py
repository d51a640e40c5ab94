"""Figures of regression models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.metrics import Measured
from scorer.evaluation.resample import Doubles, Resampler, centred, quantile_bins
from scorer.evaluation.sample import Sample

ERROR_BINS = 512
RANK_BINS = 32


def measure_regression(sample: Sample, resampler: Resampler) -> Measured:
    """Figures with replicates. An error is prediction - truth, in the target's unit."""
    values = figures(sample.target, sample.output[:, 0].astype(np.float64))
    replicates = _moment_replicates(sample, resampler)
    replicates["median_ae"] = _median_replicates(sample, resampler, values["median_ae"])
    replicates["spearman"] = _rank_replicates(sample, resampler, values["spearman"])
    return Measured(values, replicates)


def figures(truth: Doubles, guess: Doubles) -> dict[str, float]:
    """By scikit-learn and scipy; R² and Spearman are NaN where they are not defined."""
    from scipy.stats import spearmanr
    from sklearn import metrics as sk

    varies = bool(np.ptp(truth) > 0)
    ranked = varies and bool(np.ptp(guess) > 0)
    return {
        "mae": float(sk.mean_absolute_error(truth, guess)),
        "rmse": float(sk.root_mean_squared_error(truth, guess)),
        "median_ae": float(sk.median_absolute_error(truth, guess)),
        "r2": float(sk.r2_score(truth, guess)) if varies else float("nan"),
        "bias": float(np.mean(guess - truth)),
        "spearman": float(spearmanr(truth, guess).statistic) if ranked else float("nan"),
    }


def _moment_replicates(sample: Sample, resampler: Resampler) -> dict[str, Doubles]:
    """Figures that follow from sums of the errors, their squares and the target's."""
    error = sample.output[:, 0].astype(np.float64) - sample.target
    # Sums of squares about the mean, not about zero: points near 90 would cancel to noise.
    off_centre = sample.target - sample.target.mean()
    rows = resampler.sums(np.ones(len(sample)))[:, 0]

    def mean(values: Doubles) -> Doubles:
        return resampler.sums(values)[:, 0] / rows

    square = mean(error**2)
    variance = mean(off_centre**2) - mean(off_centre) ** 2
    explained = np.divide(square, variance, out=np.full_like(square, np.nan), where=variance > 0)
    return {
        "mae": mean(np.abs(error)),
        "rmse": np.sqrt(square),
        "r2": 1 - explained,
        "bias": mean(error),
    }


def _median_replicates(sample: Sample, resampler: Resampler, exact: float) -> Doubles:
    """Medians of |error| from a histogram of equal-count bins, interpolated inside a bin."""
    size = np.abs(sample.output[:, 0].astype(np.float64) - sample.target)
    bins = quantile_bins(size, ERROR_BINS)
    n = int(bins.max()) + 1
    low, high = _bin_ends(size, bins, n)
    whole = np.bincount(bins, minlength=n).astype(np.float64)
    binned = _binned_median(whole[None, :], low, high)[0]
    drawn = _binned_median(resampler.counts(bins, n), low, high)
    return np.maximum(centred(drawn, float(binned), exact), 0.0)


def _bin_ends(values: Doubles, bins: NDArray[Any], n: int) -> tuple[Doubles, Doubles]:
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, bins, values)
    np.maximum.at(high, bins, values)
    return low, high


def _binned_median(counts: Doubles, low: Doubles, high: Doubles) -> Doubles:
    """(r, bins) counts and the bins' smallest and largest values -> (r,) medians."""
    reached = np.cumsum(counts, axis=1)
    half = reached[:, -1:] / 2
    inside = np.argmax(reached >= half, axis=1)
    rows = np.arange(len(counts))
    own = np.maximum(counts[rows, inside], 1.0)
    part = (half[:, 0] - (reached[rows, inside] - own)) / own
    width = high[inside] - low[inside]
    return np.asarray(low[inside] + np.clip(part, 0, 1) * width)


def _rank_replicates(sample: Sample, resampler: Resampler, exact: float) -> Doubles:
    """Rank correlations from a table of RANK_BINS x RANK_BINS equal-count bins."""
    across = quantile_bins(sample.target, RANK_BINS)
    down = quantile_bins(sample.output[:, 0], RANK_BINS)
    cells = across * RANK_BINS + down
    whole = np.bincount(cells, minlength=RANK_BINS**2).astype(np.float64)
    binned = _binned_spearman(whole.reshape(1, RANK_BINS, RANK_BINS))[0]
    drawn = resampler.counts(cells, RANK_BINS**2).reshape(-1, RANK_BINS, RANK_BINS)
    return np.clip(centred(_binned_spearman(drawn), float(binned), exact), -1, 1)


def _binned_spearman(table: Doubles) -> Doubles:
    """Correlation of the midranks of a contingency table, (r, a, b) -> (r,)."""
    x, spread_x = _centred_midranks(table.sum(axis=2))
    y, spread_y = _centred_midranks(table.sum(axis=1))
    product = np.einsum("ra,rab,rb->r", x, table, y, optimize=True)
    spread = np.sqrt(spread_x * spread_y)
    undefined = np.full_like(product, np.nan)
    return np.asarray(np.divide(product, spread, out=undefined, where=spread > 0))


def _centred_midranks(counts: Doubles) -> tuple[Doubles, Doubles]:
    """(r, bins) counts -> midranks less their mean (r, bins), and their sum of squares (r,)."""
    ranks = np.cumsum(counts, axis=1) - counts / 2
    ranks = ranks - counts.sum(axis=1, keepdims=True) / 2
    return ranks, (counts * ranks**2).sum(axis=1)
