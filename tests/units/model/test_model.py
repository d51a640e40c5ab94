"""A model at work: what is scored, which columns come out, and the Python API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import scorer
from scorer.errors import InputError, UsageError
from scorer.model import Model, load_model
from scorer.tasks import OutputOptions
from scorer.zoo import find
from tests.support import tiny


@pytest.fixture(scope="module")
def binary(tiny_zoo: Path) -> Model:
    return load_model("tiny-binary", zoos=[tiny_zoo])


def golden(tiny_zoo: Path, name: str) -> list[tuple[str, tuple[float, ...] | None]]:
    card = find(name, [tiny_zoo]).card
    return [(row.text, row.output) for row in card.scorer.golden]


@pytest.mark.parametrize("name", sorted(tiny.TASKS))
def test_scores_are_those_of_keras(name: str, tiny_zoo: Path) -> None:
    rows = golden(tiny_zoo, name)
    scores = load_model(name, zoos=[tiny_zoo]).score(pa.array([text for text, _ in rows]))
    assert scores.scored.tolist() == [output is not None for _, output in rows]
    for got, (_, expected) in zip(scores.outputs, rows, strict=True):
        if expected is not None:
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_text_without_tokens_is_not_scored(binary: Model) -> None:
    table = binary.predict([None, "", " \t\n", "?!", "film"])
    assert table["prediction"].is_null().to_pylist() == [True, True, True, True, False]
    assert table["probability"].is_null().to_pylist() == [True, True, True, True, False]


def test_a_binary_probability_is_of_the_predicted_label(binary: Model) -> None:
    texts = list(tiny.TEXTS)
    positive = binary.score(pa.array(texts)).outputs[:, 0]
    table = binary.predict(texts, options=OutputOptions(probabilities=True))
    assert table.column_names == [
        "prediction",
        "probability",
        "probability_negative",
        "probability_positive",
    ]
    says_positive = positive >= 0.5
    names = np.where(says_positive, "positive", "negative")
    assert table["prediction"].to_pylist() == names.tolist()
    expected = np.where(says_positive, positive, np.float32(1) - positive)
    assert table["probability"].to_numpy().tolist() == expected.tolist()
    assert table["probability_positive"].to_numpy().tolist() == positive.tolist()


def test_a_threshold_moves_the_label_and_not_the_probabilities(binary: Model) -> None:
    texts = list(tiny.TEXTS)
    for threshold, label in ((1e-9, "positive"), (1 - 1e-7, "negative")):
        options = OutputOptions(threshold=threshold, probabilities=True)
        table = binary.predict(texts, options=options)
        assert set(table["prediction"].to_pylist()) == {label}
        assert table["probability"].equals(table[f"probability_{label}"])


def test_a_threshold_needs_two_labels(tiny_zoo: Path) -> None:
    model = load_model("tiny-stars", zoos=[tiny_zoo])
    with pytest.raises(UsageError, match=r"tiny-stars@1\.0\.0 is multiclass"):
        model.predict(["film"], options=OutputOptions(threshold=0.3))


def test_multiclass_and_regression_columns(tiny_zoo: Path) -> None:
    stars = load_model("tiny-stars", zoos=[tiny_zoo])
    table = stars.predict(list(tiny.TEXTS), options=OutputOptions(probabilities=True))
    each = np.stack([table[f"probability_{x}"].to_numpy() for x in ("bad", "fair", "good")], 1)
    np.testing.assert_allclose(each.sum(axis=1), 1, atol=1e-5)
    best = each.argmax(axis=1)
    assert table["prediction"].to_pylist() == [("bad", "fair", "good")[i] for i in best]
    points = load_model("tiny-points", zoos=[tiny_zoo]).predict(list(tiny.TEXTS))
    assert points.column_names == ["prediction"]
    assert points["prediction"].type == pa.float32()


def test_diagnostics_count_tokens_and_say_what_was_cut(tiny_zoo: Path) -> None:
    points = load_model("tiny-points", zoos=[tiny_zoo])
    options = OutputOptions(diagnostics=True, prefix="m_")
    table = points.predict(["film " * 20, "film " * 21 + "xyzzy", "", None], options=options)
    assert table["m_n_tokens"].to_pylist() == [20, 22, 0, 0]
    assert table["m_truncated"].to_pylist() == [False, True, False, False]
    shares = table["m_oov_share"].to_pylist()
    assert shares[0] == 0.0
    assert shares[1] == pytest.approx(1 / 22)
    assert shares[2:] == [None, None]


def test_every_kind_of_input_gives_the_same(tiny_zoo: Path) -> None:
    model = scorer.load("tiny-binary", zoos=[tiny_zoo])
    texts = [*tiny.TEXTS, None, ""]
    expected = model.predict(texts)
    assert model.predict(np.array(texts, dtype=object)).equals(expected)
    assert model.predict(pa.array(texts, pa.large_string())).equals(expected)
    chunks = pa.chunked_array([pa.array(texts[:3]), pa.array(texts[3:], pa.string())])
    assert model.predict(chunks).equals(expected)
    series = pd.Series(texts, index=range(10, 10 + len(texts)))
    frame = model.predict(series)
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.tolist() == series.index.tolist()
    assert frame["prediction"].isna().tolist() == expected["prediction"].is_null().to_pylist()


def test_neither_threads_nor_neighbours_change_a_score(binary: Model) -> None:
    texts = [f"{text} {'film ' * (i % 7)}" for i in range(700) for text in tiny.TEXTS]
    one = binary.predict(texts, threads=1)
    assert binary.predict(texts, threads=3).equals(one)
    assert binary.predict(texts[::-1]).to_pylist() == one.to_pylist()[::-1]


def test_something_that_is_no_text_is_an_error(binary: Model) -> None:
    cases: tuple[tuple[Any, str], ...] = (
        ([1, 2], ": the one at index 0 is of the type int"),
        (["a", None, 3.5], ": the one at index 2 is of the type float"),
        ((text for text in ("a", b"\xff")), ": the one at index 1 is of the type bytes"),
        (["a", "\ud800"], ": the one at index 1 holds half of a surrogate pair"),
        (np.array([["a"], ["b"]]), ": an array of 2 dimensions"),
        (pd.Series([1, 2]), ": the one at index 0 is of the type int"),
        (pa.array([b"a"]), ", not Arrow's binary"),
        (pa.chunked_array([[1]]), ", not Arrow's int64"),
        (None, ", not None: give a list"),
    )
    for texts, said in cases:
        with pytest.raises(InputError, match=f"^texts must be strings or null{said}"):
            binary.predict(texts)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([["good", "dull"]], columns=["text", "text"]),
        pd.DataFrame({"text": ["good", "dull"], "mixed": [1, "a"]}),
    ],
)
def test_a_data_frame_that_arrow_cannot_hold_is_an_error(
    frame: pd.DataFrame, binary: Model
) -> None:
    with pytest.raises(InputError, match="give only columns that the model reads"):
        binary.predict(frame)


def test_a_path_names_a_model(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\ngood film\n")
    assert scorer.load(tiny_bundle).ref == "tiny-binary@1.0.0"
    assert scorer.score_file(tmp_path / "rows.csv", tiny_bundle).scored == 1
    anything: Any = 3
    with pytest.raises(UsageError, match="by its name, name@version or path, not by 3"):
        scorer.load(anything)


def test_no_rows_give_an_empty_table(binary: Model) -> None:
    table = binary.predict([])
    assert table.num_rows == 0
    assert table.column_names == ["prediction", "probability"]


def test_the_exported_names_are_these() -> None:
    assert sorted(scorer.__all__) == [
        "Explanation",
        "FileSummary",
        "Model",
        "OutputOptions",
        "Report",
        "ScorerError",
        "Word",
        "evaluate_file",
        "load",
        "score_file",
    ]
    assert all(callable(getattr(scorer, name)) for name in scorer.__all__)


def test_score_file_does_what_the_command_does(binary: Model, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('id,text\n007,"a good, good film"\n008,\n')
    summary = scorer.score_file(tmp_path / "rows.csv", binary)
    assert (summary.read, summary.scored, summary.unscored) == (2, 1, 1)
    lines = (tmp_path / "rows.scored.csv").read_text().splitlines()
    assert lines[0] == "id,text,prediction,probability"
    assert lines[1].startswith('007,"a good, good film",')
    assert lines[2] == "008,,,"


def test_one_text_is_one_text_and_what_has_no_order_is_refused(binary: Model) -> None:
    text = "a good, good film"
    (row,) = binary.predict([text]).to_pylist()
    assert binary.predict(text) == row
    columns = binary.predict({"text": [text, None], "other": [1, 2]})
    assert columns == binary.predict([text, None]).to_pydict()
    for given, message in (
        ({"a", "b"}, "not a set, which has no order: give a list"),
        (b"film", "not bytes: decode them"),
        (Path("rows.csv"), r"not a path: scorer.score_file\(path, model\) scores a file"),
        ({"text": text}, "'text' maps to str"),
        ({"text": ["a"], "b": [1, 2]}, "the dict's columns make no table"),
        (7, "texts must be strings or null"),
    ):
        with pytest.raises(InputError, match=message):
            binary.predict(given)
    with pytest.raises(UsageError, match="text_column is 'text', and the texts were given without"):
        binary.predict([text], text_column="text")


def test_options_may_be_keywords(binary: Model) -> None:
    texts = list(tiny.TEXTS)
    options = OutputOptions(probabilities=True, threshold=0.3, prefix="m_")
    expected = binary.predict(texts, options=options)
    given = {"probabilities": True, "threshold": 0.3, "prefix": "m_"}
    assert binary.predict(texts, **given).equals(expected)
    assert binary.predict(texts, options=options, prefix="x_").column_names[0] == "x_prediction"
    frame = {"text": ["film"] * 2, "mine": ["good", "dull"]}
    mine = binary.predict(frame, text_column="mine")
    assert mine == binary.predict(["good", "dull"]).to_pydict()


def test_anything_with_an_arrow_stream_is_read(binary: Model) -> None:
    class Stream:
        """As another library would have it."""

        def __init__(self, held: pa.Table | pa.ChunkedArray) -> None:
            self.held = held

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.held.__arrow_c_stream__(requested_schema)

    texts = [*tiny.TEXTS, None]
    expected = binary.predict(texts)
    assert binary.predict(Stream(pa.table({"text": texts}))).equals(expected)
    assert binary.predict(Stream(pa.chunked_array([texts]))).equals(expected)
    reader = pa.table({"text": texts}).to_reader()
    assert binary.predict(reader).equals(expected)


def test_polars_gives_polars(binary: Model) -> None:
    polars = pytest.importorskip("polars")
    texts = [*tiny.TEXTS, None]
    expected = polars.from_arrow(binary.predict(texts))
    frame = polars.DataFrame({"text": texts})
    assert binary.predict(frame["text"]).equals(expected)
    assert binary.predict(frame).equals(expected)
    assert binary.predict(frame.lazy()).collect().equals(expected)
    kinds = frame.cast({"text": polars.Categorical})
    assert binary.predict(kinds).equals(expected)


def test_duckdb_gives_a_relation(binary: Model) -> None:
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.sql("select 'a good film' as text union all select 'dull' order by 1")
    found = binary.predict(relation)
    assert type(found) is type(relation)
    assert found.columns == ["prediction", "probability"]
    expected = binary.predict(["a good film", "dull"])["prediction"].to_pylist()
    assert [row[0] for row in found.fetchall()] == expected
