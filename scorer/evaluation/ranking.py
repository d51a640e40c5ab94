"""How well scores put the rows of a class above all others.

scikit-learn needs some 70 bytes a row for an area, and cannot be fed in parts. Both areas are means
over the rows of the class, by definition, so two sorted columns of scores are enough; tests hold
them against scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.blocks import in_blocks
from scorer.evaluation.sample import Sample

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

    def areas(self) -> dict[str, float]:
        """Areas under the ROC curve and, as average precision, the other; NaN if not defined."""
        if not self.defined:
            return {"roc_auc": float("nan"), "pr_auc": float("nan")}
        beaten = precision = 0.0
        for scores in in_blocks(self.yes):
            lower = np.searchsorted(self.no, scores, side="left")
            beaten += (lower + np.searchsorted(self.no, scores, side="right")).sum() / 2
            found, wrong = self.reached(scores)
            precision += (found / (found + wrong)).sum()
        n = len(self.yes)
        return {"roc_auc": float(beaten / n / len(self.no)), "pr_auc": float(precision / n)}

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
    yes, no = scores[sample.target == c], scores[sample.target != c]
    yes.sort()
    no.sort()
    return Ranking(yes, no)
