"""`import scorer`: keyword options for what the commands do, and what a notebook shows."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import scorer
from scorer import api
from scorer.errors import OutputExists, UsageError
from scorer.evaluation.request import EvaluationOptions
from scorer.evaluation.run import Reading
from scorer.jobs.policy import RunPolicy
from scorer.jobs.spec import OutputSpec
from scorer.progress import in_notebook, progress
from scorer.tables import ReadOptions
from scorer.tasks import OutputOptions
from tests.support.parrot import parrot

ROWS = "text,label,kind\ngood film,pos,a\nbad film,neg,b\nslow plot,pos,a\n"
#: fields that are given otherwise, or that concern whole runs over many files
OTHERWISE = {"output", "read", "evaluation", "unlabelled", "incremental", "dry_run"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path


def test_every_setting_is_a_keyword_option() -> None:
    """A new field belongs into the options of `scorer.api`, with a line in their docstrings."""
    kinds: list[Any] = [OutputOptions, ReadOptions, EvaluationOptions, OutputSpec, RunPolicy]
    known = {item.name for kind in kinds for item in fields(kind)} - OTHERWISE
    assert known | {"report"} == set(api.ScoreOptions.__annotations__)
    known = {
        item.name for kind in (Reading, ReadOptions, EvaluationOptions) for item in fields(kind)
    }
    assert known - OTHERWISE | {"require", "force"} == set(api.EvaluateOptions.__annotations__)
    kinds = [api.ScoreOptions, api.EvaluateOptions, api.ReadingOptions, api.LabelOptions]
    said = "\n".join(inspect.getdoc(kind) or "" for kind in kinds)
    named = [name for kind in kinds for name in kind.__annotations__]
    assert [name for name in named if f"\n{name} " not in said] == []


def test_options_reach_the_run(table: Path) -> None:
    of = parrot()
    out = table.with_name("out.csv")
    mapped = {"pos": "neg", "neg": ""}
    summary = scorer.score_file(
        table,
        of,
        out,
        probabilities=True,
        prefix="m_",
        label_column="label",
        label_map=mapped,
        threads=1,
        batch_size=2,
    )
    assert out.read_text().startswith(
        "text,label,kind,m_prediction,m_probability,m_probability_neg"
    )
    assert summary.labels is not None
    assert summary.labels.usable == 2, "neg is left out"
    with pytest.raises(OutputExists):
        scorer.score_file(table, of, out)
    assert scorer.score_file(table, of, out, force=True, report=False).labels is None


def test_what_cannot_be_meant_is_refused(table: Path) -> None:
    options: dict[str, Any] = {"treshold": 0.4}
    with pytest.raises(UsageError, match="no option 'treshold': did you mean 'threshold'"):
        scorer.score_file(table, parrot(), **options)
    with pytest.raises(UsageError, match="evaluate_file has no option 'zzz'; it has text_column, "):
        scorer.evaluate_file(table, parrot(), **{"zzz": 1})  # type: ignore[misc]
    with pytest.raises(UsageError, match="no file to evaluate"):
        scorer.evaluate_file([], parrot())
    swapped: Any = parrot()
    with pytest.raises(UsageError, match="the file comes first, then the model"):
        scorer.score_file(swapped, swapped)


def test_a_report_shows_itself_and_is_saved(table: Path, tmp_path: Path) -> None:
    report = scorer.evaluate_file(
        table, parrot(), label_column="label", slices="kind", require="card"
    )
    assert [gate.passed for gate in report.gates] == [False]
    assert report.models[0].slices[0].column == "kind"
    accuracy = report.models[0].figures["accuracy"].value
    assert repr(report).startswith(f"<Report on 3 rows: parrot@1.0.0 Accuracy {accuracy:.4f}")
    assert f"<td>{accuracy:.4f} (" in report._repr_html_()
    page = report.save(tmp_path / "saved")
    assert page.read_text().startswith("<!doctype html>")
    stored = (tmp_path / "saved" / "report.json").read_text()
    assert type(report).model_validate_json(stored).to_json() == report.to_json()
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(OutputExists):
        report.save(tmp_path)
    assert report.save(tmp_path, force=True).exists()


def test_a_model_shows_itself() -> None:
    of = parrot()
    assert repr(of) == "<Model parrot@1.0.0: binary (neg, pos), 0 parameters, parrot engine>"
    assert "<td" in of._repr_html_()
    assert "the column text or review" in of._repr_html_()


def test_a_models_figures_stand_in_lines_of_their_own(tiny_zoo: Path) -> None:
    page = scorer.load("tiny-binary", zoos=[tiny_zoo])._repr_html_()
    assert "\\n" not in page
    assert "accuracy" in page


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = ModuleType("IPython")
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setattr(ipython, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ipython)


def test_a_bar_is_for_notebooks(
    notebook: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_notebook()
    monkeypatch.setattr("scorer.progress.DELAY", 0.0)
    with progress(10, True) as move:
        move(10)
    assert "0.00/10.0" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()
    parrot().predict(["good"] * 3)
    assert capsys.readouterr().err == ""
    parrot().predict(["good"] * 3, progress=True)
    assert "0.00/3.00" in capsys.readouterr().err
