"""The first sheet of an Excel workbook as an input."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest

from scorer.errors import ColumnError, InputError, ScorerError, UsageError
from scorer.jobs.inputs import default_output
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.tables import Source, excel, open_reader
from scorer.tables.formats import check_output_name, writable_name
from tests.support.parrot import parrot
from tests.support.settings import settings_of
from tests.support.workbook import members, packed, workbook

REVIEWS = {"id": ["007", "8"], "text": ["good, or not", "bad\nfilm"]}
TEXT = '<row r="1"><c r="A1" t="str"><v>text</v></c></row>'


@pytest.fixture(autouse=True)
def _in_an_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(data: bytes, column: str = "text") -> dict[str, list[str | None]]:
    reader, _ = open_reader(Source("in.xlsx", lambda: io.BytesIO(data)))
    if not reader.schema.names:
        return {}
    found: dict[str, list[str | None]] = {name: [] for name in reader.schema.names}
    for window in reader.windows(column):
        for name, cells in found.items():
            cells += window.table[name].to_pylist()
    assert reader.rows == len(found[column])
    return found


def sheet(rows: str) -> bytes:
    return packed(members(rows))


def cells(*inner: str) -> str:
    """A row of cells that say neither where they are nor which row it is."""
    return f"<row>{''.join(f'<c {each}</c>' for each in inner)}</row>"


def named(name: str) -> str:
    return f't="str"><v>{name}</v>'


# What Excel stores (its style by place in STYLES), and the text that comes out.
CELLS = {
    "><v>7</v>": "7",
    "><v>-12.0</v>": "-12",
    "><v>0.1</v>": "0.1",
    "><v>1E+300</v>": "1e+300",
    "><v>123456789012</v>": "123456789012",
    't="b"><v>1</v>': "TRUE",
    't="b"><v>0</v>': "FALSE",
    's="1"><v>43890</v>': "2020-02-29",
    's="2"><v>43890.5</v>': "2020-02-29 12:00:00",
    's="3"><v>0.5</v>': "12:00:00",
    's="4"><v>1.1</v>': "26:24:00",
    't="e"><v>#N/A</v>': None,
    "><v></v>": None,
    't="inlineStr"><is><t>a &amp; b</t></is>': "a & b",
    't="str"><f>UPPER("x")</f><v>X</v>': "X",
    't="inlineStr"><is><r><t>bo</t></r><r><t>ld</t></r></is>': "bold",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_comes_out_as_text(cell: str) -> None:
    rows = cells(named("text"), named("value")) + cells(named("a"), cell)
    assert read(sheet(rows)) == {"text": ["a"], "value": [CELLS[cell]]}


def test_blank_rows_and_columns_around_and_between_are_left_out() -> None:
    rows = (
        '<row r="3"><c r="C3" t="str"><v>text</v></c><c r="D3" t="str"><v>n</v></c></row>'
        '<row r="5"><c r="D5"><v>1</v></c></row><row r="6"/>'
        '<row r="9"><c r="C9" t="str"><v>good</v></c></row>'
    )
    assert read(sheet(rows)) == {"text": [None, "good"], "n": ["1", None]}
    assert read(sheet("")) == {}
    assert read(sheet(TEXT)) == {"text": []}


def test_no_row_is_lost_between_windows() -> None:
    texts = [f"film {i}" for i in range(2_500)]
    assert read(workbook({"text": texts})) == {"text": texts}


def test_the_output_is_csv() -> None:
    Path("in").mkdir()
    Path("in/reviews.xlsx").write_bytes(workbook(REVIEWS))
    (beside,) = plan(["in/reviews.xlsx"], None).jobs
    summary = score_table(parrot(), beside, settings_of())
    assert (summary.read, summary.scored) == (2, 2)
    written = Path("in/reviews.scored.csv").read_text()
    assert written.startswith('id,text,prediction,probability\n007,"good, or not",')
    (inside,) = plan(["in/reviews.xlsx"], "out/").jobs
    score_table(parrot(), inside, settings_of())
    (bare,) = plan(["in/reviews.xlsx"], "bare").jobs
    score_table(parrot(), bare, settings_of())
    assert Path("out/reviews.csv").read_text() == written == Path("bare").read_text()


def test_the_names_of_outputs() -> None:
    assert default_output("a/y.xlsx") == "a/y.scored.csv"
    assert writable_name("y.b.XLSX") == "y.b.csv"
    assert writable_name("y.xlsx.gz") == "y.csv.gz"
    assert writable_name("y.xlsx.zip") == "y.csv"
    for source in ("in.csv", "in.xlsx"):
        with pytest.raises(
            UsageError, match=r"out\.xlsx: \.xlsx files cannot be written: use .*orc"
        ):
            check_output_name("out.xlsx", source)


def test_without_python_calamine_the_message_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(InputError, match=r"pip install 'text-scorer\[excel\]', or save .* as CSV"):
        read(workbook(REVIEWS))


FAR = TEXT + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
UNPLACED = TEXT + "<row/>" * 1000 + "<row>" + "<c/>" * 40_000 + "<c><v>1</v></c></row>"
# The compressed data of the first member begin at byte 49.
BROKEN = workbook(REVIEWS)[:49] + b"\xff" * 9 + workbook(REVIEWS)[58:]
DAMAGED = {
    "cut off": (workbook(REVIEWS)[:-40], "cannot be read as Excel: File is not a zip file"),
    "broken XML": (sheet('<row r="1"><c r='), "cannot be read as Excel: "),
    "no such string": (sheet('<row r="1"><c r="A1" t="s"><v>7</v></c></row>'), "cannot be read as"),
    "an endless duration": (
        sheet(cells(named("text")) + cells('s="4"><v>1E+300</v>')),
        "cannot be read as Excel: ",
    ),
    "damaged data": (BROKEN, "cannot be read as Excel: Error -3 while decompressing"),
    "a Word document": (packed({"_rels/.rels": "<a/>", "word/document.xml": "<a/>"}), "cannot be"),
    "a far cell": (sheet(FAR), "spans 1,048,576 rows and 16,384 columns, more than 33,554,432"),
    "cells without a place": (sheet(UNPLACED), "spans 1,002 rows and 40,002 columns"),
    "UTF-16": (sheet(FAR.encode("utf-16-le").decode("latin-1")), "XML that Excel does not write"),
    "a long tag": (sheet("<c " + " " * (17 << 20) + "/>"), "XML that Excel does not write"),
    "a password": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "or one with a password"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_cannot_be_read_is_refused_in_one_line(kind: str) -> None:
    data, message = DAMAGED[kind]
    with pytest.raises(InputError, match=f"^in.xlsx: .*{message}") as refused:
        read(data)
    assert "\n" not in str(refused.value)


def test_a_workbook_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(members(TEXT) | {"xl/media/picture.png": "x" * 100_000})
    monkeypatch.setattr(excel, "UNPACKED_BYTES", 20_000)
    assert read(data) == {"text": []}  # pictures are not unpacked
    data = packed(members(TEXT) | {"xl/worksheets/sheet2.xml": "<a/>" * 5_000})
    with pytest.raises(InputError, match="MiB unpacked: save the sheet as CSV"):
        read(data)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ((named("text"), named("text")), "two columns are named 'text': rename one"),
        ((named("text"), ">", named("n")), "column B has no name in the sheet's first row"),
    ],
)
def test_a_header_names_every_column_once(header: tuple[str, ...], message: str) -> None:
    rows = cells(*header) + cells(*[named("a")] * len(header))
    with pytest.raises(ColumnError, match=f"^in.xlsx: {message}"):
        read(sheet(rows))


def test_letters_of_columns() -> None:
    for place in (0, 25, 26, 701, 702, 16_383):
        assert excel._number(excel._letters(place).encode()) == place + 1
    assert excel._letters(16_383) == "XFD"


def test_a_workbook_under_another_name_is_named() -> None:
    data = workbook(REVIEWS)
    with pytest.raises(
        InputError, match=r"not a .* CSV but Excel; correct the extension to \.xlsx"
    ):
        open_reader(Source("in.csv", lambda: io.BytesIO(data)))
    _, found = open_reader(Source("stdin", lambda: io.BytesIO(data)))
    assert found.format.label == "Excel"


def test_a_workbook_inside_a_compression_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("in.xlsx", workbook(REVIEWS))
    with pytest.raises(ScorerError, match="inside zip: decompress it first"):
        open_reader(Source("in.zip", lambda: io.BytesIO(stream.getvalue())))
