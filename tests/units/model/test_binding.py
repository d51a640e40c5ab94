"""A model bound to a table: what it reads and appends is the same on every way to score."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.binding import TableSchema
from scorer.distributed.worker import table_work
from scorer.errors import ColumnError, UsageError
from scorer.jobs import score_file
from scorer.tasks import OutputOptions
from tests.support.parrot import parrot
from tests.support.settings import settings_of

TABLE = pa.table({"n": [1, 2, 3], "text": ["good film", None, "bad"]})
EVERYTHING = OutputOptions(probabilities=True, diagnostics=True, prefix="m_")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("options", [OutputOptions(), EVERYTHING])
def test_one_output_schema_on_every_way_and_nothing_is_scored_for_it(
    task: str, options: OutputOptions, tmp_path: Path
) -> None:
    model = parrot(task)
    binding = model.bind(TableSchema("it", TABLE.schema), None, options)
    binding.check_free(TableSchema("it", TABLE.schema))
    _, sent = table_work("it", TABLE.schema, model, None, options)
    assert model.engine.rows == 0  # type: ignore[attr-defined]
    added = model.predict(TABLE, options=options)
    assert binding.output_schema == sent == added.schema
    pq.write_table(TABLE, tmp_path / "in.parquet")
    score_file(model, tmp_path / "in.parquet", settings=settings_of(output=options))
    out = pq.read_table(tmp_path / "in.scored.parquet")
    assert out.select(binding.output_schema.names).equals(added)
    assert (binding.text, binding.context_columns) == ("text", ())


def test_what_cannot_be_is_refused_before_a_row_is_read() -> None:
    model = parrot("regression")
    with pytest.raises(UsageError, match="threshold"):
        model.bind(TableSchema("it", TABLE.schema), None, OutputOptions(threshold=0.3))
    with pytest.raises(ColumnError, match="no column 'words'"):
        model.bind(TableSchema("it", TABLE.schema), "words")
    taken = TableSchema("it", pa.schema({"text": pa.string(), "prediction": pa.int8()}))
    with pytest.raises(ColumnError, match="already has a column 'prediction'"):
        model.bind(taken).check_free(taken)


def test_a_table_that_is_known_to_be_empty_has_no_text_column() -> None:
    assert parrot().bind(TableSchema("it", pa.schema([]), rows=0)).text is None
    with pytest.raises(ColumnError):
        parrot().bind(TableSchema("it", pa.schema([]), rows=5))
