"""`--top K`: the most probable labels of a row, the predicted one first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scorer.cli.score import main
from scorer.errors import UsageError
from scorer.tasks import BINARY, MULTICLASS, OutputOptions, Problem

STARS = Problem(MULTICLASS, ("one", "two", "three"), 0.5)
OUTPUTS = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]], dtype=np.float32)


def test_labels_come_by_probability_and_equal_ones_in_their_order() -> None:
    options = OutputOptions(top=3, probabilities=True)
    names = [field.name for field in STARS.task.columns(STARS, options)]
    assert names[:6] == [
        *("prediction", "probability", "prediction_2", "probability_2"),
        *("prediction_3", "probability_3"),
    ]
    scored = np.array([True, True, False])
    values = STARS.task.values(STARS, OUTPUTS, scored, options)
    assert len(values) == len(names) == 9
    table = dict(zip(names, values, strict=True))
    assert table["prediction"].to_pylist() == ["two", "one", None]
    assert table["prediction_2"].to_pylist() == ["three", "three", None]
    assert table["prediction_3"].to_pylist() == ["one", "two", None]
    assert table["probability_2"].to_pylist() == [np.float32(0.3), np.float32(0.4), None]
    one = STARS.task.values(STARS, OUTPUTS, scored, OutputOptions())
    assert [column.to_pylist() for column in one] == [v.to_pylist() for v in values[:2]]


def test_what_is_predicted_comes_first_whatever_the_threshold() -> None:
    problem = Problem(BINARY, ("no", "yes"), 0.9)
    values = BINARY.values(
        problem, np.array([[0.7]], dtype=np.float32), np.array([True]), OutputOptions(top=2)
    )
    assert [value.to_pylist() for value in values[::2]] == [["no"], ["yes"]]


def test_more_labels_than_there_are_and_other_tasks_are_refused(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="--top 4: the model has 3 labels"):
        STARS.task.columns(STARS, OutputOptions(top=4))
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("text\ngood film\n")
    arguments = ["in.csv", "--zoo", str(tiny_zoo), "-o", "-", "--top", "2"]
    done = CliRunner().invoke(main, [*arguments, "-m", "tiny-points"])
    assert done.exit_code == 2
    assert "--top is for models that predict one label; tiny-points@1.0.0 is" in done.stderr
    done = CliRunner().invoke(main, [*arguments, "-m", "tiny-stars"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("text,prediction,probability,prediction_2,probability_2\n")
