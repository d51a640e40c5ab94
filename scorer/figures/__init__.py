"""The figures of quality: one entry a figure, in the closed tuple `FIGURES`.

A figure is declared once, with its names, its range, which way it is better, and its formula. The
formula is a function of sums over rows, so that the figure of the whole sample, of a slice and of a
bootstrap replicate are one computation: the sums' arrays begin with as many further axes as there
are slices and replicates, and the formula gives an array of those axes. A figure that is not
defined there is NaN. Which sums it needs decides for which tasks it is measured.

Formulas import NumPy when they are called: cards name figures, and `zoo list` reads cards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorer.figures import formulas
from scorer.tasks import Statistic, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FigureSpec:
    """A figure of quality.

    title     its name in tables
    text      its name in running text
    meaning   what it is, in a sentence's words
    better    +1 where higher is better, -1 where lower is, 0 where nearer to zero is
    needs     the sums that its formula takes
    formula   those sums -> the figure, NaN where it is not defined
    low, high its range
    """

    name: str
    title: str
    text: str
    meaning: str
    better: int
    needs: Statistic
    formula: Callable[[Any], NDArray[np.float64]]
    low: float = -math.inf
    high: float = math.inf


FIGURES: tuple[FigureSpec, ...] = (
    FigureSpec(
        name="accuracy",
        title="Accuracy",
        text="accuracy",
        meaning="share of rows with the right label",
        better=1,
        needs=Statistic.CONFUSION,
        formula=formulas.accuracy,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="balanced_accuracy",
        title="Balanced accuracy",
        text="balanced accuracy",
        meaning="mean recall of the classes",
        better=1,
        needs=Statistic.CONFUSION,
        formula=formulas.balanced_accuracy,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="precision",
        title="Precision",
        text="precision",
        meaning="share of rows given the last label that have it",
        better=1,
        needs=Statistic.POSITIVE,
        formula=formulas.of_last(formulas.class_precision),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="recall",
        title="Recall",
        text="recall",
        meaning="share of rows of the last label that are found",
        better=1,
        needs=Statistic.POSITIVE,
        formula=formulas.of_last(formulas.class_recall),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="f1",
        title="F1",
        text="F1",
        meaning="harmonic mean of precision and recall of the last label",
        better=1,
        needs=Statistic.POSITIVE,
        formula=formulas.of_last(formulas.class_f1),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="macro_precision",
        title="Macro precision",
        text="macro precision",
        meaning="mean precision of the classes",
        better=1,
        needs=Statistic.BY_LABEL,
        formula=formulas.macro(formulas.class_precision),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="macro_recall",
        title="Macro recall",
        text="macro recall",
        meaning="mean recall of the classes",
        better=1,
        needs=Statistic.BY_LABEL,
        formula=formulas.macro(formulas.class_recall),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="macro_f1",
        title="Macro F1",
        text="macro F1",
        meaning="mean F1 of the classes",
        better=1,
        needs=Statistic.BY_LABEL,
        formula=formulas.macro(formulas.class_f1),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="weighted_f1",
        title="Weighted F1",
        text="weighted F1",
        meaning="mean F1 of the classes, weighted by rows",
        better=1,
        needs=Statistic.BY_LABEL,
        formula=formulas.weighted_f1,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="micro_precision",
        title="Micro precision",
        text="micro precision",
        meaning="share of the labels given that are right",
        better=1,
        needs=Statistic.POOLED,
        formula=formulas.micro(formulas.class_precision),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="micro_recall",
        title="Micro recall",
        text="micro recall",
        meaning="share of the rows' labels that are found",
        better=1,
        needs=Statistic.POOLED,
        formula=formulas.micro(formulas.class_recall),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="micro_f1",
        title="Micro F1",
        text="micro F1",
        meaning="F1 of all labels of all rows together",
        better=1,
        needs=Statistic.POOLED,
        formula=formulas.micro(formulas.class_f1),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="subset_accuracy",
        title="Subset accuracy",
        text="subset accuracy",
        meaning="share of rows with just the right labels",
        better=1,
        needs=Statistic.SETS,
        formula=lambda sums: formulas.ratio(sums.exact, sums.rows),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="hamming_loss",
        title="Hamming loss",
        text="Hamming loss",
        meaning="share of the labels of all rows that are wrongly given or left out",
        better=-1,
        needs=Statistic.SETS,
        formula=lambda sums: formulas.ratio(sums.wrong, sums.rows),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="label_ranking",
        title="Label ranking",
        text="label ranking average precision",
        meaning="mean share of right labels among those ranked as high as a right one",
        better=1,
        needs=Statistic.SETS,
        formula=lambda sums: formulas.ratio(sums.precision, sums.rows),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="coverage_error",
        title="Coverage error",
        text="coverage error",
        meaning="mean number of labels, highest first, that hold all of a row's",
        better=-1,
        needs=Statistic.SETS,
        formula=lambda sums: formulas.ratio(sums.coverage, sums.rows),
        low=0,
    ),
    FigureSpec(
        name="ranking_loss",
        title="Ranking loss",
        text="label ranking loss",
        meaning="mean share of pairs of a right and a wrong label in the wrong order",
        better=-1,
        needs=Statistic.SETS,
        formula=lambda sums: formulas.ratio(sums.inverted, sums.rows),
        low=0,
        high=1,
    ),
    FigureSpec(
        name="mcc",
        title="Matthews corr.",
        text="Matthews correlation",
        meaning="correlation of labels and predictions",
        better=1,
        needs=Statistic.CONFUSION,
        formula=formulas.matthews,
        low=-1,
        high=1,
    ),
    FigureSpec(
        name="roc_auc",
        title="ROC AUC",
        text="ROC AUC",
        meaning="area under the ROC curve (mean of one class v. rest)",
        better=1,
        needs=Statistic.RANKING,
        formula=formulas.roc_auc,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="pr_auc",
        title="PR AUC",
        text="PR AUC",
        meaning="average precision (mean of one class v. rest)",
        better=1,
        needs=Statistic.RANKING,
        formula=formulas.pr_auc,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="micro_roc_auc",
        title="Micro ROC AUC",
        text="micro ROC AUC",
        meaning="area under the ROC curve of all labels of all rows together",
        better=1,
        needs=Statistic.POOLED_RANKING,
        formula=formulas.roc_auc,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="micro_pr_auc",
        title="Micro PR AUC",
        text="micro PR AUC",
        meaning="average precision of all labels of all rows together",
        better=1,
        needs=Statistic.POOLED_RANKING,
        formula=formulas.pr_auc,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="log_loss",
        title="Log loss",
        text="log loss",
        meaning="mean of -ln(probability of the right label)",
        better=-1,
        needs=Statistic.LOSSES,
        formula=lambda sums: formulas.ratio(sums.log_loss, sums.rows),
        low=0,
    ),
    FigureSpec(
        name="brier",
        title="Brier score",
        text="Brier score",
        meaning="mean squared error of the probabilities",
        better=-1,
        needs=Statistic.LOSSES,
        formula=lambda sums: formulas.ratio(sums.squared_error, sums.rows),
        low=0,
        high=2,
    ),
    FigureSpec(
        name="ece",
        title="Calibration error",
        text="expected calibration error",
        meaning="expected calibration error, 15 equal bins",
        better=-1,
        needs=Statistic.CALIBRATION,
        formula=formulas.calibration_error,
        low=0,
        high=1,
    ),
    FigureSpec(
        name="mae",
        title="MAE",
        text="mean absolute error",
        meaning="mean absolute error",
        better=-1,
        needs=Statistic.ERRORS,
        formula=lambda sums: formulas.ratio(sums.absolute, sums.rows),
        low=0,
    ),
    FigureSpec(
        name="rmse",
        title="RMSE",
        text="root mean squared error",
        meaning="root of the mean squared error",
        better=-1,
        needs=Statistic.ERRORS,
        formula=lambda sums: formulas.ratio(sums.square, sums.rows) ** 0.5,
        low=0,
    ),
    FigureSpec(
        name="median_ae",
        title="Median abs. error",
        text="median absolute error",
        meaning="half of the rows are off by less",
        better=-1,
        needs=Statistic.MIDDLE_ERRORS,
        formula=lambda sums: (sums.lower + sums.upper) / 2,
        low=0,
    ),
    FigureSpec(
        name="r2",
        title="R²",
        text="R²",
        meaning="share of the variance explained",
        better=1,
        needs=Statistic.ERRORS,
        formula=formulas.r2,
        high=1,
    ),
    FigureSpec(
        name="bias",
        title="Bias",
        text="bias",
        meaning="mean of prediction - truth",
        better=0,
        needs=Statistic.ERRORS,
        formula=lambda sums: formulas.ratio(sums.error, sums.rows),
    ),
    FigureSpec(
        name="spearman",
        title="Spearman",
        text="Spearman correlation",
        meaning="rank correlation of prediction and truth",
        better=1,
        needs=Statistic.RANKS,
        formula=formulas.spearman,
        low=-1,
        high=1,
    ),
)


def figure_spec(name: str) -> FigureSpec:
    """The figure of that name. Raises KeyError."""
    for figure in FIGURES:
        if figure.name == name:
            return figure
    raise KeyError(name)


def figures_of(task: Task) -> tuple[FigureSpec, ...]:
    """The figures that models of a task have, in order."""
    return tuple(figure for figure in FIGURES if figure.needs in task.statistics)


def figure_names() -> tuple[str, ...]:
    """The names of all figures, in order."""
    return tuple(figure.name for figure in FIGURES)
