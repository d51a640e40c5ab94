"""What `score` and `evaluate` say at the end: on 80 columns, in colour on a terminal only."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from click.testing import CliRunner

from scorer.card import Card
from scorer.cli import colour
from scorer.cli.evaluate import main as evaluate_main
from scorer.cli.score import main as score_main
from scorer.evaluation.result import Report
from scorer.model import Model
from tests.support.parrot import WORDS, parrot
from tests.units.evaluation.test_evaluate_cli import install

ELSEWHERE = {
    "data": "shop",
    "texts": "product reviews",
    "rows": 100,
    "figures": [{"metric": "accuracy", "value": 0.62}],
    "majority_baseline": 0.55,
    "median_tokens": 4,
    "median_oov_share": 0.0,
}
PROFILE = {
    "rows": 100,
    "tokens": {"edges": [100.0, 200.0, 300.0], "counts": [5, 45, 45, 5]},
    "oov_share": {"edges": [0.5], "counts": [99, 1]},
    "score": {"edges": [0.25, 0.5, 0.75], "counts": [25, 25, 25, 25]},
}


def sentiment(task: str = "binary", name: str = "parrot", **changes: Any) -> Model:
    """A parrot that says negative, (neutral,) positive, and whose card knows other data."""
    model = parrot(task)
    labels = (
        ["negative", "neutral", "positive"] if task == "multiclass" else ["negative", "positive"]
    )
    card = model.card.model_dump(by_alias=True)
    card["scorer"] |= {
        "name": name,
        "labels": [{"name": label} for label in labels],
        "label_columns": ["stars"],
        "reference": PROFILE,
        "out_of_domain": [ELSEWHERE],
        "golden": [],
        **changes,
    }
    return Model(Card.model_validate(card), model.bundle, model.engine)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    return install(monkeypatch, [sentiment()])[0]


def stars(path: Path, n: int = 300) -> Path:
    """Reviews of 1 to 5 stars, without a word about them."""
    texts = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 2 + i % 7)) for i in range(n)]
    texts[0] = ""
    pa.csv.write_csv(pa.table({"text": texts, "stars": [1 + i % 5 for i in range(n)]}), path)
    return path


def said(main: Any, *arguments: object) -> str:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.stderr
    lines = done.stderr.splitlines()
    assert all(len(line) <= 80 for line in lines if "rows." not in line), done.stderr
    return done.stderr


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_score_says_what_it_read_predicted_and_understood(model: Model, tmp_path: Path) -> None:
    text = plain(said(score_main, "-m", "parrot", stars(tmp_path / "rows.csv")))
    assert "300 rows = 299 scored + 1 unscored + 0 rejected" in text
    assert "text: column 'text'" in text
    assert re.search(r"predictions: (positive|negative) \d+ \(\d+\.\d%\), ", text)
    assert (
        "stars out of 5 in 'stars': 1-2 negative, 3 left out, 4-5 positive; 60 rows of 3 left out"
        in text
    )
    assert re.search(r"predictions for 60 scored rows labelled '3': \d+% \w+, \d+% \w+", text)
    assert re.search(r"always '\w+': 0\.50\d\d \(", text)
    assert "! The texts differ from the training data: the median text has 4 words" in text
    assert "(product reviews) the model has accuracy 0.62 (majority baseline: 0.55)" in text
    assert "PSI" not in text


def test_score_says_what_it_found_without_labels(model: Model, tmp_path: Path) -> None:
    path = stars(tmp_path / "rows.csv")
    text = plain(said(score_main, "-m", "parrot", path, "--no-report"))
    assert "predictions: " in text
    assert "! The texts differ" in text
    assert "stars out of" not in text


def test_a_report_of_rows_without_labels(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    pa.csv.write_csv(pa.table({"text": [*WORDS] * 5, "place": ["x"] * 5 * len(WORDS)}), path)
    done = CliRunner().invoke(score_main, ["-m", "parrot", str(path), "--json", "--slice", "place"])
    assert json.loads(done.stdout)["files"][0]["report"] is None
    options = ["--json", "--force", "--report", "--slice", "place"]
    done = CliRunner().invoke(score_main, ["-m", "parrot", str(path), *options])
    assert done.exit_code == 0, done.output
    file = json.loads(done.stdout)["files"][0]
    stored = (Path(file["report"]) / "report.json").read_text()
    found = Report.model_validate_json(stored)
    assert found.text_column == "text"
    assert found.models[0].distributions is not None
    assert found.models[0].distributions.slices[0].column == "place"
    assert found.models[0].predictions is not None
    assert found.models[0].predictions.model_dump(mode="json") == file["predictions"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--report", "--no-report"], "--report and --no-report exclude each other"),
        (["--report", "-o", "-"], "--report needs a folder beside the output"),
    ],
)
def test_a_report_that_cannot_be(
    options: list[str], message: str, model: Model, tmp_path: Path
) -> None:
    path = stars(tmp_path / "rows.csv", 20)
    done = CliRunner().invoke(score_main, ["-m", "parrot", str(path), *options])
    assert done.exit_code == 2, done.output
    assert message in done.stderr


def test_models_of_two_and_three_labels_are_compared_by_what_both_can_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, three = sentiment(name="two"), sentiment("multiclass", name="three")
    install(monkeypatch, [two, three])
    path = stars(tmp_path / "rows.csv")
    text = plain(said(evaluate_main, "-m", "two", "-m", "three", path))
    assert "two@1.0.0: stars out of 5 in 'stars': 1-2 negative, 3 left out, 4-5 positive" in text
    assert "three@1.0.0: stars out of 5 in 'stars': 1-2 negative, 3 neutral, 4-5 positive" in text
    report = Report.model_validate_json((tmp_path / "rows.report" / "report.json").read_text())
    compared = report.comparison
    assert compared is not None
    assert (compared.rows, compared.labels) == (239, ("negative", "positive"))
    rows = pa.csv.read_csv(path)
    kept = [
        i
        for i, (t, s) in enumerate(zip(rows["text"], rows["stars"], strict=True))
        if t.as_py() and s.as_py() != 3
    ]
    for model in (two, three):
        names = [label.name for label in model.card.scorer.labels]
        scores = model.score(rows["text"].combine_chunks())
        codes = model.card.scorer.problem().decide(scores.outputs)
        right = [
            names[codes[i]] == ("negative" if rows["stars"][i].as_py() < 3 else "positive")
            for i in kept
        ]
        figure = compared.figures[model.ref]["accuracy"].value
        assert figure == pytest.approx(sum(right) / len(right), abs=1e-6)
    assert set(compared.figures["two@1.0.0"]) == {"accuracy", "balanced_accuracy"}
    assert report.models[1].evaluated == 299


def test_zeros_and_ones_on_three_labels_ask_for_a_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = [
        {"name": "Negative", "aliases": ["-1"]},
        {"name": "Neutral", "aliases": ["0"]},
        {"name": "Positive", "aliases": ["1"]},
    ]
    install(monkeypatch, [sentiment("multiclass", labels=coded)])
    path = tmp_path / "rows.csv"
    pa.csv.write_csv(pa.table({"text": [*WORDS] * 4, "stars": [0, 1] * 2 * len(WORDS)}), path)
    arguments = ["-m", "parrot", str(path), "--label-column", "stars"]
    done = CliRunner().invoke(evaluate_main, arguments)
    assert done.exit_code == 2
    assert "column 'stars' holds only 0 and 1, where the model has 3 labels" in done.stderr
    assert "--label-map 0=Negative" in done.stderr
    mapped = ["--label-map", "0=Negative,1=Positive", "--json"]
    told = CliRunner().invoke(evaluate_main, [*arguments, *mapped])
    assert told.exit_code == 0, told.output
    understood = json.loads(told.stdout)["labels"]["understood"]
    assert understood == "labels in 'stars': 0=Negative, 1=Positive"


@pytest.mark.parametrize(
    ("terminal", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_marks_are_coloured_on_a_terminal_only(
    terminal: bool, no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    colour.say("rows.csv ! here\n ! The texts differ\n !! worse\nok as promised")
    text = capsys.readouterr().err
    assert re.sub("\x1b\\[[0-9;]*m", "", text).startswith("rows.csv ! here\n ! The texts")
    assert text.count("\x1b[0m") == (3 if coloured else 0)
