"""Arrow files and streams, and ORC: what goes in comes out, and hostile bytes are one line."""

from __future__ import annotations

import io
import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pytest
from pyarrow import orc

from scorer.errors import InputError, ScorerError, UsageError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.jobs.summary import FileSummary
from scorer.tables import Source, WindowSize, open_reader
from scorer.tables.columns import choose_text_column
from scorer.tables.formats import ARROW, ARROW_STREAM, ORC
from tests.support.parrot import expected, parrot
from tests.support.settings import settings_of

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def score(name: str, output: str, batch_size: int = 3) -> FileSummary:
    return score_table(parrot(), plan([name], output).jobs[0], settings_of(batch_size=batch_size))


def written(
    table: pa.Table, *, stream: bool = False, rows: int | None = None, **options: Any
) -> bytes:
    out = io.BytesIO()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return out.getvalue()


def as_orc(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    with orc.ORCWriter(out, **options) as writer:
        writer.write(table)
    return out.getvalue()


def sample() -> pa.Table:
    """Awkward types, nulls, several batches, metadata of schema and fields."""
    struct = pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}] * 3)
    schema = pa.schema(
        [
            pa.field("n", pa.uint16(), metadata={"unit": "m"}),
            pa.field("text", pa.large_string()),
            pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
            pa.field("when", pa.timestamp("ns", "Europe/Berlin")),
            pa.field("struct", struct.type),
            pa.field("view", pa.string_view()),
        ],
        metadata={"made by": "us", "pandas": "{}"},
    )
    return pa.table(
        [
            pa.array([1, None, 3] * 3, pa.uint16()),
            pa.array(["good, or", None, 'a "b"\nc'] * 3, pa.large_string()),
            pa.array(["a", None, "b"] * 3).dictionary_encode().cast(schema.field("kind").type),
            pa.array([1, None, -1] * 3, pa.int64()).cast(pa.timestamp("ns", "Europe/Berlin")),
            struct,
            pa.array(["a", "long" * 9, None] * 3, pa.string_view()),
        ],
        schema=schema,
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_schema_values_metadata_and_compression_stay(stream: bool, codec: str | None) -> None:
    table = sample()
    Path("in.arrow").write_bytes(written(table, stream=stream, rows=2, compression=codec))
    summary = score("in.arrow", "out.arrow")
    assert (summary.read, summary.unscored) == (9, 3)
    data = Path("out.arrow").read_bytes()
    out = (pa.ipc.open_stream if stream else pa.ipc.open_file)(data).read_all()
    assert out.select(table.schema.names).equals(table.replace_schema_metadata(out.schema.metadata))
    assert table.schema.metadata.items() <= out.schema.metadata.items()
    assert out.schema.metadata[b"scorer.model"] == b"parrot"
    assert out.schema.field("n").metadata == {b"unit": b"m"}
    wanted = expected(parrot(), table["text"].to_pylist())
    assert out.select(wanted.schema.names).to_pydict() == wanted.to_pydict()
    reader, _ = open_reader(Source("out.arrow", lambda: io.BytesIO(data)))
    assert getattr(reader, "codec") == codec  # noqa: B009 - what only this reader has
    reader.close()


def test_feather_is_the_same() -> None:
    feather.write_feather(sample(), "in.feather")
    score("in.feather", "out.feather")
    assert feather.read_table("out.feather").num_rows == 9


@pytest.mark.parametrize("format", [ARROW, ARROW_STREAM, ORC], ids=str)
def test_without_rows(format: Any) -> None:
    empty = sample().select(["text"]).slice(0, 0)
    streams = {ARROW: written(empty), ARROW_STREAM: written(empty, stream=True)}
    name = f"in{format.suffixes[0]}"
    Path(name).write_bytes(streams.get(format, as_orc(empty)))
    assert score(name, f"out{format.suffixes[0]}").read == 0
    out = ds.dataset(f"out{format.suffixes[0]}", format="orc").to_table() if format is ORC else None
    assert out is None or out.schema.names == ["text", "prediction", "probability"]


def test_a_stream_from_a_pipe_and_a_file_from_a_pipe() -> None:
    for stream, format in ((True, ARROW_STREAM), (False, ARROW)):
        data = written(sample(), stream=stream, rows=2)
        reader, found = open_reader(Source("stdin", lambda data=data: io.BytesIO(data)))  # type: ignore[misc]
        assert found.format is format
        assert reader.rows == 9
        sizes = [window.rows for window in reader.windows("text", size=WindowSize(4, 4))]
        assert sum(sizes) == 9
        assert max(sizes) <= 4
        reader.close()


def test_categories_that_short_codes_cannot_tell_apart_stay() -> None:
    """Each batch has its own dictionary; together they have more words than int8 counts."""
    kind = pa.dictionary(pa.int8(), pa.string())
    batches = [
        pa.record_batch(
            [
                pa.array(["good"] * count),
                pa.DictionaryArray.from_arrays(
                    pa.array(range(count), pa.int8()),
                    pa.array([f"{part}-{i}" for i in range(count)]),
                ),
            ],
            schema=pa.schema([("text", pa.string()), ("category", kind)]),
        )
        for part, count in enumerate((128, 1, 100))
    ]
    with pa.ipc.new_stream("in.arrows", batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    score("in.arrows", "out.arrows", batch_size=200)
    found = pa.ipc.open_stream(Path("out.arrows").read_bytes()).read_all()["category"]
    words = [word for batch in batches for word in batch["category"].to_pylist()]
    assert found.to_pylist() == words


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "zlib", "lz4", "zstd"])
def test_orc_keeps_schema_and_compression(codec: str) -> None:
    table = (
        sample()
        .select(["text", "struct", "when"])
        .append_column("n", pa.array(range(9), pa.int16()))
    )
    Path("in.orc").write_bytes(as_orc(table, compression=codec))
    before = orc.ORCFile("in.orc").read()
    assert score("in.orc", "out.orc").read == 9
    file = orc.ORCFile("out.orc")
    assert file.compression.lower() == codec
    assert file.read(before.schema.names).equals(before)
    assert file.schema.names[-2:] == ["prediction", "probability"]


