"""What feeds a network of several inputs: the text, other texts, and numbers of a table."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.bundle import Bundle, Input, input_of
from scorer.card import Card
from scorer.errors import ColumnError
from scorer.feeding import numbers
from scorer.jobs import score_file
from scorer.layers.spec import Padding, TensorSpec
from scorer.model import Model
from scorer.scores import final_outputs
from scorer.tasks import OutputOptions
from scorer.vectorizer import TokenBatch, VectorizerSpec
from tests.support.parrot import parrot
from tests.support.settings import settings_of


class Sum:
    """An engine whose output is what it is given: tokens of each text, and the sum of numbers."""

    name, precision, window_rows, short_rows = "sum", "float32", 1024, 1024

    def run(self, *inputs: TokenBatch | np.ndarray) -> np.ndarray:
        """float32 (rows, 1)."""
        parts = [
            each.sum(axis=1) if isinstance(each, np.ndarray) else np.diff(each.offsets) * 1000
            for each in inputs
        ]
        return np.stack(parts).sum(axis=0).astype(np.float32)[:, None]


def summing(*inputs: dict[str, Any], ids: bool = False) -> Model:
    """A regression model of a text, a title and the numbers `length` and `shouts`."""
    fields = parrot("regression").card.model_dump(by_alias=True)
    fields["scorer"]["inputs"] = inputs or (
        {"name": "title_in", "columns": ["title"]},
        {"name": "aux", "columns": ["length", "shouts"]},
        {"name": "words", "columns": ["text"]},
    )
    spec: VectorizerSpec = parrot().bundle.vectorizer
    aux = TensorSpec((2,), "ids", Padding("aux")) if ids else TensorSpec((2,))
    bundle = Bundle(
        Path("sum.keras"),
        "5" * 64,
        (
            input_of("title_in", spec, "title_in"),
            Input("aux", None, aux, "aux"),
            input_of("words", spec, "words"),
        ),
    )
    return Model(Card.model_validate(fields), bundle, Sum())


TABLE = pa.table(
    {
        "title": ["good", "", None, "good film", "a"],
        "text": ["good bad film", "good", "film", None, "a plot"],
        "length": [1.5, 2.0, 3.0, 4.0, None],
        "shouts": [10, 20, 30, 40, 50],
    }
)
EXPECTED = [1000 + 11.5 + 3000, 22 + 1000, 33 + 1000, None, None]


def test_each_input_is_given_its_own_columns() -> None:
    assert summing().predict(TABLE)["prediction"].to_pylist() == EXPECTED
    assert summing().predict(TABLE.to_pandas())["prediction"].tolist()[:3] == EXPECTED[:3]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_of_both_kinds_give_the_same_scores(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{suffix}"
    if suffix == "csv":
        TABLE.to_pandas().to_csv(path, index=False)
    else:
        pq.write_table(TABLE, path)
    summary = score_file(summing(), path, tmp_path / "out.parquet", settings=settings_of())
    assert (summary.scored, summary.unscored) == (3, 2)
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["prediction"].to_pylist() == EXPECTED


def test_a_row_without_its_numbers_is_not_scored_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = summing()
    table = TABLE.set_column(2, "length", pa.array(["1,5", " 2 ", "", "4", "x"]))
    for _ in range(2):
        assert model.predict(table)["prediction"].to_pylist() == [None, 1022, None, None, None]
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "column 'length' holds '1,5' where the model needs a number: such rows are not scored"
    ]


def test_a_column_that_is_not_there_stops_before_a_row_is_read() -> None:
    table = TABLE.rename_columns(["title", "text", "lenght", "shouts"])
    with pytest.raises(ColumnError) as caught:
        summing().predict(table)
    assert str(caught.value) == (
        "the table for parrot@1.0.0: no column 'length' (did you mean 'lenght'?); there are: "
        "title, text, lenght, shouts: parrot@1.0.0 needs this column"
    )
    with pytest.raises(ColumnError, match="reads the column 'title' beside the text"):
        summing().predict(["good film"])


def test_a_model_that_never_reads_its_text_is_refused() -> None:
    model = summing(
        {"name": "title_in", "columns": ["title"]},
        {"name": "aux", "columns": ["length", "shouts"]},
        {"name": "words", "columns": ["body"]},
    )
    with pytest.raises(ColumnError, match="no input of the network reads the text column text or"):
        model.score(TABLE["text"].combine_chunks(), TABLE)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.floats(),
            st.integers(-(10**12), 10**12),
            st.text("0123456789.eE+- x,", max_size=8),
        )
    )
)
def test_texts_are_read_as_plain_decimal_numbers(values: list[Any]) -> None:
    texts = [value if isinstance(value, str | None) else repr(value) for value in values]
    read, there = numbers(pa.array(texts, pa.string()))
    for text, number, good in zip(texts, read.tolist(), there.tolist(), strict=True):
        try:
            expected = float(text) if text is not None else math.nan
        except ValueError:
            expected = math.nan
        assert good == math.isfinite(expected)
        assert number == (expected if good else 0)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, 3], pa.int8()), [1, None, 3]),
        (pa.array([1.5, math.nan, math.inf]), [1.5, None, None]),
        (pa.array([Decimal("1.25"), None, Decimal(7)]), [1.25, None, 7]),
        (pa.array([True, False, None]), [1, 0, None]),
        (pa.array([None, None, None]), [None] * 3),
        (pa.array(["3", "x", "3"]).dictionary_encode(), [3, None, 3]),
    ],
)
def test_columns_of_every_type_of_number_are_read(column: pa.Array, expected: list[Any]) -> None:
    read, there = numbers(column)
    assert [n if good else None for n, good in zip(read, there, strict=True)] == expected


def test_logits_become_probabilities_row_by_row() -> None:
    logits = np.array([[3.0, -70.2], [0.0, 800.0], [-800.0, 1.0]], np.float32)
    fields = parrot("binary").card.model_dump(by_alias=True)

    def final(activation: str | None, raw: np.ndarray) -> np.ndarray:
        fields["scorer"]["output_activation"] = activation
        return final_outputs(raw, Card.model_validate(fields).scorer)

    softmax = np.exp(logits[:, 1:] - logaddexp(logits))
    np.testing.assert_allclose(final("softmax", logits), softmax, rtol=1e-6)
    one = logits[:, :1]
    np.testing.assert_allclose(final("sigmoid", one)[:2], 1 / (1 + np.exp(-one[:2])), rtol=1e-6)
    assert final("sigmoid", one)[2, 0] == 0
    assert (final(None, logits) == logits[:, 1:]).all()
    alone = np.concatenate([final("softmax", row[None]) for row in logits])
    assert (alone == final("softmax", logits)).all()


def logaddexp(logits: np.ndarray) -> np.ndarray:
    """float64 (rows, 1): log of the sum of the powers of two logits."""
    total: np.ndarray = np.logaddexp(logits[:, :1].astype(np.float64), logits[:, 1:])
    return total


def test_options_reach_a_model_of_several_inputs() -> None:
    added = summing().predict(TABLE, options=OutputOptions(diagnostics=True, prefix="m_"))
    assert added.column_names == ["m_prediction", "m_n_tokens", "m_oov_share", "m_truncated"]
    assert added["m_n_tokens"].to_pylist() == [3, 1, 1, 0, 2]
