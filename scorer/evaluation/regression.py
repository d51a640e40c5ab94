"""Figures of regression models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.blocks import correlation, in_blocks
from scorer.evaluation.metrics import Measured
from scorer.evaluation.resample import Doubles, Resampler, centred, quantile_bins
from scorer.evaluation.sample import Sample

ERROR_BINS = 512
RANK_BINS = 32


def measure_regression(sample: Sample, resampler: Resampler) -> Measured:
    """Figures with replicates. An error is prediction - truth, in the target's unit."""
    values = figures(sample)
    replicates = _moment_replicates(sample, resampler)
    replicates["median_ae"] = _median_replicates(sample, resampler, values["median_ae"])
    replicates["spearman"] = _rank_replicates(sample, resampler, values["spearman"])
    return Measured(values, replicates)


def figures(sample: Sample) -> dict[str, float]:
    """R² and Spearman are NaN where they are not defined. scikit-learn computes the means."""
    from sklearn import metrics as sk

    def mean(metric: Callable[..., float]) -> float:
        return sample.mean(lambda part: metric(part.target, part.output[:, 0].astype(np.float64)))

    centre = sample.target.mean(dtype=np.float64)
    variance = sample.mean(lambda p: sk.mean_squared_error(p.target, np.full(len(p), centre)))
    square = mean(sk.mean_squared_error)
    size = sample.column(lambda part: np.abs(part.error))
    return {
        "mae": mean(sk.mean_absolute_error),
        "rmse": float(np.sqrt(square)),
        "median_ae": float(np.median(size, overwrite_input=True)),
        "r2": 1 - square / variance if np.ptp(sample.target) > 0 else float("nan"),
        "bias": sample.mean(lambda part: float(part.error.mean())),
        "spearman": _spearman(sample),
    }


def _spearman(sample: Sample) -> float:
    """Correlation of the midranks, found in sorted columns: SciPy needs 60 bytes a row for them."""
    truth, guess = np.sort(sample.target), np.sort(sample.output[:, 0])
    return correlation(
        (_midranks(truth, part.target), _midranks(guess, part.output[:, 0]))
        for part in sample.blocks()
    )


def _midranks(ordered: NDArray[Any], values: NDArray[Any]) -> Doubles:
    lower = np.searchsorted(ordered, values, side="left")
    return np.asarray((lower + np.searchsorted(ordered, values, side="right")) / 2)


def _moment_replicates(sample: Sample, resampler: Resampler) -> dict[str, Doubles]:
    """Figures that follow from sums of the errors, their squares and the target's."""
    # Sums of squares about the mean, not about zero: points near 90 would cancel to noise.
    centre = sample.target.mean(dtype=np.float64)

    def mean(values: Callable[[Sample], Doubles]) -> Doubles:
        return resampler.means(map(values, sample.blocks()))

    square = mean(lambda part: part.error**2)
    variance = mean(lambda p: (p.target - centre) ** 2) - mean(lambda p: p.target - centre) ** 2
    explained = np.divide(square, variance, out=np.full_like(square, np.nan), where=variance > 0)
    return {
        "mae": mean(lambda part: np.abs(part.error)),
        "rmse": np.sqrt(square),
        "r2": 1 - explained,
        "bias": mean(lambda part: part.error),
    }


def _median_replicates(sample: Sample, resampler: Resampler, exact: float) -> Doubles:
    """Medians of |error| from a histogram of equal-count bins, interpolated inside a bin."""
    size = sample.column(lambda part: np.abs(part.error))
    bins = quantile_bins(size, ERROR_BINS)
    n = int(bins.max()) + 1
    low, high = _bin_ends(size, bins, n)
    counts = resampler.counts(in_blocks(bins), n)
    binned = _binned_median(counts.whole[None, :], low, high)[0]
    drawn = _binned_median(counts.drawn, low, high)
    return np.maximum(centred(drawn, float(binned), exact), 0.0)


def _bin_ends(values: Doubles, bins: NDArray[Any], n: int) -> tuple[Doubles, Doubles]:
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    for block, inside in zip(in_blocks(values), in_blocks(bins), strict=True):
        np.minimum.at(low, inside, block)
        np.maximum.at(high, inside, block)
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
    shape = (-1, RANK_BINS, RANK_BINS)
    across = quantile_bins(sample.target, RANK_BINS)
    down = quantile_bins(sample.output[:, 0], RANK_BINS)
    parts = zip(in_blocks(across), in_blocks(down), strict=True)
    counts = resampler.counts((a * RANK_BINS + d for a, d in parts), RANK_BINS**2)
    binned = _binned_spearman(counts.whole.reshape(shape))[0]
    drawn = _binned_spearman(counts.drawn.reshape(shape))
    return np.clip(centred(drawn, float(binned), exact), -1, 1)


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
