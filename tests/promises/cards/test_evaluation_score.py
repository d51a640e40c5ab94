"""`score` evaluates as it goes: a report where there are labels, drift in every summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from scorer.card import Card
from scorer.cli.score import main
from scorer.evaluation.result import Report
from scorer.model import Model
from tests.support.parrot import parrot
from tests.units.evaluation.test_evaluate_cli import evaluate, install, table


def with_labels(model: Model) -> Model:
    """The same model whose card knows the column `label` and what training texts were like."""
    card = model.card.model_dump(by_alias=True)
    card["scorer"] |= {
        "label_columns": ["label"],
        "reference": {
            "rows": 100,
            "tokens": {"edges": [6.0], "counts": [50, 50]},
            "oov_share": {"edges": [0.5], "counts": [99, 1]},
            "score": {"edges": [0.5], "counts": [50, 50]},
        },
    }
    return Model(Card.model_validate(card), model.bundle, model.engine)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    return install(monkeypatch, [with_labels(parrot())])[0]


def score(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["-m", "parrot", *(str(a) for a in arguments)])


def summary(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    file: dict[str, Any] = json.loads(done.stdout)["files"][0]
    return file


def test_a_labelled_table_gets_the_report_that_evaluate_writes(
    model: Model, tmp_path: Path
) -> None:
    pa.parquet.write_table(table(model), tmp_path / "rows.parquet")
    file = summary(score(tmp_path / "rows.parquet", "--json", "--slice", "place"))
    assert file["report"] == str(tmp_path / "rows.report")
    ours = Report.model_validate_json((tmp_path / "rows.report" / "report.json").read_text())
    assert file["figures"]["accuracy"]["value"] == ours.models[0].figures["accuracy"].value
    done = evaluate(
        *("-m", "parrot", tmp_path / "rows.parquet", "-o", tmp_path / "apart"),
        *("--slice", "place", "-q"),
    )
    assert done.exit_code == 0, done.output
    apart = Report.model_validate_json((tmp_path / "apart" / "report.json").read_text())
    assert ours.models == apart.models
    assert ours.labels == apart.labels


def test_an_interrupted_run_is_evaluated_whole(model: Model, tmp_path: Path) -> None:
    """Rows that were scored before the interruption count as well."""
    rows = table(model, 4_000)
    pa.parquet.write_table(rows, tmp_path / "rows.parquet")
    whole = summary(score(tmp_path / "rows.parquet", "--json", "-o", tmp_path / "whole.parquet"))

    run, left = model.engine.run, [2]

    def failing(tokens: Any) -> Any:
        left[0] -= 1
        if left[0] < 0 and len(tokens.n_tokens) > 0:
            raise KeyboardInterrupt
        return run(tokens)

    model.engine.run = failing  # type: ignore[method-assign]
    stopped = score(tmp_path / "rows.parquet", "--threads", 1)
    assert stopped.exit_code == 130, stopped.output
    model.engine.run = run  # type: ignore[method-assign]
    resumed = summary(score(tmp_path / "rows.parquet", "--json", "--resume"))
    assert resumed["resumed"] > 0
    assert resumed["figures"] == whole["figures"]
    assert resumed["drift"] == whole["drift"]


def test_drift_is_in_every_summary(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model).drop_columns(["label"]), tmp_path / "rows.parquet")
    file = summary(score(tmp_path / "rows.parquet", "--json"))
    assert file["report"] is None
    assert not (tmp_path / "rows.report").exists()
    assert [part["name"] for part in file["drift"]["parts"]] == ["score", "tokens", "oov_share"]
    assert file["drift"]["rows"] == file["scored"]


def test_no_report_keeps_the_drift(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model), tmp_path / "rows.parquet")
    file = summary(score(tmp_path / "rows.parquet", "--json", "--no-report"))
    assert (file["report"], file["figures"]) == (None, {})
    assert file["drift"]["rows"] == file["scored"]
    assert not (tmp_path / "rows.report").exists()


def test_labels_by_chance_that_mean_nothing_are_a_note(model: Model, tmp_path: Path) -> None:
    rows = table(model, 200)
    rows = rows.set_column(1, "label", pa.array(["spam"] * 200))
    pa.parquet.write_table(rows, tmp_path / "rows.parquet")
    file = summary(score(tmp_path / "rows.parquet", "--json"))
    assert file["report"] is None
    assert "holds 'spam' and none of the labels" in file["notes"][0]
    asked = score(tmp_path / "rows.parquet", "--force", "--label-column", "label")
    assert asked.exit_code == 2
    assert (
        "rows.parquet: column 'label' holds 'spam' and none of the labels neg, pos" in asked.stderr
    )


def test_a_label_column_that_is_blank_is_said_to_be(model: Model, tmp_path: Path) -> None:
    rows = table(model, 200)
    rows = rows.set_column(1, "label", pa.nulls(200, pa.string()))
    pa.parquet.write_table(rows, tmp_path / "rows.parquet")
    done = score(tmp_path / "rows.parquet", "--label-column", "label")
    assert done.exit_code == 2
    says = f"Error: {tmp_path / 'rows.parquet'}: column 'label' is blank in every row: name another"
    assert says in done.stderr


def test_a_missing_label_column_publishes_nothing(model: Model, tmp_path: Path) -> None:
    pa.parquet.write_table(table(model, 200), tmp_path / "rows.parquet")
    done = score(tmp_path / "rows.parquet", "--label-column", "labl")
    assert done.exit_code == 2
    assert "did you mean 'label'?" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_reports_are_no_inputs(model: Model, tmp_path: Path) -> None:
    """A folder scored twice: the first run's report in it is not taken for a table."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    pa.parquet.write_table(table(model, 200), inbox / "rows.parquet")
    assert evaluate("-m", "parrot", inbox / "rows.parquet").exit_code == 0
    assert (inbox / "rows.report" / "report.json").exists()
    done = score(inbox, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["files"]) == 1
    assert (tmp_path / "out" / "rows.report" / "report.html").exists()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_labels_of_text_formats(suffix: str, model: Model, tmp_path: Path) -> None:
    rows = table(model, 300)
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        pa.csv.write_csv(rows, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))
    pa.parquet.write_table(rows, tmp_path / "same.parquet")
    text, parquet = (summary(score(p, "--json")) for p in (path, tmp_path / "same.parquet"))
    assert text["figures"] == parquet["figures"]


