"""The sums that the figures' formulas take: of the whole sample and of its bootstrap replicates.

`measure.py` says which function is for which `scorer.tasks.Statistic`. Where a
replicate's exact sums would cost a sort (ranks, medians), rows are put into bins of equal counts
first, and a replicate's sums are of bins: `binned` holds those of the whole sample too, so that
what binning does to a figure can be taken out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.statistics.blocks import in_blocks
from scorer.evaluation.statistics.ranking import rank, ranking_sums
from scorer.evaluation.statistics.resample import Doubles, Resampler, quantile_bins
from scorer.evaluation.statistics.sample import Sample
from scorer.figures.formulas import (
    CalibrationSums,
    ClassCounts,
    ErrorSums,
    LossSums,
    MiddleErrors,
    RankingSums,
    RankMoments,
)

CALIBRATION_BINS = 15
SCORE_BINS = 256
ERROR_BINS = 512
RANK_BINS = 32
MAX_RANKED_CLASSES = 20
# A float32 sigmoid of 17 is exactly 1: losses are cut where float32 cannot tell the difference.
EPSILON = float(np.finfo(np.float32).eps)

Sums = TypeVar("Sums", bound=tuple[Any, ...], covariant=True)


@dataclass(frozen=True)
class Resampled(Generic[Sums]):
    """Sums of a sample: `whole` with axes (...), `drawn` with (replicates, ...).

    binned    where `drawn` are sums of bins, those of the whole sample; else None
    """

    whole: Sums
    drawn: Sums
    binned: Sums | None = None


@dataclass(frozen=True)
class Groups:
    """Rows in n groups: `codes` (rows,) from 0 to n - 1."""

    codes: NDArray[np.signedinteger[Any]]
    n: int


def class_counts(sample: Sample, resampler: Resampler) -> Resampled[ClassCounts]:
    """Confusion matrices: (k, k)."""
    k = sample.problem.n_classes
    cells = (part.target * np.intp(k) + part.predicted for part in sample.blocks())
    counts = resampler.counts(cells, k * k)
    return Resampled(
        ClassCounts(counts.whole.reshape(k, k)), ClassCounts(counts.drawn.reshape(-1, k, k))
    )


def grouped_counts(
    sample: Sample, groups: Groups, resampler: Resampler, classes: int
) -> Resampled[ClassCounts]:
    """Confusion matrices of each group: (groups, classes, classes).

    With fewer `classes` than the sample has, the two are wrong (0) and right (1), and every row
    ought to be right: that is all that accuracy asks, and many classes' cells fill the memory.
    """

    def cells() -> Iterator[NDArray[np.intp]]:
        for part, code in zip(sample.blocks(), in_blocks(groups.codes), strict=True):
            truth, guess = part.target, part.predicted
            if classes != sample.problem.n_classes:
                truth, guess = np.ones_like(truth), truth == guess
            yield (code * np.intp(classes) + truth) * classes + guess

    shape = (groups.n, classes, classes)
    counts = resampler.counts(cells(), groups.n * classes**2)
    return Resampled(
        ClassCounts(counts.whole.reshape(shape)), ClassCounts(counts.drawn.reshape(-1, *shape))
    )


def loss_sums(sample: Sample, resampler: Resampler) -> Resampled[LossSums]:
    """Rows, log losses and squared errors of the probabilities: () each.

    Of labels that do not exclude each other, a row's losses are the means of its labels'.
    """
    quantities = (_one, _log_loss, _squared_error)
    found = _together(sums_of(part, resampler, quantities, None) for part in sample.questions)
    whole, drawn = (array[..., 0] / len(sample.questions) for array in (found.whole, found.drawn))
    return Resampled(LossSums(*whole), LossSums(*drawn))


def _one(part: Sample) -> Doubles:
    return np.ones(len(part))


def _right(part: Sample) -> Doubles:
    """float64 (n,): the probability that every row's true class was given."""
    rows = part.target[:, None].astype(np.intp)
    return np.take_along_axis(part.probabilities, rows, 1)[:, 0]


def _log_loss(part: Sample) -> Doubles:
    """float64 (n,): of probabilities that are cut to [EPSILON, 1 - EPSILON] and sum to 1 again."""
    total = np.clip(part.probabilities, EPSILON, 1 - EPSILON).sum(axis=1)
    return np.asarray(np.log(total) - np.log(np.clip(_right(part), EPSILON, 1 - EPSILON)))


def _squared_error(part: Sample) -> Doubles:
    """float64 (n,): summed over the classes (Brier 1950); of two classes, of one of them."""
    gap = part.probabilities.copy()
    gap[np.arange(len(part)), part.target] -= 1
    total = (gap**2).sum(axis=1)
    return np.asarray(total / 2 if part.problem.n_classes == 2 else total)


