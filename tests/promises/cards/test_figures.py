"""Every figure against scikit-learn and SciPy, of samples and of their bootstrap replicates."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn import metrics as sk

from scorer.evaluation.sections.baseline import majority_baseline
from scorer.evaluation.statistics.measure import STATISTICS, figure_of, measure
from scorer.evaluation.statistics.resample import Resampler, interval
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import EPSILON, error_sums
from scorer.figures import FIGURES, FigureSpec, figure_names, figure_spec, figures_of, formulas
from scorer.figures.formulas import ErrorSums
from scorer.tasks import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    REGRESSION,
    TASKS,
    Problem,
    Statistic,
    Task,
)

NAN = math.nan
Array = NDArray[Any]

# Few distinct values, so that ties, equal targets and single classes come often.
PROBABILITY = st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1, width=32)
# Halves, since a replicate's variance comes from sums about the whole sample's mean: of rows that
# lie a thousandth apart and a hundred from that mean, its last digits are noise.
NUMBER = st.integers(80, 84).map(float) | st.integers(-200, 200).map(lambda n: n / 2)


@st.composite
def binary(draw: st.DrawFn) -> Sample:
    rows = draw(st.lists(st.tuples(st.integers(0, 1), PROBABILITY), min_size=1, max_size=25))
    target, output = zip(*rows, strict=True)
    problem = Problem(BINARY, ("no", "yes"), draw(st.sampled_from([0.5, 0.25])))
    return Sample(problem, np.array(target, np.int16), np.array(output, np.float32)[:, None])


@st.composite
def multiclass(draw: st.DrawFn) -> Sample:
    k = draw(st.integers(3, 5))
    row = st.tuples(st.integers(0, k - 1), st.lists(PROBABILITY, min_size=k, max_size=k))
    target, output = zip(*draw(st.lists(row, min_size=1, max_size=25)), strict=True)
    shares = np.array(output) + 1e-3
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return Sample(Problem(MULTICLASS, tuple("abcde"[:k])), np.array(target, np.int16), shares)


@st.composite
def regression(draw: st.DrawFn) -> Sample:
    rows = draw(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=25))
    target, output = zip(*rows, strict=True)
    return Sample(Problem(REGRESSION), np.array(target), np.array(output, np.float32)[:, None])


@st.composite
def multilabel(draw: st.DrawFn) -> Sample:
    k = draw(st.integers(2, 5))
    pair = st.tuples(st.integers(0, 1), PROBABILITY)
    rows = draw(st.lists(st.lists(pair, min_size=k, max_size=k), min_size=1, max_size=25))
    target, output = np.moveaxis(np.array(rows), -1, 0)
    problem = Problem(MULTILABEL, tuple("abcde"[:k]), draw(st.sampled_from([0.5, 0.25])))
    return Sample(problem, target.astype(np.int8), output.astype(np.float32))


SAMPLES = {BINARY: binary, MULTICLASS: multiclass, MULTILABEL: multilabel, REGRESSION: regression}


def varies(values: Array) -> bool:
    return bool(np.ptp(values) > 0)


def class_oracle(sample: Sample) -> dict[str, float]:
    """Figures that follow from true and predicted classes."""
    y, hard = sample.target, sample.predicted
    return {
        "accuracy": sk.accuracy_score(y, hard),
        "balanced_accuracy": sk.balanced_accuracy_score(y, hard),
        "mcc": sk.matthews_corrcoef(y, hard) if varies(y) and varies(hard) else 0.0,
        "macro_precision": sk.precision_score(y, hard, average="macro", zero_division=0),
        "macro_recall": sk.recall_score(y, hard, average="macro", zero_division=0),
        "macro_f1": sk.f1_score(y, hard, average="macro", zero_division=0),
        "weighted_f1": sk.f1_score(y, hard, average="weighted", zero_division=0),
    }


def probability_oracle(sample: Sample) -> dict[str, float]:
    """Figures of probabilities, for binary and multiclass alike."""
    p, y, labels = sample.probabilities, sample.target, range(sample.problem.n_classes)
    clipped = np.clip(p, EPSILON, 1 - EPSILON)
    truth = np.eye(len(labels))[y]
    classes = [1] if len(labels) == 2 else labels
    known = [c for c in classes if varies(truth[:, c])]
    roc = [sk.roc_auc_score(truth[:, c], p[:, c]) for c in known]
    precision = [sk.average_precision_score(truth[:, c], p[:, c]) for c in known]
    brier = ((p - truth) ** 2).sum(axis=1).mean() / (2 if len(labels) == 2 else 1)
    gap = 0.0
    for i in range(15):
        last = sample.confidence >= 1.0
        inside = np.floor(sample.confidence * 15) == i
        inside |= last & (i == 14)
        gap += abs((sample.event[inside] - sample.confidence[inside]).sum()) / len(y)
    return {
        "log_loss": sk.log_loss(y, clipped / clipped.sum(axis=1, keepdims=True), labels=labels),
        "brier": float(brier),
        "roc_auc": float(np.mean(roc)) if roc else NAN,
        "pr_auc": float(np.mean(precision)) if precision else NAN,
        "ece": gap,
    }


def last_class_oracle(sample: Sample) -> dict[str, float]:
    y, hard = sample.target, sample.predicted
    return {
        "precision": sk.precision_score(y, hard, zero_division=0),
        "recall": sk.recall_score(y, hard, zero_division=0),
        "f1": sk.f1_score(y, hard, zero_division=0),
    }


def number_oracle(sample: Sample) -> dict[str, float]:
    y, guess = sample.target, sample.output[:, 0].astype(np.float64)
    ranked = len(y) > 1 and varies(y) and varies(guess)
    return {
        "mae": sk.mean_absolute_error(y, guess),
        "rmse": sk.root_mean_squared_error(y, guess),
        "median_ae": sk.median_absolute_error(y, guess),
        "r2": sk.r2_score(y, guess) if varies(y) else NAN,
        "bias": float(np.mean(guess - y)),
        "spearman": float(spearmanr(y, guess).statistic) if ranked else NAN,
    }


def set_oracle(sample: Sample) -> dict[str, float]:
    """Figures of labels that do not exclude each other; scikit-learn's matrices of indicators."""
    y, hard, p = sample.target, sample.predicted, sample.output.astype(np.float64)
    some = (y | hard).any(axis=0)  # of a label that no row has or was given, there is no rate
    single = [Sample(part.problem, part.target, part.output) for part in sample.questions]
    losses = [probability_oracle(part) for part in single]
    known = [found for found in losses if not math.isnan(found["roc_auc"])]
    pooled = Sample(single[0].problem, y.ravel(), sample.output.reshape(-1, 1))
    together = probability_oracle(pooled)
    found = {
        "subset_accuracy": sk.accuracy_score(y, hard),
        "hamming_loss": sk.hamming_loss(y, hard),
    }
    for rate in ("precision", "recall", "f1"):
        score = getattr(sk, f"{rate}_score")
        rates = score(y, hard, average=None, zero_division=0)[some]
        macro = float(np.mean(rates)) if some.any() else NAN
        micro = score(y, hard, average="micro", zero_division=0) if some.any() else NAN
        found |= {f"macro_{rate}": macro, f"micro_{rate}": micro}
    return found | {
        "weighted_f1": sk.f1_score(y, hard, average="weighted", zero_division=0)
        if y.any()
        else NAN,
        "label_ranking": sk.label_ranking_average_precision_score(y, p),
        "coverage_error": sk.coverage_error(y, p),
        "ranking_loss": sk.label_ranking_loss(y, p),
        "roc_auc": float(np.mean([f["roc_auc"] for f in known])) if known else NAN,
        "pr_auc": float(np.mean([f["pr_auc"] for f in known])) if known else NAN,
        "micro_roc_auc": together["roc_auc"],
        "micro_pr_auc": together["pr_auc"],
        "log_loss": float(np.mean([f["log_loss"] for f in losses])),
        "brier": float(np.mean((p - y) ** 2)),
        "ece": together["ece"],
    }


