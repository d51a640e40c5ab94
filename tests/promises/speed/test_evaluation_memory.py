"""Computing a report takes a few bytes a row on top of what is held, however many rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.finish import finish
from scorer.evaluation.request import Subject
from scorer.scores import Scores
from scorer.tables import Window
from tests.units.evaluation.test_evaluation_stream import LABELS, REQUEST, card

WINDOW_ROWS = 10_000
MB = 1_000_000


def fed(task: str, rows: int) -> Evaluator:
    """An evaluator of that many made-up rows, with as many different scores as there are rows."""
    evaluator = Evaluator([Subject("made-up@1.0.0", "0" * 64, card(task))], REQUEST)
    rng = np.random.default_rng(0)
    for index in range(rows // WINDOW_ROWS):
        evaluator(*window(task, index, rng))
    return evaluator


def window(task: str, index: int, rng: np.random.Generator) -> tuple[Window, Scores]:
    n, names = WINDOW_ROWS, [label.name for label in LABELS[task]]
    if task == "regression":
        labels = rng.integers(80, 101, n).astype(float)
        outputs = (labels + rng.normal(0, 2, n))[:, None]
    else:
        code = rng.integers(0, len(names), n)
        labels = np.array(names)[code]
        soft = np.exp(rng.normal(size=(n, len(names))) + 1.5 * np.eye(len(names))[code])
        outputs = soft / soft.sum(axis=1, keepdims=True)
        outputs = outputs[:, 1:] if task == "binary" else outputs
    columns = {
        "text": pa.array(["x"] * n),
        "label": pa.array(labels),
        "group": pa.array(np.array(["a", "b", "c"])[rng.integers(0, 3, n)]),
    }
    table = pa.RecordBatch.from_pydict(columns)
    tokens = rng.integers(1, 400, n).astype(np.int32)
    everything = np.ones(n, dtype=bool)
    scores = Scores(outputs.astype(np.float32), tokens, tokens // 4, tokens > 300, everything)
    return Window(index=index, texts=table.column("text"), table=table), scores


def peak(task: str, rows: int) -> int:
    """Bytes that `finish` holds at most, beside the columns."""
    evaluator = fed(task, rows)
    tracemalloc.start()
    try:
        report = finish(evaluator, ["made up"])
        assert report.models[0].evaluated == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# The part that does not grow: the bootstrap's weights and tables, and one block's columns.
FIXED = {"binary": 20 * MB, "multiclass": 20 * MB, "multilabel": 28 * MB, "regression": 36 * MB}
# Truth and output, sorted scores, a column of errors: less than one more float64 column each.
PER_ROW = {"binary": 40, "multiclass": 70, "multilabel": 100, "regression": 40}


@pytest.mark.parametrize("task", LABELS)
def test_a_report_takes_few_bytes_a_row(task: str) -> None:
    rows = 200_000
    assert peak(task, rows) < FIXED[task] + PER_ROW[task] * rows


@pytest.mark.slow
@pytest.mark.parametrize("task", LABELS)
def test_a_report_of_millions_of_rows_takes_few_bytes_a_row(task: str) -> None:
    few, many = 500_000, 3_000_000
    assert peak(task, many) - peak(task, few) < PER_ROW[task] * (many - few)
