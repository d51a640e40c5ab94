"""Sums over rows, and the figures' formulas, which are functions of them.

Arrays begin with as many further axes (...) as there are slices and replicates; a formula gives an
array of those axes, NaN where the figure is not defined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]


#: of a sum of squares: more than what adding up in float64 leaves of a difference that is zero
ROUNDING = 1e-13


class ByLabel(Protocol):
    """Rows of each label: (..., k) each.

    hits        have it and were given it
    support     have it
    predicted   were given it
    """

    @property
    def hits(self) -> Doubles: ...

    @property
    def support(self) -> Doubles: ...

    @property
    def predicted(self) -> Doubles: ...


class ClassCounts(NamedTuple):
    """Rows by true class (axis -2) and predicted class (axis -1): (..., k, k)."""

    counts: Doubles

    @property
    def hits(self) -> Doubles:
        return self.counts.diagonal(axis1=-2, axis2=-1)

    @property
    def support(self) -> Doubles:
        rows: Doubles = self.counts.sum(axis=-1)
        return rows

    @property
    def predicted(self) -> Doubles:
        rows: Doubles = self.counts.sum(axis=-2)
        return rows


class LabelCounts(NamedTuple):
    """`ByLabel` of labels that do not exclude each other: (..., k) each."""

    hits: Doubles
    support: Doubles
    predicted: Doubles


class SetSums(NamedTuple):
    """Rows, and sums over them of how their labels were found: (...) each.

    exact       1 where just the row's labels were given
    wrong       share of the labels that were given and are not the row's, or the other way round
    precision   label ranking average precision
    coverage    how far down the ranking of the labels the row's last one stands
    inverted    share of the pairs of one of the row's labels and another that are not in that order
    """

    rows: Doubles
    exact: Doubles
    wrong: Doubles
    precision: Doubles
    coverage: Doubles
    inverted: Doubles


class LossSums(NamedTuple):
    """Rows, and the sums of their losses: (...) each. The squared error is Brier's (1950)."""

    rows: Doubles
    log_loss: Doubles
    squared_error: Doubles


class RankingSums(NamedTuple):
    """Of each ranked class against the rest: (..., classes) each.

    yes, no     rows of the class, rows of all others
    won         pairs of one of each in which the former scores higher, ties counting half
    precision   precisions at each row of the class, summed
    """

    yes: Doubles
    no: Doubles
    won: Doubles
    precision: Doubles


class CalibrationSums(NamedTuple):
    """Rows by bins of their stated probability, its sum, and the rows it came true: (..., bins)."""

    rows: Doubles
    stated: Doubles
    events: Doubles


class ErrorSums(NamedTuple):
    """Rows and the sums of their errors (prediction - truth) and targets: (...) each.

    Targets are less one constant near their mean, so that their squares do not cancel.
    """

    rows: Doubles
    absolute: Doubles
    error: Doubles
    square: Doubles
    target: Doubles
    target_square: Doubles


class MiddleErrors(NamedTuple):
    """The two middle ones of the absolute errors (one twice of an odd number): (...) each."""

    lower: Doubles
    upper: Doubles


class RankMoments(NamedTuple):
    """Sums of products of truth's and predictions' midranks less their means: (...) each."""

    product: Doubles
    truth: Doubles
    prediction: Doubles


def ratio(above: Doubles, below: Doubles, empty: float = math.nan) -> Doubles:
    """above / below, and `empty` where `below` is not above zero."""
    import numpy as np

    full = np.full(np.broadcast_shapes(np.shape(above), np.shape(below)), empty)
    return np.asarray(np.divide(above, below, out=full, where=np.asarray(below) > 0))


def _mean(values: Doubles, where: NDArray[np.bool_]) -> Doubles:
    """The mean over the last axis of the entries marked; NaN where none is."""
    import numpy as np

    return ratio(np.where(where, values, 0.0).sum(axis=-1), where.sum(axis=-1).astype(float))


def class_precision(sums: ByLabel) -> Doubles:
    """(..., k): of the rows given a class, the share that has it; 0 where none was given it."""
    return ratio(sums.hits, sums.predicted, 0.0)


