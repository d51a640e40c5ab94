"""The evaluate command: its report, its table, its errors and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    log_loss,
    mean_absolute_error,
    precision_recall_fscore_support,
    roc_auc_score,
)

from scorer import load
from scorer.card import Card
from scorer.cli.evaluate import main
from scorer.evaluation import evaluate_file
from scorer.evaluation.request import EvaluationOptions
from scorer.evaluation.result import Report
from scorer.model import Model
from tests.support.parrot import WORDS, parrot
from tests.support.tiny import WORDS as TINY_WORDS

N = 3_000


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    return install(monkeypatch, [parrot()])[0]


def install(monkeypatch: pytest.MonkeyPatch, models: list[Model]) -> list[Model]:
    """Make the commands load these models by their names."""
    known = {model.card.scorer.name: model for model in models}
    monkeypatch.setattr("scorer.model.load_model", lambda name, **options: known[name])
    return models


def named(model: Model, name: str, engine: Any = None) -> Model:
    card = model.card.model_dump(by_alias=True)
    card["scorer"]["name"] = name
    return Model(Card.model_validate(card), model.bundle, engine or model.engine)


def table(model: Model, n: int = N, right: float = 0.8) -> pa.Table:
    """Texts with labels that the model gets right in about that share."""
    rng = np.random.default_rng(4)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(n)]
    texts[3], texts[4] = "", "..."
    says = model.score(pa.array(texts)).outputs
    if model.card.scorer.task.name == "regression":
        truth: list[Any] = list(np.round(says[:, 0] + rng.normal(0, 0.1, n), 3))
    else:
        names = [label.name for label in model.card.scorer.labels]
        k = len(names)
        code = (says[:, 0] >= 0.5).astype(int) if k == 2 else says.argmax(axis=1)
        code = np.where(rng.random(n) < right, code, rng.integers(0, k, n))
        truth = [names[c] for c in code]
    truth[7] = None
    return pa.table({"text": texts, "label": truth, "place": [("x", "y")[i % 2] for i in range(n)]})


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def written(folder: Path) -> Report:
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.html"}
    return Report.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_figures_are_scikit_learn_s(
    task: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install(monkeypatch, [parrot(task)])[0]
    rows = table(model)
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        pa.csv.write_csv(rows, path)
    else:
        pa.parquet.write_table(rows, path)
    done = evaluate("-m", "parrot", path, "--label-column", "label", "--threads", 2)
    assert done.exit_code == 0, done.output
    report = written(tmp_path / "rows.report").models[0]

    scores = model.score(rows["text"].combine_chunks())
    truth = rows["label"].to_pylist()
    used = scores.scored & np.array([label is not None for label in truth])
    y = [label for label, use in zip(truth, used, strict=True) if use]
    says = scores.outputs[used].astype(float)
    assert report.evaluated == len(y) == N - 3
    assert report.unscored == 2
    if task == "regression":
        assert report.figures["mae"].value == pytest.approx(
            mean_absolute_error(y, says[:, 0]), abs=1e-6
        )
        return
    names = [label.name for label in model.card.scorer.labels]
    codes = [names.index(label) for label in y]
    if task == "binary":
        hard, p = says[:, 0] >= 0.5, np.column_stack([1 - says[:, 0], says[:, 0]])
    else:
        hard, p = says.argmax(axis=1), says / says.sum(axis=1, keepdims=True)
    assert report.figures["accuracy"].value == pytest.approx(accuracy_score(codes, hard), abs=1e-6)
    p = np.clip(p, np.finfo(np.float32).eps, 1)
    assert report.figures["log_loss"].value == pytest.approx(
        log_loss(codes, p / p.sum(axis=1, keepdims=True)), abs=1e-5
    )


def test_a_network_of_three_classes(tiny_zoo: Path, tmp_path: Path) -> None:
    """From a saved bundle to the page: a 3 x 3 matrix, figures and a curve for every class."""
    labels, rng = ["bad", "fair", "good"], np.random.default_rng(3)
    texts = [" ".join(rng.choice(TINY_WORDS, rng.integers(1, 9))) for _ in range(400)]
    model = load(str(tiny_zoo / "tiny-stars" / "1.0.0"))
    outputs = model.score(pa.array(texts)).outputs
    said = outputs.argmax(axis=1)
    truth = np.where(rng.random(400) < 0.6, said, rng.integers(0, 3, 400))
    pa.csv.write_csv(
        pa.table({"text": texts, "label": [labels[c] for c in truth]}), tmp_path / "rows.csv"
    )
    done = evaluate("-m", "tiny-stars", "--zoo", tiny_zoo, tmp_path / "rows.csv")
    assert done.exit_code == 0, done.output
    found = written(tmp_path / "rows.report").models[0]
    assert found.confusion == tuple(map(tuple, confusion_matrix(truth, said, labels=[0, 1, 2])))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, said, labels=[0, 1, 2], zero_division=0
    )
    for c, row in enumerate(found.classes):
        assert (row.label, row.support) == (labels[c], support[c])
        for ours, theirs in ((row.precision, precision), (row.recall, recall), (row.f1, f1)):
            assert ours.value == pytest.approx(theirs[c], abs=1e-6)
    probabilities = outputs / outputs.sum(axis=1, keepdims=True, dtype=np.float64)
    assert [curve.label for curve in found.roc] == labels
    assert [curve.label for curve in found.precision_recall] == labels
    for c, (roc, pr) in enumerate(zip(found.roc, found.precision_recall, strict=True)):
        area = roc_auc_score(truth == c, probabilities[:, c])
        assert roc.area == pytest.approx(area, abs=1e-6)
        precise = average_precision_score(truth == c, probabilities[:, c])
        assert pr.area == pytest.approx(precise, abs=1e-6)
    assert found.thresholds == ()
    page = (tmp_path / "rows.report" / "report.html").read_text(encoding="utf-8")
    assert all(page.count(label) >= 4 for label in labels)


def test_the_table_on_stderr_and_json_on_stdout(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model), tmp_path / "rows.parquet")
    arguments = ["-m", "parrot", tmp_path / "rows.parquet", "--label-column", "label"]
    done = evaluate(*arguments, "--json", "--slice", "place")
    assert done.exit_code == 0
    assert max(len(line) for line in done.stderr.splitlines()) <= max(
        80, len(str(tmp_path / "rows.report")) + 20
    )
    assert "Accuracy" in done.stderr
    report = Report.model_validate_json(done.stdout)
    assert [cut.column for cut in report.models[0].slices] == ["place", "text length in tokens"]
    quiet = evaluate(*arguments, "--quiet", "--no-report")
    assert (quiet.stderr, quiet.stdout) == ("", "")


def test_several_tables_are_one_data_set(model: Model, tmp_path: Path) -> None:
    rows = table(model)
    pa.parquet.write_table(rows, tmp_path / "all.parquet")
    pa.parquet.write_table(rows.slice(0, 1_000), tmp_path / "a.parquet")
    pa.parquet.write_table(rows.slice(1_000), tmp_path / "b.parquet")
    options = ["-m", "parrot", "--label-column", "label", "-q", "-o"]
    evaluate(*options, tmp_path / "one", tmp_path / "all.parquet")
    evaluate(*options, tmp_path / "two", tmp_path / "a.parquet", tmp_path / "b.parquet")
    one, two = written(tmp_path / "one"), written(tmp_path / "two")
    assert one.models == two.models
    assert one.rows == two.rows == N


def test_models_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Contrary:
        name = "contrary"
        precision = "float32"
        window_rows = short_rows = 1024

        def __init__(self, inner: Any) -> None:
            self.run = lambda tokens: np.float32(1) - inner.run(tokens)

    good = parrot()
    bad = named(good, "contrary", Contrary(good.engine))
    install(monkeypatch, [good, bad])
    pa.parquet.write_table(table(good), tmp_path / "rows.parquet")
    done = evaluate(
        "-m", "contrary", "-m", "parrot", tmp_path / "rows.parquet", "--label-column", "label"
    )
    assert done.exit_code == 0, done.output
    found = written(tmp_path / "rows.report").comparison
    assert found is not None
    assert found.leaderboard == ("parrot@1.0.0", "contrary@1.0.0")
    assert found.differences[0].verdict == "better"
    assert found.agreement[0][1] == pytest.approx(0.0, abs=0.01)
    assert len(found.disagreements) == 20


@pytest.mark.parametrize(
    ("requirements", "code", "words"),
    [
        (["accuracy>=0.7"], 0, None),
        (["accuracy>=0.99"], 4, "required accuracy>=0.99: it does not hold"),
        (["accuracy>=0.7", "accuracy<=0.71"], 4, "accuracy<=0.71"),
        (["card"], 4, "none of the card's figures could be compared"),
        (["drift<0.25"], 4, "the card has no reference histograms"),
        (["mae<1"], 4, "a binary model has no mae"),
        (["nonsense>1"], 2, "no figure 'nonsense'"),
    ],
)
def test_requirements(
    requirements: list[str], code: int, words: str | None, model: Model, tmp_path: Path
) -> None:
    pa.parquet.write_table(table(model), tmp_path / "rows.parquet")
    required = [part for text in requirements for part in ("--require", text)]
    done = evaluate("-m", "parrot", tmp_path / "rows.parquet", "--label-column", "label", *required)
    assert done.exit_code == code, done.output
    assert (tmp_path / "rows.report").exists() == (code != 2)
    if words is not None:
        assert words in done.stderr.splitlines()[-1]
        assert done.stderr.splitlines()[-1].startswith("Error: ")


def test_unreadable_rows_are_counted_and_end_with_3(model: Model, tmp_path: Path) -> None:
    lines = ["text,label"] + [f"{WORDS[i % 9]},{('neg', 'pos')[i % 2]}" for i in range(200)]
    lines.insert(50, "one,two,three")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    done = evaluate("-m", "parrot", tmp_path / "rows.csv", "--label-column", "label")
    assert done.exit_code == 3, done.output
    report = written(tmp_path / "rows.report")
    assert (report.rows, report.rejected) == (200, 1)


def test_without_a_label_column_there_is_no_figure(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model).drop_columns(["label"]), tmp_path / "rows.parquet")
    done = evaluate("-m", "parrot", tmp_path / "rows.parquet")
    assert done.exit_code == 0
    assert "no labels" in done.stderr
    sliced = evaluate("-m", "parrot", tmp_path / "rows.parquet", "--slice", "place")
    assert sliced.exit_code == 0
    found = written(tmp_path / "rows.report").models[0]
    assert found.figures == {}
    assert found.distributions is not None
    place, length = found.distributions.slices
    assert [row.value for row in place.rows] == ["x", "y"]
    assert length.column == "text length in tokens"
    assert sum(row.rows for row in place.rows) == found.scored == N - 2
    assert found.predictions is not None
    total = {item.label: item.rows for item in found.predictions.labels}
    for label, rows in total.items():
        assert sum(row.predicted[label] for row in place.rows) == rows
    for histogram in (found.distributions.score, found.distributions.tokens):
        assert sum(item.counts[0] for item in histogram.bins) == found.scored


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label-column", "labl"], "no column 'labl' (did you mean 'label'?)"),
        (["--label-column", "place"], "and none of the labels neg, pos"),
        (["--label-column", "label", "--slice", "plaice"], "(did you mean 'place'?)"),
        (["--label-column", "label", "--label-map", "x"], "write VALUE=LABEL"),
        (["--label-map", "x=pos"], "no label column for --label-map"),
        (["-m", "parrot"], "parrot@1.0.0: was named twice"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model, 200), tmp_path / "rows.parquet")
    done = evaluate("-m", "parrot", tmp_path / "rows.parquet", *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "rows.report").exists()


@pytest.mark.parametrize(("given", "made"), [(".", "day.report"), ("..", "month.report")])
def test_a_folder_given_by_its_place_has_its_report_beside_it(
    given: str, made: str, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = tmp_path / "month" / "day"
    day.mkdir(parents=True)
    pa.parquet.write_table(table(model, 200), day / "rows.parquet")
    monkeypatch.chdir(day)
    done = evaluate("-m", "parrot", given)
    assert done.exit_code == 0, done.output
    written(next(tmp_path.rglob(made)))


def test_a_report_cannot_go_to_stdout(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa.parquet.write_table(table(model, 200), tmp_path / "rows.parquet")
    monkeypatch.chdir(tmp_path)
    done = evaluate("-m", "parrot", "rows.parquet", "-o", "-")
    assert done.exit_code == 2
    said = "Error: --output -: a report is a folder, which cannot go to stdout: name the folder\n"
    assert done.stderr == said
    assert not (tmp_path / "-").exists()


def test_a_folder_with_other_files_is_left_alone(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model, 200), tmp_path / "rows.parquet")
    folder = tmp_path / "rows.report"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    arguments = ["-m", "parrot", tmp_path / "rows.parquet", "--label-column", "label"]
    done = evaluate(*arguments)
    assert done.exit_code == 2
    assert "holds other files (notes.txt)" in done.stderr
    assert evaluate(*arguments, "--force").exit_code == 0
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    assert evaluate(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--encoding", "nope", "--encoding 'nope'"),
        ("--delimiter", "ab", "--delimiter 'ab'"),
        ("--max-rejects", "0", "row 2 (line 3) cannot be read"),
    ],
)
def test_tables_are_read_as_score_reads_them(
    option: str, value: str, words: str, model: Model, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("text,label\ngood,pos\nbroken\n")
    done = evaluate("-m", "parrot", tmp_path / "rows.csv", option, value)
    assert done.exit_code in (1, 2), done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "rows.report").exists()


def test_a_tab_may_be_written_as_people_do(model: Model, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\tlabel\ngood\tpos\n")
    done = evaluate("-m", "parrot", tmp_path / "rows.csv", "--delimiter", r"\t", "-q")
    assert done.exit_code == 0, done.output


def test_evaluate_has_every_option_of_score_that_makes_sense() -> None:
    """`score` alone has those that say which rows are written, where, and when."""
    from scorer.cli.score import main as score

    def flags(command: click.Command) -> set[str]:
        return {flag for param in command.params for flag in param.opts}

    assert flags(score) - flags(main) == {
        *("--probabilities", "--diagnostics", "--prefix", "--csv-safe", "--runner", "--resume"),
        *("--incremental", "--dry-run", "--summary", "--report", "--explain", "--split-output"),
        *("--keep", "--drop", "--only-new", "--top"),
    }
    assert flags(main) - flags(score) == {"--require"}


def test_a_threshold_is_for_binary_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = install(monkeypatch, [parrot("multiclass")])[0]
    pa.parquet.write_table(table(model, 200), tmp_path / "rows.parquet")
    done = evaluate("-m", "parrot", tmp_path / "rows.parquet", "--threshold", 0.3)
    assert done.exit_code == 2
    assert "a threshold is for binary and multilabel models" in done.stderr


def test_a_threshold_changes_the_predictions(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model), tmp_path / "rows.parquet")
    shares = []
    for threshold in (0.2, 0.8):
        done = evaluate(
            *("-m", "parrot", tmp_path / "rows.parquet", "--label-column", "label"),
            *("--threshold", threshold),
        )
        assert done.exit_code == 0
        report = written(tmp_path / "rows.report").models[0]
        assert report.threshold == threshold
        used = [row for row in report.thresholds if row.note.startswith("in use")]
        assert used[0].accuracy == pytest.approx(report.figures["accuracy"].value or 0)
        shares.append(sum(row[1] for row in report.confusion) / report.evaluated)
    assert shares[0] > 0.7 > 0.3 > shares[1]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from scorer.cli.evaluate import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "heavy = {'sklearn', 'numba', 'keras', 'pandas', 'scipy', 'jinja2'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "evaluate -m imdb-bilstm labelled.parquet" in done.stdout


def test_json_numbers_are_plain(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model, 300), tmp_path / "rows.parquet")
    done = evaluate(
        *("-m", "parrot", tmp_path / "rows.parquet", "--label-column", "label"),
        *("-q", "--json", "--no-report"),
    )
    assert json.loads(done.stdout, parse_constant=pytest.fail)["models"][0]["evaluated"] == 297


def test_from_python_as_from_the_command(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model), tmp_path / "rows.parquet")
    options = EvaluationOptions(label_column="label", slices=("place",), threshold=0.4)
    found = evaluate_file(model, tmp_path / "rows.parquet", options=options, threads=2)
    done = evaluate(
        *("-m", "parrot", tmp_path / "rows.parquet", "--label-column", "label"),
        *("--slice", "place", "--threshold", 0.4, "-q"),
    )
    assert done.exit_code == 0, done.output
    assert written(tmp_path / "rows.report").models == found.models


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.tsv", "0\t{0}\n", ["--columns", "n,text", "--quoting", "none"]),
        ("a.csv", "n;text\n0;{0}\n", ["--delimiter", ";", "--encoding", "cp1252"]),
        ("a.csv", "n\ttext\n0\t{0}\n", ["--delimiter", r"\t", "--escape", "\\"]),
        ("a.csv", "{0}\n", ["--no-header", "--text-column", "column_1"]),
    ],
)
def test_text_files_are_read_as_score_reads_them(
    name: str, content: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install(monkeypatch, [parrot()])[0]
    path = tmp_path / name
    path.write_text(content.format("a good film"), encoding="cp1252")
    done = evaluate("-m", "parrot", path, *options, "--json", "-q")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == 1
    assert model.engine.rows == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--delimiter", "ab", "must be a single character, not a letter, digit, quote or newline"),
        ("--encoding", "nope", "unknown encoding"),
        ("--escape", "n", "must be a single character, not a letter, digit, quote or newline"),
        ("--columns", "a,a", "'a' is there twice"),
        ("--columns", "", "'' is not a name"),
        ("--columns", "a,", "'' is not a name"),
    ],
)
def test_how_text_files_are_read_is_checked_before_a_model_is_loaded(
    option: str, value: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("text\ngood\n")
    done = evaluate("-m", "no-such-model", tmp_path / "a.csv", option, value)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
