"""Small files that unpack to much: windows are cut by bytes, and what cannot be held is refused."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import InputError
from scorer.tables import Source, Window, WindowSize, local_source, open_reader
from scorer.tables.pages import FileBytes, demand, pages

MEGABYTE = 1 << 20
ENCODINGS = ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "dictionary"]


def written(table: pa.Table, encoding: str = "dictionary", **options: Any) -> bytes:
    stream = io.BytesIO()
    if encoding != "dictionary":
        options |= {"use_dictionary": False, "column_encoding": {"text": encoding}}
    pq.write_table(table, stream, **{"compression": "zstd", **options})
    return stream.getvalue()


def windows(data: bytes, rows: int = 1024) -> list[Window]:
    reader, _ = open_reader(Source("in.parquet", lambda: io.BytesIO(data)))
    try:
        return list(reader.windows("text", size=WindowSize(rows, rows)))
    finally:
        reader.close()


def references(count: int, size: int) -> pa.Array:
    """`count` rows that name one text of `size` bytes."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), ["a" * size])


# --- windows -------------------------------------------------------------------------------------

TEXTS = st.lists(st.none() | st.sampled_from(["", "good", "x" * 90, "é" * 300, "y" * 2000]))


@settings(max_examples=40, deadline=None)
@given(
    texts=TEXTS,
    encoding=st.sampled_from(ENCODINGS),
    group=st.integers(1, 50),
    rows=st.integers(1, 20),
    limit=st.integers(100, 3000),
    page=st.sampled_from([64, 1 << 20]),
)
def test_no_row_is_lost_wherever_windows_are_cut(
    texts: list[str | None], encoding: str, group: int, rows: int, limit: int, page: int
) -> None:
    table = pa.table({"text": pa.array(texts, pa.string()), "n": range(len(texts))})
    data = written(table, encoding, row_group_size=group, data_page_size=page)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scorer.tables.parquet.WINDOW_BYTES", limit)
        patch.setattr("scorer.tables.parquet.BATCH_BYTES", 2 * limit)
        found = windows(data, rows)
    assert [window.index for window in found] == list(range(len(found)))
    assert all(0 < window.rows <= rows for window in found)
    assert all(window.rows == 1 or window.table.nbytes <= limit for window in found)
    parts = [window.table for window in found]
    assert pa.Table.from_batches(parts, table.schema).equals(table)
    assert [text for window in found for text in window.texts.to_pylist()] == texts


@pytest.mark.parametrize("typed", [True, False])
def test_a_text_that_is_named_often_counts_as_often(typed: bool) -> None:
    """Both as a dictionary column and as a plain one that only the file keeps as a dictionary."""
    table = pa.table({"text": references(2000, 100_000)})
    sizes = [window.rows for window in windows(written(table, store_schema=typed))]
    assert sum(sizes) == 2000
    assert max(sizes) * 100_000 <= 8 << 20


def test_a_large_dictionary_of_short_texts_cuts_nothing() -> None:
    texts = [f"a film number {i}" for i in range(100_000)]
    table = pa.table({"text": pa.array(texts).dictionary_encode()})
    assert [window.rows for window in windows(written(table))][:-1] == [1024] * 97


# --- pages ---------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    texts=TEXTS.filter(bool),
    encoding=st.sampled_from(ENCODINGS),
    codec=st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
    version=st.sampled_from(["1.0", "2.0"]),
    statistics=st.booleans(),
)
def test_the_headers_are_read_as_they_were_written(
    texts: list[str | None], encoding: str, codec: str, version: str, statistics: bool
) -> None:
    """The sums over the pages are those that the footer of an honest file states."""
    table = pa.table({"text": pa.array(texts, pa.string())})
    data = written(
        table,
        encoding,
        compression=codec,
        data_page_version=version,
        data_page_size=200,
        write_statistics=statistics,
        write_page_checksum=statistics,
    )
    file = pq.ParquetFile(io.BytesIO(data))
    chunk, read = file.metadata.row_group(0).column(0), FileBytes(io.BytesIO(data))
    found = list(pages(read, chunk))
    assert sum(page.values for page in found) == len(texts)
    assert sum(page.header + page.packed for page in found) == chunk.total_compressed_size
    assert sum(page.header + page.unpacked for page in found) == chunk.total_uncompressed_size
    lengths = [len((text or "").encode()) for text in texts]
    asked = demand(read, chunk, file.schema.column(0), 1 << 20)
    for rows in (1, 2, 5, len(texts)):
        most = max(sum(lengths[i : i + rows]) for i in range(len(texts)))
        assert asked.rows(rows) >= most


