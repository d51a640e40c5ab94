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

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.statistics.blocks import bins_of

GROUPS = 2_000
REPLICATES = 1_000
LEVEL = 0.95
SEED = 20_240_601
WEIGHT_PARTS = 10

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """Sums over the rows of each of n cells: `whole` (n,), `drawn` (replicates, n)."""

    whole: Doubles
    drawn: Doubles


class Resampler:
    """Weights for `rows` rows; the same rows always get the same weights.

    Columns are given to it in order, as blocks that need not be of one size.
    """

    def __init__(
        self, rows: int, *, groups: int = GROUPS, replicates: int = REPLICATES, seed: int = SEED
    ) -> None:
        self.rows = rows
        self.n_groups = max(1, min(rows, groups))
        self.replicates = replicates
        self._seed = seed

    @cached_property
    def group(self) -> NDArray[np.int16]:
        """int16 (rows,): the group each row was dealt into."""
        group = np.resize(np.arange(self.n_groups, dtype=np.int16), self.rows)
        np.random.default_rng([self._seed, 1]).shuffle(group)
        return group

    @cached_property
    def weights(self) -> NDArray[np.uint16]:
        """uint16 (replicates, groups): how often a replicate drew a group."""
        rng = np.random.default_rng([self._seed, 2])
        g = self.n_groups
        weights = np.empty((self.replicates, g), dtype=np.uint16)
        for row in weights:
            row[:] = np.bincount(rng.integers(g, size=g), minlength=g)
        return weights

    @cached_property
    def drawn_rows(self) -> Doubles:
        """float64 (replicates,): rows in each replicate."""
        return self._draw(np.bincount(self.group, minlength=self.n_groups))

    def counts(self, cells: Iterable[NDArray[Any]], n: int) -> Sums:
        """Rows in each of n cells; `cells` are blocks of cell numbers, (rows,) together.

        Or (rows, k): a row counts in each of its k cells.
        """
        return self.sums(((cell, 1.0) for cell in cells), n)

    def means(self, values: Iterable[NDArray[Any]]) -> Doubles:
        """float64 (replicates,): the mean of the values; blocks of them, (rows,) together."""
        sums = self.sums(((0, block) for block in values), 1)
        return np.asarray(sums.drawn[:, 0] / self.drawn_rows)

    def sums(self, parts: Iterable[tuple[Any, Any]], n: int) -> Sums:
        """Sum of values over the rows of each of n cells.

        `parts` are blocks of cells and values, (rows,) together; one of the two may be a scalar.
        """
        table = np.zeros(self.n_groups * n)
        start = 0
        for cell, values in parts:
            stop = start + (len(cell) if np.ndim(cell) else len(values))
            first = self.group[start:stop] * np.intp(n)
            np.add.at(table, first[:, None] + cell if np.ndim(cell) > 1 else first + cell, values)
            start = stop
        by_group = table.reshape(self.n_groups, n)
        return Sums(by_group.sum(axis=0), self._draw(by_group))

    def _draw(self, by_group: NDArray[Any]) -> Doubles:
        """Weights times sums; BLAS wants doubles, four times the size of all weights."""
        some = np.array_split(self.weights, WEIGHT_PARTS)
        return np.concatenate([weights.astype(np.float64) @ by_group for weights in some])


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


def quantile_bins(values: NDArray[Any], n_bins: int) -> NDArray[np.int16]:
    """int16 (n,): equal-count bin of each value; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return bins_of(values, edges)
