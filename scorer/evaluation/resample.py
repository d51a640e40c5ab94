"""Bootstrap of a million rows in a fraction of a second.

Rows are dealt at random, in equal numbers, into at most 2,000 groups; a replicate draws as many
groups as there are, with replacement. Up to 2,000 rows every row is its own group, and this is
Efron's row bootstrap exactly. Beyond, since the groups are random, a standard error is estimated
from 2,000 subsums instead of all rows, which leaves it a relative error of 1/sqrt(2 * 2000), and a
test holds both bootstraps against each other.

What makes it fast: a figure that is a function of sums over rows (a confusion matrix, a histogram
of scores per class, a sum of losses) has all its replicates in one matrix product, weights
(replicates, groups) by sums (groups, q). All figures, slices and models share one set of weights,
so that differences between them are paired.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUPS = 2_000
REPLICATES = 1_000
LEVEL = 0.95
SEED = 20_240_601

Doubles = NDArray[np.float64]


class Resampler:
    """Weights for `rows` rows; the same rows always get the same weights."""

    def __init__(
        self, rows: int, *, groups: int = GROUPS, replicates: int = REPLICATES, seed: int = SEED
    ) -> None:
        self.rows = rows
        self.n_groups = max(1, min(rows, groups))
        self.replicates = replicates
        self._seed = seed

    @cached_property
    def group(self) -> NDArray[np.int64]:
        """int64 (rows,): the group each row was dealt into."""
        deal = np.random.default_rng([self._seed, 1]).permutation(self.rows)
        return deal % self.n_groups

    @cached_property
    def weights(self) -> Doubles:
        """float64 (replicates, groups): how often a replicate drew a group."""
        rng = np.random.default_rng([self._seed, 2])
        g = self.n_groups
        drawn = (np.bincount(rng.integers(g, size=g), minlength=g) for _ in range(self.replicates))
        return np.array(list(drawn), dtype=np.float64)

    def counts(self, cell: NDArray[Any], n_cells: int) -> Doubles:
        """float64 (replicates, n_cells): rows per cell; rows with a negative cell count nowhere."""
        inside = cell >= 0
        where = self.group[inside] * n_cells + cell[inside]
        table = np.bincount(where, minlength=self.n_groups * n_cells)
        return np.asarray(self.weights @ table.reshape(self.n_groups, n_cells).astype(np.float64))

    def sums(self, values: NDArray[Any], cell: NDArray[Any] | None = None, n: int = 1) -> Doubles:
        """float64 (replicates, n): sum of `values` (rows,) over the rows of each of n cells."""
        if cell is None:
            table = np.bincount(self.group, weights=values, minlength=self.n_groups)
            return np.asarray(self.weights @ table[:, None])
        inside = cell >= 0
        where = self.group[inside] * n + cell[inside]
        table = np.bincount(where, weights=values[inside], minlength=self.n_groups * n)
        return np.asarray(self.weights @ table.reshape(self.n_groups, n))


def interval(replicates: Doubles, level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of the replicates (replicates,); None if over half are undefined."""
    known = replicates[np.isfinite(replicates)]
    if len(known) * 2 < len(replicates) or not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def centred(replicates: Doubles, binned: float, exact: float) -> Doubles:
    """Replicates of a figure computed from bins, moved by binning's effect on it."""
    return replicates + (exact - binned)


def quantile_bins(values: NDArray[Any], n_bins: int) -> NDArray[np.int64]:
    """int64 (n,): equal-count bin of each value; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")
