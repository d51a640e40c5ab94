"""How well scores put the rows of a class above all others.

Two sorted columns of scores are enough: the areas under both curves follow from the rows of either
kind at each score, which are counted a block at a time from the highest score down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.statistics.blocks import BLOCK_ROWS
from scorer.evaluation.statistics.sample import Sample
from scorer.figures.formulas import RankingSums

Floats = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """Scores in rising order: `yes` of the rows of a class, `no` of all others."""

    yes: Floats
    no: Floats

    @property
    def defined(self) -> bool:
        """Both kinds of rows occur."""
        return bool(len(self.yes) and len(self.no))

    def reached(self, thresholds: Any) -> tuple[Counts, Counts]:
        """How many of `yes` and of `no` have at least each of the thresholds."""
        yes, no = (len(x) - np.searchsorted(x, thresholds) for x in (self.yes, self.no))
        return yes, no

    def falling(self) -> Iterator[Counts]:
        """Rows of `no` and `yes` at each distinct score, as blocks (2, scores), highest first."""
        cuts = np.unique(np.concatenate([self.yes[::BLOCK_ROWS], self.no[::BLOCK_ROWS]]))
        tops = [*cuts[1:], None]
        for low, high in reversed([*zip(cuts, tops, strict=True)]):
            yes, no = (
                x[np.searchsorted(x, low) : None if high is None else np.searchsorted(x, high)]
                for x in (self.yes, self.no)
            )
            scores = np.unique(np.concatenate([yes, no]))
            rising = [
                np.diff(np.searchsorted(x, scores, side="right"), prepend=0) for x in (no, yes)
            ]
            yield np.array(rising)[:, ::-1]

    def steps(self, most: int) -> tuple[Floats, Counts, Counts]:
        """Thresholds in rising order with the rows of `yes` and of `no` from each to the next.

        All distinct scores; beyond `most` rows of a kind so few that the curve, at each of them
        exact, moves by no more than 1/most of either kind at a time (ties apart).
        """
        ends = [x[:: -(-len(x) // most) or 1] for x in (self.yes, self.no)]
        thresholds = np.unique(np.concatenate(ends))
        yes, no = (-np.diff(reached, append=0) for reached in self.reached(thresholds))
        return thresholds, yes, no


def rank(sample: Sample, c: int) -> Ranking:
    """The rows of class `c` against all others."""
    scores = sample.column(lambda part: part.probabilities[:, c])
    return ranking(scores, sample.target == c)


def rank_together(sample: Sample) -> Ranking:
    """Every label of every row: those that the rows have against all others."""
    return ranking(sample.output, sample.target == 1)


def ranking(scores: Floats, has: NDArray[np.bool_]) -> Ranking:
    """Of scores (...) those that `has` (...) says are of the class against all others."""
    yes, no = scores[has], scores[~has]
    yes.sort()
    no.sort()
    return Ranking(yes, no)


def ranking_sums(blocks: Iterable[NDArray[Any]]) -> RankingSums:
    """From counts (..., 2, scores) of the rows of `no` and `yes`, falling in score: (...) each."""
    no_above = yes_above = won = precision = np.zeros(())
    for block in blocks:
        no, yes = block[..., 0, :], block[..., 1, :]
        found = yes_above[..., None] + np.cumsum(yes, axis=-1)
        wrong = no_above[..., None] + np.cumsum(no, axis=-1)
        won = won + (no * found).sum(axis=-1) - (no * yes).sum(axis=-1) / 2
        shown = found + wrong
        right = np.divide(found, shown, out=np.zeros(shown.shape), where=shown > 0)
        precision = precision + (yes * right).sum(axis=-1)
        # Copies: a view would keep the whole block.
        no_above, yes_above = wrong[..., -1].copy(), found[..., -1].copy()
    return RankingSums(yes_above, no_above, won, precision)
