"""Parquet beyond Arrow's types: what a file says of its columns comes out as it came in."""

from __future__ import annotations

import datetime as dt
import io
import struct as binary
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import ColumnError, InputError
from scorer.tables import Source, WindowSize, open_reader, open_writer
from scorer.tables.formats import format_of_name
from scorer.tables.parquet.thrift import BINARY, FALSE, I32, STRUCT, TRUE, Compact, struct, varint

ADDED = pa.schema([("prediction", pa.string())])


def rewritten(data: bytes, rows: int = 3) -> tuple[bytes, list[str]]:
    """A Parquet file through reader and writer, and what the writer says it has lost."""
    reader, _ = open_reader(Source("in.parquet", lambda: io.BytesIO(data)))
    out = io.BytesIO()
    named = format_of_name("out.parquet")
    assert named is not None
    writer = open_writer(out, named.format, reader, ADDED, {"scorer.model": "parrot"})
    try:
        for window in reader.windows("text", size=WindowSize(rows, rows)):
            cells = [window.texts.cast(pa.string())]
            writer.write(writer.encode(window, pa.RecordBatch.from_arrays(cells, schema=ADDED)))
        writer.close()
    finally:
        writer.abandon()
        reader.close()
    return out.getvalue(), list(writer.notes)


def written(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def opened(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(data))


# --- files that pyarrow does not write -----------------------------------------------------------


def with_footer(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    (length,) = binary.unpack("<I", data[-8:-4])
    footer = change(data[-8 - length : -8])
    return data[: -8 - length] + footer + binary.pack("<I", len(footer)) + b"PAR1"


def number(value: int) -> bytes:
    return varint(2 * value)


def text(value: bytes) -> bytes:
    return varint(len(value)) + value


def of_struct(*fields: tuple[int, int, bytes]) -> bytes:
    return struct(iter(fields))


def annotated(data: bytes, name: str, converted: int | None, logical: bytes | None) -> bytes:
    """The file with other annotations on the element `name` of its schema."""

    def change(footer: bytes) -> bytes:
        top = {span.id: span for span in Compact(footer).spans()}
        parser = Compact(footer, top[2].start)
        _, count = parser.list_head()
        for _ in range(count):
            start = parser.at
            spans = list(parser.spans())
            fields = {s.id: (s.kind, footer[s.start : s.end]) for s in spans}
            if fields[4][1] == text(name.encode()):
                fields = {place: fields[place] for place in fields.keys() - {6, 10}}
                if converted is not None:
                    fields[6] = (I32, number(converted))
                if logical is not None:
                    fields[10] = (STRUCT, logical)
                element = of_struct(*((place, *fields[place]) for place in sorted(fields)))
                return footer[:start] + element + footer[parser.at :]
        raise AssertionError(name)

    return with_footer(data, change)


EMPTY = of_struct()
GEOMETRY = of_struct((17, STRUCT, of_struct((1, BINARY, text(b"srid:5070")))))
TIME = of_struct((7, STRUCT, of_struct((1, TRUE, b""), (2, STRUCT, of_struct((2, STRUCT, EMPTY))))))
UNKNOWN = of_struct((99, STRUCT, EMPTY))
BYTES = pa.array([b"a", None, b"\0\xff"])
CLOCK = pa.array([dt.time(1, 2, 3), None, dt.time(23)], pa.time64("us"))
TWELVE = pa.array([b"123456789012", None, b"\0" * 12], pa.binary(12))
VARIANT = pa.array(
    [{"metadata": b"\1\0\0", "value": b"\0"}] * 3,
    pa.struct([pa.field("metadata", pa.binary(), False), pa.field("value", pa.binary(), False)]),
)

ANNOTATIONS: dict[str, tuple[pa.Array, int | None, bytes | None]] = {
    "ENUM": (BYTES, 4, of_struct((4, STRUCT, EMPTY))),
    "ENUM of old": (BYTES, 4, None),
    "BSON": (BYTES, 20, of_struct((13, STRUCT, EMPTY))),
    "GEOMETRY": (BYTES, None, GEOMETRY),
    "GEOGRAPHY": (BYTES, None, of_struct((18, STRUCT, EMPTY))),
    "INTERVAL": (TWELVE, 21, None),
    "TIME, UTC": (CLOCK, 8, TIME),
    "TIMESTAMP of old": (pa.array([1, None, 3], pa.timestamp("us")), 10, None),
    "VARIANT": (VARIANT, None, of_struct((16, STRUCT, EMPTY))),
    "one to come": (BYTES, None, UNKNOWN),
}


@pytest.mark.parametrize("kind", ANNOTATIONS)
@pytest.mark.parametrize("store_schema", [False, True])
def test_logical_types_are_kept(kind: str, store_schema: bool) -> None:
    column, converted, logical = ANNOTATIONS[kind]
    table = pa.table({"text": list("abc"), "column": column, "last": [1, 2, 3]})
    data = annotated(written(table, store_schema=store_schema), "column", converted, logical)
    out, lost = rewritten(data)
    assert lost == []
    before, after = opened(data), opened(out)
    assert schema_of(out)[: len(schema_of(data))] == schema_of(data)
    assert after.read().drop_columns(["prediction"]).equals(before.read())


def schema_of(data: bytes) -> list[tuple[bytes, Any, Any]]:
    """Name and annotations of every element below the root, as bytes."""
    found: list[tuple[bytes, Any, Any]] = []

    def look(footer: bytes) -> bytes:
        parser = Compact(footer, next(s.start for s in Compact(footer).spans() if s.id == 2))
        _, count = parser.list_head()
        for _ in range(count):
            fields = {s.id: footer[s.start : s.end] for s in parser.spans()}
            found.append((fields[4], fields.get(6), fields.get(10)))
        return footer

    with_footer(data, look)
    return found[1:]


def test_a_name_that_cannot_be_kept_is_told() -> None:
    """Other bytes may not take over what the input's bytes were called."""
    table = pa.table({"text": ["a"], "far": pa.array([1], pa.timestamp("us"))})
    _, lost = rewritten(written(table, use_deprecated_int96_timestamps=True))
    assert lost == ["column 'far': INT96 is written as TIMESTAMP in nanoseconds"]


# --- INT96 ---------------------------------------------------------------------------------------


def int96(values: Any, unit: str = "us") -> bytes:
    table = pa.table({"text": ["x"] * len(values), "at": pa.array(values, pa.timestamp(unit))})
    return written(table, use_deprecated_int96_timestamps=True, store_schema=False)


@settings(max_examples=40)
@given(st.lists(st.none() | st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))))
def test_no_int96_timestamp_is_altered(values: list[dt.datetime | None]) -> None:
    out, lost = rewritten(int96(values))
    column = opened(out).read()["at"]
    assert column.cast(pa.timestamp("us")).to_pylist() == values
    near = all(value is None or 1678 < value.year < 2262 for value in values)
    far = any(value is not None and not 1677 <= value.year <= 2262 for value in values)
    assert column.type == pa.timestamp("ns") or not near
    assert column.type == pa.timestamp("us") or not far
    unit = {"us": "microseconds", "ns": "nanoseconds"}[column.type.unit]
    assert lost == [f"column 'at': INT96 is written as TIMESTAMP in {unit}"]


