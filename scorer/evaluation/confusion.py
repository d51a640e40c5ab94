"""Figures that are functions of the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.resample import Doubles
from scorer.evaluation.sample import Sample

Counts = NDArray[np.int64]


def cells(sample: Sample) -> Iterator[Counts]:
    """Blocks of int64 (rows,): true class * k + predicted class."""
    k = sample.problem.n_classes
    return (part.target.astype(np.int64) * k + part.predicted for part in sample.blocks())


def confusion_matrix(sample: Sample) -> Counts:
    """int64 (k, k): rows by true class (first axis) and predicted class."""
    k = sample.problem.n_classes
    counts = sum(np.bincount(block, minlength=k * k) for block in cells(sample))
    return np.asarray(counts, dtype=np.int64).reshape(k, k)


def figures(counts: Counts) -> dict[str, float]:
    """By scikit-learn, on the k*k cells weighted by their counts: the same as on the rows."""
    from sklearn import metrics as sk

    truth, guess = np.nonzero(counts)
    weight = counts[truth, guess]
    out = {
        "accuracy": sk.accuracy_score(truth, guess, sample_weight=weight),
        "balanced_accuracy": _macro_recall(counts),
        # One label everywhere: no correlation to speak of, and scikit-learn warns.
        "mcc": sk.matthews_corrcoef(truth, guess, sample_weight=weight) if len(weight) > 1 else 0.0,
    }
    for average in ("macro", "weighted"):
        p, r, f, _ = sk.precision_recall_fscore_support(
            truth, guess, sample_weight=weight, average=average, zero_division=0
        )
        out |= {f"{average}_precision": p, f"{average}_recall": r, f"{average}_f1": f}
    if len(counts) == 2:
        p, r, f, _ = sk.precision_recall_fscore_support(
            truth, guess, sample_weight=weight, labels=[1], average=None, zero_division=0
        )
        out |= {"precision": p[0], "recall": r[0], "f1": f[0]}
    wanted = ("weighted_precision", "weighted_recall")
    return {name: float(value) for name, value in out.items() if name not in wanted}


def _macro_recall(counts: Counts) -> float:
    """balanced_accuracy_score, which warns about classes that are predicted but never true."""
    support = counts.sum(axis=1)
    present = support > 0
    return float(np.mean(counts.diagonal()[present] / support[present]))


def per_class(counts: Counts) -> dict[str, NDArray[np.float64]]:
    """float64 (k,) each: precision, recall, f1 of every class, by scikit-learn."""
    from sklearn import metrics as sk

    truth, guess = np.nonzero(counts)
    p, r, f, _ = sk.precision_recall_fscore_support(
        truth,
        guess,
        sample_weight=counts[truth, guess],
        labels=list(range(len(counts))),
        average=None,
        zero_division=0,
    )
    return {"precision": p, "recall": r, "f1": f}


def replicate_classes(counts: Doubles) -> dict[str, Doubles]:
    """The same formulas on a stack: (..., k, k) counts -> (..., k) precision, recall, f1."""
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    return {
        "precision": _ratio(hit, predicted, 0.0),
        "recall": _ratio(hit, support, 0.0),
        "f1": _ratio(2 * hit, support + predicted, 0.0),
    }


def replicate_figures(counts: Doubles) -> dict[str, Doubles]:
    """The same formulas on a stack of matrices: (..., k, k) -> (...) per figure; NaN if empty."""
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    rows = support.sum(axis=-1)
    classes = replicate_classes(counts)
    seen = (support + predicted) > 0
    out = {
        "accuracy": _ratio(hit.sum(axis=-1), rows),
        "balanced_accuracy": _mean(classes["recall"], support > 0),
        "mcc": _mcc(hit.sum(axis=-1), support, predicted, rows),
        "weighted_f1": _ratio((classes["f1"] * support).sum(axis=-1), rows),
    }
    out |= {f"macro_{name}": _mean(values, seen) for name, values in classes.items()}
    if counts.shape[-1] == 2:
        out |= {name: np.where(rows > 0, v[..., 1], np.nan) for name, v in classes.items()}
    return out


def _mcc(hits: Doubles, support: Doubles, predicted: Doubles, rows: Doubles) -> Doubles:
    """Gorodkin (2004), the generalisation to k classes; 0 where a margin has one class only."""
    covariance = hits * rows - (support * predicted).sum(axis=-1)
    spread = rows**2 - (support**2).sum(axis=-1)
    guessed = rows**2 - (predicted**2).sum(axis=-1)
    return np.where(rows > 0, _ratio(covariance, np.sqrt(spread * guessed), 0.0), np.nan)


def _ratio(above: Doubles, below: Doubles, empty: float = np.nan) -> Doubles:
    full = np.full(np.broadcast_shapes(above.shape, below.shape), empty)
    return np.asarray(np.divide(above, below, out=full, where=below > 0))


def _mean(values: Doubles, where: NDArray[np.bool_]) -> Doubles:
    """Mean over the last axis of the entries marked; NaN where none is."""
    return _ratio(np.where(where, values, 0.0).sum(axis=-1), where.sum(axis=-1).astype(float))
