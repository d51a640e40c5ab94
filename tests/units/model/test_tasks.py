"""Tasks: what their outputs become, and that a new one is one object."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from scorer.card import Card, ScorerCard, parse_card
from scorer.errors import UsageError
from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.finish import finish
from scorer.evaluation.request import Request, Subject
from scorer.evaluation.result import ModelReport
from scorer.scores import Scores
from scorer.tables import Window
from scorer.tasks import (
    BINARY,
    MULTICLASS,
    MULTILABEL,
    REGRESSION,
    TASKS,
    Binary,
    OutputOptions,
    Problem,
    Task,
    task_named,
    task_names,
)
from tests.support import tiny

PROBLEMS = {
    BINARY: Problem(BINARY, ("no", "yes"), 0.3),
    MULTICLASS: Problem(MULTICLASS, ("a", "b", "c")),
    MULTILABEL: Problem(MULTILABEL, ("a", "b", "c"), 0.6),
    REGRESSION: Problem(REGRESSION),
}


@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("probabilities", [False, True])
def test_values_have_the_declared_types_and_are_null_where_unscored(
    task: Task, probabilities: bool
) -> None:
    problem, options = PROBLEMS[task], OutputOptions(probabilities=probabilities)
    rows, labels = 5, len(problem.labels)
    outputs = np.random.default_rng(0).random((rows, task.width(labels))).astype(np.float32)
    scored = np.array([True, False, True, True, False])
    schema = pa.schema(problem.columns(options))
    batch = pa.record_batch(problem.values(outputs, scored, options), schema=schema)
    batch.validate(full=True)
    assert [column.is_valid().to_pylist() for column in batch] == [scored.tolist()] * len(schema)
    empty = problem.values(outputs[:0], scored[:0], options)
    assert [column.type for column in empty] == schema.types


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_outputs_that_are_not_probabilities_are_named(task: Task) -> None:
    width = task.width(len(PROBLEMS[task].labels))
    shares = np.random.default_rng(0).random((4, width)).astype(np.float32)
    assert task.fault(shares) is None
    assert task.fault(shares[:0]) is None
    assert task.fault(np.full((1, width), 1 + 1e-7)) is None
    assert "not a finite number" in str(task.fault(np.full((1, width), np.nan)))
    said = task.fault(140.2 * shares - 70)
    if task.output_range is None:
        assert said is None
    else:
        assert f"--output-activation {task.activations[0]}" in str(said)
        assert "the outputs reach from -" in str(said)


def test_the_binary_decision_is_the_threshold_s() -> None:
    outputs = np.array([[0.29], [0.3], [0.9]], np.float32)
    columns = PROBLEMS[BINARY].values(outputs, np.ones(3, bool), OutputOptions(True))
    assert columns[0].to_pylist() == ["no", "yes", "yes"]
    assert columns[1].to_pylist() == pytest.approx([0.71, 0.3, 0.9])
    assert columns[2].to_pylist() == pytest.approx([0.71, 0.7, 0.1])


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_task_travels_by_its_name(task: Task) -> None:
    assert task_named(task.name) is task
    assert pickle.loads(pickle.dumps(task)) is task
    with pytest.raises(ValueError, match="choose binary, multiclass, multilabel or regression"):
        task_named("ranking")


def test_only_tasks_with_a_threshold_take_one() -> None:
    for task, problem in PROBLEMS.items():
        card = ScorerCard.model_validate(
            {
                "schema": 1,
                "name": "made-up",
                "version": "1.0.0",
                "task": task.name,
                "labels": [{"name": label} for label in problem.labels],
                "text_columns": ["text"],
            }
        )
        if task.takes_threshold:
            assert card.problem(0.7).threshold == 0.7
        else:
            with pytest.raises(
                UsageError, match=r"a threshold is for binary and multilabel models; made-up@1"
            ):
                card.problem(0.7)


class TwoOutputs(Binary):
    """A binary task whose models end in a softmax of two outputs. No other file names it."""

    name = "two-outputs"
    activations = ("softmax",)

    def width(self, labels: int) -> int:
        return 2

    def decide(self, problem: Problem, outputs: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(outputs[:, 1] >= np.float32(problem.threshold), dtype=np.int16)

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs

    def profile_score(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs[:, 1]


@pytest.fixture
def two_outputs(monkeypatch: pytest.MonkeyPatch) -> Task:
    task = TwoOutputs()
    monkeypatch.setattr("scorer.tasks.TASKS", (*TASKS, task))
    return task


def card_of(task: str, outputs: Sequence[float]) -> Card:
    fields = tiny.card_fields("tiny-binary", [("good", list(outputs)), ("", None)])
    fields["scorer"]["task"] = task
    return parse_card(f"---\n{json.dumps(fields)}\n---\n")


def evaluated(card: Card, outputs: NDArray[np.float32], labels: list[str]) -> ModelReport:
    request = Request(label_columns=("label",), asked=True)
    evaluator = Evaluator([Subject(card.ref, "0" * 64, card.scorer)], request)
    tokens = np.arange(1, len(labels) + 1, dtype=np.int32)
    for i, (start, stop) in enumerate(pairwise([0, 70, len(labels)])):
        rows = slice(start, stop)
        texts = pa.array([f"text {n}" for n in tokens[rows]])
        table = pa.record_batch({"text": texts, "label": pa.array(labels[rows])})
        n = len(texts)
        scores = Scores(
            outputs[rows], tokens[rows], tokens[rows] // 3, np.zeros(n, bool), np.ones(n, bool)
        )
        evaluator(Window(index=i, texts=texts, table=table), scores)
    return finish(evaluator, ["rows.csv"]).models[0]


def test_a_new_task_is_one_object(two_outputs: Task) -> None:
    """Cards, columns and reports know it, and say of it what they say of its one-output twin."""
    assert task_names() == ("binary", "multiclass", "multilabel", "regression", "two-outputs")
    one, two = card_of("binary", [0.25]), card_of("two-outputs", [0.75, 0.25])
    assert two.scorer.outputs == 2
    assert two.scorer.task is two_outputs
    rng = np.random.default_rng(1)
    share = (rng.integers(0, 257, 200) / 256).astype(np.float32)[:, None]
    both = np.hstack([1 - share, share])
    names = [label.name for label in one.scorer.labels]
    labels = [names[int(x)] for x in rng.random(200) < share[:, 0]]
    options, scored = OutputOptions(probabilities=True), np.ones(200, bool)
    assert two.scorer.problem().columns(options) == one.scorer.problem().columns(options)
    assert two.scorer.problem(0.4).values(both, scored, options) == one.scorer.problem(0.4).values(
        share, scored, options
    )
    reports = [evaluated(card, out, labels) for card, out in ((one, share), (two, both))]
    assert [report.task for report in reports] == [BINARY, two_outputs]
    same = [report.model_dump(exclude={"task"}) for report in reports]
    assert same[0] == same[1]
    assert json.loads(reports[1].model_dump_json())["task"] == "two-outputs"
