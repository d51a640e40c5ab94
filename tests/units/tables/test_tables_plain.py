"""CSV records told apart by a pattern are those that the csv module tells apart."""

from __future__ import annotations

import io
import random
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.tables import open_reader, stdin_source
from scorer.tables.text import plain
from scorer.tables.text.delimited import DelimitedReader
from scorer.tables.text.options import ReadOptions
from scorer.tables.window import WindowSize
from tests.support.rows import rows_of

PIECES = [
    b"a", b"b c", b",", b";", b'"', b'""', b'"x, y"', b'"two\nlines"', b"\n", b"\n", b"\r\n", b"\r",
    b"\0", "é😀".encode(), b"\xff", b"\\", b" ", b'"closed"x',
]  # fmt: skip
bodies = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


def read(
    data: bytes, options: ReadOptions | None = None, text: str = "b", others: tuple[str, ...] = ()
) -> list[Any]:
    """All that comes out of a table: rows with their bytes, rejects with their places."""
    reader, _ = open_reader(stdin_source(io.BytesIO(data)), options or ReadOptions())
    out: list[Any] = []
    for window in reader.windows(text, others, WindowSize(3, 3)):
        out += [rows_of(window), window.table.to_pydict(), window.rejects]
    return [*out, reader.rows]


def read_by_module(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> list[Any]:
    with monkeypatch.context() as patched:
        patched.setattr(DelimitedReader, "_plain", lambda self, places: None)
        return read(*arguments)


@settings(max_examples=300)
@given(bodies, st.sampled_from([b"\n", b"\r\n"]), st.sampled_from([7, 64, 1 << 18]))
@example(b'1,"a\n', b"\n", 64)
@example(b'1,"a""b",3\n' * 9 + b"1,2,\xff\n" + b"1,2,3\n" * 9, b"\n", 16)
@example(b"\n\n1,2,3\n \n1,2,3", b"\n", 16)
def test_every_table_is_read_as_by_the_module(body: bytes, end: bytes, block: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plain, "BLOCK_BYTES", block)
        patched.setattr(plain, "LOOP_BYTES", 0)
        for data in (b"a,b,c" + end + b"1,2,3" + end + body, b"b" + end + b"x" + end + body):
            others = ("c", "a") if data.startswith(b"a,") else ()
            found = read(data, None, "b", others)
            assert found == read_by_module(patched, data, None, "b", others)


@pytest.mark.parametrize("delimiter", ["\t", "|", ";", "^", "]", "-", " "])
def test_every_delimiter(delimiter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["a,b,c", *['"x, ""y""",2 z,', ",,", '"\n",",",4'] * 5]
    data = "\n".join(rows).replace(",", delimiter).encode() + b"\n"
    options = ReadOptions(delimiter=delimiter)
    monkeypatch.setattr(plain, "LOOP_BYTES", 0)
    assert read(data, options) == read_by_module(monkeypatch, data, options)


def test_most_records_of_a_plain_table_never_reach_the_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    parsed = DelimitedReader._parsed
    monkeypatch.setattr(DelimitedReader, "_parsed", lambda self: calls.append(1) or parsed(self))
    monkeypatch.setattr(plain, "LOOP_BYTES", 0)
    rows = read(b"a,b\n" + b'1,"x, ""y"""\n' * 50_000)[-1]
    assert rows == 50_000
    assert len(calls) < 10


def test_broken_records_cost_no_more_than_their_bytes() -> None:
    """Each makes the pattern look at the rest of its block."""
    rng = random.Random(0)
    rows = [b'1,"x\n' if rng.random() < 0.5 else b"1,xyz\n" for _ in range(40_000)]
    started = time.process_time()
    read(b"a,b\n" + b"".join(rows))
    assert time.process_time() - started < 4