def test_a_type_that_orc_lacks_is_one_line() -> None:
    Path("in.arrow").write_bytes(written(sample().select(["text", "n"])))
    with pytest.raises(UsageError, match=r"in\.arrow: cannot be written as ORC: .*uint16"):
        score("in.arrow", "out.orc")
    assert not Path("out.orc").exists()


# --- what is refused, and what it takes ----------------------------------------------------------


def references(count: int, size: int) -> pa.Array:
    """`count` rows that name one text of `size` bytes."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), ["a" * size])


def large_dictionary(megabytes: int) -> pa.Array:
    entries = pa.array([str(i).zfill(MEGABYTE) for i in range(megabytes)])
    return pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), entries)


@cache
def long_batch(megabytes: int) -> pa.Table:
    return pa.table({"text": ["b" * MEGABYTE] * megabytes})


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a batch that unpacks to much": (
        lambda: written(long_batch(340), compression="zstd"),
        "batch 1 unpacks to 340 MiB at once, more than 320",
    ),
    "the same in a stream": (
        lambda: written(long_batch(340), stream=True, compression="zstd"),
        "batch 1 unpacks to 340 MiB at once, more than 320",
    ),
    "a dictionary that does": (
        lambda: written(pa.table({"text": large_dictionary(330)}), compression="zstd"),
        "batch 1 unpacks to 33. MiB at once",
    ),
    "a text named a million times": (
        lambda: written(pa.table({"text": references(1_000_000, MEGABYTE)}), compression="zstd"),
        "",
    ),
    "one long text": (
        lambda: written(pa.table({"text": ["b" * (40 * MEGABYTE)]}), compression="zstd"),
        "row 1 takes 40 MiB: a row may take 16",
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
    print(sum(window.rows for window in islice(reader.windows("text"), 50)))
except InputError as error:
    print(error)
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the peak on Linux")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_takes_little_memory(bomb: str) -> None:
    make, refusal = BOMBS[bomb]
    Path("in.arrow").write_bytes(make())
    assert Path("in.arrow").stat().st_size < 5 * MEGABYTE
    ended = subprocess.run(
        [sys.executable, "-c", READ, "in.arrow"], capture_output=True, text=True, check=True
    )
    told, peak = ended.stdout.splitlines()
    assert re.search(refusal, told) if refusal else int(told) > 100
    assert int(peak) < 512


def test_a_large_batch_that_is_not_compressed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.arrow.OPEN_BYTES", 1000)
    Path("in.arrow").write_bytes(written(pa.table({"text": ["good film"] * 999})))
    assert score("in.arrow", "out.csv").scored == 999
    monkeypatch.setattr("scorer.tables.arrow.OPEN_BYTES", 1000)
    data = written(pa.table({"text": ["good film"] * 999}))
    reader, _ = open_reader(Source("stdin", lambda: io.BytesIO(data)))  # not on this disk
    with pytest.raises(InputError, match="batch 1 unpacks to"):
        list(reader.windows("text"))
    reader.close()


def test_offsets_that_lead_outside_are_refused() -> None:
    data = bytearray(written(pa.table({"text": ["aaaa", "bbbb", "cccc"]})))
    place = data.index((4).to_bytes(4, "little") + (8).to_bytes(4, "little"))
    data[place : place + 4] = (1 << 30).to_bytes(4, "little")
    Path("in.arrow").write_bytes(data)
    with pytest.raises(InputError, match=r"in\.arrow: is damaged: "):
        score("in.arrow", "out.csv")


def test_text_that_is_not_utf8_is_not_scored() -> None:
    offsets = pa.py_buffer(bytes([0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0]))
    bad = pa.Array.from_buffers(
        pa.string(), 2, [None, offsets, pa.py_buffer(b"good\xff\xfe\xfd\xfc")]
    )
    Path("in.arrow").write_bytes(written(pa.table({"text": bad})))
    summary = score("in.arrow", "out.arrow")
    assert (summary.scored, summary.unscored) == (1, 1)


@pytest.mark.parametrize("format", [ARROW, ARROW_STREAM, ORC], ids=str)
def test_damaged_bytes_are_one_line_or_rows(format: Any) -> None:
    """300 files with some bytes changed or cut off: rows or one InputError, nothing else."""
    table = sample().select(["text", "when", "struct"])
    whole = {
        ARROW: written(sample(), rows=2, compression="zstd"),
        ARROW_STREAM: written(sample(), stream=True, rows=2),
        ORC: as_orc(table, compression="zlib"),
    }[format]
    chance = random.Random(5)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 4])):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        try:
            reader, _ = open_reader(Source(f"in{format.suffixes[0]}", lambda: io.BytesIO(data)))  # noqa: B023
        except ScorerError:
            refused += 1
            continue
        try:
            text = choose_text_column("in", reader.schema, "text", [])
            for window in reader.windows(text):
                window.texts.to_pylist()
        except ScorerError:
            refused += 1
        finally:
            reader.close()
    assert refused > 50