def sums_of(
    sample: Sample,
    resampler: Resampler,
    quantities: Sequence[Callable[[Sample], NDArray[Any]]],
    groups: Groups | None,
) -> Stacked:
    """Sums of rows' quantities in each group (without groups: one of all rows)."""
    n = groups.n if groups else 1
    whole, drawn = [], []
    for quantity in quantities:
        values = map(quantity, sample.blocks())
        cells = in_blocks(groups.codes) if groups else repeat(0)
        sums = resampler.sums(zip(cells, values, strict=False), n)
        whole.append(sums.whole)
        drawn.append(sums.drawn)
    return Stacked(np.array(whole), np.array(drawn))


@dataclass(frozen=True)
class Stacked:
    """Sums of several quantities: `whole` (quantities, n), `drawn` (quantities, replicates, n)."""

    whole: Doubles
    drawn: Doubles


def _together(parts: Iterable[Stacked]) -> Stacked:
    """The sums of several samples of the same rows, added one by one: labels may be thousands."""
    return reduce(lambda a, b: Stacked(a.whole + b.whole, a.drawn + b.drawn), parts)


def ranking(sample: Sample, resampler: Resampler) -> Resampled[RankingSums] | None:
    """Of each ranked class, (classes,), exact and in bins; None where there are too many."""
    ranked = ranked_classes(sample)
    if len(ranked) > MAX_RANKED_CLASSES:
        return None
    found = [_rank_class(part, c, resampler) for part, c in ranked]
    whole, drawn, binned = zip(*found, strict=True)
    return Resampled(_stacked(whole), _stacked(drawn), _stacked(binned))


def ranked_classes(sample: Sample) -> list[tuple[Sample, int]]:
    """The samples and in each the class whose ranking against the rest is measured."""
    return [(part, c) for part in sample.questions for c in part.ranked_classes]


def _stacked(found: Sequence[RankingSums]) -> RankingSums:
    return RankingSums(*(np.stack(arrays, axis=-1) for arrays in zip(*found, strict=True)))


def _rank_class(
    sample: Sample, c: int, resampler: Resampler
) -> tuple[RankingSums, RankingSums, RankingSums]:
    exact = ranking_sums(rank(sample, c).falling())
    bins = quantile_bins(sample.column(lambda part: part.probabilities[:, c]), SCORE_BINS)
    blocks = zip(in_blocks(sample.target), in_blocks(bins), strict=True)
    cells = ((target == c) * SCORE_BINS + bin_ for target, bin_ in blocks)
    counts = resampler.counts(cells, 2 * SCORE_BINS)
    shape = (-1, 2, SCORE_BINS)
    return (
        exact,
        ranking_sums([counts.drawn.reshape(shape)[..., ::-1]]),
        ranking_sums([counts.whole.reshape(shape)[0, :, ::-1]]),
    )


def calibration(sample: Sample, resampler: Resampler) -> Resampled[CalibrationSums]:
    """Rows of each of 15 equal bins of [0, 1], what they state and what happened: (15,) each.

    Of labels that do not exclude each other, a row counts once for each label.
    """
    found = _together(_calibration(part, resampler) for part in sample.questions)
    return Resampled(CalibrationSums(*found.whole), CalibrationSums(*found.drawn))


def _calibration(sample: Sample, resampler: Resampler) -> Stacked:
    def bins(part: Sample) -> NDArray[np.int64]:
        whole_bins = (part.confidence * CALIBRATION_BINS).astype(np.int64)
        return np.minimum(whole_bins, CALIBRATION_BINS - 1)

    codes = np.concatenate([bins(part).astype(np.int8) for part in sample.blocks()])
    groups = Groups(codes, CALIBRATION_BINS)
    quantities = (_one, lambda part: part.confidence, lambda part: part.event)
    return sums_of(sample, resampler, quantities, groups)


def error_sums(sample: Sample, resampler: Resampler) -> Resampled[ErrorSums]:
    """Sums of errors and targets: () each."""
    found = grouped_errors(sample, None, resampler)
    return Resampled(
        ErrorSums(*(array[0] for array in found.whole)),
        ErrorSums(*(array[:, 0] for array in found.drawn)),
    )


