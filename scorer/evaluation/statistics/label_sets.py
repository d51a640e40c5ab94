"""The sums of labels that do not exclude each other: by label, of all labels together, and by row.

Each label is a binary question to all rows (`Sample.questions`), so that what is known of binary
models gives the sums by label.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from scorer.evaluation.statistics.blocks import in_blocks
from scorer.evaluation.statistics.ranking import rank_together, ranking_sums
from scorer.evaluation.statistics.resample import Doubles, Resampler, quantile_bins
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import (
    SCORE_BINS,
    Groups,
    Resampled,
    class_counts,
    grouped_counts,
)
from scorer.figures.formulas import ClassCounts, LabelCounts, RankingSums, SetSums, ratio


def label_counts(sample: Sample, resampler: Resampler) -> Resampled[LabelCounts]:
    """Rows that have, and that were given, each label: (k,) each."""
    found = [class_counts(part, resampler) for part in sample.questions]
    return Resampled(
        _stacked([counts.whole for counts in found]), _stacked([counts.drawn for counts in found])
    )


def grouped_label_counts(
    sample: Sample, groups: Groups, resampler: Resampler, *, together: bool = False
) -> Resampled[LabelCounts]:
    """The same of each group: (groups, k) each; (groups, 1) of all labels `together`."""
    found = (grouped_counts(part, groups, resampler, 2) for part in sample.questions)
    if together:
        pairs = ((counts.whole.counts, counts.drawn.counts) for counts in found)
        whole, drawn = reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]), pairs)
        return Resampled(_stacked([ClassCounts(whole)]), _stacked([ClassCounts(drawn)]))
    every = [*found]
    return Resampled(
        _stacked([counts.whole for counts in every]), _stacked([counts.drawn for counts in every])
    )


def _stacked(matrices: Sequence[ClassCounts]) -> LabelCounts:
    """From the confusion matrices (..., 2, 2) of every label."""
    return LabelCounts(
        np.stack([matrix.hits[..., 1] for matrix in matrices], axis=-1),
        np.stack([matrix.support[..., 1] for matrix in matrices], axis=-1),
        np.stack([matrix.predicted[..., 1] for matrix in matrices], axis=-1),
    )


def set_sums(sample: Sample, resampler: Resampler) -> Resampled[SetSums]:
    """How the labels of the rows were found: () each."""
    columns = np.concatenate([_of_rows(part) for part in sample.blocks()])
    found = [resampler.sums(((0, part) for part in in_blocks(c)), 1) for c in columns.T]
    return Resampled(
        SetSums(*(sums.whole[0] for sums in found)), SetSums(*(sums.drawn[:, 0] for sums in found))
    )


def _of_rows(part: Sample) -> Doubles:
    """float64 (n, 6): what every row adds to each of `SetSums`.

    The three that rank a row's labels are scikit-learn's: of equal probabilities, the other label
    counts as the one before, and a row with no label, or with all, has nothing to put in order.
    """
    has, probability = part.target == 1, part.output
    precision, coverage, inverted = np.zeros((3, len(part)))
    for c in range(has.shape[1]):
        reached = probability >= probability[:, c : c + 1]
        rank, right = reached.sum(axis=1), (reached & has).sum(axis=1)
        precision += np.where(has[:, c], right / rank, 0.0)
        coverage = np.where(has[:, c], np.maximum(coverage, rank), coverage)
        inverted += np.where(has[:, c], rank - right, 0)
    own = has.sum(axis=1).astype(np.float64)
    wrong = part.predicted != part.target
    quantities = (
        np.ones(len(part)),
        ~wrong.any(axis=1),
        wrong.mean(axis=1),
        ratio(precision, own, 1.0),
        coverage,
        ratio(inverted, own * (has.shape[1] - own), 0.0),
    )
    return np.stack(quantities, axis=1).astype(np.float64)


def pooled_ranking(sample: Sample, resampler: Resampler) -> Resampled[RankingSums]:
    """All labels of all rows in one ranking, exact and in bins: (1,) each."""
    exact = ranking_sums(rank_together(sample).falling())
    shape = sample.output.shape
    bins = quantile_bins(sample.output.ravel(), SCORE_BINS).reshape(shape)
    blocks = zip(in_blocks(sample.target), in_blocks(bins), strict=True)
    cells = ((target == 1) * SCORE_BINS + bin_ for target, bin_ in blocks)
    counts = resampler.counts(cells, 2 * SCORE_BINS)
    return Resampled(
        _one_class(exact),
        _one_class(ranking_sums([counts.drawn.reshape(-1, 2, SCORE_BINS)[..., ::-1]])),
        _one_class(ranking_sums([counts.whole.reshape(2, SCORE_BINS)[..., ::-1]])),
    )


def _one_class(sums: RankingSums) -> RankingSums:
    return RankingSums(*(array[..., None] for array in sums))
