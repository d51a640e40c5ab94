"""Models of labels that do not exclude each other: added, scored in every format, evaluated."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn import metrics as sk

import scorer
from scorer.card import parse_card
from scorer.cli import evaluate as evaluate_cli
from scorer.cli import score as score_cli
from scorer.cli import zoo as zoo_cli
from scorer.errors import CardError, ColumnError, UsageError
from scorer.evaluation import evaluate_file
from scorer.evaluation.request import EvaluationOptions
from scorer.evaluation.result import Report
from scorer.evaluation.statistics.label_sets import grouped_label_counts
from scorer.evaluation.statistics.resample import Resampler
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import Groups
from scorer.figures import figure_spec
from scorer.model import Model, load_model
from scorer.tasks import MULTILABEL, OutputOptions, Problem
from scorer.zoo import find
from tests.support import tiny

NAMES = ("film", "wine", "praise")
PROBABILITIES = [f"probability_{name}" for name in NAMES]
ROWS = [
    *tiny.TEXTS,
    "",
    None,
    *(f"{a} {b} {c}" for a, b, c in zip(*[tiny.WORDS[i:] for i in range(3)], strict=False)),
]


@pytest.fixture(scope="module")
def model(tiny_zoo: Path) -> Model:
    return load_model("tiny-tags", zoos=[tiny_zoo])


@pytest.fixture(scope="module")
def outputs(model: Model) -> np.ndarray:
    """float32 (rows, 3): of ROWS."""
    return model.score(pa.array(ROWS)).outputs


def labels_of(outputs: np.ndarray, threshold: float = 0.5) -> list[list[str] | None]:
    """What must be predicted of ROWS."""
    return [
        [name for name, p in zip(NAMES, row, strict=True) if p >= np.float32(threshold)]
        if text
        else None
        for text, row in zip(ROWS, outputs, strict=True)
    ]


def score(zoo: Path, *arguments: object) -> None:
    options = ["-m", "tiny-tags", "--zoo", zoo, "--no-report", *arguments]
    done = CliRunner().invoke(score_cli.main, [str(a) for a in options])
    assert done.exit_code == 0, done.output


def written(path: Path) -> pa.Table:
    """A table of ROWS in the format of the path's suffix."""
    table = pa.table({"text": pa.array(ROWS, pa.string())})
    if path.suffix == ".csv":
        cells = [{"text": text or ""} for text in ROWS]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["text"])
            writer.writeheader()
            writer.writerows(cells)
    elif path.suffix in (".jsonl", ".json"):
        lines = [json.dumps({"text": text}) for text in ROWS]
        one = "\n".join(lines) + "\n"
        path.write_text(one if path.suffix == ".jsonl" else f"[{','.join(lines)}]")
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".orc":
        pyarrow.orc.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, path, compression="uncompressed")
    return table