def oracle(sample: Sample) -> dict[str, float]:
    """Every figure by plain calls on the rows."""
    task = sample.problem.task
    if task is REGRESSION:
        return number_oracle(sample)
    if task is MULTILABEL:
        return set_oracle(sample)
    found = class_oracle(sample) | probability_oracle(sample)
    return found | last_class_oracle(sample) if task is BINARY else found


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_figure_and_every_replicate_is_the_oracle_s(task: Task) -> None:
    """Every row is a group of its own here, so that a replicate is a sample with rows repeated."""

    @settings(max_examples=20)
    @given(SAMPLES[task]())
    def check(sample: Sample) -> None:
        resampler = Resampler(len(sample), replicates=2)
        measured = measure(sample, resampler)
        assert list(measured.values) == [figure.name for figure in figures_of(task)]
        drawn = [
            sample.take(np.repeat(np.arange(len(sample)), weights[resampler.group]))
            for weights in resampler.weights
        ]
        for again, values in ((sample, measured.values), *_replicates(drawn, measured.replicates)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = oracle(again)
            assert values.keys() == expected.keys()
            for name, value in expected.items():
                size = np.abs(again.target).max() if name in ("r2", "spearman") else 1.0
                assert values[name] == pytest.approx(
                    value, rel=1e-9, abs=1e-9 * max(1.0, size), nan_ok=True
                ), name

    check()


def _replicates(
    samples: list[Sample], replicates: dict[str, Array]
) -> list[tuple[Sample, dict[str, float]]]:
    return [
        (sample, {name: float(values[r]) for name, values in replicates.items()})
        for r, sample in enumerate(samples)
    ]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_baseline_is_the_best_constant_measured_as_a_model(task: Task) -> None:
    @settings(max_examples=15)
    @given(SAMPLES[task]())
    def check(sample: Sample) -> None:
        resampler = Resampler(len(sample), replicates=3)
        measured = measure(sample, resampler)
        found = majority_baseline(sample, measured, resampler)
        main, better = found.main_figure, figure_spec(found.main_figure).better
        constants = [measure(x, resampler, found.figures) for x in constant_samples(sample)]
        best = max(constants, key=lambda constant: better * constant.values[main])
        assert found.figures[main].value == rounded(best.values[main])
        alike = [one for one in constants if one.values[main] == best.values[main]]
        assert any(
            all(one.values[name] == rounded(f.value) for name, f in found.figures.items())
            and interval(measured.replicates[main] - one.replicates[main])
            == rounded((found.gain.low, found.gain.high))
            for one in alike
        )

    check()


def rounded(value: Any) -> Any:
    """Equal to that but for the six decimals of a report."""
    return pytest.approx(value, abs=1e-6)


def constant_samples(sample: Sample) -> list[Sample]:
    """The same rows with every constant prediction; of numbers with their median."""
    problem, n, k = replace(sample.problem, threshold=0.5), len(sample), sample.problem.n_classes
    rows = {
        BINARY: [(0.0,), (1.0,)],
        MULTICLASS: np.eye(k),
        MULTILABEL: [*product((0.0, 1.0), repeat=k)],
        REGRESSION: [(float(np.median(sample.target)),)],
    }[problem.task]
    return [Sample(problem, sample.target, np.tile(row, (n, 1))) for row in rows]


def test_figures_have_names_of_their_own_and_lie_in_their_ranges() -> None:
    assert len(set(figure_names())) == len(FIGURES)
    assert len({figure.title for figure in FIGURES}) == len(FIGURES)
    for task in TASKS:
        named = {figure.name for figure in figures_of(task)}
        assert named >= {*task.headlines, *task.slice_figures, *task.card_figures}
        assert task.slice_figures[0] == task.headlines[0]
        assert set(task.statistics) <= set(STATISTICS[task.truth])
    with pytest.raises(KeyError):
        figure_spec("accuracy_of_nothing")


def test_a_new_figure_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean squared error, declared here: measured, resampled, required and shown at once."""

    def mean_squared_error(sums: ErrorSums) -> Array:
        return np.asarray(sums.square / sums.rows)

    added = FigureSpec(
        name="mse",
        title="MSE",
        text="mean squared error",
        meaning="mean of the squared errors",
        better=-1,
        needs=Statistic.ERRORS,
        formula=mean_squared_error,
        low=0,
    )
    monkeypatch.setattr("scorer.figures.FIGURES", (*FIGURES, added))
    rng = np.random.default_rng(0)
    target = rng.normal(size=200)
    sample = Sample(
        Problem(REGRESSION), target, (target + rng.normal(size=200))[:, None].astype(np.float32)
    )
    measured = measure(sample, Resampler(200))
    expected = sk.mean_squared_error(target, sample.output[:, 0])
    assert measured.values["mse"] == pytest.approx(expected)
    low, high = measured.interval("mse") or (NAN, NAN)
    assert low < expected < high
    assert [added in figures_of(task) for task in TASKS] == [False, False, False, True]
    assert figure_spec("mse") is added
    value, _ = figure_of(added, error_sums(sample, Resampler(200)))
    assert value == measured.values["mse"]


def test_r2_of_equal_targets_is_not_defined_whatever_rounding_leaves() -> None:
    """A replicate may draw one target again and again, far from the mean of all."""
    targets = np.array([0.1, 0.3, 1.7e-3, 12.35])
    rows = np.arange(2.0, 40.0)[:, None]
    ones = np.ones((len(rows), len(targets)))
    sums = ErrorSums(
        rows=rows * ones,
        absolute=rows * ones,
        error=rows * ones,
        square=rows * ones,
        target=np.cumsum(np.tile(targets, (40, 1)), axis=0)[rows[:, 0].astype(int) - 1],
        target_square=rows * targets**2,
    )
    left = sums.target_square / sums.rows - (sums.target / sums.rows) ** 2
    assert (left > 0).any()  # what rounding leaves
    assert np.isnan(formulas.r2(sums)).all()
