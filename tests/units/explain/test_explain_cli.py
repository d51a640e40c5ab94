"""`scorer explain` and `score --explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scorer.cli import colour as colour_module
from scorer.cli.explain import main as explain
from scorer.cli.explain_view import render
from scorer.cli.score import main as score
from scorer.model import Model
from tests.support import networks as nets
from tests.units.explain.test_explain import deep, linear, model, words


@pytest.fixture
def of(monkeypatch: pytest.MonkeyPatch) -> Model:
    branch = linear(words("count"))
    made = model(nets.bundle(branch.vectorizer, *branch.layers, nets.activation("sigmoid")))
    monkeypatch.setattr("scorer.model.load_model", lambda *args, **options: made)
    return made


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text('id,text\n1,good film\n1,2,3\n2,"bad, dull plot"\n3,\n')
    return path


def run(command: Any, *arguments: object) -> Result:
    return CliRunner().invoke(command, ["-m", "m", *map(str, arguments)])


def test_a_text_is_explained_in_80_columns(of: Model) -> None:
    text = "good film, bad plot -- " * 12 + "x" * 200
    done = run(explain, text)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    found = of.explain(text)
    assert lines[0] == f"{found.prediction}  by m@1.0.0"
    for word, weight in found.strongest(4):
        assert any(line.startswith(f"{weight:+8.2f}  █") and line.endswith(word) for line in lines)
    assert " ".join(lines).endswith(found.balance())
    assert "\x1b" not in done.output


def test_a_row_of_a_file_is_explained_as_a_report_counts_it(of: Model, table: Path) -> None:
    done = run(explain, table, "--row", 3, "--json")
    assert json.loads(done.output) == of.explain("bad, dull plot").as_dict()
    for row, message in (
        (2, "row 2 cannot be read: "),
        (4, "row 4 has no text that the model scores"),
        (5, "has 4 rows: there is no row 5"),
    ):
        failed = run(explain, table, "--row", row)
        assert failed.exit_code in (1, 2)
        assert f"{table}: {message}" in failed.output
    assert "is a file: say which row of it with --row N" in run(explain, table).output
    assert "--text-column is for a file" in run(explain, "good", "--text-column", "text").output
    assert "m@1.0.0 has no label 'x'" in run(explain, "good", "--label", "x").output


def test_colours_are_for_terminals_that_want_them(
    of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = of.explain("good film")
    shown = render(found, colour=True)
    assert "\x1b[9" in shown
    assert "\x1b" not in render(found, colour=False)
    assert "\\x1b" in render(of.explain("good \x1b[2J"), colour=True)

    class Terminal:
        def isatty(self) -> bool:
            return True

    terminal: Any = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert colour_module.takes_colour(terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour_module.takes_colour(terminal)


def test_score_adds_a_column_of_the_strongest_words(of: Model, table: Path) -> None:
    done = run(score, table, "--explain", 2, "-o", "-", "-q")
    assert done.exit_code == 3, "a row was rejected"
    lines = done.stdout.splitlines()
    assert lines[0] == "id,text,prediction,probability,explanation"
    assert lines[1].endswith(f",{of.explain('good film').in_short(2)}")
    assert lines[2].endswith(f",{of.explain('bad, dull plot').in_short(2)}")
    assert lines[3] == "3,,,,"


def test_a_resumed_run_has_the_same_explanations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = deep(last="sigmoid")
    made = model(nets.bundle(branch.vectorizer, *branch.layers))
    monkeypatch.setattr("scorer.model.load_model", lambda *args, **options: made)
    path = tmp_path / "rows.csv"
    path.write_text("text\n" + "".join(f"good film {'dull ' * (i % 5)}\n" for i in range(9)))
    options = ("--explain", 2, "--batch-size", 2, "--threads", 1, "--no-report")
    assert run(score, path, "-o", tmp_path / "whole.csv", *options).exit_code == 0

    strongest, calls = Model.strongest_words, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return strongest(*arguments)

    monkeypatch.setattr(Model, "strongest_words", failing)
    assert run(score, path, "-o", tmp_path / "out.csv", *options).exit_code == 130
    assert not (tmp_path / "out.csv").exists()
    assert run(score, path, "-o", tmp_path / "out.csv", *options, "--resume").exit_code == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len(calls) < 4 + 5, "what was recorded was not explained again"