def read(path: Path) -> dict[str, list[Any]]:
    """The appended columns of a scored file, lists as lists."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        cells = [None if not row[PROBABILITIES[0]] else row["prediction"] for row in rows]
        lists = [None if c is None else (c.split("|") if c else []) for c in cells]
        numbers = [[float(row[name] or "nan") for row in rows] for name in PROBABILITIES]
        return {"prediction": lists, **dict(zip(PROBABILITIES, numbers, strict=True))}
    if path.suffix == ".jsonl":
        objects = [json.loads(line) for line in path.read_text().splitlines()]
    elif path.suffix == ".json":
        objects = json.loads(path.read_text())
    elif path.suffix == ".parquet":
        return dict(pq.read_table(path).select(["prediction", *PROBABILITIES]).to_pydict())
    elif path.suffix == ".orc":
        return dict(pyarrow.orc.read_table(path).to_pydict())
    else:
        return dict(pyarrow.feather.read_table(path).to_pydict())
    return {name: [row[name] for row in objects] for name in ("prediction", *PROBABILITIES)}


FORMATS = ("csv", "jsonl", "json", "parquet", "arrow", "orc")


@pytest.mark.parametrize(
    ("before", "after"),
    [*((s, s) for s in FORMATS), ("parquet", "csv"), ("parquet", "jsonl"), ("csv", "parquet")],
)
def test_every_format_holds_the_labels(
    before: str, after: str, tiny_zoo: Path, tmp_path: Path, outputs: np.ndarray
) -> None:
    written(tmp_path / f"rows.{before}")
    score(tiny_zoo, tmp_path / f"rows.{before}", "-o", tmp_path / f"out.{after}")
    found = read(tmp_path / f"out.{after}")
    expected = labels_of(outputs)
    assert [] in expected
    assert any(labels and len(labels) > 1 for labels in expected)
    assert found["prediction"] == expected
    for c, name in enumerate(PROBABILITIES):
        numbers = np.array([np.nan if x is None else x for x in found[name]], np.float32)
        scored = np.array([bool(text) for text in ROWS])
        assert numbers[scored].tolist() == outputs[scored, c].tolist()
        assert np.isnan(numbers[~scored]).all()


def test_one_threshold_is_for_all_labels(model: Model, outputs: np.ndarray) -> None:
    table = model.predict(ROWS, options=OutputOptions(threshold=0.45))
    assert table.column_names == ["prediction", *PROBABILITIES]
    assert table["prediction"].type == pa.list_(pa.string())
    assert table["prediction"].to_pylist() == labels_of(outputs, 0.45)
    assert table["prediction"].to_pylist() != labels_of(outputs)
    asked = model.predict(ROWS, options=OutputOptions(threshold=0.45, probabilities=True))
    assert asked.equals(table)


def test_pandas_gets_lists(model: Model, outputs: np.ndarray) -> None:
    texts = pd.Series(ROWS, index=range(100, 100 + len(ROWS)), dtype=object)
    frame = model.predict(texts)
    assert frame.index.tolist() == texts.index.tolist()
    assert frame["prediction"].tolist() == labels_of(outputs)


def test_a_new_column_of_lists_takes_the_codec_of_most(tiny_zoo: Path, tmp_path: Path) -> None:
    table = pa.table({"text": ["good film"] * 3, "a": [1, 2, 3], "b": [1, 2, 3]})
    codecs = {"text": "zstd", "a": "zstd", "b": "snappy"}
    pq.write_table(table, tmp_path / "rows.parquet", compression=codecs)
    score(tiny_zoo, tmp_path / "rows.parquet")
    group = pq.ParquetFile(tmp_path / "rows.scored.parquet").metadata.row_group(0)
    found = {
        group.column(i).path_in_schema: group.column(i).compression
        for i in range(group.num_columns)
    }
    assert found["prediction.list.element"] == "ZSTD"
    assert found["b"] == "SNAPPY"


def truths() -> list[list[str] | None]:
    """Labels of ROWS: any number of them, none at some rows, not known at others."""
    rng = np.random.default_rng(5)
    drawn = [[name for name in NAMES if rng.random() < 0.4] for _ in ROWS]
    return [None if i % 9 == 4 else labels for i, labels in enumerate(drawn)]


def as_lists(path: Path) -> Path:
    pq.write_table(pa.table({"text": ROWS, "label": truths()}), path / "rows.parquet")
    return path / "rows.parquet"


def as_json_lists(path: Path) -> Path:
    rows = zip(ROWS, truths(), strict=True)
    lines = [json.dumps({"text": text, "label": labels}) + "\n" for text, labels in rows]
    (path / "rows.jsonl").write_text("".join(lines))
    return path / "rows.jsonl"


def as_joined_texts(path: Path) -> Path:
    """With the cards' aliases, in another case."""
    cells = [None if t is None else "|".join(x[:3].upper() for x in t) for t in truths()]
    pq.write_table(pa.table({"text": ROWS, "label": cells}), path / "rows.parquet")
    return path / "rows.parquet"


