"""What the figures are called, which way they are better, and what was measured of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scorer.evaluation.resample import Doubles, interval


@dataclass(frozen=True)
class Metric:
    """`better` is +1 where higher is better, -1 where lower is, 0 where nearer to zero is."""

    title: str
    better: int
    meaning: str
    low: float = -math.inf
    high: float = math.inf


METRICS: dict[str, Metric] = {
    "accuracy": Metric("Accuracy", 1, "share of rows with the right label", 0, 1),
    "balanced_accuracy": Metric("Balanced accuracy", 1, "mean recall of the classes", 0, 1),
    "precision": Metric("Precision", 1, "share of rows given the last label that have it", 0, 1),
    "recall": Metric("Recall", 1, "share of rows of the last label that are found", 0, 1),
    "f1": Metric("F1", 1, "harmonic mean of precision and recall of the last label", 0, 1),
    "macro_precision": Metric("Macro precision", 1, "mean precision of the classes", 0, 1),
    "macro_recall": Metric("Macro recall", 1, "mean recall of the classes", 0, 1),
    "macro_f1": Metric("Macro F1", 1, "mean F1 of the classes", 0, 1),
    "weighted_f1": Metric("Weighted F1", 1, "mean F1 of the classes, weighted by rows", 0, 1),
    "mcc": Metric("Matthews corr.", 1, "correlation of labels and predictions", -1, 1),
    "roc_auc": Metric("ROC AUC", 1, "area under the ROC curve (mean of one class v. rest)", 0, 1),
    "pr_auc": Metric("PR AUC", 1, "average precision (mean of one class v. rest)", 0, 1),
    "log_loss": Metric("Log loss", -1, "mean of -ln(probability of the right label)", 0),
    "brier": Metric("Brier score", -1, "mean squared error of the probabilities", 0, 2),
    "ece": Metric("Calibration error", -1, "expected calibration error, 15 equal bins", 0, 1),
    "mae": Metric("MAE", -1, "mean absolute error", 0),
    "rmse": Metric("RMSE", -1, "root of the mean squared error", 0),
    "median_ae": Metric("Median abs. error", -1, "half of the rows are off by less", 0),
    "r2": Metric("R²", 1, "share of the variance explained", -math.inf, 1),
    "bias": Metric("Bias", 0, "mean of prediction - truth"),
    "spearman": Metric("Spearman", 1, "rank correlation of prediction and truth", -1, 1),
}


@dataclass(frozen=True)
class Measured:
    """Figures of one sample with their bootstrap replicates, each float64 (replicates,).

    A figure that is not defined (ROC AUC of a single class) is NaN.
    """

    values: dict[str, float]
    replicates: dict[str, Doubles]

    def interval(self, name: str) -> tuple[float, float] | None:
        """95% interval of a figure, kept inside the figure's range."""
        if not math.isfinite(self.values[name]):
            return None
        found = interval(self.replicates[name])
        if found is None:
            return None
        low, high = np.clip(found, METRICS[name].low, METRICS[name].high)
        return float(low), float(high)
