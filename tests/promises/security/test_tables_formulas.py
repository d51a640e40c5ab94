"""`--csv-safe`: no cell of an output is a formula to a spreadsheet, and nothing else changes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scorer.cli.score import main
from scorer.tables import open_reader, open_writer
from scorer.tables.source import local_source
from scorer.tables.text.formulas import safe_cell

ADDED = pa.record_batch({"prediction": pa.array(["good"])})
CELLS = st.text("=+-@\t\r\n\"',; aä1.", max_size=6)


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ("-1.50", "-1.50"),
        ("+49", "+49"),
        ("-1e-5", "-1e-5"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_formulas_and_nothing_else(cell: str, safe: str) -> None:
    assert safe_cell(cell) == safe


def guarded(data: bytes, folder: Path) -> bytes:
    """The bytes of a CSV file read and written again with a column more, guarded."""
    path = folder / "table.csv"
    path.write_bytes(data)
    reader, found = open_reader(local_source(path))
    stream = io.BytesIO()
    writer = open_writer(stream, found.format, reader, ADDED.schema, {}, csv_safe=True)
    for window in reader.windows(reader.schema.names[0]):
        added = pa.record_batch({"prediction": pa.array(["good"] * window.rows)})
        writer.write(writer.encode(window, added))
    writer.close()
    reader.close()
    return stream.getvalue()


def test_other_records_keep_their_bytes(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfid,"te""xt"\r\n"007",fine\r\n1.10,"=HYPERLINK(""x"")"\r\n-3,"a\nb"\r\n'
    assert guarded(data, tmp_path) == (
        b'\xef\xbb\xbfid,"te""xt",prediction\r\n"007",fine,good\r\n'
        b'1.10,"\'=HYPERLINK(""x"")",good\r\n-3,"a\nb",good\r\n'
    )


def test_a_header_is_guarded_too(tmp_path: Path) -> None:
    assert guarded(b"=cmd,b\n1,2\n", tmp_path) == b"'=cmd,b,prediction\n1,2,good\n"


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4))
def test_every_cell_comes_out_safe(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("text", "other"), *rows])
    folder = tmp_path_factory.mktemp("formulas")
    written = guarded(text.getvalue().encode(), folder).decode()
    _, *found = csv.reader(io.StringIO(written, newline=""))
    assert found == [[safe_cell(a), safe_cell(b), "good"] for a, b in rows]


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_the_option_of_the_command(name: str, tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    texts = ["=1+1 good", "good" * 40_000]
    if path.suffix == ".csv":
        path.write_text("text\n" + "\n".join(texts) + "\n")
    else:
        pq.write_table(pa.table({"text": texts}), path)
    cells = {}
    for option in ([], ["--csv-safe"]):
        output = tmp_path / f"out{len(option)}.csv"
        arguments = ["-m", tiny_bundle, path, "-o", output, *option]
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        with output.open(newline="") as file:
            cells[bool(option)] = [row[0] for row in csv.reader(file)]
    assert cells[False] == ["text", *texts]
    assert cells[True] == ["text", "'=1+1 good", texts[1]]