def as_flags(path: Path) -> Path:
    """As in Jigsaw's data, where -1 stands for rows that are not for scoring."""
    flags = [[-1 if t is None else int(name in t) for t in truths()] for name in NAMES]
    columns = {"text": ROWS, **dict(zip(("FILM", "wine", "pra"), flags, strict=True))}
    pq.write_table(pa.table(columns), path / "rows.parquet")
    return path / "rows.parquet"


def as_csv_flags(path: Path) -> Path:
    with (path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *NAMES])
        for text, labels in zip(ROWS, truths(), strict=True):
            has = ["" if labels is None else str(name in labels).lower() for name in NAMES]
            writer.writerow([text or "", *has])
    return path / "rows.csv"


@pytest.mark.parametrize(
    "write", [as_lists, as_json_lists, as_joined_texts, as_flags, as_csv_flags]
)
def test_every_kind_of_truth_gives_scikit_learn_s_figures(
    write: Any, model: Model, outputs: np.ndarray, tmp_path: Path
) -> None:
    report = evaluate_file(model, write(tmp_path))
    found = report.models[0]
    known = [bool(text) and labels is not None for text, labels in zip(ROWS, truths(), strict=True)]
    truth = np.array([[name in (t or ()) for name in NAMES] for t in truths()])[known].astype(int)
    given = (outputs[known] >= 0.5).astype(int)
    assert found.evaluated == sum(known)
    expected = {
        "micro_f1": sk.f1_score(truth, given, average="micro"),
        "macro_f1": sk.f1_score(truth, given, average="macro"),
        "subset_accuracy": sk.accuracy_score(truth, given),
        "roc_auc": sk.roc_auc_score(truth, outputs[known]),
        "label_ranking": sk.label_ranking_average_precision_score(truth, outputs[known]),
    }
    for name, value in expected.items():
        assert found.figures[name].value == pytest.approx(value, abs=1e-6), name
    assert [item.support for item in found.classes] == truth.sum(axis=0).tolist()
    assert [item.predicted for item in found.classes] == given.sum(axis=0).tolist()
    assert [curve.label for curve in found.roc] == list(NAMES)
    assert [item.label for item in found.calibration_by_label] == list(NAMES)
    assert sum(item.rows for item in found.calibration) == 3 * found.evaluated
    assert found.confusion == ()
    (in_use,) = [item for item in found.thresholds if item.note.startswith("in use")]
    assert in_use.f1 == pytest.approx(expected["micro_f1"], abs=1e-6)


def test_the_largest_mistake_is_the_label_that_lost_most(
    model: Model, outputs: np.ndarray, tmp_path: Path
) -> None:
    mistakes = evaluate_file(model, as_lists(tmp_path)).models[0].mistakes
    lost = {}
    for i, (text, labels) in enumerate(zip(ROWS, truths(), strict=True)):
        if text and labels is not None:
            has = np.array([name in labels for name in NAMES])
            wrong = (outputs[i] >= 0.5) != has
            if wrong.any():
                lost[i + 1] = float(np.abs(has - outputs[i])[wrong].max())
    assert len(lost) > 5
    best = sorted(lost, key=lambda row: -lost[row])[:20]
    assert [item.row for item in mistakes] == best
    assert [item.size for item in mistakes] == pytest.approx([lost[row] for row in best], abs=1e-6)
    said = {item.row: item.truth for item in mistakes}
    assert said[best[0]] == (", ".join(truths()[best[0] - 1] or ()) or "no label")


def table(path: Path, **columns: Sequence[Any]) -> Path:
    n = len(next(iter(columns.values())))
    pq.write_table(pa.table({"text": ["good film"] * n, **columns}), path / "t.parquet")
    return path / "t.parquet"


