"""Parquet: schema, types, nulls and metadata kept; read and written in bounded pieces."""

from __future__ import annotations

import datetime as dt
import errno
import io
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.errors import InputError
from scorer.tables import Source, WindowSize, local_source, open_reader, open_writer
from scorer.tables.formats import PARQUET
from scorer.tables.parquet.writer import ParquetWriter

ADDED = pa.schema([("prediction", pa.string()), ("probability", pa.float32())])


def rewritten(path: Path, rows: int = 3, text: str = "text") -> pq.ParquetFile:
    """`path` through reader and writer, its texts repeated as the prediction."""
    reader, _ = open_reader(local_source(path))
    out = io.BytesIO()
    writer = open_writer(out, PARQUET, reader, ADDED, {"scorer.model": "parrot"})
    for window in reader.windows(text, size=WindowSize(rows, rows)):
        cells = [window.texts.cast(pa.string()), pa.nulls(window.rows, pa.float32())]
        writer.write(writer.encode(window, pa.RecordBatch.from_arrays(cells, schema=ADDED)))
    writer.close()
    reader.close()
    return pq.ParquetFile(io.BytesIO(out.getvalue()))


def awkward() -> pa.Table:
    """A column of nearly every kind, with nulls, from which nothing may be lost."""
    n = 7
    columns: dict[str, Any] = {
        "text": ["a", None, "", "café", "x" * 5000, "six", "seven"],
        "dictionary": pa.array(["u", "v", None, "u", "v", "u", "v"]).dictionary_encode(),
        "large": pa.array([None, *"abcdef"], pa.large_string()),
        "binary": pa.array([b"\0\xff"] * n),
        "flag": [True, None] * 3 + [False],
        "small": pa.array(range(n), pa.int8()),
        "big": pa.array([2**63 - 1] * n),
        "unsigned": pa.array([2**64 - 1] * n, pa.uint64()),
        "half": pa.array([float("inf"), None, -0.0, 1.5, 2, 3, 4], pa.float32()),
        "money": pa.array([Decimal("1.10")] * n, pa.decimal128(9, 2)),
        "day": [dt.date(2020, 2, 29)] * n,
        "nanos": pa.array([1] * n, pa.timestamp("ns")),
        "zoned": pa.array([1] * n, pa.timestamp("us", "Europe/Berlin")),
        "took": pa.array([1] * n, pa.duration("ms")),
        "list": [[1, None], None, [], [2], [3], [4], [5]],
        "nested": [{"a": [{"b": "x"}]}, None, {"a": None}, {"a": []}] + [None] * 3,
        "map": pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int32())),
        "nothing": pa.nulls(n),
    }
    table = pa.table(columns)
    required = pa.field("sure", pa.int32(), nullable=False, metadata={b"unit": b"cm"})
    table = table.append_column(required, pa.array(range(n), pa.int32()))
    return table.replace_schema_metadata({"owner": "us"})


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_everything_of_the_input_comes_out(tmp_path: Path, codec: str) -> None:
    table = awkward()
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, compression=codec, row_group_size=5)
    before, after = pq.read_table(path), rewritten(path)
    out = after.read()
    assert out.select(before.column_names).equals(before)
    assert out.schema.names == [*before.schema.names, "prediction", "probability"]
    for field in before.schema:
        assert out.schema.field(field.name).equals(field, check_metadata=True)
    assert out["prediction"].to_pylist() == table["text"].to_pylist()
    assert out.schema.metadata == {b"owner": b"us", b"scorer.model": b"parrot"}


def test_compression_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(
        pa.table({"text": ["a"], "n": [[1]]}),
        path,
        compression={"text": "zstd", "n.list.element": "none"},
    )
    group = rewritten(path).metadata.row_group(0)
    codecs = {group.column(i).path_in_schema: group.column(i).compression for i in range(4)}
    assert codecs["text"] == "ZSTD"
    assert codecs["n.list.element"] == "UNCOMPRESSED"


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b"]),
        pa.array(["a", None, "b"], pa.large_string()),
        pa.array(["a", None, "b"], pa.string_view()),
        pa.array(["a", None, "b"]).dictionary_encode(),
        pa.array(["a", None, "b"], pa.large_string()).dictionary_encode(),
    ],
)
def test_every_kind_of_string_is_text(tmp_path: Path, column: pa.Array) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": column}), path)
    out = rewritten(path, rows=2).read()
    assert out["prediction"].to_pylist() == ["a", None, "b"]
    assert out.schema.field("text").type == pq.read_schema(path).field("text").type


