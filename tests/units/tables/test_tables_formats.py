"""Every format through one harness, and a new one as a module and an entry in the tuple."""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from scorer.errors import UsageError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.tables import Reader, ReadOptions, Source, open_reader, open_writer
from scorer.tables.compression import COMPRESSIONS
from scorer.tables.formats import FORMATS, Format, format_of_name, sniff, split_suffixes
from tests.support.ltsv import LTSV
from tests.support.parrot import expected, parrot
from tests.support.settings import settings_of
from tests.support.workbook import workbook

ROWS = {"id": ["007", "8", "9"], "text": ["good film", "bad, or\tdull", "über"]}
TABLE = pa.table(ROWS)
WRITTEN = [each for each in FORMATS if each.written_as is None]
# Of formats that are only read, another hand writes the examples.
EXAMPLES = {"Excel": workbook}
ADDED = pa.record_batch({"prediction": pa.array(["pos", "neg", "pos"])})


def opened(data: bytes, name: str) -> Reader:
    reader, _ = open_reader(Source(name, lambda: io.BytesIO(data)))
    return reader


def converted(
    data: bytes, name: str, format: Format, added: pa.RecordBatch, text: str = "text"
) -> bytes:
    """A table in another format, with `added` at the right of its rows."""
    reader, stream, start = opened(data, name), io.BytesIO(), 0
    writer = open_writer(stream, format, reader, added.schema, {})
    others = [column for column in writer.columns if column != text]
    for window in reader.windows(text, others, reserved=frozenset(added.schema.names)):
        writer.write(writer.encode(window, added.slice(start, window.rows)))
        start += window.rows
    writer.close()
    reader.close()
    return stream.getvalue()


def example(format: Format) -> bytes:
    """ROWS in a format, its last column written as a new one."""
    if format.written_as is not None:
        return EXAMPLES[format.label](ROWS)
    content = b"id\n" + b"\n".join(cell.encode() for cell in ROWS["id"]) + b"\n"
    added = pa.record_batch({"text": pa.array(ROWS["text"])})
    return converted(content, "ids.csv", format, added, text="id")


def rows(data: bytes, name: str) -> dict[str, list[str]]:
    reader = opened(data, name)
    others = [column for column in reader.schema.names if column != "text"]
    found: dict[str, list[str]] = {column: [] for column in ["text", *others]}
    for window in reader.windows("text", others):
        assert not window.rejects
        for column in found:
            found[column] += window.table[column].to_pylist()
    reader.close()
    return found


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_every_format_keeps_its_rows(format: Format) -> None:
    name = f"in{format.suffixes[0]}"
    data = example(format)
    assert rows(data, name) == ROWS
    after = format.written_as or format
    written = converted(data, name, after, ADDED)
    assert rows(written, f"out{after.suffixes[0]}") == ROWS | {"prediction": ["pos", "neg", "pos"]}


PAIRS = [pair for pair in itertools.product(FORMATS, WRITTEN) if pair[0] is not pair[1]]


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=str)
def test_every_format_as_every_other(before: Format, after: Format) -> None:
    data, name = example(before), f"in{before.suffixes[0]}"
    if before.objects and not after.objects:
        with pytest.raises(UsageError, match=f"the output is {before.label} too"):
            converted(data, name, after, ADDED)
        return
    written = converted(data, name, after, ADDED)
    assert rows(written, f"out{after.suffixes[0]}") == ROWS | {"prediction": ["pos", "neg", "pos"]}


@pytest.mark.parametrize("format", FORMATS, ids=str)
def test_every_format_is_told_by_its_first_bytes(format: Format) -> None:
    assert sniff(example(format)) is format


# What these are, the content says.
SHARED = {".json", ".arrow", ".ipc"}


def test_suffixes_say_one_thing_each() -> None:
    all_suffixes = Counter(s for each in (*FORMATS, *COMPRESSIONS) for s in each.suffixes)
    assert all(suffix == suffix.lower() for suffix in all_suffixes)
    assert {suffix for suffix, times in all_suffixes.items() if times > 1} == SHARED
    for format, compression in itertools.product(FORMATS, COMPRESSIONS):
        for suffix in format.suffixes:
            name = f"a.b{suffix.upper()}{compression.suffixes[0]}"
            found = format_of_name(name)
            assert found is not None
            assert found.compression == compression
            assert suffix in SHARED or found.format is format
            assert split_suffixes(name) == ("a.b", name.removeprefix("a.b"))


def test_the_options_that_formats_name_exist() -> None:
    fields = {field.name for field in dataclasses.fields(ReadOptions)}
    of_every_format = {"limit"}
    assert {option for format in FORMATS for option in format.options} == fields - of_every_format


def test_a_new_format_is_a_module_and_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.tables.formats.FORMATS", (*FORMATS, LTSV))
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.ltsv").write_text("id:1\ttext:good\nid:2\ttext:bad film\nid:3\n")
    Path("in/b.csv").write_text("id,text\n7,dull\n")
    model = parrot()
    summaries = [score_table(model, job, settings_of()) for job in plan(["in"], "out/").jobs]
    assert [(one.read, one.scored, one.rejected) for one in summaries] == [(3, 2, 1), (1, 1, 0)]
    said = expected(model, ["good", "bad film"]).to_pylist()
    assert Path("out/a.ltsv").read_text() == "".join(
        f"id:{n}\ttext:{text}\tprediction:{row['prediction']}\t"
        f"probability:{pa.scalar(row['probability'], pa.float32()).cast(pa.string())}\n"
        for n, text, row in zip((1, 2), ("good", "bad film"), said, strict=True)
    )
    for name, output in (("in/b.csv", "b.ltsv"), ("in/a.ltsv", "a.parquet")):
        score_table(model, plan([name], output).jobs[0], settings_of())
    assert rows(Path("b.ltsv").read_bytes(), "b.ltsv")["text"] == ["dull"]
    assert rows(Path("a.parquet").read_bytes(), "a.parquet")["id"] == ["1", "2"]
    assert sniff(b"id:1\ttext:good\n") is LTSV