def test_unknown_labels_are_told_and_left_out(model: Model, tmp_path: Path) -> None:
    path = table(tmp_path, label=["film|spam", "wine", "", None, "spam", "ham"])
    report = evaluate_file(model, path)
    assert report.labels is not None
    assert (report.labels.usable, report.labels.blank, report.labels.unusable) == (2, 1, 3)
    assert report.labels.unusable_values == {"spam": 2, "ham": 1}
    assert "; 3 rows of 'spam', 'ham' left out" in report.labels.understood
    mapped = EvaluationOptions(label_map=("spam=wine,ham=",))
    found = evaluate_file(model, path, options=mapped).labels
    assert found is not None
    assert (found.usable, found.unusable) == (4, 1)


def test_labels_that_mean_nothing_are_an_error_where_they_were_asked_for(
    model: Model, tmp_path: Path
) -> None:
    path = table(tmp_path, other=["spam", "ham|spam"], film=[0, 1], wine=[2, 3], praise=[5, 7])
    with pytest.raises(
        ColumnError, match="'other' holds 'spam', 'ham' and none of the labels film"
    ):
        evaluate_file(model, path, options=EvaluationOptions("other"))
    with pytest.raises(ColumnError, match="film, wine, praise: '2', '3', '5', '7' are neither 0"):
        evaluate_file(model, path, options=EvaluationOptions(NAMES))
    empty = table(tmp_path, label=["", "", None])
    assert evaluate_file(model, empty).labels is None, "an empty column is found by chance"
    with pytest.raises(ColumnError, match="blank"):
        evaluate_file(model, empty, options=EvaluationOptions("label"))


def test_label_columns_are_checked(model: Model, tiny_zoo: Path, tmp_path: Path) -> None:
    path = table(tmp_path, film=[0, 1], wine=[1, 1], other=[1, 0])
    assert evaluate_file(model, path).labels is None, "praise has no column"
    with pytest.raises(ColumnError, match="not one column for each label: see praise"):
        evaluate_file(model, path, options=EvaluationOptions(("film", "wine")))
    with pytest.raises(ColumnError, match="'other' is not named after a label of tiny-tags"):
        evaluate_file(model, path, options=EvaluationOptions(("film", "wine", "other")))
    with pytest.raises(ColumnError, match="no column 'win'"):
        evaluate_file(model, path, options=EvaluationOptions(("film", "win")))
    flags = table(tmp_path, film=[0, 1], wine=[1, 1], praise=[1, 0])
    with pytest.raises(ColumnError, match="--label-map is for one column of labels"):
        evaluate_file(model, flags, options=EvaluationOptions(label_map=("x=film",)))
    binary = load_model("tiny-binary", zoos=[tiny_zoo])
    with pytest.raises(UsageError, match="tiny-binary predicts one label or number"):
        evaluate_file(binary, flags, options=EvaluationOptions(("film", "wine")))


