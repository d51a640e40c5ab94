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
from scorer.tables.parquet.pages import FileBytes, demand, looked_into, pages

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


@settings(max_examples=40)
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
        patch.setattr("scorer.tables.parquet.reader.WINDOW_BYTES", limit)
        patch.setattr("scorer.tables.batches.WINDOW_BYTES", limit)
        patch.setattr("scorer.tables.parquet.reader.BATCH_BYTES", 2 * limit)
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


@settings(max_examples=40)
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


def sparse() -> pa.Table:
    """Rows of few values each, though all of them at their longest would be far over the cap."""
    tags = pa.array(["drama", "x" * 20_000]).dictionary_encode()
    named = tags.take(pa.array([0] * 299_999 + [1]))
    return pa.table(
        {
            "text": ["good film"] * 30_000,
            "tags": pa.ListArray.from_arrays(range(0, 300_001, 10), named),
            "flags": pa.ListArray.from_arrays(
                range(0, 12_000_001, 400), pa.repeat(pa.scalar(True), 12_000_000)
            ),
        }
    )


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_list_counts_as_many_values_as_it_has(version: str) -> None:
    data = written(sparse(), data_page_version=version, store_schema=False)
    assert len(data) < MEGABYTE
    assert sum(window.rows for window in windows(data)) == 30_000


@settings(max_examples=60)
@given(
    lists=st.lists(
        st.none() | st.lists(st.none() | st.lists(st.integers(0, 1), max_size=20)), min_size=1
    ),
    version=st.sampled_from(["1.0", "2.0"]),
    codec=st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
    page=st.sampled_from([16, 1 << 20]),
    times=st.sampled_from([1, 40]),
)
def test_the_longest_row_is_found(
    lists: list[Any], version: str, codec: str, page: int, times: int
) -> None:
    column = pa.array(lists * times, pa.list_(pa.list_(pa.int64())))
    table = pa.table({"text": ["x"] * len(column), "list": column})
    options = {"data_page_version": version, "compression": codec, "data_page_size": page}
    data = written(table, **options)
    file, read = pq.ParquetFile(io.BytesIO(data)), FileBytes(io.BytesIO(data))
    chunk, kind = file.metadata.row_group(0).column(1), file.schema.column(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scorer.tables.parquet.pages.LIST_RATIO", 0)  # as if it were packed tightly
        known = looked_into(read, chunk, kind, demand(read, chunk, kind, 1 << 20))
    # An empty or missing list takes the place of a value too.
    sizes = [sum(len(inner or [0]) for inner in row or [None]) for row in lists]
    assert known.widest == max(sizes)


def test_the_row_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.parquet.reader.RECORD_BYTES", 1000)
    monkeypatch.setattr("scorer.tables.parquet.reader.WINDOW_BYTES", 500)
    path = tmp_path / "in.parquet"
    path.write_bytes(written(pa.table({"text": ["short"] * 50 + ["x" * 2000] + ["short"] * 50})))
    reader, _ = open_reader(local_source(path))
    with pytest.raises(InputError, match="row 51 takes"):
        list(reader.windows("text"))
    reader.close()


WIDE = """
import io, re, sys
from pathlib import Path
import pyarrow as pa
from scorer.tables import format_of_name, local_source, open_reader, open_writer
added = pa.schema([("prediction", pa.string())])
reader, found = open_reader(local_source(Path(sys.argv[1])))
with open(sys.argv[2], "wb") as stream:
    writer = open_writer(stream, found.format, reader, added, {"model": "none"})
    for window in reader.windows("text"):
        cells = pa.RecordBatch.from_arrays([window.texts.cast(pa.string())], schema=added)
        writer.write(writer.encode(window, cells))
    writer.close()
reader.close()
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak on Linux")
def test_a_hundred_thousand_columns_take_less_than_a_gigabyte(tmp_path: Path) -> None:
    values = {f"c{i}": pa.array([i, None, -i]) for i in range(100_000)}
    pq.write_table(pa.table({**values, "text": list("abc")}), tmp_path / "in.parquet")
    ended = subprocess.run(
        [sys.executable, "-c", WIDE, tmp_path / "in.parquet", tmp_path / "out.parquet"],
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = pq.read_table(tmp_path / "in.parquet"), pq.read_table(tmp_path / "out.parquet")
    assert after.drop_columns(["prediction"]).equals(before)
    assert int(ended.stdout) < 950
