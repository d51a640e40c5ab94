"""Figures against scikit-learn on the same arrays, intervals against the plain row bootstrap."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn import metrics as sk

from scorer.evaluation.statistics.measure import measure
from scorer.evaluation.statistics.ranking import rank, ranking_sums
from scorer.evaluation.statistics.resample import Resampler, interval
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import EPSILON, class_counts
from scorer.figures import figure_names, figure_spec
from scorer.figures.formulas import RankingSums, pr_auc, roc_auc
from scorer.tasks import BINARY as BINARY_TASK
from scorer.tasks import MULTICLASS, Problem
from scorer.tasks import REGRESSION as REGRESSION_TASK

BINARY = Problem(BINARY_TASK, ("negative", "positive"))
THREE = Problem(MULTICLASS, ("negative", "neutral", "positive"))
REGRESSION = Problem(REGRESSION_TASK)


def binary_sample(n: int, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    target = (rng.random(n) < 0.4).astype(np.int16)
    logit = rng.normal(2.0 * target - 1.0, 1.5)
    return Sample(BINARY, target, (1 / (1 + np.exp(-logit))).astype(np.float32)[:, None])


def three_sample(n: int, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    target = rng.choice(3, size=n, p=[0.5, 0.2, 0.3]).astype(np.int16)
    logits = rng.normal(size=(n, 3)) + 1.3 * np.eye(3)[target]
    soft = np.exp(logits)
    return Sample(THREE, target, (soft / soft.sum(axis=1, keepdims=True)).astype(np.float32))


def regression_sample(n: int, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    target = np.round(rng.normal(88.0, 3.0, n))
    guess = 0.7 * target + 0.3 * 88 + rng.gamma(2.0, 1.0, n) - 1.8
    return Sample(REGRESSION, target, guess.astype(np.float32)[:, None])


SAMPLES = {"binary": binary_sample, "multiclass": three_sample, "regression": regression_sample}


def by_sklearn(sample: Sample) -> dict[str, float]:
    """Every figure by one plain call of scikit-learn on the rows."""
    y = sample.target
    if sample.problem.task is REGRESSION_TASK:
        guess = sample.output[:, 0].astype(np.float64)
        return {
            "mae": sk.mean_absolute_error(y, guess),
            "rmse": sk.root_mean_squared_error(y, guess),
            "median_ae": sk.median_absolute_error(y, guess),
            "r2": sk.r2_score(y, guess),
            "bias": float(np.mean(guess - y)),
            "spearman": float(spearmanr(y, guess).statistic),
        }
    binary = sample.problem.task is BINARY_TASK
    p = sample.probabilities
    hard = (sample.output[:, 0] >= 0.5).astype(int) if binary else sample.output.argmax(axis=1)
    found = {
        "accuracy": sk.accuracy_score(y, hard),
        "balanced_accuracy": sk.balanced_accuracy_score(y, hard),
        "mcc": sk.matthews_corrcoef(y, hard),
        "macro_precision": sk.precision_score(y, hard, average="macro"),
        "macro_recall": sk.recall_score(y, hard, average="macro"),
        "macro_f1": sk.f1_score(y, hard, average="macro"),
        "weighted_f1": sk.f1_score(y, hard, average="weighted"),
        "log_loss": sk.log_loss(y, p),
        "brier": sk.brier_score_loss(y, p[:, 1] if binary else p),
    }
    if binary:
        return found | {
            "precision": sk.precision_score(y, hard),
            "recall": sk.recall_score(y, hard),
            "f1": sk.f1_score(y, hard),
            "roc_auc": sk.roc_auc_score(y, p[:, 1]),
            "pr_auc": sk.average_precision_score(y, p[:, 1]),
        }
    return found | {
        "roc_auc": sk.roc_auc_score(y, p, multi_class="ovr"),
        "pr_auc": sk.average_precision_score(np.eye(3)[y], p, average="macro"),
    }


@pytest.mark.parametrize("task", SAMPLES)
@pytest.mark.parametrize("n", [60, 5_000, 150_000])
def test_figures_equal_scikit_learn(task: str, n: int) -> None:
    sample = SAMPLES[task](n)
    values = measure(sample, Resampler(n, replicates=50)).values
    expected = by_sklearn(sample)
    assert set(values) - {"ece"} == set(expected)
    assert set(values) <= set(figure_names())
    for name, figure in expected.items():
        assert values[name] == pytest.approx(figure, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("digits", [1, 3, 8])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_areas_and_steps_of_a_curve_are_scikit_learn_s(task: str, digits: int) -> None:
    """Over more rows than a block has, with many ties and with hardly any."""
    sample = SAMPLES[task](150_000, seed=digits)
    sample = Sample(sample.problem, sample.target, np.round(sample.output, digits) + 1e-6)
    truth, score = sample.target == 1, sample.probabilities[:, 1]
    ranking = rank(sample, 1)
    sums = RankingSums(*(x[..., None] for x in ranking_sums(ranking.falling())))
    assert roc_auc(sums) == pytest.approx(sk.roc_auc_score(truth, score), rel=1e-12)
    assert pr_auc(sums) == pytest.approx(sk.average_precision_score(truth, score), rel=1e-12)
    false, true, thresholds = sk.roc_curve(truth, score, drop_intermediate=False)
    at = {float(t): (x, y) for t, x, y in zip(thresholds, false, true, strict=True)}
    steps, yes, no = ranking.steps(500)
    assert (yes.sum(), no.sum()) == (truth.sum(), (~truth).sum())
    assert len(steps) <= 1_000
    reached = zip(steps, *ranking.reached(steps), strict=True)
    for step, found, wrong in reached:
        x, y = at[float(step)]
        assert (wrong / no.sum(), found / yes.sum()) == pytest.approx((x, y), abs=1e-12)


def test_a_short_curve_keeps_every_step() -> None:
    sample = binary_sample(900)
    steps, yes, no = rank(sample, 1).steps(1_000)
    assert np.array_equal(steps, np.unique(sample.output))
    assert (yes + no).sum() == 900


def test_calibration_error_follows_its_definition() -> None:
    sample = binary_sample(3_000)
    p, y = sample.probabilities[:, 1], sample.target
    total = 0.0
    for i in range(15):
        inside = (p >= i / 15) & ((p < (i + 1) / 15) | (i == 14))
        if inside.any():
            total += inside.mean() * abs(y[inside].mean() - p[inside].mean())
    measured = measure(sample, Resampler(len(sample), replicates=20))
    assert measured.values["ece"] == pytest.approx(total, abs=1e-12)


def test_a_saturated_wrong_answer_costs_what_float32_can_tell() -> None:
    sample = Sample(BINARY, np.array([0, 1], np.int16), np.array([[1.0], [1.0]], np.float32))
    figure = measure(sample, Resampler(2, replicates=20)).values["log_loss"]
    # The mean of the two rows: the wrong one costs -ln(eps), the right one almost nothing.
    assert figure == pytest.approx(-np.log(EPSILON) / 2, rel=1e-4)


@pytest.mark.parametrize("task", SAMPLES)
def test_replicates_of_the_whole_sample_are_the_figures(task: str) -> None:
    """One group drawn once is the sample itself: every replicate formula must give its figure."""
    sample = SAMPLES[task](2_000)
    resampler = Resampler(len(sample), groups=1, replicates=2)
    measured = measure(sample, resampler)
    for name, value in measured.values.items():
        assert measured.replicates[name] == pytest.approx([value] * 2, abs=1e-9), name


def row_bootstrap(sample: Sample, replicates: int, seed: int) -> dict[str, NDArray[Any]]:
    """Efron's bootstrap as it is written in the books: draw rows, compute everything again."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {}
    for _ in range(replicates):
        again = sample.take(rng.integers(len(sample), size=len(sample)))
        for name, value in by_sklearn(again).items():
            drawn.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in drawn.items()}


