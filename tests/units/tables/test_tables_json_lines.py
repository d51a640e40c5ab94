"""What is done faster for most lines is what `json` does for all of them."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.tables import Window, open_reader, stdin_source
from scorer.tables.text import json_writer, jsonl, plain
from scorer.tables.text.json_writer import JsonLinesWriter
from scorer.tables.text.jsonl import JsonLinesReader, _parsed
from scorer.tables.text.splicing import before_brace
from scorer.tables.window import WindowSize
from tests.support.rows import rows_of

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
    assert writer._append(line.encode(), ',"p":"é"') == wanted.encode()
    rows = pa.array([line.encode()], pa.binary())
    assert bytes(before_brace(rows, pa.array([',"p":"é"']))) == wanted.encode()


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
        out += [window.index, rows_of(window), window.table.to_pydict(), window.rejects]
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
        patch.setattr(JsonLinesReader, "_plain", lambda self, keys, reserved: ())
        patch.setattr(plain.Blocks, "lines", lambda self, limit, about: [])
        assert found == read(data, WindowSize(3, 5))


PIECES = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"\t",
        b"\r",
        b'"t":',
        b'"t":"a"',
        b'"n":',
        b'"p":1',
    ),
    *(b'"x":', b'"\\u0074":1', b'"a"', b'"\\n"', b'"\\u00e9\\u20ac"', b'"\\ud83d\\ude00"'),
    *(
        b'"\\ud83d"',
        b'"\\ude00\\ud83d"',
        b'"\\ud83dx"',
        b'"\\u12g4"',
        b'"\\x"',
        b'"\\/\\b\\f\\"\\\\"',
    ),
    *(
        b"0",
        b"-0",
        b"01",
        b"-",
        b"1.5",
        b"1.",
        b".5",
        b"1e5",
        b"1E+2",
        b"1e",
        b"123456789012345678901",
    ),
    *(
        b"true",
        b"false",
        b"null",
        b"nul",
        b"NaN",
        b"Infinity",
        b"{}",
        b"[]",
        b'{"t":[{}]}',
        b'"\x01"',
    ),
    *(
        "é😀".encode(),
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'"\xf4\x90\x80\x80"',
        b"\0",
        b"\x0b",
    ),
]
VALUES = [piece for piece in PIECES if piece[:1] in b'"0123456789-tfnNI{[' and b":" not in piece]
pairs = st.lists(
    st.tuples(st.sampled_from([b'"t"', b'"n"', b'"x"', b'"p"']), st.sampled_from(VALUES)),
    max_size=4,
)
objects = pairs.map(lambda pairs: b"{" + b", ".join(b": ".join(pair) for pair in pairs) + b"}")
tokens = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda all: b"{" + b"".join(all) + b"}")


@settings(max_examples=500)
@given(st.lists(st.one_of(objects, tokens), max_size=12))
@example([b"[" * 70 + b"]" * 70, b'{"n":' + b"[" * 70 + b"]" * 70 + b"}"])
@example([b'{"n":' + b"1" * 5000 + b"}", b'{"t":"a","n":' + b"[" * 2000 + b"]" * 2000 + b"}"])
def test_every_line_is_read_as_by_the_module(lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in [b'{"t":"first"}', *lines, b'{"t":"last"}'])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "SCHEMA_ROWS", 1)
        found = read(data, WindowSize(3, 5))
        patch.setattr(JsonLinesReader, "_plain", lambda self, keys, reserved: ())
        assert found == read(data, WindowSize(3, 5))


def test_most_lines_never_reach_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    parsed = jsonl._parsed
    monkeypatch.setattr(jsonl, "_parsed", lambda text: calls.append(1) or parsed(text))
    line = {"t": 'He said: "é😀"\n', "n": 1.5, "more": [{"a": None}, True, []]}
    data = b"".join(json.dumps(line | {"id": i}).encode() + b"\n" for i in range(20_000))
    assert read(data, WindowSize())[-1] == 20_000
    assert len(calls) < 1100


cells = st.one_of(st.none(), st.text(max_size=9), st.just("positive"))


@given(
    st.lists(st.tuples(st.sampled_from(LINES[:5]), cells, cells), max_size=9),
    st.sampled_from([b"", b" ", b"\n", b"\r\n"]),
)
def test_new_keys_written_at_once_are_those_written_one_by_one(
    rows: list[tuple[bytes, str | None, str | None]], end: bytes
) -> None:
    new = pa.schema([("p", pa.string()), ("q", pa.string())])
    writer = JsonLinesWriter(io.BytesIO(), "utf-8", new)
    raw = pa.array([line + end for line, _, _ in rows], pa.binary())
    added = pa.record_batch(
        [pa.array([row[n] for row in rows], pa.string()) for n in (1, 2)], names=["p", "q"]
    )
    window = Window(0, added.column(0), pa.record_batch([], names=[]), raw)
    one_by_one = writer.encode(window, added)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_writer, "LOOP_BYTES", 0)
        assert writer.encode(window, added) == one_by_one
    if end.endswith(b"\n"):
        for (line, p, q), out in zip(rows, one_by_one.splitlines(), strict=True):
            assert json.loads(out) == json.loads(line) | {"p": p, "q": q}
            assert out.startswith(line[:-1])
