"""What is done faster for most lines is what `json` does for all of them."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.tables import jsonl, open_reader, plain, stdin_source
from scorer.tables.json_writer import JsonLinesWriter, json_values
from scorer.tables.jsonl import _parsed
from scorer.tables.window import WindowSize

PIECES = [
    "{", "}", "[", "]", '"a"', ":", ",", "1", "-0", "1e400", "1" * 30, "NaN", "null", " ", "\n",
    "\r\n", "\t", "\f", "\ufeff", '"\\ud800"', '"\\u00e9"', '"x', "{}", '{"a":1}', "\0",
]  # fmt: skip


def outcome(parse: Any, text: str) -> tuple[str, str]:
    try:
        return "value", repr(parse(text))
    except (ValueError, RecursionError) as error:
        return type(error).__name__, str(error)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
@example('{"a": 1}\r\n')
@example('{"a": 1}\n\n')
@example('{"a": 1}\x00')
@example('{"a": 1} x')
@example("{" * 3)
def test_every_line_is_parsed_as_by_json(text: str) -> None:
    assert outcome(_parsed, text) == outcome(json.loads, text)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('{"a":{}}\n', '{"a":{},"p":"é"}\n'),
        ('{"a":{} } \r\n', '{"a":{} ,"p":"é"} \r\n'),
        ("{}\n", '{"p":"é"}\n'),
        (" { \t}", ' { \t"p":"é"}'),
        ('{"a":"{"}', '{"a":"{","p":"é"}'),
        ('{"a":"}\\n"\n}\n', '{"a":"}\\n"\n,"p":"é"}\n'),
    ],
)
def test_new_keys_stand_before_the_last_brace(line: str, wanted: str) -> None:
    writer = JsonLinesWriter(io.BytesIO(), "utf-8", pa.schema([("p", pa.string())]))
    assert writer._append(line.encode(), '"p":"é"') == wanted.encode()


LINES = [
    b'{"t":"a"}', b'{"t":"\\u00e9","n":1}', '{"t":"é😀"}'.encode(), b'{"n":[1,{"x":2}],"t":null}',
    b"{}", b'{"t":1}', b'{"t":"\\ud800"}', b'{"p":1,"t":"x"}', b'{"t":"a"} ', b'{"t":"a"}x', b" ",
    b"", b"[1]", b'{"t":"\xff"}', b'{"t":NaN}', b'{"t":"' + b"y" * 190 + b'"}',
    b'{"t":"a","t":"b"}', b"{" * 2000,
]  # fmt: skip
ends = st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b"\r"])
bodies = st.lists(st.tuples(st.sampled_from(LINES), ends), max_size=30)


def read(data: bytes, size: WindowSize) -> list[Any]:
    """All that comes out of a table: rows with their bytes, rejects with their places."""
    reader, _ = open_reader(stdin_source(io.BytesIO(data)))
    out: list[Any] = []
    for window in reader.windows("t", ("n",), size, frozenset(["p"])):
        out += [window.index, window.raw, window.table.to_pydict(), window.rejects]
    return [*out, reader.rows]


@settings(max_examples=150)
@given(
    bodies,
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([7, 64, 1 << 18]),
    st.booleans(),
)
def test_lines_taken_many_at_a_time_are_those_taken_one_by_one(
    body: list[tuple[bytes, bytes]], mark: bytes, block: int, cut: bool
) -> None:
    data = mark + b'{"t":"first"}\n' + b"".join(line + end for line, end in body)
    data = data[: len(data) - cut]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "BLOCK_BYTES", block)
        patch.setattr(jsonl, "SCHEMA_ROWS", 1)
        patch.setattr(jsonl, "MAX_LINE_BYTES", 80)
        found = read(data, WindowSize(3, 5))
        patch.setattr(jsonl, "_plain_object", lambda line, encoding: None)
        patch.setattr(plain.Blocks, "lines", lambda self, limit: [])
        assert found == read(data, WindowSize(3, 5))


cells = st.one_of(st.none(), st.text(max_size=9), st.just("positive"))


@given(
    st.lists(st.tuples(st.sampled_from(LINES[:5]), cells, cells), max_size=9),
    st.sampled_from([b"", b" ", b"\n", b"\r\n"]),
)
def test_new_keys_written_at_once_are_those_written_one_by_one(
    rows: list[tuple[bytes, str | None, str | None]], end: bytes
) -> None:
    writer = JsonLinesWriter(io.BytesIO(), "utf-8", pa.schema([("p", pa.string())]))
    raw = [line + end for line, _, _ in rows]
    columns = [json_values(pa.array([row[n] for row in rows], pa.string())) for n in (1, 2)]
    tails = [f'"p":{p},"q":{q}' for p, q in zip(*columns, strict=True)]
    wanted = b"".join(map(writer._append, raw, tails))
    assert writer._joined(raw, ['"p"', '"q"'], columns) == wanted
    for (line, p, q), out in zip(rows, map(writer._append, raw, tails), strict=True):
        assert json.loads(out) == json.loads(line) | {"p": p, "q": q}
