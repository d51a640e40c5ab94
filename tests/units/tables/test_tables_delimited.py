"""CSV and TSV: what comes out is what came in, with cells appended; bad rows fall out alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.errors import InputError
from scorer.tables import ReadOptions, Source, Window, WindowSize, open_reader, open_writer
from scorer.tables.text import delimited
from scorer.tables.text.delimited import DelimitedWriter, Head
from scorer.tables.text.dialect import Dialect
from tests.support.rows import rows_of

ADDED = pa.schema([("prediction", pa.string()), ("probability", pa.float32())])


def source(content: bytes, name: str = "data.csv") -> Source:
    return Source(name, lambda: io.BytesIO(content))


def windows(content: bytes, text: str = "text", rows: int = 3, **options: str) -> list[Window]:
    reader, _ = open_reader(source(content), ReadOptions(**options))
    return list(reader.windows(text, size=WindowSize(rows, rows)))


def texts(content: bytes, **options: str) -> list[str]:
    return [text for window in windows(content, **options) for text in window.texts.to_pylist()]


def appended(content: bytes, label: str = "pos", name: str = "data.csv", **options: str) -> bytes:
    """The file as the writer makes it, every row given the same two cells."""
    reader, found = open_reader(source(content, name), ReadOptions(**options))
    out = io.BytesIO()
    writer = open_writer(out, found.format, reader, ADDED, {})
    for window in reader.windows("text", size=WindowSize(2, 2)):
        cells = [pa.array([label] * window.rows), pa.array([0.5] * window.rows, pa.float32())]
        writer.write(writer.encode(window, pa.RecordBatch.from_arrays(cells, schema=ADDED)))
    writer.close()
    return out.getvalue()


def test_cells_are_appended_and_nothing_else_changes() -> None:
    content = b'id,text,x\n007,"a ""b""\nc",1.10\n8,plain,\n'
    wanted = b'id,text,x,prediction,probability\n007,"a ""b""\nc",1.10,pos,0.5\n8,plain,,pos,0.5\n'
    assert appended(content) == wanted


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_bom_and_a_missing_last_one_stay(end: bytes) -> None:
    content = b"\xef\xbb\xbf" + end.join([b"text,n", b'"x,y",1', b"z,2"])
    wanted = b"\xef\xbb\xbf" + end.join(
        [b"text,n,prediction,probability", b'"x,y",1,pos,0.5', b"z,2,pos,0.5"]
    )
    assert appended(content) == wanted


def test_new_cells_are_quoted_where_they_must_be() -> None:
    assert appended(b"text\na\n", label='so, "so"') == (
        b'text,prediction,probability\na,"so, ""so""",0.5\n'
    )
    assert appended(b"text\na\n", label="so, so", name="data.tsv") == (
        b"text\tprediction\tprobability\na\tso, so\t0.5\n"
    )


def test_delimiter_and_encoding() -> None:
    content = "n;text\n1;café\n".encode("latin-1")
    assert texts(content, delimiter=";", encoding="latin-1") == ["café"]
    wanted = "n;text;prediction;probability\n1;café;é;0.5\n".encode("latin-1")
    assert appended(content, "é", delimiter=";", encoding="latin-1") == wanted