def test_evaluate_compares_requires_and_slices(tiny_zoo: Path, tmp_path: Path) -> None:
    path = as_flags(tmp_path)
    rows = pq.read_table(path)
    rows = rows.append_column("place", pa.array(["a", "b"] * (len(ROWS) // 2 + 1))[: len(ROWS)])
    pq.write_table(rows, path)
    options: list[object] = ["-m", "tiny-tags", "--zoo", tiny_zoo, path, "--threshold", "0.4"]
    options += ["--label-column", "pra", "--label-column", "FILM", "--label-column", "wine"]
    options += ["--slice", "place", "--require", "macro_f1>=0.99", "--require", "hamming_loss<1"]
    done = CliRunner().invoke(evaluate_cli.main, [str(a) for a in options])
    assert done.exit_code == 4, done.output
    assert "macro_f1>=0.99: it does not hold" in done.stderr
    report = Report.model_validate_json((tmp_path / "rows.report" / "report.json").read_text())
    found = report.models[0]
    assert found.threshold == 0.4
    assert [gate.passed for gate in report.gates] == [False, True]
    assert found.slices[0].main_figure == "micro_f1"
    assert [row.value for row in found.slices[0].rows] == ["a", "b"]
    assert found.promises[0].metric == "macro_f1"
    page = (tmp_path / "rows.report" / "report.html").read_text()
    for part in ("Per label", "Reliability of each label", "Micro F1", "if it predicted any label"):
        assert part in page
    assert "Confusion matrix" not in page


def test_two_models_are_compared(tiny_zoo: Path, tmp_path: Path) -> None:
    own = load_model("tiny-tags", zoos=[tiny_zoo])
    card = own.card.model_copy(
        update={"scorer": own.card.scorer.model_copy(update={"name": "other", "threshold": 0.4})}
    )
    report = evaluate_file([own, Model(card, own.bundle, own.engine)], as_lists(tmp_path))
    assert report.comparison is not None
    agreement = report.comparison.agreement
    given = [own.score(pa.array(ROWS)).outputs >= threshold for threshold in (0.5, 0.4)]
    known = [bool(text) and t is not None for text, t in zip(ROWS, truths(), strict=True)]
    assert not (given[0] == given[1]).all()
    same = (given[0] == given[1]).all(axis=1)[known]
    assert agreement[0][1] == pytest.approx(same.mean(), abs=1e-6)


def test_a_model_is_added_by_its_card_and_by_options(tiny_zoo: Path, tmp_path: Path) -> None:
    archive = find("tiny-tags", [tiny_zoo]).model_path
    labels = [part for name in NAMES for part in ("--label", name)]
    described = ["--name", "tags", "--task", "multilabel", *labels, "--text-column", "text"]
    ways: list[list[object]] = [[*described], ["--card", archive.with_name("README.md")]]
    for way in ways:
        command = ["add", archive, "--zoo", tmp_path / "zoo", *way]
        done = CliRunner().invoke(zoo_cli.main, [str(a) for a in command])
        assert done.exit_code == 0, done.output
    listed = CliRunner().invoke(zoo_cli.main, ["list", "--zoo", str(tmp_path / "zoo"), "--json"])
    found = {item["name"]: item for item in json.loads(listed.stdout)}
    assert found["tags"]["task"] == found["tiny-tags"]["task"] == "multilabel"
    assert found["tiny-tags"]["metric"] == "macro_f1"
    ours = load_model("tiny-tags", zoos=[tiny_zoo])
    for name in ("tags", "tiny-tags"):
        added = scorer.load(name, zoos=[tmp_path / "zoo"])
        assert added.predict(ROWS).equals(ours.predict(ROWS))


@pytest.mark.parametrize(
    ("labels", "said"),
    [([], "needs 2 or more labels, not 0"), (["one"], "not 1"), (["a|b", "c"], r"'a\|b' holds")],
)
def test_a_card_s_labels_are_checked(labels: list[str], said: str) -> None:
    fields = tiny.card_fields("tiny-tags", [])
    fields["scorer"]["labels"] = [{"name": label} for label in labels]
    with pytest.raises(CardError, match=said):
        parse_card(f"---\n{json.dumps(fields)}\n---\n")


def test_slices_of_many_labels_have_the_figure_of_all_together() -> None:
    rng = np.random.default_rng(2)
    target = (rng.random((500, 5)) < 0.3).astype(np.int8)
    problem = Problem(MULTILABEL, tuple("abcde"))
    sample = Sample(problem, target, rng.random((500, 5)).astype(np.float32))
    groups, resampler = Groups(np.arange(500) % 3, 3), Resampler(500, replicates=5)
    each = grouped_label_counts(sample, groups, resampler)
    whole = grouped_label_counts(sample, groups, resampler, together=True)
    micro = figure_spec("micro_f1").formula
    for one, other in ((each.whole, whole.whole), (each.drawn, whole.drawn)):
        np.testing.assert_allclose(micro(one), micro(other))
    third = sample.take(np.arange(500) % 3 == 1)
    expected = sk.f1_score(third.target, third.predicted, average="micro")
    assert micro(whole.whole)[1] == pytest.approx(expected)
