"""A table read in parts is the table: wherever it is cut, every row and reject in its place."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.tables import Reader, Source, open_reader
from scorer.tables.parts import Part, Parts, PartSize, Splittable, parts_of_reader
from scorer.tables.remote import remote_file
from scorer.tables.text import lines, plain
from scorer.tables.text.options import ReadOptions
from scorer.tables.window import WindowSize
from tests.support.rows import rows_of

CSV = [
    b"a", b"b c", b",", b'"', b'""', b'"x, y"', b'"two\nlines"', b'"a ""b"""', b"\n", b"\n", b"\n",
    b"\r\n", b"\r", b"\0", b"\xc3\xa9", b"\xff", b" ", b'"closed"x', b"1,2,3\n", b'4,"5\n\n",6\r\n',
    b"\xef\xbb\xbf", b'x"y',
]  # fmt: skip
JSON = [
    b'{"b":"x"}', b'{"b":"two","a":1}', b"{}", b"\n", b"\n", b"\n", b"\r\n", b"\r", b" ", b"\xff",
    b"{broken", b'{"b":7}', b'{"b":null}', b"\xef\xbb\xbf", b'["b"]', b'{"new":1}', b"\x0b", b"\0",
]  # fmt: skip


def source_of(data: bytes, name: str) -> Source:
    """A file in memory: its bytes once through, or at any place."""
    return Source(name, lambda: io.BytesIO(data), lambda: io.BytesIO(data), dict)


def opened(source: Source, options: ReadOptions | None = None) -> Reader:
    return open_reader(source, options)[0]


def content(reader: Reader) -> tuple[list[Any], list[Any], int | None, int | None]:
    """Rows with their bytes, rejects with their places, how many of both there are, and lines."""
    rows: list[Any] = []
    rejects: list[Any] = []
    for window in reader.windows("b", size=WindowSize(3, 3), reserved=frozenset({"new"})):
        rows += zip(rows_of(window), window.texts.to_pylist(), strict=True)
        rejects += window.rejects
    assert isinstance(reader, Splittable)
    return rows, rejects, reader.rows, reader.lines


def found_parts(source: Source, every: int, options: ReadOptions | None = None) -> Parts:
    reader = opened(source, options)
    try:
        return parts_of_reader(reader, PartSize(every, every))
    finally:
        reader.close()


def reader_of(source: Source, part: Part, options: ReadOptions | None = None) -> Reader:
    reader = opened(source, options)
    assert isinstance(reader, Splittable)
    reader.only(part)
    return reader


def contents(
    source: Source, parts: tuple[Part, ...], options: ReadOptions | None = None
) -> Iterator[Any]:
    for part in parts:
        reader = reader_of(source, part, options)
        yield content(reader)
        reader.close()


def check(data: bytes, name: str, every: int, options: ReadOptions | None = None) -> int:
    """The rows and rejects of all parts, numbered on, are those of the whole. How many parts."""
    source = source_of(data, name)
    whole_rows, whole_rejects, count, line_count = content(opened(source, options))
    parts = found_parts(source, every, options).parts
    rows: list[Any] = []
    rejects: list[Any] = []
    before = lines_before = 0
    for some, unread, read, read_lines in contents(source, parts, options):
        rows += some
        rejects += [
            replace(each, row=before + each.row, line=lines_before + (each.line or 0))
            for each in unread
        ]
        assert read is not None
        assert read_lines is not None
        before += read
        lines_before += read_lines
    if parts:
        assert all(a.end == b.first for a, b in pairwise(parts))
        assert (rows, before, lines_before) == (whole_rows, count, line_count)
        assert rejects == whole_rejects
    return len(parts)


@settings(max_examples=400)
@given(
    st.lists(st.sampled_from(CSV), max_size=40).map(b"".join),
    st.sampled_from([b"a,b,c\n", b"\xef\xbb\xbfa,b,c\r\n", b"b\n", b"\n\nb\n", b"sep=;\na;b\n"]),
    st.sampled_from([1, 9, 40]),
    st.sampled_from([7, 64, 1 << 18]),
    st.sampled_from([ReadOptions(), ReadOptions(quoting="none"), ReadOptions(columns=("b",))]),
)
@example(b'1,"a\n' * 3 + b'2,"b",3\n' * 9, b"a,b,c\n", 1, 16, ReadOptions())
def test_csv_in_parts_is_the_whole(
    body: bytes, header: bytes, every: int, block: int, options: ReadOptions
) -> None:
    if options.columns:
        options = replace(options, header=False, columns=("a", "b", "c"))
        header = b"1,2,3\n"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain, "BLOCK_BYTES", block)
        check(header + body, "in.csv", every, options)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(JSON), max_size=40).map(b"".join), st.sampled_from([1, 9, 40]))
def test_json_lines_in_parts_are_the_whole(body: bytes, every: int) -> None:
    for first in (b'{"b":"x"}\n', b'\xef\xbb\xbf{"b":"x"}\r\n', b'\n{"b":"x"}\n'):
        check(first + body, "in.jsonl", every)