def test_int96_inside_of_lists() -> None:
    far = dt.datetime(9999, 12, 31)
    column = pa.array(
        [[{"at": far}, None], None, []], pa.list_(pa.struct({"at": pa.timestamp("us")}))
    )
    table = pa.table({"text": list("abc"), "list": column})
    out, lost = rewritten(written(table, use_deprecated_int96_timestamps=True))
    assert opened(out).read()["list"].to_pylist() == column.to_pylist()
    assert lost == ["column 'list.list.element.at': INT96 is written as TIMESTAMP in microseconds"]


def test_nanoseconds_are_not_dropped_for_a_far_date(monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = rewritten(int96([1, 999, None], "ns"))
    assert opened(out).read()["at"].cast(pa.int64()).to_pylist() == [1, 999, None]
    nanos = pa.timestamp("ns")
    # as if a second were too far
    monkeypatch.setattr("scorer.tables.parquet.int96.NANOSECONDS", (0, 1))
    with pytest.raises(InputError, match="no Arrow type holds both"):
        rewritten(int96([1, 1_000_000_000], "ns"))
    out, _ = rewritten(int96([1000, 1_000_000_000], "ns"))
    assert opened(out).read()["at"].cast(nanos).cast(pa.int64()).to_pylist() == [1000, 10**9]


# --- metadata, codecs, footers -------------------------------------------------------------------


def test_every_key_of_the_file_is_kept() -> None:
    """Also one that the Arrow schema in the file lacks: polars and Avro write such."""
    stream = io.BytesIO()
    table = pa.table({"text": ["a"]}).replace_schema_metadata({"owner": "us"})
    with pq.ParquetWriter(stream, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"parquet.avro.schema": "{}", "empty": ""})
    before = opened(stream.getvalue()).metadata.metadata
    assert b"ARROW:schema" in before
    out, _ = rewritten(stream.getvalue())
    after = opened(out).metadata.metadata
    assert after.keys() == before.keys() | {b"scorer.model"}
    assert {key: after[key] for key in before if key != b"ARROW:schema"} == {
        key: value for key, value in before.items() if key != b"ARROW:schema"
    }
    assert b"ARROW:schema" not in opened(out).schema_arrow.metadata


