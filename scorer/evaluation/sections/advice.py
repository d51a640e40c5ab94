"""Which threshold to take: the best on these rows, and what it would bring on others like them.

A threshold that was chosen on some rows looks better on them than on any others. So it is also
chosen on four fifths of the rows and measured on the fifth that is left, five times: 5-fold
cross-validation. One that is not better there is not recommended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.result import ThresholdAdvice
from scorer.evaluation.statistics.blocks import in_blocks
from scorer.evaluation.statistics.ranking import Ranking, ranking
from scorer.evaluation.statistics.resample import SEED
from scorer.evaluation.statistics.sample import Floats, Sample

FOLDS = 5
#: fewer rows of either kind say nothing about thresholds
MIN_ROWS = 50
Scores = NDArray[np.float32]
Counts = Any


@dataclass(frozen=True)
class Aim:
    """A figure to choose a threshold by: from rows found, wrongly found, and of either kind."""

    name: Literal["f1", "accuracy"]
    value: Callable[[Counts, Counts, int, int], Any]


def _f1(found: Counts, wrong: Counts, yes: int, no: int) -> Any:
    return 2 * found / (yes + found + wrong)


def _accuracy(found: Counts, wrong: Counts, yes: int, no: int) -> Any:
    return (found + no - wrong) / (yes + no)


AIMS = (Aim("f1", _f1), Aim("accuracy", _accuracy))


def advise(sample: Sample) -> tuple[ThresholdAdvice, ...]:
    """A threshold for each aim; none where there are too few rows of either kind."""
    scores, has = _scores(sample), sample.target.reshape(len(sample), -1) == 1
    ranked = ranking(scores, has)
    if min(len(ranked.yes), len(ranked.no)) < MIN_ROWS:
        return ()
    own = np.float32(sample.problem.threshold)
    folds = np.random.default_rng([SEED, 5]).integers(0, FOLDS, len(sample))
    crossed = _crossed(scores, has, folds)
    return tuple(_advice(aim, ranked, own, crossed[aim.name]) for aim in AIMS)


def _scores(sample: Sample) -> Floats:
    """What a threshold is compared with: the last label's probability, or each label's."""
    task = sample.problem.task
    return task.probabilities(sample.output)[:, -1:] if task.exclusive else sample.output


def best_threshold(aim: Aim, ranked: Ranking) -> float:
    """The shortest number of those that give the best figure; of several, the lowest."""
    best = (-1.0, 0.0)
    for tries in in_blocks(ranked.yes):
        found, wrong = ranked.reached(tries)
        values = aim.value(found, wrong, len(ranked.yes), len(ranked.no))
        top = int(np.argmax(values))
        best = max(best, (float(values[top]), -float(tries[top])))
    return _shortest(ranked, np.float32(-best[1]))


def _shortest(ranked: Ranking, score: np.float32) -> float:
    """The shortest number above the next lower score, up to this one: it decides all rows alike."""
    lower = [x[np.searchsorted(x, score) - 1] for x in (ranked.yes, ranked.no) if x[0] < score]
    floor = max(lower, default=np.float32(0))
    for digits in range(1, 8):
        number = int(float(score) * 10.0**digits) / 10.0**digits
        if floor < np.float32(number) <= score and 0 < number < 1:
            return number
    return float(score)


def _advice(
    aim: Aim, ranked: Ranking, own: np.float32, crossed: tuple[Counts, Counts]
) -> ThresholdAdvice:
    def at(threshold: Any) -> float:
        return _measured(aim, ranked, *ranked.reached(np.float32(threshold)))

    best, now = best_threshold(aim, ranked), at(own)
    expected = _measured(aim, ranked, *crossed)
    return ThresholdAdvice(
        figure=aim.name,
        threshold=best,
        value=at(best),
        in_use=now,
        expected=expected,
        recommended=expected > now and at(best) > now,
    )


def _measured(aim: Aim, ranked: Ranking, found: Counts, wrong: Counts) -> float:
    return round(float(aim.value(found, wrong, len(ranked.yes), len(ranked.no))), 6)


def _crossed(
    scores: Scores, has: NDArray[np.bool_], folds: NDArray[np.int64]
) -> dict[str, tuple[int, int]]:
    """By aim: rows found and wrongly found, each by the threshold chosen without its fold."""
    counts = {aim.name: np.zeros(2, dtype=np.int64) for aim in AIMS}
    for fold in range(FOLDS):
        inside = folds == fold
        others = ranking(scores[~inside], has[~inside])
        for aim in AIMS:
            reached = scores[inside] >= np.float32(best_threshold(aim, others))
            counts[aim.name] += [
                np.count_nonzero(reached & has[inside]),
                np.count_nonzero(reached & ~has[inside]),
            ]
    return {name: (int(found), int(wrong)) for name, (found, wrong) in counts.items()}