def grouped_errors(
    sample: Sample, groups: Groups | None, resampler: Resampler
) -> Resampled[ErrorSums]:
    """Sums of errors and targets of each group: (groups,) each."""
    target = sample.target
    # Rounding must not carry the mean of equal targets away from them: their variance is zero.
    centre = np.clip(target.mean(dtype=np.float64), target.min(), target.max())
    quantities: tuple[Callable[[Sample], NDArray[Any]], ...] = (
        _one,
        lambda part: np.abs(part.error),
        lambda part: part.error,
        lambda part: part.error**2,
        lambda part: part.target - centre,
        lambda part: (part.target - centre) ** 2,
    )
    found = sums_of(sample, resampler, quantities, groups)
    return Resampled(ErrorSums(*found.whole), ErrorSums(*found.drawn))


def middle_errors(sample: Sample, resampler: Resampler) -> Resampled[MiddleErrors]:
    """The middle absolute errors: () each; of replicates, from a histogram of equal-count bins."""
    size = sample.column(lambda part: np.abs(part.error))
    bins = quantile_bins(size, ERROR_BINS)
    n = int(bins.max()) + 1
    low, high = _bin_ends(size, bins, n)
    counts = resampler.counts(in_blocks(bins), n)
    middle = ((len(size) - 1) // 2, len(size) // 2)
    size.partition(middle)
    return Resampled(
        MiddleErrors(size[middle[0]], size[middle[1]]),
        _binned_middle(counts.drawn, low, high),
        _binned_middle(counts.whole[None, :], low, high),
    )


def _bin_ends(values: Doubles, bins: NDArray[Any], n: int) -> tuple[Doubles, Doubles]:
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    for block, inside in zip(in_blocks(values), in_blocks(bins), strict=True):
        np.minimum.at(low, inside, block)
        np.maximum.at(high, inside, block)
    return low, high


def _binned_middle(counts: Doubles, low: Doubles, high: Doubles) -> MiddleErrors:
    """(r, bins) counts and the bins' smallest and largest values -> the middle values, (r,)."""
    reached = np.cumsum(counts, axis=1)
    rows = reached[:, -1]

    def value_at(rank_: Doubles) -> Doubles:
        """The value of that rank (from 0) in rising order, values spread evenly over their bin."""
        inside = np.argmax(reached > rank_[:, None], axis=1)
        own = counts[np.arange(len(counts)), inside]
        before = reached[np.arange(len(counts)), inside] - own
        share = (rank_ - before) / np.maximum(own - 1, 1)
        return np.asarray(low[inside] + share * (high[inside] - low[inside]))

    return MiddleErrors(value_at((rows - 1) // 2), value_at(rows // 2))


def rank_moments(sample: Sample, resampler: Resampler) -> Resampled[RankMoments]:
    """Of the midranks: () each; of replicates, from a table of equal-count bins."""
    across = quantile_bins(sample.target, RANK_BINS)
    down = quantile_bins(sample.output[:, 0], RANK_BINS)
    cells = zip(in_blocks(across), in_blocks(down), strict=True)
    counts = resampler.counts((a * RANK_BINS + d for a, d in cells), RANK_BINS**2)
    shape = (-1, RANK_BINS, RANK_BINS)
    return Resampled(
        _exact_moments(sample),
        _table_moments(counts.drawn.reshape(shape)),
        _table_moments(counts.whole.reshape(shape)),
    )


def _exact_moments(sample: Sample) -> RankMoments:
    """Midranks are found in sorted columns, block by block."""
    truth, guess = np.sort(sample.target), np.sort(sample.output[:, 0])
    moments = np.zeros(3)
    for part in sample.blocks():
        x, y = _midranks(truth, part.target), _midranks(guess, part.output[:, 0])
        moments += (x @ y, x @ x, y @ y)
    return RankMoments(*moments)


def _midranks(ordered: NDArray[Any], values: NDArray[Any]) -> Doubles:
    """Midranks of the values in their column's order, less their mean."""
    lower = np.searchsorted(ordered, values, side="left")
    upper = np.searchsorted(ordered, values, side="right")
    return np.asarray((lower + upper - len(ordered)) / 2)


def _table_moments(table: Doubles) -> RankMoments:
    """Of contingency tables, (r, truths, predictions) -> (r,) each."""
    truth, prediction = table.sum(axis=2), table.sum(axis=1)
    x, y = _counted_midranks(truth), _counted_midranks(prediction)
    return RankMoments(
        np.einsum("ra,rab,rb->r", x, table, y, optimize=True),
        (truth * x**2).sum(axis=1),
        (prediction * y**2).sum(axis=1),
    )


def _counted_midranks(counts: Doubles) -> Doubles:
    """(r, bins) counts -> midranks of each bin's rows less their mean, (r, bins)."""
    ranks = np.cumsum(counts, axis=1) - counts / 2
    return np.asarray(ranks - counts.sum(axis=1, keepdims=True) / 2)