def test_the_first_lz4_is_read() -> None:
    """Its number in the footer is 5; what pyarrow writes for "lz4" has 7."""
    table = pa.table({"text": ["a" * 100, None, "c"]})
    data = written(table, compression="lz4", use_dictionary=False)
    old = data.replace(b"\x04text\x15\x0e", b"\x04text\x15\x0a")
    assert old != data
    out, lost = rewritten(old)
    assert opened(out).read()["text"].to_pylist() == table["text"].to_pylist()
    assert opened(out).metadata.row_group(0).column(1).compression == "LZ4"
    assert lost == ["columns compressed with the deprecated LZ4 codec: 1; written with LZ4_RAW"]


def with_an_empty_group(data: bytes) -> bytes:
    """The file with a group of no columns after all others."""

    def change(footer: bytes) -> bytes:
        place = next(span.start for span in Compact(footer).spans() if span.id == 2)
        parser = Compact(footer, place)
        kind, count = parser.list_head()
        spans = {s.id: (s.kind, footer[s.start : s.end]) for s in parser.spans()}
        spans[5] = (I32, number(count))
        end = next(span.end for span in Compact(footer).spans() if span.id == 2)
        root = of_struct(*((i, *spans[i]) for i in sorted(spans)))
        group = of_struct((3, I32, number(1)), (4, BINARY, text(b"hollow")), (5, I32, number(0)))
        head = bytes([(count + 1) << 4 | kind])
        return footer[:place] + head + root + footer[parser.at : end] + group + footer[end:]

    return with_footer(data, change)


def test_a_struct_without_fields_is_refused_by_name() -> None:
    data = with_an_empty_group(written(pa.table({"text": ["a"]}), store_schema=False))
    assert opened(data).schema_arrow.field("hollow").type == pa.struct([])
    with pytest.raises(ColumnError, match="column 'hollow' holds a struct without fields"):
        rewritten(data)


def with_rows(data: bytes, rows: int, *, of_group: bool = False) -> bytes:
    """The file whose footer, or first row group, says that it has so many rows."""

    def change(footer: bytes) -> bytes:
        top = {span.id: span for span in Compact(footer).spans()}
        span = top[3]
        if of_group:
            parser = Compact(footer, top[4].start)
            parser.list_head()
            span = next(s for s in parser.spans() if s.id == 3)
        return footer[: span.start] + number(rows) + footer[span.end :]

    return with_footer(data, change)


def test_rows_are_counted_by_row_groups() -> None:
    """Some writers leave the footer's own sum at 0."""
    data = with_rows(written(pa.table({"text": list("abcdef")})), 0)
    assert opened(data).metadata.num_rows == 0
    reader, _ = open_reader(Source("in.parquet", lambda: io.BytesIO(data)))
    assert reader.rows == 6
    reader.close()


def test_a_table_without_columns_is_refused() -> None:
    data = written(pa.table({"text": ["a"]}).select([]))
    with pytest.raises(InputError, match=r"in\.parquet: has no columns"):
        rewritten(data)


def test_a_row_group_that_counts_wrong_is_refused() -> None:
    data = with_rows(written(pa.table({"text": list("abcdef")})), 8, of_group=True)
    with pytest.raises(
        InputError, match="row group 1 holds 6 rows, but the file's footer counts 8"
    ):
        rewritten(data)


