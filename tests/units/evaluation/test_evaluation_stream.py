"""What is collected window by window: the same whatever the windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from scorer.card import Label, ProfileHistogram, PromisedFigure, ScorerCard, TrainingProfile
from scorer.errors import ColumnError, UsageError
from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.finish import finish
from scorer.evaluation.gates import parse_requirement
from scorer.evaluation.request import Request, Subject
from scorer.evaluation.result import Report
from scorer.scores import Scores
from scorer.tables import Reject, Window

LABELS = {
    "binary": (
        Label(name="negative", aliases=("bad",)),
        Label(name="positive", aliases=("good",)),
    ),
    "multiclass": (Label(name="Negative"), Label(name="Neutral"), Label(name="Positive")),
    "multilabel": (
        Label(name="Toxic", aliases=("rude",)),
        Label(name="Threat"),
        Label(name="Spam"),
    ),
    "regression": (),
}


def card(
    task: str, *, figures: tuple[PromisedFigure, ...] = (), name: str = "made-up"
) -> ScorerCard:
    low, step = (80.0, 5.0) if task == "regression" else (0.25, 0.25)
    return ScorerCard(
        schema=1,
        name=name,
        version="1.0.0",
        task=task,  # type: ignore[arg-type]
        labels=LABELS[task],
        text_columns=("text",),
        label_columns=("label",),
        figures=figures,
        reference=TrainingProfile(
            rows=400,
            tokens=ProfileHistogram(edges=(5.0, 10.0), counts=(100, 150, 150)),
            oov_share=ProfileHistogram(edges=(0.1, 0.3), counts=(200, 150, 50)),
            score=ProfileHistogram(
                edges=(low, low + step, low + 2 * step), counts=(100, 100, 100, 100)
            ),
        ),
    )


@dataclass(frozen=True)
class Rows:
    """Made-up rows of a task with their scores."""

    task: str
    texts: list[str | None]
    labels: list[Any]
    groups: list[Any]
    scores: Scores

    def window(self, start: int, stop: int, index: int = 1) -> tuple[Window, Scores]:
        part = slice(start, stop)
        table = pa.RecordBatch.from_pydict(
            {
                "text": pa.array(self.texts[part], pa.string()),
                "label": pa.array(self.labels[part]),
                "group": pa.array(self.groups[part]),
            }
        )
        window = Window(index=index, texts=table.column("text"), table=table)
        return window, part_of(self.scores, start, stop)


def part_of(scores: Scores, start: int, stop: int) -> Scores:
    return Scores(
        *(
            getattr(scores, name)[start:stop]
            for name in ("outputs", "n_tokens", "n_oov", "truncated", "scored")
        )
    )


def made_up(task: str, n: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 20, n).astype(np.int32)
    truth = rng.integers(0, 3 if task == "multiclass" else 2, n)
    labels: list[Any]
    if task == "regression":
        points = rng.integers(80, 101, n).astype(float)
        outputs = (points + rng.normal(0, 2, n))[:, None]
        labels = [str(int(p)) for p in points]
    elif task == "binary":
        outputs = (1 / (1 + np.exp(-rng.normal(3.0 * truth - 1.5, 1.5))))[:, None]
        labels = [("BAD", "Positive ")[t] for t in truth]
    elif task == "multilabel":
        has = rng.random((n, 3)) < (0.5, 0.2, 0.05)
        outputs = 1 / (1 + np.exp(-rng.normal(3.0 * has - 1.5, 1.5)))
        names = np.array(["RUDE", "threat", "Spam "])
        labels = ["|".join(names[row]) for row in has]
    else:
        soft = np.exp(rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[truth])
        outputs = soft / soft.sum(axis=1, keepdims=True)
        labels = [("negative", "NEUTRAL", "Positive")[t] for t in truth]
    for i in range(0, n, 17):
        labels[i] = None
    for i in range(5, n, 29):
        labels[i] = "no idea"
    return Rows(
        task=task,
        texts=[f"text number {i}" for i in range(n)],
        labels=labels,
        groups=[("a", "b", None, "c")[v] for v in rng.integers(0, 4, n)],
        scores=Scores(
            outputs=outputs.astype(np.float32),
            n_tokens=tokens,
            n_oov=(tokens // 4).astype(np.int32),
            truncated=tokens > 15,
            scored=tokens > 0,
        ),
    )


REQUEST = Request(label_columns=("label",), asked=True, slices=("group",))


def evaluated(
    rows: Rows, cuts: Sequence[int], request: Request = REQUEST, **made: Any
) -> Evaluator:
    evaluator = Evaluator([Subject("made-up@1.0.0", "0" * 64, card(rows.task, **made))], request)
    for i, (start, stop) in enumerate(pairwise([0, *cuts, len(rows.texts)])):
        evaluator(*rows.window(start, stop, index=i))
    return evaluator


def report(evaluator: Evaluator, *requirements: str) -> Report:
    found = finish(evaluator, ["rows.csv"], [parse_requirement(text) for text in requirements])
    return found.model_copy(update={"created": ""})


@pytest.mark.parametrize("task", LABELS)
@settings(max_examples=5, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(cuts=st.lists(st.integers(0, 300), max_size=8).map(sorted))
def test_windows_change_nothing(task: str, cuts: list[int]) -> None:
    rows = made_up(task, 300)
    assert report(evaluated(rows, cuts)) == report(evaluated(rows, []))


@pytest.mark.parametrize("task", LABELS)
def test_rows_are_accounted_for(task: str) -> None:
    rows = made_up(task, 500)
    found = report(evaluated(rows, [100, 350]))
    model = found.models[0]
    assert found.labels is not None
    assert found.labels.blank == sum(label is None for label in rows.labels)
    assert found.labels.unusable == rows.labels.count("no idea")
    assert found.labels.usable + found.labels.blank + found.labels.unusable == 500
    assert model.scored == int(rows.scores.scored.sum())
    assert model.scored + model.unscored == 500
    usable = np.array([label not in (None, "no idea") for label in rows.labels])
    assert model.evaluated == int((usable & rows.scores.scored).sum())
    for cut in model.slices:
        assert sum(row.rows for row in cut.rows) == model.evaluated
    if task in ("binary", "multiclass"):
        assert sum(map(sum, model.confusion)) == model.evaluated
    if task != "regression":
        assert found.labels.unusable_values == {"no idea": rows.labels.count("no idea")}
        assert f"{found.labels.unusable} rows of 'no idea' left out" in found.labels.understood


def test_largest_mistakes_are_the_largest() -> None:
    rows = made_up("binary", 900, seed=3)
    found = report(evaluated(rows, [200, 201, 700])).models[0].mistakes
    expected = []
    for i, label in enumerate(rows.labels):
        if label in (None, "no idea") or not rows.scores.scored[i]:
            continue
        p = float(rows.scores.outputs[i, 0])
        positive = label != "BAD"
        if (p >= 0.5) != positive:
            expected.append((p if not positive else 1 - p, -(i + 1)))
    expected.sort(reverse=True)
    assert [m.row for m in found] == [-row for _, row in expected[:20]]
    assert [m.size for m in found] == pytest.approx([size for size, _ in expected[:20]], abs=1e-5)
    assert found[0].text == f"text number {found[0].row - 1}"


def test_largest_errors_of_a_regression() -> None:
    rows = made_up("regression", 400)
    found = report(evaluated(rows, [90])).models[0].mistakes
    errors = {
        i + 1: abs(float(rows.scores.outputs[i, 0]) - float(label))
        for i, label in enumerate(rows.labels)
        if label not in (None, "no idea") and rows.scores.scored[i]
    }
    largest = sorted(errors, key=lambda row: -errors[row])[:20]
    assert [m.row for m in found] == largest


def test_row_numbers_skip_unreadable_rows() -> None:
    rows = made_up("binary", 60)
    evaluator = evaluated(rows, [])
    window, _ = rows.window(0, 40, index=0)
    rejects = tuple(Reject(row, "broken", b"") for row in (1, 5, 42))
    broken = Window(0, window.texts, window.table, None, rejects)
    numbers = evaluator._row_numbers(broken)
    assert len(numbers) == 40
    # 60 rows of the first file come before; rows 1, 5 and 42 of the second are unreadable.
    assert list(numbers[:4] - 60) == [2, 3, 4, 6]
    assert numbers[-1] - 60 == 43


def test_stars_are_told_by_the_whole_column() -> None:
    """The first window has only stars 1-4; that 10 is the scale shows later, 5 would differ."""
    rows = made_up("binary", 600)
    stars = [(1, 2, 3, 4)[i % 4] for i in range(300)] + [
        (5, 6, 7, 9, 10)[i % 5] for i in range(300)
    ]
    starred = Rows("binary", rows.texts, stars, rows.groups, rows.scores)
    found = report(evaluated(starred, [300]))
    assert found.labels is not None
    assert found.labels.rule.startswith("stars out of 10")
    assert found.labels.unusable == 120
    assert found.labels.usable == 480
    support = {c.label: c.support for c in found.models[0].classes}
    scored = rows.scores.scored
    assert support["negative"] == int(scored[:300].sum())
    for mistake in found.models[0].mistakes:
        star = stars[mistake.row - 1]
        assert mistake.truth == ("negative" if star <= 4 else "positive")


def test_senseless_labels_stop_at_once_when_asked_for() -> None:
    rows = made_up("binary", 50)
    odd = Rows("binary", rows.texts, ["spam", "ham"] * 25, rows.groups, rows.scores)
    with pytest.raises(ColumnError, match=r"'spam', 'ham' and none of the labels.*--label-map"):
        evaluated(odd, [10])


def test_senseless_labels_found_by_chance_are_a_warning() -> None:
    rows = made_up("binary", 50)
    odd = Rows("binary", rows.texts, ["spam", "ham"] * 25, rows.groups, rows.scores)
    found = report(evaluated(odd, [10], Request(label_columns=("label",))))
    assert found.labels is None
    assert found.models[0].figures == {}
    assert found.models[0].drift is not None
    assert "not evaluated" in found.warnings[0]


def test_words_where_numbers_should_be_stop_at_once() -> None:
    rows = made_up("regression", 40)
    odd = Rows("regression", rows.texts, ["high", "low"] * 20, rows.groups, rows.scores)
    with pytest.raises(ColumnError, match="holds no numbers"):
        evaluated(odd, [])


def test_a_label_map_makes_sense_of_them() -> None:
    rows = made_up("binary", 200)
    odd = Rows("binary", rows.texts, ["spam", "ham"] * 100, rows.groups, rows.scores)
    request = Request(("label",), True, {"spam": "negative", "ham": ""})
    found = report(evaluated(odd, [10], request))
    assert found.labels is not None
    assert (found.labels.usable, found.labels.unusable) == (100, 100)


def test_models_that_predict_different_things_are_not_compared() -> None:
    subjects = [Subject(f"{task}@1.0.0", "0" * 64, card(task)) for task in ("binary", "regression")]
    with pytest.raises(UsageError, match="predict different things"):
        Evaluator(subjects, REQUEST)


def test_slices_name_their_values_and_find_the_worse_one() -> None:
    rows = made_up("binary", 2_000)
    outputs = rows.scores.outputs.copy()
    worse = np.array([g == "b" for g in rows.groups])
    outputs[worse] = 1 - outputs[worse]
    spoiled = Scores(
        outputs, rows.scores.n_tokens, rows.scores.n_oov, rows.scores.truncated, rows.scores.scored
    )
    found = report(evaluated(Rows("binary", rows.texts, rows.labels, rows.groups, spoiled), []))
    groups = {row.value: row for row in found.models[0].slices[0].rows}
    assert set(groups) == {"a", "b", "c", "(blank)"}
    assert groups["b"].verdict == "worse"
    assert groups["a"].verdict == "better"
    assert groups["b"].gap.value is not None
    assert groups["b"].gap.value < -0.3
    lengths = found.models[0].slices[1]
    assert lengths.column == "text length in tokens"
    assert lengths.rows[0].value == "1 to 4"


def test_the_same_card_promise_holds_and_a_better_one_does_not() -> None:
    rows = made_up("binary", 1_500)
    today = report(evaluated(rows, [])).models[0].figures["accuracy"].value
    assert today is not None
    promised = PromisedFigure(metric="accuracy", value=today, data="made-up rows", rows=500)
    too_high = promised.model_copy(update={"value": today + 0.1})
    kept = report(evaluated(rows, [], figures=(promised,)), "card", f"accuracy>={today - 0.01:.6f}")
    assert kept.models[0].promises[0].verdict == "as promised"
    assert [gate.passed for gate in kept.gates] == [True, True]
    broken = report(evaluated(rows, [], figures=(too_high,)), "card", "accuracy>=0.999", "mae<1")
    assert broken.models[0].promises[0].verdict == "worse than promised"
    assert "lower than promised" in broken.models[0].promises[0].sentence
    assert [gate.passed for gate in broken.gates] == [False, False, False]


def test_a_promise_about_another_metric_is_left_alone() -> None:
    figure = PromisedFigure(metric="mae", value=1.0, data="elsewhere", rows=10)
    found = report(evaluated(made_up("binary", 200), [], figures=(figure,)), "card")
    assert found.models[0].promises == ()
    assert not found.gates[0].passed


def test_two_models_are_paired() -> None:
    rows = made_up("binary", 1_200)
    rng = np.random.default_rng(8)
    blurred = np.clip(rows.scores.outputs + rng.normal(0, 0.3, (1_200, 1)), 0, 1)
    other = Scores(
        blurred.astype(np.float32),
        rows.scores.n_tokens,
        rows.scores.n_oov,
        rows.scores.truncated,
        rows.scores.scored,
    )
    cards = [card("binary", name=name) for name in ("sharp", "blurred")]
    evaluator = Evaluator([Subject(c.name, "0" * 64, c) for c in cards], REQUEST)
    for start, stop in pairwise(range(0, 1_300, 100)):
        window, scores = rows.window(start, stop, index=start // 100)
        evaluator.add(window, [scores, part_of(other, start, stop)])
    found = report(evaluator).comparison
    assert found is not None
    assert found.leaderboard == ("sharp", "blurred")
    best = found.differences[0]
    assert (best.model, best.other, best.metric) == ("sharp", "blurred", "accuracy")
    a, b = (found.figures[name]["accuracy"].value for name in found.leaderboard)
    assert a is not None
    assert b is not None
    assert best.difference.value == pytest.approx(a - b, abs=2e-6)
    assert found.agreement[0][0] == 1.0
    assert found.agreement[0][1] == found.agreement[1][0]
    spreads = [row.spread for row in found.disagreements]
    assert spreads == sorted(spreads, reverse=True)
    gaps = np.abs(blurred.astype(np.float32) - rows.scores.outputs)[rows.scores.scored]
    assert spreads[0] == pytest.approx(float(gaps.max()), abs=1e-5)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_slice_s_figures_are_scikit_learn_s(task: str) -> None:
    rows = made_up(task, 1_000)
    found = {row.value: row for row in report(evaluated(rows, [])).models[0].slices[0].rows}
    names = {"bad": 0, "positive": 1} if task == "binary" else {}
    names = names or {"negative": 0, "neutral": 1, "positive": 2}
    outputs = rows.scores.outputs
    said = (outputs[:, 0] >= 0.5).astype(int) if task == "binary" else outputs.argmax(axis=1)
    for value in ("a", "b", "c"):
        inside = [
            i
            for i in range(1_000)
            if rows.groups[i] == value
            and rows.labels[i] not in (None, "no idea")
            and rows.scores.scored[i]
        ]
        truth = [names[rows.labels[i].strip().casefold()] for i in inside]
        figures = found[value].figures
        assert found[value].rows == len(inside)
        assert figures["accuracy"].value == pytest.approx(
            accuracy_score(truth, said[inside]), abs=1e-6
        )
        expected = f1_score(truth, said[inside], average="macro")
        assert figures["macro_f1"].value == pytest.approx(expected, abs=1e-6)
