"""Conversions: each value exactly, or one line that names the column, its type and the remedy."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.errors import ColumnError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.tables.values import csv_cells, json_objects
from tests.support.parrot import parrot
from tests.support.settings import settings_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def scored(column: pa.Array, output: str) -> list[str]:
    """The lines of a one-row-a-value Parquet file as another format."""
    pq.write_table(pa.table({"text": ["good"] * len(column), "x": column}), "in.parquet")
    score_table(parrot(), plan(["in.parquet"], output).jobs[0], settings_of())
    return Path(output).read_text(encoding="utf-8").splitlines()


def in_json(column: pa.Array) -> list[Any]:
    def strict(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=strict)["x"] for line in scored(column, "out.jsonl")]


def in_csv(column: pa.Array) -> list[str]:
    return [line.split(",")[1] for line in scored(column, "out.csv")[1:]]


def stamps(*values: int, unit: str = "ns", zone: str | None = None) -> pa.Array:
    return pa.array(values, pa.int64()).cast(pa.timestamp(unit, zone))


KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")
UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([KEY.bytes, None], pa.binary(16)))
FAR = 253402300800  # the first second of the year 10000

JSON: dict[str, tuple[pa.Array, list[Any]]] = {
    "nanoseconds": (
        stamps(1, 1000),
        ["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:00.000001"],
    ),
    "nanoseconds with a zone": (
        stamps(123456789, zone="Europe/Berlin"),
        ["1970-01-01 01:00:00.123456789+01:00"],
    ),
    "before 1970": (stamps(-1), ["1969-12-31 23:59:59.999999999"]),
    "year 10000": (stamps(FAR * 10**6, unit="us"), ["10000-01-01 00:00:00.000000"]),
    "time of nanoseconds": (
        pa.array([1, 10**9], pa.time64("ns")),
        ["00:00:00.000000001", "00:00:01"],
    ),
    "duration of nanoseconds": (
        pa.array([1, 10**9], pa.duration("ns")),
        ["0:00:00.000000001", "0:00:01"],
    ),
    "nanoseconds in a list": (
        pa.ListArray.from_arrays([0, 2], stamps(1, 10**9)),
        [["1970-01-01 00:00:00.000000001", "1970-01-01 00:00:01"]],
    ),
    "bytes": (pa.array([b"\xff\0", b"abc", None]), ["/wA=", "YWJj", None]),
    "fixed bytes": (pa.array([b"abc"], pa.binary(3)), ["YWJj"]),
    "large bytes": (pa.array([b"abc"], pa.large_binary()), ["YWJj"]),
    "bytes in a struct": (pa.array([{"a": b"\xff", "b": [b"a"]}]), [{"a": "/w==", "b": ["YQ=="]}]),
    "not numbers": (pa.array([float("nan"), float("inf"), 1.5]), [None, None, 1.5]),
    "not numbers in a list": (pa.array([[float("nan"), 0.5]]), [[None, 0.5]]),
    "uuid": (UUIDS, [str(KEY), None]),
    "decimal": (pa.array([Decimal("1.10")]), ["1.10"]),
    "map": (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())), [[["a", 1]]]),
    "dates": (pa.array([dt.date(2020, 2, 29), None]), ["2020-02-29", None]),
    "tensor": (
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2]], pa.list_(pa.int32(), 2))
        ),
        [[1, 2]],
    ),
}


@pytest.mark.parametrize("name", JSON)
def test_values_in_json(name: str) -> None:
    column, wanted = JSON[name]
    assert in_json(column) == wanted


CSV: dict[str, tuple[pa.Array, list[str]]] = {
    "uuid": (UUIDS, [str(KEY), ""]),
    "nanoseconds": (stamps(1), ["1970-01-01 00:00:00.000000001"]),
    "year 10000": (stamps(FAR, unit="ms").cast(pa.timestamp("us")), ["1978-01-11 21:31:40.800000"]),
    "dictionary": (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
}


@pytest.mark.parametrize("name", CSV)
def test_values_in_csv(name: str) -> None:
    column, wanted = CSV[name]
    assert in_csv(column) == wanted


def duplicate_fields() -> pa.Array:
    one = pa.array([1])
    return pa.StructArray.from_arrays([one, one], names=["a", "a"])


def broken_text() -> pa.Array:
    offsets = pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0]))
    return pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])


REFUSED: dict[str, tuple[Callable[[], pa.Array], str, str]] = {
    "bytes": (lambda: pa.array([b"a"]), "csv", "holds binary, which CSV cannot store"),
    "fixed bytes": (lambda: pa.array([b"a"], pa.binary(1)), "csv", r"holds fixed_size_binary\[1\]"),
    "large bytes": (lambda: pa.array([b"a"], pa.large_binary()), "csv", "holds large_binary"),
    "tensor": (lambda: JSON["tensor"][0], "csv", "holds extension<arrow.fixed_shape_tensor"),
    "struct": (lambda: pa.array([{"a": 1}]), "csv", "holds struct<a: int64>"),
    "dictionary of bytes": (
        lambda: pa.array([b"a"]).dictionary_encode(),
        "csv",
        "holds dictionary<values=binary",
    ),
    "far dates": (lambda: stamps(2**62, unit="us"), "csv", "out of any calendar's range"),
    "far dates in JSON": (lambda: stamps(2**62, unit="us"), "jsonl", "value out of range"),
    "broken text": (broken_text, "csv", "holds text that is not UTF-8"),
    "broken text in JSON": (broken_text, "jsonl", "holds text that is not UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_place_is_refused_by_column_and_type(name: str) -> None:
    make, suffix, message = REFUSED[name]
    with pytest.raises(ColumnError, match=message) as refused:
        scored(make(), f"out.{suffix}")
    told = str(refused.value)
    assert told.startswith("in.parquet: column 'x' holds ")
    assert "write" in told
    assert "\n" not in told
    assert not Path(f"out.{suffix}").exists()


def test_fields_of_one_name_are_refused() -> None:
    from scorer.tables.values import Unwritable, check_json

    with pytest.raises(Unwritable, match="a struct with 2 fields named 'a'"):
        check_json(pa.list_(duplicate_fields().type))


def test_an_empty_struct_is_an_object() -> None:
    assert json_objects(pa.array([{}, None], pa.struct([]))) == [{}, None]


@given(st.lists(st.binary(max_size=9) | st.none(), max_size=9))
def test_any_bytes_come_back(values: list[bytes | None]) -> None:
    found = json_objects(pa.array(values, pa.binary()))
    assert [None if value is None else base64.b64decode(value) for value in found] == values


@given(st.lists(st.integers(-(2**62), 2**62), max_size=9))
def test_any_nanosecond_comes_back(values: list[int]) -> None:
    texts = json_objects(stamps(*values))
    assert (
        pa.array(texts, pa.string()).cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist() == values
    )
    cells = csv_cells(stamps(*values))
    assert (
        pa.array(cells, pa.string()).cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist() == values
    )


def test_a_key_that_is_half_of_a_surrogate_pair_stays() -> None:
    line = '{"\\ud800":1,"text":"good"}\n'
    Path("in.jsonl").write_text(line)
    summary = score_table(parrot(), plan(["in.jsonl"], "out.jsonl").jobs[0], settings_of())
    assert (summary.scored, summary.rejected) == (1, 0)
    assert Path("out.jsonl").read_text().startswith(line[:-2])


def test_a_type_that_the_output_lacks_is_one_line() -> None:
    """Parquet has no struct without fields, and says so only when it is to write one."""
    from scorer.errors import UsageError
    from scorer.tables import open_reader, open_writer
    from scorer.tables.formats import PARQUET
    from scorer.tables.source import Source

    reader, _ = open_reader(Source("in.csv", lambda: io.BytesIO(b"text\n")))
    reader.schema = pa.schema([("text", pa.string()), ("x", pa.struct([]))])
    with pytest.raises(UsageError, match=r"in\.csv: column 'x' holds a struct without fields"):
        open_writer(io.BytesIO(), PARQUET, reader, pa.schema([]), {})