# The csv module of Python 3.11 writes a lone carriage return unquoted: no reader takes that back.
cell = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@given(
    rows=st.lists(st.tuples(cell, cell, cell), max_size=12),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_written_csv_keeps_its_bytes(
    rows: list[tuple[str, str, str]], quoting: int, end: str
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=quoting, lineterminator=end)
    writer.writerows([("id", "text", "more"), *rows])
    content = buffer.getvalue().encode()
    read = windows(content)
    assert [raw for window in read for raw in rows_of(window)] == records(content)
    assert [t for window in read for t in window.texts.to_pylist()] == [row[1] for row in rows]
    assert not any(window.rejects for window in read)
    out = list(csv.reader(io.StringIO(appended(content).decode(), newline="")))
    assert out[1:] == [[*row, "pos", "0.5"] for row in rows]


def test_carriage_returns_inside_quotes_stay() -> None:
    content = b'text,n\r\n"a\rb\r\nc",1\r\n'
    assert texts(content) == ["a\rb\r\nc"]
    assert appended(content).endswith(b'"a\rb\r\nc",1,pos,0.5\r\n')


def records(content: bytes) -> list[bytes]:
    """The records after the header, split by quote parity: an independent, slower way."""
    found, start, quoted = [], 0, False
    for i, byte in enumerate(content):
        if byte == ord('"'):
            quoted = not quoted
        elif byte == ord("\n") and not quoted:
            found.append(content[start : i + 1])
            start = i + 1
    return [*found, *([content[start:]] if content[start:] else [])][1:]


@given(
    st.lists(
        st.tuples(
            st.integers(), st.text(st.characters(codec="utf-8", categories=["L", "P", "Zs"]))
        ),
        min_size=1,
        max_size=20,
    )
)
def test_texts_equal_what_pandas_reads(rows: list[tuple[int, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["n", "text"])
    content = frame.to_csv(index=False).encode()
    read = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    assert texts(content) == read["text"].tolist()


def rejects(content: bytes, **options: str) -> list[tuple[int, int | None, str, bytes]]:
    return [
        (reject.row, reject.line, reject.reason, reject.raw)
        for window in windows(content, **options)
        for reject in window.rejects
    ]


def test_wrong_number_of_fields() -> None:
    content = b"n,text\n1,a\n2\n3,c,d\n4,e\n"
    assert texts(content) == ["a", "e"]
    assert rejects(content) == [
        (2, 3, "expected 2 fields, found 1", b"2\n"),
        (3, 4, "expected 2 fields, found 3", b"3,c,d\n"),
    ]


def test_a_record_of_several_lines_is_rejected_whole() -> None:
    content = b'n,text\n1,"a\nb",too,many\n2,c\n'
    assert texts(content) == ["c"]
    assert rejects(content) == [(1, 2, "expected 2 fields, found 4", b'1,"a\nb",too,many\n')]


def test_invalid_utf8_takes_its_record_along_and_no_other() -> None:
    content = b'n,text\n1,caf\xe9\n2,"x\ny\xff\nz"\n3,ok\n'
    assert texts(content) == ["ok"]
    assert [(row, line) for row, line, _, _ in rejects(content)] == [(1, 2), (2, 3)]
    assert "invalid utf-8" in rejects(content)[0][2]


def test_a_quote_that_never_closes_costs_one_line() -> None:
    content = b'n,text\n1,a\n2,"b\n3,c\n4,d\n'
    assert texts(content) == ["a", "c", "d"]
    assert rejects(content) == [(2, 3, "broken quoting: unexpected end of data", b'2,"b\n')]


def test_a_stray_quote_before_a_quoted_row_costs_one_line() -> None:
    content = b'n,text\n1,"b\n2,"c"\n3,d\n'
    assert texts(content) == ["c", "d"]
    assert [(row, line, raw) for row, line, _, raw in rejects(content)] == [(1, 2, b'1,"b\n')]


def test_blank_lines_are_no_rows() -> None:
    assert texts(b"\n\nn,text\n\n1,a\n\n\n2,b\n\n") == ["a", "b"]


def test_header_only_and_empty() -> None:
    assert appended(b"n,text\n") == b"n,text,prediction,probability\n"
    assert appended(b"n,text") == b"n,text,prediction,probability"
    reader, _ = open_reader(source(b""))
    assert reader.schema.names == []


def test_windows_are_bounded_in_rows_and_count_rejects() -> None:
    content = b"text,n\n" + b"a,1\nb\n" * 5
    assert [(w.rows, len(w.rejects)) for w in windows(content, rows=3)] == [
        (2, 1),
        (1, 2),
        (2, 1),
        (0, 1),
    ]


def test_windows_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.window.WINDOW_BYTES", 1000)
    content = b"text\n" + b"x" * 400 + b"\n" + b"y\n" * 3
    assert [w.rows for w in windows(content * 1, rows=100)] == [4]
    assert [w.rows for w in windows(b"text\n" + (b"x" * 400 + b"\n") * 7, rows=100)] == [3, 3, 1]


def test_a_record_beyond_the_limit_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.text.lines.MAX_RECORD_BYTES", 1 << 20)
    long = b'1,"' + b"x" * (5 << 19) + b'"\n'
    content = b"n,text\n" + long + b"2,ok\n" + b"y" * (3 << 20) + b"\n3,ok"
    assert texts(content) == ["ok", "ok"]
    assert [(row, line, reason, len(raw)) for row, line, reason, raw in rejects(content)] == [
        (1, 2, "record longer than 1 MiB", 1 << 20),
        (3, 4, "record longer than 1 MiB", 1 << 20),
    ]


@pytest.mark.parametrize("field", ["y" * 1_000_000, "line\n" * 100_000])
def test_very_long_fields(field: str) -> None:
    assert texts(f'n,text\n1,"{field}"\n2,b\n'.encode()) == [field, "b"]


def test_thousands_of_columns() -> None:
    names = [f"c{i}" for i in range(5000)]
    content = ",".join([*names, "text"]) + "\n" + ",".join(["1"] * 5000 + ["a"]) + "\n"
    assert texts(content.encode()) == ["a"]


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\0\0\0", b"\xff\xfet\0e\0x\0t\0\n\0"])
def test_what_is_no_csv_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"data\.csv: not a CSV file in utf-8"):
        open_reader(source(content))


def test_a_file_whose_name_lies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.csv: not a file in the format CSV but Parquet"):
        open_reader(source(b"PAR1...."))
    with pytest.raises(InputError, match="not a file in the format Parquet"):
        open_reader(source(b"text\na\n", "data.parquet"))


@given(
    st.lists(
        st.tuples(st.sampled_from([b"1", b'"a\n""b"', b"", "é".encode()]), st.text()), max_size=9
    ),
    st.sampled_from([b"", b"\n", b"\r\n", b"\r\r\n"]),
    st.booleans(),
)
def test_cells_appended_at_once_are_those_appended_one_by_one(
    rows: list[tuple[bytes, str]], end: bytes, follows: bool
) -> None:
    head = Head(Dialect(), "utf-8", b"", b"", follows)
    writer = DelimitedWriter(io.BytesIO(), head, pa.schema([("p", pa.string())]))
    raw = [body + end for body, _ in rows]
    texts = pa.array([text for _, text in rows], pa.string())
    window = Window(0, texts, pa.record_batch([], names=[]), pa.array(raw, pa.binary()))
    added = pa.record_batch([texts, pa.array([0.5] * len(rows))], names=["p", "q"])
    one_by_one = writer.encode(window, added)
    cells = [[writer.dialect.cell(text), "0.5"] for _, text in rows]
    new = ["," * follows + ",".join(row) + end.decode() for row in cells]
    pairs = zip(rows, new, strict=True)
    assert one_by_one == b"".join(body + tail.encode() for (body, _), tail in pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "LOOP_BYTES", 0)
        assert writer.encode(window, added) == one_by_one
