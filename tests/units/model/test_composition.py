"""Texts made of several columns: the same words from every file format, and clear messages."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scorer.card import parse_card, render_card
from scorer.cli.score import main
from scorer.composition import parse_template
from scorer.errors import BundleError, CardError, ColumnError
from scorer.model import Model, load_model
from scorer.zoo import write_index
from tests.support import tiny

TEMPLATE = "{text} {grape} price{price}"
ROWS = [
    {"text": "good film", "grape": "Ripe Oak", "price": 80.0},
    {"text": "dull plot", "grape": None, "price": 12.5},
    {"text": None, "grape": "oak", "price": 9.0},
    {"text": "", "grape": "oak", "price": 9.0},
    {"text": "?!", "grape": "oak", "price": 9.0},
    {"text": "café", "grape": "", "price": None},
]
COMPOSED = [
    "good film Ripe Oak price80",
    "dull plot  price12.5",
    None,
    None,
    None,
    "café  price",
]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo whose tiny-binary composes its text of three columns."""
    zoo = tmp_path_factory.mktemp("composed")
    folder = tiny.write_bundle(zoo, "tiny-binary")
    card = (folder / "README.md").read_text("utf-8")
    composed = card.replace("  text_columns:", f'  text_template: "{TEMPLATE}"\n  text_columns:', 1)
    (folder / "README.md").write_text(composed, "utf-8")
    write_index(zoo)
    return zoo


@pytest.fixture(scope="module")
def model(zoo: Path) -> Model:
    return load_model("tiny-binary", zoos=[zoo])


def probabilities(path: Path) -> list[float | None]:
    frame = pq.read_table(path) if path.suffix == ".parquet" else None
    if frame is not None:
        return [
            None if p is None else float(np.float32(p)) for p in frame["probability"].to_pylist()
        ]
    if path.suffix == ".jsonl":
        lines = path.read_text("utf-8").splitlines()
        return [json.loads(line)["probability"] for line in lines]
    values = pd.read_csv(path)["probability"]
    return [None if np.isnan(p) else float(np.float32(p)) for p in values]


def test_a_template_fills_its_places() -> None:
    compose = parse_template(TEMPLATE)
    table = pa.table({name: [row[name] for row in ROWS] for name in ("text", "grape", "price")})
    assert compose.columns == ("grape", "price")
    assert compose(table["text"], table).to_pylist() == COMPOSED
    assert compose(table["text"], table.select(["text"])).to_pylist()[0] == "good film  price"


def test_kinds_of_columns_give_the_same_words() -> None:
    compose = parse_template("{text} {c}")
    texts = pa.array(["a"])
    columns = [
        pa.array([80.0]),
        pa.array([80], pa.int8()),
        pa.array(["80.0"]),
        pa.array(["80"]),
        pa.array(["80"]).dictionary_encode(),
        pa.array([80.0], pa.float32()),
    ]
    for column in columns:
        assert compose(texts, pa.table({"c": column})).to_pylist() == ["a 80"], column.type
    assert compose(texts, pa.table({"c": [float("nan")]})).to_pylist() == ["a "]


@given(st.lists(st.tuples(st.text(max_size=9), st.none() | st.text(max_size=9)), max_size=20))
def test_composing_rows_together_is_composing_each(rows: list[tuple[str, str | None]]) -> None:
    compose = parse_template("<{text}|{c}>")
    table = pa.table(
        {
            "text": pa.array([t for t, _ in rows], pa.string()),
            "c": pa.array([c for _, c in rows], pa.string()),
        }
    )
    together = compose(table["text"], table).to_pylist()
    apart = [
        compose(table["text"].slice(i, 1), table.slice(i, 1))[0].as_py() for i in range(len(rows))
    ]
    assert together == apart
    for (text, _), composed in zip(rows, together, strict=True):
        assert composed is None or f"<{text}|" in composed


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_scores_of_the_composed_texts(
    suffix: str, zoo: Path, model: Model, tmp_path: Path
) -> None:
    frame = pd.DataFrame(ROWS)
    source = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        frame.to_csv(source, index=False)
    elif suffix == "jsonl":
        source.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    else:
        frame.to_parquet(source, index=False)
    arguments = ["-m", "tiny-binary", "--zoo", str(zoo), str(source), "-o"]
    target = tmp_path / f"out.{suffix}"
    result = CliRunner().invoke(main, [*arguments, str(target)])
    assert result.exit_code == 0, result.output
    expected = model.predict(COMPOSED)["probability"].to_pylist()
    got = probabilities(target)
    assert [p is None for p in got] == [p is None for p in expected]
    for one, other in zip(got, expected, strict=True):
        assert one is None or one == pytest.approx(other, abs=1e-7)


