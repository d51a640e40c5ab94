"""What Python callers pass is checked as the command line's options are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import UsageError
from scorer.evaluation.request import EvaluationOptions
from scorer.evaluation.run import Reading
from scorer.jobs import score_file
from scorer.jobs.policy import RunPolicy
from scorer.model import load_model
from scorer.tables import ReadOptions
from scorer.tasks import OutputOptions
from tests.support.parrot import parrot
from tests.support.settings import settings_of

WRONG: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (RunPolicy, {"threads": 0}, "threads is 0"),
    (RunPolicy, {"threads": 1.5}, "threads is 1.5"),
    (RunPolicy, {"batch_size": 0}, "batch_size is 0"),
    (RunPolicy, {"batch_size": True}, "batch_size is True"),
    (RunPolicy, {"max_rejects": -1}, "max_rejects is -1"),
    (settings_of, {"resume": True, "incremental": True}, "--incremental resumes by itself"),
    (Reading, {"threads": 0}, "threads is 0"),
    (Reading, {"batch_size": -5}, "batch_size is -5"),
    (Reading, {"max_rejects": -1}, "max_rejects is -1"),
    (OutputOptions, {"threshold": 0.0}, "threshold is 0.0"),
    (OutputOptions, {"threshold": 1}, "threshold is 1"),
    (OutputOptions, {"threshold": float("nan")}, "threshold is nan"),
    (OutputOptions, {"threshold": "0.5"}, "threshold is '0.5'"),
    (EvaluationOptions, {"threshold": 2.0}, "threshold is 2.0"),
    (ReadOptions, {"delimiter": "ab"}, "--delimiter 'ab'"),
    (ReadOptions, {"delimiter": ""}, "--delimiter ''"),
    (ReadOptions, {"encoding": "nope"}, "--encoding 'nope'"),
    (load_model, {"reference": "x", "precision": "float16"}, "precision is 'float16'"),
    (load_model, {"reference": "x", "device": "tpu"}, "device is 'tpu'"),
    (load_model, {"reference": "x", "engine": "onnx"}, "engine is 'onnx'"),
    (parrot().predict, {"texts": ["a"], "threads": 0}, "threads is 0"),
]


@pytest.mark.parametrize(("made", "given", "message"), WRONG)
def test_wrong_values_are_refused(
    made: Callable[..., Any], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message.replace("(", ".")):
        made(**given)


def test_encodings_have_one_name_and_a_tab_may_be_spelled() -> None:
    assert ReadOptions(r"\t", "UTF8") == ReadOptions("\t", "utf-8")


def test_a_stream_cannot_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\ngood\n")
    with pytest.raises(UsageError, match="a run that writes to /dev/null cannot be resumed"):
        score_file(parrot(), tmp_path / "in.csv", "/dev/null", settings=settings_of(resume=True))