# --- what is refused, and what it takes ----------------------------------------------------------


def lying(data: bytes) -> bytes:
    """The same file with a footer that says its text column unpacks to next to nothing."""
    chunk = pq.read_metadata(io.BytesIO(data)).row_group(0).column(0)
    claim = varint(2 * chunk.total_uncompressed_size)
    lie = bytes([0x80 | 20, *[0x80] * (len(claim) - 2), 0])
    assert data.count(claim) >= 1
    changed = data.replace(claim, lie)
    found = pq.read_metadata(io.BytesIO(changed)).row_group(0).column(0)
    assert found.total_uncompressed_size == 10
    return changed


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(0x80 | (value & 0x7F))
        value >>= 7
    return bytes([*found, value])


def lists(values: pa.Array) -> pa.Table:
    return pa.table({"text": ["x"], "list": pa.ListArray.from_arrays([0, len(values)], values)})


@cache
def one_page(megabytes: int) -> bytes:
    return written(pa.table({"text": ["b" * (megabytes * MEGABYTE)]}), "PLAIN")


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a text named a million times": (
        lambda: written(pa.table({"text": references(1_000_000, MEGABYTE)}), store_schema=False),
        "",
    ),
    "the same as a dictionary column": (
        lambda: written(pa.table({"text": references(1_000_000, MEGABYTE)})),
        "",
    ),
    "beside a short text": (
        lambda: written(
            pa.table({"text": ["x"] * 2000, "other": references(2000, MEGABYTE)}),
            store_schema=False,
        ),
        "",
    ),
    "texts that repeat the one before": (
        lambda: written(
            pa.table({"text": references(600, MEGABYTE)}), "DELTA_BYTE_ARRAY", store_schema=False
        ),
        "",
    ),
    "wide nulls": (
        lambda: written(pa.table({"text": ["x"] * 999, "n": pa.nulls(999, pa.binary(MEGABYTE))})),
        "",
    ),
    "one large page": (lambda: one_page(330), "row group 1 unpacks to 33. MiB at once"),
    "a footer that lies": (lambda: lying(one_page(330)), "row group 1 unpacks to 33. MiB at once"),
    "one long text": (lambda: one_page(40), "row 1 takes 40 MiB: a row may take 16"),
    "many wide columns": (
        lambda: written(pa.table({"text": ["x"], **{f"c{i}": references(1, MEGABYTE)
                                                    for i in range(300)}}), store_schema=False),
        "row group 1 unpacks to 6.. MiB at once",
    ),
    "a long list": (
        lambda: written(lists(pa.array([7], pa.int64()).take(pa.array([0] * 20_000_000)))),
        "row group 1 unpacks to 6.. MiB at once",
    ),
    "a list of long texts": (
        lambda: written(lists(references(2000, MEGABYTE)), store_schema=False),
        "row group 1 unpacks to 2,... MiB at once",
    ),
}  # fmt: skip

READ = """
import re, sys
from itertools import islice
from pathlib import Path
from scorer.errors import InputError
from scorer.tables import local_source, open_reader
try:
    reader, _ = open_reader(local_source(Path(sys.argv[1])))
    print(sum(window.rows for window in islice(reader.windows("text"), 100)))
except InputError as error:
    print(error)
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak on Linux")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_takes_little_memory(bomb: str, tmp_path: Path) -> None:
    make, refusal = BOMBS[bomb]
    path = tmp_path / "in.parquet"
    path.write_bytes(make())
    assert path.stat().st_size < MEGABYTE
    ended = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True
    )
    told, peak = ended.stdout.splitlines()
    assert re.search(refusal, told) if refusal else int(told) > 100
    assert int(peak) < 512


def test_lists_that_are_no_bombs_are_read() -> None:
    """Much more than a batch when it is unpacked, but of few bytes a row."""
    tags = pa.array([f"tag {i}" for i in range(5000)] * 600)
    table = pa.table(
        {
            "text": ["good film"] * 300_000,
            "tags": pa.ListArray.from_arrays(range(0, len(tags) + 1, 10), tags),
        }
    )
    assert sum(window.rows for window in windows(written(table))) == 300_000


def test_the_row_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.parquet.RECORD_BYTES", 1000)
    monkeypatch.setattr("scorer.tables.parquet.WINDOW_BYTES", 500)
    path = tmp_path / "in.parquet"
    path.write_bytes(written(pa.table({"text": ["short"] * 50 + ["x" * 2000] + ["short"] * 50})))
    reader, _ = open_reader(local_source(path))
    with pytest.raises(InputError, match="row 51 takes"):
        list(reader.windows("text"))
    reader.close()
