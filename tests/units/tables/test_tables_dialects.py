"""Beginnings, dialects and line ends of text files: what is read, kept, refused, and how often."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import ColumnError, InputError, UsageError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.jobs.summary import FileSummary
from scorer.tables import ReadOptions, open_reader
from scorer.tables.text.lines import RecordLines
from tests.support.parrot import parrot
from tests.support.settings import settings_of
from tests.units.tables.test_tables_delimited import appended, rejects, source, texts

BOM = b"\xef\xbb\xbf"


def score(name: str, content: bytes, output: str = "", **options: Any) -> FileSummary:
    """Score `content` as a file `name` of the current folder."""
    Path(name).write_bytes(content)
    settings = settings_of(read=ReadOptions(**options), threads=1)
    return score_table(parrot(), plan([name], output or f"out-{name}").jobs[0], settings)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# What stands before the column names


@pytest.mark.parametrize("before", [BOM + b"\n", BOM + b"\r\n\r\n", b"\n\n", BOM])
def test_what_stands_before_the_names_hides_no_row(before: bytes) -> None:
    content = before + b"n,text\n1,good\n2,bad\n"
    assert score("in.csv", content).read == 2
    assert appended(content) == (
        before + b"n,text,prediction,probability\n1,good,pos,0.5\n2,bad,pos,0.5\n"
    )


@pytest.mark.parametrize("content", [b"", BOM, BOM + b"\n", b"\n\r\n"])
@pytest.mark.parametrize("name", ["in.csv", "in.tsv"])
def test_a_csv_file_without_a_record_is_empty(name: str, content: bytes) -> None:
    summary = score(name, content)
    assert (summary.read, Path(f"out-{name}").read_bytes()) == (0, content)


def test_a_file_of_nothing_but_line_ends_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.text.header.MAX_BLANK_BYTES", 100)
    with pytest.raises(InputError, match="begins with more than 100 bytes of empty lines"):
        open_reader(source(b"\n" * 101 + b"text\na\n"))


@pytest.mark.parametrize("content", [b"", BOM, BOM + b"\n", b"\n \n"])
def test_a_json_lines_file_without_an_object_is_empty(content: bytes) -> None:
    assert score("in.jsonl", content).read == 0


@pytest.mark.parametrize("empty", [1, 1_100, 5_000])
def test_empty_objects_before_the_others_are_rows(empty: int) -> None:
    summary = score("in.jsonl", b"{}\n" * empty + b'{"text":"good"}\n{"text":"bad"}\n')
    assert (summary.read, summary.scored, summary.unscored) == (empty + 2, 2, empty)
    assert len(Path("out-in.jsonl").read_bytes().splitlines()) == empty + 2


@pytest.mark.parametrize("objects", [1, 2, 1_100])
def test_objects_without_any_key_lack_the_text_column(objects: int) -> None:
    with pytest.raises(ColumnError, match=r"in\.jsonl: no column 'text'.*rows have no columns"):
        score("in.jsonl", b"{}\n" * objects)


def test_the_search_for_a_key_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.text.jsonl.EMPTY_BYTES", 300)
    with pytest.raises(ColumnError, match="rows have no columns"):
        score("in.jsonl", b"{}\n" * 200 + b'{"text":"good"}\n')


def test_a_key_with_half_a_surrogate_pair_is_kept_and_not_a_column() -> None:
    content = b'{"\\ud800":1,"text":"good"}\n{"text":"bad","\\udc00x":{"\\ud800":[]}}\n'
    assert score("in.jsonl", content).scored == 2
    out = Path("out-in.jsonl").read_bytes().splitlines()
    assert [line.startswith(raw[:-1]) for line, raw in zip(out, content.split(), strict=True)]
    assert all(json.loads(line)["prediction"] in ("neg", "pos") for line in out)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("line", [b"sep=;", b'"sep=;"', b"SEP=;", BOM + b"sep=;"])
def test_the_delimiter_that_excel_states_is_taken(line: bytes, end: bytes) -> None:
    content = end.join([line, b"n;text", b'1;"a, b;"', b"2;c", b""])
    assert texts(content) == ["a, b;", "c"]
    assert appended(content) == end.join(
        [line, b"n;text;prediction;probability", b'1;"a, b;";pos;0.5', b"2;c;pos;0.5", b""]
    )


def test_the_delimiter_of_the_options_goes_before_the_files() -> None:
    assert texts(b"sep=;\nn,text\n1,a;b\n", delimiter=",") == ["a;b"]


@pytest.mark.parametrize("line", ["sep=\\", "sep=ab", "sep=", "sep=x", "separator=;"])
def test_no_other_line_states_a_delimiter(line: str) -> None:
    reader, _ = open_reader(source(f"{line}\ntext\n".encode()))
    assert reader.schema.names == [line]


def test_rows_after_a_sep_line_have_their_own_numbers() -> None:
    assert [place[:2] for place in rejects(b"sep=;\nn;text\n1;a\n2\n")] == [(2, 4)]


# Line ends


def test_lines_may_end_as_on_an_old_mac() -> None:
    content = b'n,text\r1,good\r\r2,"a\rb\n c"\r3,last'
    assert texts(content) == ["good", "a\rb\n c", "last"]
    assert appended(content) == (
        b'n,text,prediction,probability\r1,good,pos,0.5\r2,"a\rb\n c",pos,0.5\r3,last,pos,0.5'
    )
    assert rejects(b"n,text\r1\r2,b\r\n3\n") == [
        (1, 2, "expected 2 fields, found 1", b"1\r"),
        (3, 4, "expected 2 fields, found 1", b"3\n"),
    ]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 18])
def test_where_chunks_end_does_not_matter(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.text.lines.CHUNK_BYTES", chunk)
    monkeypatch.setattr("scorer.tables.text.lines.MAX_RECORD_BYTES", 40)
    rows = b"".join(b"%d,word\r" % i + b"\n" * (i % 2) for i in range(30))
    assert texts(b"n,text\r" + rows) == ["word"] * 30
    long = b"1," + b"x" * 99 + b"\r"
    assert [len(raw) for *_, raw in rejects(b"n,text\r" + long + rows)] == [40]


def test_json_lines_may_end_as_on_an_old_mac() -> None:
    assert score("in.jsonl", b'{"text":"good"}\r{"text":"bad"}\r').scored == 2
    assert Path("out-in.jsonl").read_bytes().count(b"}\r") == 2
    assert score("in2.jsonl", b'{"text":\r"good"}\r\n{\r"text":"bad"}\r\n').scored == 2


def test_a_lone_carriage_return_is_told_as_such() -> None:
    content = b"n,text\n1,a\rb\n2,c\n"
    assert texts(content) == ["c"]
    assert "carriage return (CR) outside quotes" in rejects(content)[0][2]


# Headers that mislead


@pytest.mark.parametrize("mark", [";", "\t", "|"])
@pytest.mark.parametrize("header", ['"n"{0}"text"', '""{0}"text, or not"', '"n"{0}text'])
def test_quoted_names_with_another_delimiter(header: str, mark: str) -> None:
    content = (header.format(mark) + f'\n"1"{mark}"a"\n').encode()
    with pytest.raises(ColumnError) as caught:
        open_reader(source(content))
    assert str(caught.value).endswith(f"2 with {mark!r}: use --delimiter {mark!r}")


def test_unescaped_quotes_in_a_quoted_name() -> None:
    content = b'"the "n" of it",text\n1,a\n2,"b\nc"\n'
    reader, _ = open_reader(source(content))
    assert reader.schema.names[1] == "text"
    assert texts(content) == ["a", "b\nc"]
    assert appended(content).startswith(b'"the "n" of it",text,prediction,probability\n1,a,')


def test_a_name_that_is_never_closed_is_not_a_header() -> None:
    with pytest.raises(InputError, match="cannot be read as column names"):
        open_reader(source(b'"n,text\n1,a\n'))


@pytest.mark.parametrize(
    ("encoding", "option"),
    [("latin-1", "cp1252"), ("cp1252", "cp1252"), ("utf-16", "utf-16"), ("utf-16-be", "utf-16-be")],
)
def test_a_header_in_another_encoding_is_told(encoding: str, option: str) -> None:
    content = "prénom,text\nZoé,bien\n".encode(encoding)
    with pytest.raises(InputError, match=f"it looks like .*: use --encoding {option}$"):
        open_reader(source(content))
    assert texts(content, encoding=option) == ["bien"]


def test_a_delimiter_at_the_end_of_rows_alone() -> None:
    (reject,) = rejects(b"n,text\n1,a,\n")
    assert "the row ends with a delimiter: remove it, or name one more column" in reject[2]


# Dialects


def test_quotes_may_be_text() -> None:
    content = b'id\ttext\n1\t"a" b\n2\t"x\n3\t\\N\n'
    assert texts(content, delimiter="\t", quoting="none") == ['"a" b', '"x', r"\N"]
    out = appended(content, 'so "so"', "data.tsv", quoting="none")
    assert out.splitlines()[2] == b'2\t"x\tso "so"\t0.5'


def test_backslashes_may_escape_quotes() -> None:
    content = b'"id"\t"text"\n"1"\t"a \\"b\\", c\\\\"\n"2"\t"x""y"\n'
    options = {"delimiter": "\t", "escape": "\\"}
    assert texts(content, **options) == ['a "b", c\\', 'x"y']
    out = appended(content, 'p "q" \\', **options)
    assert out.splitlines()[1] == b'"1"\t"a \\"b\\", c\\\\"\t"p \\"q\\" \\\\"\t0.5'
    assert texts(out, **options) == texts(content, **options)


def test_backslashes_may_escape_delimiters_and_line_ends() -> None:
    content = b"id,text\n1,a\\,b\\\nc\n2,x\\\r\n3,y\\\n\r\n4,z\\\\\n"
    options = {"quoting": "none", "escape": "\\"}
    assert texts(content, **options) == ["a,b\nc", "x\r", "y\n", "z\\"]
    out = appended(content, "p,\nq", **options)
    cells = b",p\\,\\\nq,0.5"
    assert out.split(cells) == [
        b"id,text,prediction,probability\n1,a\\,b\\\nc",
        b"\n2,x\\\r",
        b"\n3,y\\\n",
        b"\r\n4,z\\\\",
        b"\n",
    ]
    assert texts(out, **options) == texts(content, **options)


def test_broken_quotes_say_which_option_may_help() -> None:
    (reject,) = rejects(b'n,text\n1,"a \\"b\\", c"\n')
    assert reject[2].endswith(r"if a backslash escapes quotes in this file, use --escape '\'")
    (reject,) = rejects(b'n\ttext\n1\t"a" b\n', delimiter="\t")
    assert reject[2].endswith("if quotes are text in this file, use --quoting none")
    (reject,) = rejects(b'n,text\n1,"a" b\n')
    assert reject[2].startswith("broken quoting")
    assert "--" not in reject[2]
    (reject,) = rejects(b"n,text\n1,a\\", quoting="none", escape="\\")
    assert reject[2] == "broken escape: unexpected end of data"


def test_what_a_dialect_cannot_hold_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'p,q' has a delimiter.*give --escape too"):
        appended(b"id,text\n1,a\n", "p,q", quoting="none")
    with pytest.raises(UsageError, match="cannot be written in ascii"):
        appended(b"id,text\n1,a\n", "ü", encoding="ascii")


def test_json_can_spell_what_its_encoding_lacks() -> None:
    out = appended(b'{"text":"a"}\n', "ü", "data.jsonl", encoding="ascii")
    assert out == b'{"text":"a","prediction":"\\u00fc","probability":0.5}\n'


def test_numbers_are_quoted_where_the_delimiter_is_part_of_them() -> None:
    assert appended(b"id.text\n1.a\n", delimiter=".").splitlines()[1] == b'1.a.pos."0.5"'


def test_csv_safe_keeps_the_dialect() -> None:
    content = b'id\ttext\n1\t"a \\"b\\""\n2\t=1+1 \\"\n'
    Path("in.tsv").write_bytes(content)
    settings = settings_of(read=ReadOptions(escape="\\"), csv_safe=True, threads=1)
    score_table(parrot(), plan(["in.tsv"], "out.tsv").jobs[0], settings)
    out = Path("out.tsv").read_bytes()
    assert out.splitlines()[1].startswith(b'1\t"a \\"b\\""\t')
    assert texts(out, delimiter="\t", escape="\\")[1] == "'=1+1 \""


# Files without column names


@pytest.mark.parametrize("before", [b"", BOM, b"\n", b"sep=,\n"])
def test_a_file_without_a_header(before: bytes) -> None:
    content = before + b'1,a\n2,"b\nc"\n'
    reader, _ = open_reader(source(content), ReadOptions(header=False))
    assert reader.schema.names == ["column_1", "column_2"]
    options = ReadOptions(columns=("n", "text"))
    reader, _ = open_reader(source(content), options)
    (window,) = reader.windows("text", ["n"])
    assert window.table.to_pydict() == {"text": ["a", "b\nc"], "n": ["1", "2"]}
    assert appended(content, columns=["n", "text"]) == (  # type: ignore[arg-type]
        before + b'1,a,pos,0.5\n2,"b\nc",pos,0.5\n'
    )


def test_a_file_without_a_header_in_other_formats() -> None:
    score("in.csv", b"1,good\n2,bad\n", "out.tsv", columns=["n", "text"])
    assert [line[:2] for line in Path("out.tsv").read_bytes().splitlines()] == [b"1\t", b"2\t"]
    score("in.csv", b"1,good\n2,bad\n", "out.jsonl", columns=["n", "text"])
    assert json.loads(Path("out.jsonl").read_text().splitlines()[1])["text"] == "bad"
    assert score("no.csv", b"", columns=["n", "text"]).read == 0


def test_a_first_row_of_another_width() -> None:
    with pytest.raises(ColumnError, match="first row has 3 fields, --columns has 2 names"):
        open_reader(source(b"1,2,3\n"), ReadOptions(columns=("n", "text")))


def test_a_first_row_that_cannot_be_read_is_set_aside_as_any_other() -> None:
    content = b'1,"a "b""\n2,c\n'
    reader, _ = open_reader(source(content), ReadOptions(header=False))
    (window,) = reader.windows("column_2")
    assert (window.texts.to_pylist(), len(window.rejects)) == (["c"], 1)


@pytest.mark.parametrize(
    "first", [b'"1,"a","b",c"\n', b'1,"a\n', b'1,"a "b""\n', b"1,\xff\n", b'"' + b"x" * 99 + b"\n"]
)
def test_named_columns_do_not_hang_on_the_first_row(
    first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.tables.text.lines.MAX_RECORD_BYTES", 60)
    reader, _ = open_reader(source(first + b'2,"b\n3,c\n'), ReadOptions(columns=("n", "text")))
    (window,) = reader.windows("text")
    assert [reject.row for reject in window.rejects] == [1, 2]
    assert all(reject.reason for reject in window.rejects)
    assert window.texts.to_pylist() == ["c"]


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "ab"}, "--delimiter 'ab': must be a single character"),
        ({"delimiter": ""}, "--delimiter '': must be a single character"),
        ({"delimiter": "a"}, "--delimiter 'a': must be a single character, not a letter"),
        ({"delimiter": '"'}, "--delimiter '\"': must be a single character"),
        ({"delimiter": "\0"}, "--delimiter"),
        ({"delimiter": "§", "encoding": "ascii"}, "--delimiter '§': ascii does not have"),
        ({"encoding": "nope"}, "--encoding 'nope': unknown encoding"),
        ({"encoding": "rot13"}, "--encoding 'rot13': unknown encoding"),
        ({"encoding": "a\0b"}, "--encoding"),
        ({"quoting": "all"}, "--quoting 'all': unknown; choose double or none"),
        ({"escape": "\\\\"}, "--escape"),
        ({"escape": '"'}, "--escape '\"': must be a single character"),
        ({"escape": ";", "delimiter": ";"}, "--escape ';': is the delimiter too"),
        ({"columns": ["a", "b", "a"]}, "--columns: 'a' is there twice"),
        ({"columns": ["a", ""]}, "--columns: '' is not a name"),
        ({"columns": [1]}, "--columns: 1 is not a name"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ReadOptions(**options)
    assert str(caught.value).startswith(message)


def test_options_are_kept_as_they_are_meant() -> None:
    options = ReadOptions(r"\t", "UTF-8-SIG", columns=["a", "b"])
    assert (options.delimiter, options.encoding) == ("\t", "utf-8")
    assert (options.columns, options.header) == (("a", "b"), False)
    assert ReadOptions(encoding="Latin-1") == ReadOptions(encoding="iso8859-1")


# How often a line is read


@pytest.mark.parametrize(
    "row",
    [
        b'%d","good","positive\n',  # the outer quotes are lost
        b'%d,"good,positive,\n',  # never closed
        b'"%d,good\n,"",""positive\n',
        b'%d,good,"\n',
    ],
)
def test_no_line_is_parsed_more_than_three_times(
    row: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.tables.text.lines.MAX_RECORD_BYTES", 20_000)
    given = 0
    following = RecordLines.__next__

    def counted(lines: RecordLines) -> str:
        nonlocal given
        given += 1
        return following(lines)

    monkeypatch.setattr(RecordLines, "__next__", counted)
    content = b"n,text,x\n" + b"".join(row % i for i in range(5_000))
    assert len(content) > 2 * 20_000
    reader, _ = open_reader(source(content))
    rows = sum(window.rows + len(window.rejects) for window in reader.windows("text"))
    assert rows == reader.rows
    # Each line's turn, its second as a row of its own, and a question that is turned down.
    assert given <= 4 * len(io.BytesIO(content).readlines())


def test_rows_between_broken_ones_are_read() -> None:
    rows = [b'1","good","positive\n', b"2,a,b\n", b'3,"c",d\n', b'4","good","positive\n']
    content = b"n,text,x\n" + b"".join(rows) * 50
    assert texts(content) == ["a", "c"] * 50
    assert [raw for *_, raw in rejects(content)] == [rows[0], rows[3]] * 50