def test_an_empty_file_has_nothing_to_evaluate(model: Model, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("")
    assert summary(score(tmp_path / "rows.csv", "--json"))["drift"] is None
    (tmp_path / "head.csv").write_text("text,label\n")
    file = summary(score(tmp_path / "head.csv", "--json"))
    assert (file["report"], file["drift"]) == (None, None)


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([["neg"], None] * 50),
        pa.array([{"a": 1}, {"a": 2}] * 50),
        pa.array([b"\xff\xfe", b"neg"] * 50),
        pa.array([1, 2] * 50, pa.timestamp("ns")),
        pa.nulls(100),
    ],
    ids=["lists", "structs", "bytes", "times", "nulls"],
)
def test_odd_label_columns_met_by_chance_do_no_harm(
    labels: pa.Array, model: Model, tmp_path: Path
) -> None:
    rows = table(model, 100).set_column(1, "label", labels)
    pa.parquet.write_table(rows, tmp_path / "rows.parquet")
    assert summary(score(tmp_path / "rows.parquet", "--json"))["scored"] == 98


def test_of_two_columns_of_that_name_none_is_the_label_by_chance(
    model: Model, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("text,label,label\ngood film,pos,neg\n")
    assert summary(score(tmp_path / "rows.csv", "--json"))["report"] is None
    done = score(tmp_path / "rows.csv", "--force", "--label-column", "label")
    assert done.exit_code == 2
    assert "two columns are named 'label'" in done.stderr


def test_half_a_surrogate_pair_in_a_label_is_no_label(model: Model, tmp_path: Path) -> None:
    rows = ['{"text": "good film", "label": "pos"}', '{"text": "bad", "label": "\\ud800"}'] * 20
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    file = summary(score(tmp_path / "rows.jsonl", "--json"))
    assert file["scored"] == 40
    assert file["labels"]["unusable"] == 20
    assert "; 20 rows of '?' left out" in file["labels"]["understood"]
    (left,) = file["left_out"]
    assert (left["rows"], sum(left["predicted"].values())) == (20, 20)


def test_a_folder_with_other_files_is_left_alone(model: Model, tmp_path: Path) -> None:
    """The rule of `evaluate`; refused before a row is scored."""
    pa.parquet.write_table(table(model, 200), tmp_path / "rows.parquet")
    folder = tmp_path / "rows.report"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    done = score(tmp_path / "rows.parquet")
    assert done.exit_code == 2
    assert "holds other files (notes.txt)" in done.stderr
    assert not (tmp_path / "rows.scored.parquet").exists()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert score(tmp_path / "rows.parquet", "--force").exit_code == 0
    assert (folder / "notes.txt").read_text() == "mine"


def test_there_is_no_report_without_its_output(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorer.errors import OutputError
    from scorer.jobs.publish import LocalPlace

    pa.parquet.write_table(table(model, 200), tmp_path / "rows.parquet")
    published: list[str] = []
    whole = LocalPlace.publish

    def publish(self: LocalPlace, part: Path) -> None:
        published.append(self.path.name)
        assert not (tmp_path / "rows.report" / "report.html").exists()
        if fail:
            raise OutputError("it cannot be renamed")
        whole(self, part)

    monkeypatch.setattr(LocalPlace, "publish", publish)
    fail = True
    assert score(tmp_path / "rows.parquet").exit_code == 1
    assert published == ["rows.scored.parquet"]
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"rows.parquet", ".rows.scored.parquet.journal"}
    fail = False
    assert score(tmp_path / "rows.parquet").exit_code == 0
    assert (tmp_path / "rows.report" / "report.html").exists()