def test_tables_can_be_predicted(model: Model) -> None:
    frame = pd.DataFrame(ROWS, index=list("abcdef"))
    expected = model.predict(COMPOSED)
    got = model.predict(frame)
    assert got.index.tolist() == list("abcdef")
    assert pa.Table.from_pandas(got, preserve_index=False)["probability"].equals(
        expected["probability"]
    )
    assert model.predict(pa.Table.from_pandas(frame)).equals(expected)


def test_an_absent_column_is_warned_of(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        got = model.predict(pa.table({"text": ["good film"], "prize": [3]}))
    assert got.equals(model.predict(["good film  price"]))
    assert caplog.messages == [
        "the table for tiny-binary@1.0.0: no column 'grape' or 'price' (did you mean 'prize'?); "
        "there are: text, prize: tiny-binary@1.0.0 also reads this column, and scores without it"
    ]


def test_an_absent_column_is_warned_of_once_with_a_report(zoo: Path, tmp_path: Path) -> None:
    rows = "text,sentiment\ngood film,positive\ndull plot,positive\ngood plot,negative\n"
    (tmp_path / "rows.csv").write_text(rows)
    arguments = ["-m", "tiny-binary", "--zoo", str(zoo), str(tmp_path / "rows.csv")]
    done = CliRunner().invoke(main, [*arguments, "--label-column", "sentiment"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "rows.report" / "report.html").exists()
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("Warning")]
    assert warning.startswith(f"Warning: {tmp_path / 'rows.csv'}: no column 'grape' or 'price'")


def test_a_column_of_lists_is_refused(model: Model) -> None:
    with pytest.raises(ColumnError, match=r"column 'price' holds list<.*>, neither words nor num"):
        model.predict(pa.table({"text": ["a"], "grape": ["b"], "price": [[1]]}))


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("{grape}", "must name {text} once"),
        ("{text} {text}", "must name {text} once"),
        ("{text} {}", "words and {column} only"),
        ("{text:>9}", "words and {column} only"),
        ("{text!r}", "words and {column} only"),
        ("{text", "expected '}'"),
    ],
)
def test_a_bad_template_is_refused_by_name(template: str, rule: str, tiny_bundle: Path) -> None:
    text = (tiny_bundle / "README.md").read_text("utf-8")
    text = text.replace("  text_columns:", f"  text_template: '{template}'\n  text_columns:", 1)
    with pytest.raises(CardError, match=rule.replace("{", r"\{").replace("}", r"\}")) as caught:
        parse_card(text)
    assert "scorer.text_template" in str(caught.value)


def test_a_template_survives_rendering(zoo: Path) -> None:
    card = parse_card((zoo / "tiny-binary" / "1.0.0" / "README.md").read_text("utf-8"))
    assert card.scorer.text_template == TEMPLATE
    assert parse_card(render_card(card)).scorer.text_template == TEMPLATE


def test_a_card_is_part_of_a_zoo(zoo: Path, tmp_path: Path) -> None:
    """The template is in the index's digest: it cannot be changed behind the zoo's back."""
    copy = tmp_path / "zoo"
    shutil.copytree(zoo, copy)
    path = copy / "tiny-binary" / "1.0.0" / "README.md"
    path.write_text(path.read_text("utf-8").replace(TEMPLATE, "{text} {grape}"), "utf-8")
    with pytest.raises(BundleError, match="index says"):
        load_model("tiny-binary", zoos=[copy])