def class_recall(sums: ByLabel) -> Doubles:
    """(..., k): of the rows that have a class, the share that was given it; 0 where none has it."""
    return ratio(sums.hits, sums.support, 0.0)


def class_f1(sums: ByLabel) -> Doubles:
    """(..., k): the harmonic mean of precision and recall."""
    return ratio(2 * sums.hits, sums.support + sums.predicted, 0.0)


def accuracy(sums: ClassCounts) -> Doubles:
    return ratio(sums.hits.sum(axis=-1), sums.support.sum(axis=-1))


def balanced_accuracy(sums: ClassCounts) -> Doubles:
    return _mean(class_recall(sums), sums.support > 0)


def of_last(rate: Callable[[ClassCounts], Doubles]) -> Callable[[ClassCounts], Doubles]:
    """The rate of the last class; NaN without rows."""

    def formula(sums: ClassCounts) -> Doubles:
        import numpy as np

        return np.where(sums.support.sum(axis=-1) > 0, rate(sums)[..., -1], np.nan)

    return formula


def macro(rate: Callable[[ByLabel], Doubles]) -> Callable[[ByLabel], Doubles]:
    """The mean rate of the classes that a row has or was given."""
    return lambda sums: _mean(rate(sums), sums.support + sums.predicted > 0)


def micro(rate: Callable[[ByLabel], Doubles]) -> Callable[[ByLabel], Doubles]:
    """The rate of all labels' rows together; NaN where no row has or was given any."""

    def formula(sums: ByLabel) -> Doubles:
        import numpy as np

        every = (sums.hits, sums.support, sums.predicted)
        together = LabelCounts(*(rows.sum(axis=-1, keepdims=True) for rows in every))
        some = together.support + together.predicted > 0
        return np.where(some, rate(together), np.nan)[..., 0]

    return formula


def weighted_f1(sums: ByLabel) -> Doubles:
    support = sums.support
    return ratio((class_f1(sums) * support).sum(axis=-1), support.sum(axis=-1))


def matthews(sums: ClassCounts) -> Doubles:
    """Gorodkin (2004), the generalisation to k classes; 0 where a margin has one class only."""
    import numpy as np

    support, predicted = sums.support, sums.predicted
    rows = support.sum(axis=-1)
    covariance = sums.hits.sum(axis=-1) * rows - (support * predicted).sum(axis=-1)
    spread = rows**2 - (support**2).sum(axis=-1)
    guessed = rows**2 - (predicted**2).sum(axis=-1)
    return np.where(rows > 0, ratio(covariance, np.sqrt(spread * guessed), 0.0), np.nan)


def _of_ranked(sums: RankingSums, values: Doubles) -> Doubles:
    """The mean over the classes that some rows have and others have not."""
    return _mean(values, (sums.yes > 0) & (sums.no > 0))


def roc_auc(sums: RankingSums) -> Doubles:
    """Mann and Whitney's: the share of the pairs that are won."""
    return _of_ranked(sums, ratio(sums.won, sums.yes * sums.no, 0.0))


def pr_auc(sums: RankingSums) -> Doubles:
    return _of_ranked(sums, ratio(sums.precision, sums.yes, 0.0))


def calibration_error(sums: CalibrationSums) -> Doubles:
    """Naeini et al. (2015)."""
    return ratio(abs(sums.events - sums.stated).sum(axis=-1), sums.rows.sum(axis=-1))


def r2(sums: ErrorSums) -> Doubles:
    """1 less the errors' mean square over the target's variance; NaN where that is zero.

    A variance of less than ROUNDING of the mean square is what rounding leaves of equal targets.
    """
    import numpy as np

    square = ratio(sums.target_square, sums.rows)
    variance = square - ratio(sums.target, sums.rows) ** 2
    spread = np.where(variance > ROUNDING * square, variance, 0.0)
    return 1 - ratio(ratio(sums.square, sums.rows), spread)


def spearman(sums: RankMoments) -> Doubles:
    return ratio(sums.product, (sums.truth * sums.prediction) ** 0.5)