@pytest.mark.parametrize("task", SAMPLES)
def test_intervals_agree_with_the_row_bootstrap(task: str) -> None:
    """Six rows to a group, so that it is the grouping which is tested."""
    sample = SAMPLES[task](1_800)
    measured = measure(sample, Resampler(1_800, groups=300))
    for name, replicates in row_bootstrap(sample, 200, seed=9).items():
        plain = interval(replicates)
        ours = measured.interval(name)
        assert plain is not None
        assert ours is not None
        width = plain[1] - plain[0]
        # 200 replicates leave about 5% of the width as noise at each end.
        assert ours == pytest.approx(plain, abs=0.22 * width), name
        assert np.std(measured.replicates[name]) == pytest.approx(np.std(replicates), rel=0.2), name


def test_intervals_cover_the_truth_at_the_stated_rate() -> None:
    """400 samples from a known model: 95% intervals hold the true accuracy 95 +- 3.3% of times."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        target = rng.integers(0, 2, 900).astype(np.int16)
        right = rng.random(900) < 0.8
        output = np.where(right, target, 1 - target).astype(np.float32)[:, None]
        resampler = Resampler(900, groups=300, replicates=400, seed=1)
        counts = class_counts(Sample(BINARY, target, output), resampler)
        found = interval(figure_spec("accuracy").formula(counts.drawn))
        assert found is not None
        held += found[0] <= 0.8 <= found[1]
    assert 0.917 <= held / 400 <= 0.983


def test_regression_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(120):
        target = rng.normal(size=600)
        error = rng.normal(0.1, 1.0, 600)
        sample = Sample(REGRESSION, target, (target + error)[:, None].astype(np.float32))
        found = measure(sample, Resampler(600, groups=200, replicates=200)).interval("bias")
        assert found is not None
        held += found[0] <= 0.1 <= found[1]
    assert 0.90 <= held / 120 <= 0.995


def test_one_class_only_leaves_the_ranking_undefined() -> None:
    sample = Sample(BINARY, np.ones(40, np.int16), np.full((40, 1), 0.9, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = measure(sample, Resampler(40, replicates=30))
    assert np.isnan(measured.values["roc_auc"])
    assert measured.interval("roc_auc") is None
    assert measured.values["accuracy"] == 1.0


def test_constant_prediction_leaves_the_rank_correlation_undefined() -> None:
    sample = Sample(REGRESSION, np.arange(30.0), np.full((30, 1), 3.0, np.float32))
    measured = measure(sample, Resampler(30, replicates=30))
    assert np.isnan(measured.values["spearman"])
    assert measured.interval("spearman") is None
    assert measured.values["mae"] > 0


def test_a_class_that_never_occurs_does_not_count() -> None:
    target = np.array([0, 0, 2, 2, 2], np.int16)
    guess = [0, 2, 2, 2, 1]
    sample = Sample(THREE, target, np.eye(3, dtype=np.float32)[guess])
    found = measure(sample, Resampler(5, replicates=2)).values
    assert found["macro_f1"] == pytest.approx(sk.f1_score(target, guess, average="macro"))
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_weights_are_the_same_for_the_same_rows() -> None:
    a, b = Resampler(5_000), Resampler(5_000)
    assert np.array_equal(a.group, b.group)
    assert np.array_equal(a.weights, b.weights)
    assert set(np.bincount(a.group)) <= {2, 3}
    assert np.array_equal(a.weights.sum(axis=1), np.full(1_000, 2_000.0))