def test_nulls_alone_and_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": pa.nulls(3)}), path)
    assert rewritten(path).read()["prediction"].to_pylist() == [None] * 3
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert rewritten(path).read().num_rows == 0
    assert rewritten(path).schema_arrow.names == ["text", "prediction", "probability"]


def test_pandas_reads_its_index_back(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"text": ["a", "b"]}, index=pd.Index([7, 9], name="key"))
    frame.to_parquet(tmp_path / "in.parquet")
    assert rewritten(tmp_path / "in.parquet").read().to_pandas().index.tolist() == [7, 9]


def test_thousands_of_columns(tmp_path: Path) -> None:
    columns = {f"c{i}": [i, None, -i] for i in range(3000)}
    pq.write_table(pa.table({**columns, "text": list("abc")}), tmp_path / "in.parquet")
    out = rewritten(tmp_path / "in.parquet").read()
    assert out.select(list(columns)).to_pydict() == columns


def test_row_groups_gather_small_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"text": ["x"] * 100}), tmp_path / "in.parquet", row_group_size=7)
    assert rewritten(tmp_path / "in.parquet").num_row_groups == 1
    monkeypatch.setattr("scorer.tables.parquet.writer.GROUP_ROWS", 40)
    groups = rewritten(tmp_path / "in.parquet", rows=4).metadata
    sizes = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
    assert sum(sizes) == 100
    assert max(sizes) <= 43


class Held(io.BytesIO):
    """Takes bytes when `free` says so, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.full = False

    def write(self, data: Any) -> int:
        assert self.free.wait(10)
        if self.full:
            raise OSError(errno.ENOSPC, "no space left")
        return super().write(data)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> tuple[Held, ParquetWriter, pa.RecordBatch]:
    """A writer to such a stream, and what is a row group for it."""
    monkeypatch.setattr("scorer.tables.parquet.writer.GROUP_BYTES", 1000)
    monkeypatch.setattr("scorer.tables.parquet.writer.COLUMN_BYTES", 1)
    stream, schema = Held(), pa.schema([("text", pa.string())])
    stream.free.set()  # for the first bytes of the file
    writer = ParquetWriter(stream, schema, ADDED, {})
    stream.free.clear()
    columns = [["x" * 2000], ["yes"], [0.5]]
    batch = pa.RecordBatch.from_arrays(
        [pa.array(c, kind) for c, kind in zip(columns, writer._schema.types, strict=True)],
        schema=writer._schema,
    )
    return stream, writer, batch


def test_one_row_group_is_written_while_the_next_comes_in(
    held: tuple[Held, ParquetWriter, pa.RecordBatch],
) -> None:
    stream, writer, batch = held
    writer.write(batch)  # returns, although nothing can be written
    release = threading.Timer(0.2, stream.free.set)
    release.start()
    writer.write(batch)  # no more than one group waits
    assert stream.free.is_set()
    for _ in range(5):
        writer.write(batch)
    writer.close()
    file = pq.ParquetFile(io.BytesIO(stream.getvalue()))
    assert file.num_row_groups == 7
    assert file.read().equals(pa.Table.from_batches([batch] * 7))


def test_a_row_group_that_cannot_be_written_stops_the_run(
    held: tuple[Held, ParquetWriter, pa.RecordBatch],
) -> None:
    stream, writer, batch = held
    stream.full = True
    stream.free.set()
    writer.write(batch)
    with pytest.raises(OSError, match="no space left") as raised:
        writer.close()
    assert raised.value.errno == errno.ENOSPC
    writer.abandon()


def test_parquet_from_a_pipe() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b"]}), buffer)
    reader, found = open_reader(Source("stdin", lambda: io.BytesIO(buffer.getvalue())))
    assert found.format is PARQUET
    assert [t for w in reader.windows("text") for t in w.texts.to_pylist()] == ["a", "b"]
    reader.close()


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": ["some text"] * 1000}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"in\.parquet: cannot be read as Parquet"):
        open_reader(local_source(path))
    path.write_bytes(whole[:4] + b"\xff" * 40 + whole[44:])
    reader, _ = open_reader(local_source(path))
    with pytest.raises(InputError, match=r"in\.parquet: cannot be read as Parquet"):
        list(reader.windows("text"))
    reader.close()