def test_parts_are_many_and_about_as_large_as_asked() -> None:
    record = b'1,"x, ""y""\nz",3\n'
    for name, data in {
        "in.csv": b"a,b,c\n" + record * 200_000,
        "plain.csv": b"a,b,c\n" + b"1,good film,3\n" * 200_000,
        "in.jsonl": b'{"b":"x"}\n' * 300_000,
    }.items():
        parts = found_parts(source_of(data, name), 1 << 20).parts
        sizes = [part.end - part.first for part in parts]
        assert len(parts) > 2, name
        assert all(1 << 20 <= size <= 3 << 19 for size in sizes[:-1]), name


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
def test_many_rows_in_parts_keep_their_order(name: str) -> None:
    """So many that compiled loops take most of them."""
    rows = ('{"b":"row %d"}\n' if name == "in.jsonl" else '1,"row\n%d"\n') * 30_000
    head = "" if name == "in.jsonl" else "a,b\n"
    assert check((head + rows % (*range(30_000),)).encode(), name, 1 << 17) > 1


def test_who_looks_on_hears_of_every_byte_before_the_last_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plain, "BLOCK_BYTES", 1 << 12)
    data = b"a,b,c\n" + b'1,"good\nfilm",3\n' * 9_000
    seen: list[int] = []
    parts = parts_of_reader(opened(source_of(data, "in.csv")), PartSize(9, 1 << 14), seen.append)
    assert len(seen) == len(parts.parts) - 1 > 2
    assert sum(seen) == parts.parts[-1].first - len(b"a,b,c\n")
    assert [part.first - 6 for part in parts.parts[1:]] == [*accumulate(seen)]


def test_a_url_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it opens for reading through cannot be read at any place."""
    monkeypatch.setattr(plain, "BLOCK_BYTES", 1 << 12)
    records = {"in.csv": b'1,"x\ny"\n', "in.jsonl": b'{"b":"x"}\n'}
    for name, record in records.items():
        path = tmp_path / name
        path.write_bytes((b"a,b\n" if name == "in.csv" else b"") + record * 5_000)
        source = remote_file(path.as_uri()).source()
        parts = found_parts(source, 1 << 13).parts
        found = [content(reader_of(source, part))[2] for part in parts]
        assert len(parts) > 2
        assert sum(count or 0 for count in found) == 5_000


@pytest.mark.parametrize("every", [1, 5, 9])
def test_a_line_too_long_is_one_reject_of_one_part(
    every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("lines.MAX_RECORD_BYTES", "jsonl.MAX_LINE_BYTES"):
        monkeypatch.setattr(f"scorer.tables.text.{module}", 64)
    assert lines.MAX_RECORD_BYTES == 64
    row = b'{"b":"x"}\n'
    assert check(row * 9 + b'{"b":"' + b"x" * 99 + b'"}\n' + row * 9, "in.jsonl", every) > 2
    for long in (b"1," + b"x" * 99 + b"\n", b'1,"' + b"x\n" * 99 + b'"\n'):
        check(b"a,b\n" + b'1,"2"\n' * 9 + long + b'1,"2"\n' * 9, "in.csv", every)


def test_what_stays_whole_says_why_and_what_to_do() -> None:
    csv = b"a,b\n" + b"1,2\n" * 99
    for data, name, options, reason in (
        (gzip.compress(csv), "in.csv.gz", None, "compressed (gzip): decompress it"),
        (csv.decode().encode("utf-16"), "in.csv", ReadOptions(encoding="utf-16"), "is in utf-16"),
        (csv, "in.csv", ReadOptions(encoding="cp1252"), "is in cp1252: convert it to UTF-8"),
        (csv, "in.csv", ReadOptions(escape="\\"), "write it without --escape"),
        (csv.replace(b"\n", b"\r"), "in.csv", None, "end with CR alone"),
        (b'{"b":"x"}\r' * 9, "in.jsonl", None, "end with CR alone"),
        (b'[{"b":"x"}]', "in.json", None, "JSON array is not split: write it as JSON Lines"),
    ):
        found = found_parts(source_of(data, name), 9, options)
        assert found.parts == ()
        assert reason in found.reason
    once = replace(source_of(csv, "in.csv"), random=None)
    assert "copy it to a file" in found_parts(once, 9).reason
    assert found_parts(source_of(csv, "in.csv"), 1 << 20) == Parts()


def parquet(rows: list[int]) -> Source:
    """A file with row groups of so many rows."""
    schema = pa.schema({"b": pa.string()})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema) as writer:
        for count in rows:
            writer.write_table(pa.table({"b": ["x"] * count}, schema), row_group_size=1 << 20)
    return source_of(buffer.getvalue(), "in.parquet")


def test_parquet_is_cut_at_row_groups_every_so_many_rows() -> None:
    found = found_parts(parquet([30, 30, 30, 30, 250, 10, 60]), 100)
    assert [(part.first, part.end) for part in found.parts] == [(0, 4), (4, 5), (5, 7)]
    assert found_parts(parquet([]), 100) == Parts()
    assert found_parts(parquet([100]), 100) == Parts()
    alone = found_parts(parquet([101]), 100).reason
    assert alone == "it has one row group: write it with more (row_group_size=100)"
