"""Drift in words, the nearest data of the card, and the quartiles that both are told by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.card import ProfileHistogram, PromisedFigure, ScorerCard
from scorer.card.out_of_domain import OutOfDomain
from scorer.evaluation.drift.histograms import Drift, DriftCounter
from scorer.evaluation.drift.words import explained
from scorer.evaluation.part import Figure
from scorer.evaluation.predictions import PredictionCounter
from scorer.evaluation.result import Promise
from scorer.evaluation.spread import (
    ExactSum,
    Numbers,
    WholeNumbers,
    profile_quartiles,
    shares,
)
from scorer.scores import Scores
from scorer.tasks import Problem
from tests.units.evaluation.test_evaluation_stream import card, made_up

ACCURACY = PromisedFigure(metric="accuracy", value=0.931, data="the test rows", rows=100)


def elsewhere(texts: str, tokens: float, oov: float, value: float, base: float) -> OutOfDomain:
    return OutOfDomain.model_validate(
        {
            "data": texts,
            "texts": texts,
            "rows": 100,
            "figures": [{"metric": "accuracy", "value": value}],
            "majority_baseline": base,
            "median_tokens": tokens,
            "median_oov_share": oov,
        }
    )


MEASURED = (
    elsewhere("film reviews", 230, 0.03, 0.93, 0.5),
    elsewhere("restaurant reviews", 100, 0.03, 0.90, 0.80),
    elsewhere("tweets", 18, 0.25, 0.62, 0.52),
    elsewhere("finance news", 20, 0.26, 0.60, 0.69),
)


def drift(
    tokens: int, unknown: int, given: ScorerCard, promises: tuple[Promise, ...] = (), n: int = 500
) -> Drift:
    """Of n texts with so many tokens, of which so many are unknown, half of them positive."""
    outputs = np.linspace(0.01, 0.99, n, dtype=np.float32)[:, None]
    scores = Scores(
        outputs,
        np.full(n, tokens, dtype=np.int32),
        np.full(n, unknown, dtype=np.int32),
        np.zeros(n, dtype=np.bool_),
        np.ones(n, dtype=np.bool_),
    )
    problem = given.problem()
    counted, said = DriftCounter(problem, given.training_profile), PredictionCounter(problem)
    counted.add(scores)
    said.add(scores)
    found = explained(counted.result(), said.result(), given, promises)
    assert found is not None
    return found


def with_figures(measured: tuple[OutOfDomain, ...] = MEASURED) -> ScorerCard:
    return card("binary", figures=(ACCURACY,)).model_copy(update={"out_of_domain": measured})


def test_it_says_what_differs_and_what_the_model_scored_on_such_texts() -> None:
    found = drift(90, 3, with_figures())
    assert found.says == (
        "The texts differ from the training data: the median text has 90 words (training: 8); "
        "3.3% of the words of the median text are unknown (training: 10%). "
        "On the most similar data of its card (restaurant reviews) the model has accuracy 0.9 "
        "(majority baseline: 0.8; promised: 0.931)."
    )
    assert found.level == "warn"
    assert [item.texts for item in found.nearest] == ["restaurant reviews"]
    assert "PSI" not in found.says
    assert all(part.psi > 0.25 for part in found.moved)


def test_data_that_are_about_as_near_are_named_together() -> None:
    found = drift(16, 4, with_figures())
    assert [item.texts for item in found.nearest] == ["tweets", "finance news"]
    assert "(tweets, finance news) the model has accuracy 0.6 to 0.62" in found.says
    assert "majority baseline: 0.52 to 0.69" in found.says
    assert found.level == "bad"  # on finance news it is worse than always the same label


def test_a_model_that_is_as_good_as_promised_raises_no_alarm() -> None:
    promise = Promise(
        metric="accuracy",
        data="the test rows",
        promised=Figure(value=0.931),
        today=Figure(value=0.925),
        difference=Figure(value=-0.006, low=-0.02, high=0.01),
        verdict="as promised",
        sentence="",
    )
    found = drift(90, 3, with_figures(), (promise,))
    assert found.level == "good"
    assert found.says.endswith("The accuracy here, 0.925, is as promised all the same.")
    worse = promise.model_copy(update={"verdict": "worse than promised"})
    assert drift(90, 3, with_figures(), (worse,)).level == "warn"
    alone = drift(90, 3, with_figures(()), (worse,))
    assert alone.says.endswith("The accuracy here is 0.925, promised: 0.931.")


def test_a_card_without_figures_of_other_texts_asks_for_labels() -> None:
    found = drift(90, 3, with_figures(()))
    assert (found.level, found.nearest) == ("warn", ())
    assert "label some rows and evaluate them" in found.says


def test_few_rows_and_no_change() -> None:
    assert "too few rows" in drift(12, 1, with_figures(), n=2).says
    rows = made_up("binary", 400).scores
    stable = with_figures().model_copy(update={"training_profile": _profile_of(rows)})
    counted, said = (
        DriftCounter(stable.problem(), stable.training_profile),
        PredictionCounter(stable.problem()),
    )
    counted.add(rows)
    said.add(rows)
    found = explained(counted.result(), said.result(), stable)
    assert found is not None
    assert (found.level, found.verdict) == ("good", "stable")
    assert found.says == "Texts and predictions are like those of the training data."


def _profile_of(rows: Scores) -> Any:
    def histogram(values: np.ndarray) -> ProfileHistogram:
        middle = float(np.median(values[rows.scored]))
        below = int((values[rows.scored] < middle).sum())
        return ProfileHistogram(edges=(middle,), counts=(below, int(rows.scored.sum()) - below))

    profile = card("binary").training_profile
    assert profile is not None
    return profile.model_copy(
        update={
            "tokens": histogram(rows.n_tokens),
            "oov_share": histogram(rows.n_oov / np.maximum(rows.n_tokens, 1)),
            "score": histogram(rows.outputs[:, 0]),
        }
    )


@given(values=st.lists(st.integers(0, 300), min_size=1, max_size=60), cut=st.integers(0, 60))
def test_quartiles_are_numpy_s_whatever_the_windows(values: list[int], cut: int) -> None:
    whole, both = WholeNumbers(), WholeNumbers()
    whole.add(np.array(values))
    both.add(np.array(values[:cut], dtype=np.int64))
    both.add(np.array(values[cut:], dtype=np.int64))
    found = whole.quartiles()
    assert found == both.quartiles()
    assert found is not None
    expected = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    assert [found.low, found.median, found.high] == list(expected)


@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=60))
def test_a_sum_is_rounded_once_whatever_the_windows(values: list[float]) -> None:
    for size in (1, 7, 60):
        found = ExactSum()
        for begin in range(0, len(values), size):
            found.add(np.array(values[begin : begin + size], dtype=np.float32))
        assert found.value() == math.fsum(values)


def test_shares_and_other_numbers_are_counted_by_what_they_round_to() -> None:
    counted = shares()
    counted.add(np.array([1 / 3, 0.5, 1.0, 0.0]))
    assert list(counted.counted()[0]) == [0.0, 0.3333, 0.5, 1.0]
    numbers = Numbers()
    numbers.add(np.array([87.2512, 87.2487, -1_234_567.0, 0.0]))
    assert list(numbers.counted()[0]) == pytest.approx([-1_235_000.0, 0.0, 87.25])
    assert list(numbers.counted()[1]) == [1, 1, 2]


def test_quartiles_of_a_card_s_histogram_lie_inside_its_bins() -> None:
    deciles = ProfileHistogram(edges=(10.0, 20.0, 30.0), counts=(25, 25, 25, 25))
    found = profile_quartiles(deciles, 0.0)
    assert (found.low, found.median, found.high) == (10.0, 20.0, 30.0)
    first = ProfileHistogram(edges=(0.04, 0.1), counts=(60, 20, 20))
    assert profile_quartiles(first, 0.0).median == pytest.approx(0.04 * 50 / 60, abs=1e-6)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_predictions_are_counted_in_any_windows(task: str) -> None:
    rows, problem = made_up(task, 300), card(task).problem()
    whole, parts = PredictionCounter(problem), PredictionCounter(problem)
    whole.add(rows.scores)
    for start in range(0, 300, 70):
        parts.add(rows.window(start, start + 70)[1])
    found = whole.result()
    assert found is not None
    assert found == parts.result()
    outputs = rows.scores.outputs[rows.scores.scored]
    assert found.rows == len(outputs)
    _check(problem, found.model_dump(), outputs)


def _check(problem: Problem, found: dict[str, Any], outputs: np.ndarray) -> None:
    said = problem.decide(outputs)
    if not problem.labels:
        assert found["labels"] == ()
        assert found["mean"] == pytest.approx(outputs.mean(), rel=1e-5)
        assert found["score"]["median"] == pytest.approx(np.median(outputs), rel=1e-2)
        return
    rows = {item["label"]: item["rows"] for item in found["labels"]}
    if said.ndim == 1:
        assert list(rows.values()) == np.bincount(said, minlength=len(rows)).tolist()
    else:
        assert list(rows.values())[:-1] == said.sum(axis=0).tolist()
        assert rows["no label"] == int((said.sum(axis=1) == 0).sum())


def test_quartiles_that_are_one_number_are_said_so() -> None:
    known = drift(1, 0, with_figures())
    assert "the median text has 1 word (training: 8)" in known.says
    assert "in three quarters of the texts no word is unknown (training: up to" in known.says
    assert "at least 0%" not in known.says
    alike = drift(8, 0, with_figures())
    assert "the middle half of the texts have 8 words (training:" in alike.says