@pytest.mark.parametrize("data", [b"\x19" * 5000, b"\x15" + b"\x80" * 100_000, b"\x1c" * 5000])
def test_a_header_without_end_is_refused(data: bytes) -> None:
    """Lists in lists, a number of many bytes, structs in structs."""
    with pytest.raises(ValueError, match=r"nested too deep|more than 64 bits"):
        Compact(data).fields()
    with pytest.raises(ValueError, match=r"nested too deep|more than 64 bits"):
        list(Compact(data).spans())


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.integers(1, 300),
        st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.binary(max_size=300),
    )
)
def test_a_struct_is_read_as_it_was_written(values: dict[int, Any]) -> None:
    def field(place: int, value: Any) -> tuple[int, int, bytes]:
        if isinstance(value, bool):
            return place, TRUE if value else FALSE, b""
        if isinstance(value, int):
            return place, I32, varint(2 * value if value >= 0 else -2 * value - 1)
        return place, BINARY, text(value)

    data = of_struct(*(field(place, values[place]) for place in sorted(values)))
    found = Compact(data).fields()
    flags = {place: value for place, value in values.items() if isinstance(value, bool)}
    assert found.flags == flags
    assert found.numbers == {
        place: value
        for place, value in values.items()
        if isinstance(value, int) and place not in flags
    }
    spans = list(Compact(data).spans())
    assert [span.id for span in spans] == sorted(values)
    texts = {s.id: data[s.start : s.end] for s in spans if s.kind == BINARY}
    assert texts == {i: text(value) for i, value in values.items() if isinstance(value, bytes)}


# --- categories ----------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    groups=st.lists(st.integers(1, 128), min_size=1, max_size=7),
    codes=st.sampled_from(["int8", "uint8", "int16", "int32"]),
    nested=st.booleans(),
    rows=st.integers(1, 300),
    data=st.data(),
)
def test_categories_of_every_row_group_are_kept(
    groups: list[int], codes: str, nested: bool, rows: int, data: st.DataObject
) -> None:
    """Each row group has its own dictionary; the codes may not count all of them together."""
    kind = pa.dictionary(pa.type_for_alias(codes), pa.string())
    stream, given_rows = io.BytesIO(), []
    whole = pa.schema([("text", kind), ("beside", pa.struct({"c": kind}) if nested else kind)])
    with pq.ParquetWriter(stream, whole) as writer:
        for count in groups:
            first = data.draw(st.integers(0, 200))
            words = pa.array([f"w{first + i}" for i in range(count)])
            column = pa.DictionaryArray.from_arrays(pa.array(range(count), kind.index_type), words)
            beside = pa.StructArray.from_arrays([column], ["c"]) if nested else column
            writer.write_table(pa.Table.from_arrays([column, beside], schema=whole))
            given_rows += words.to_pylist()
    out, _ = rewritten(stream.getvalue(), rows)
    # pyarrow reads dictionaries inside of structs from one row group only at a time.
    file = opened(out)
    parts = [file.read_row_group(i).to_pylist() for i in range(file.num_row_groups)]
    found = [row for part in parts for row in part]
    assert file.schema_arrow.field("text").type == kind
    assert [row["text"] for row in found] == [row["prediction"] for row in found] == given_rows
    beside_rows = [{"c": word} for word in given_rows] if nested else given_rows
    assert [row["beside"] for row in found] == beside_rows
    if not nested:
        assert file.read()["beside"].to_pylist() == given_rows


# --- many columns --------------------------------------------------------------------------------


def test_columns_are_read_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.parquet.reader.SLICE_COLUMNS", 3)
    columns: dict[str, Any] = {}
    for i in range(5):
        columns[f"n{i}"] = [i, None, -i, 7, 8]
        columns[f"s{i}"] = [{"a": 1, "b": [{"c": "x"}]}, None, {"a": None, "b": []}, None, None]
        columns[f"m{i}"] = pa.array([[("k", i)]] * 5, pa.map_(pa.string(), pa.int32()))
        columns[f"d{i}"] = pa.array(list("uvuvw")).dictionary_encode()
    table = pa.table({**columns, "text": list("abcde")})
    for rows in (2, 5):
        out, _ = rewritten(written(table, row_group_size=3), rows)
        assert opened(out).read().drop_columns(["prediction"]).to_pylist() == table.to_pylist()
