"""Columns of the input that are left out of the output, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.errors import ColumnError, UsageError
from scorer.tables import (
    ColumnChoice,
    ReadOptions,
    chosen,
    local_source,
    open_reader,
    open_writer,
)
from scorer.tables.formats import format_of_name

ADDED = pa.schema([("p", pa.string())])
#: what is chosen -> the columns of the output
CHOICES = [
    (ColumnChoice(keep=("id",)), ["id", "p"]),
    (ColumnChoice(keep=("n", "id")), ["id", "n", "p"]),
    (ColumnChoice(drop=("text",)), ["id", "n", "p"]),
    (ColumnChoice(only_new=True), ["p"]),
    (ColumnChoice(keep=("id",), only_new=True), ["id", "p"]),
]
ROWS = [{"id": "a,1", "text": "good", "n": 1}, {"id": 'b"2', "text": "x\ny", "n": 2}]


def rewritten(path: Path, out: Path, choice: ColumnChoice, options: ReadOptions) -> bytes:
    reader, _ = open_reader(local_source(path), options)
    narrowed = chosen(reader, choice)
    named = format_of_name(out.name)
    assert named is not None
    stream = io.BytesIO()
    writer = open_writer(stream, named.format, narrowed, ADDED, {})
    for window in reader.windows("text", [c for c in writer.columns if c != "text"]):
        added = pa.record_batch([pa.array(["z"] * window.rows)], schema=ADDED)
        writer.write(writer.encode(window, added))
    writer.close()
    reader.close()
    return stream.getvalue()


def write(path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(ROWS[0]))
            writer.writeheader()
            writer.writerows(ROWS)
    return path


def read(content: bytes, kind: str) -> list[dict[str, str]]:
    if kind == ".parquet":
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
    elif kind == ".jsonl":
        rows = [json.loads(line) for line in content.splitlines()]
    else:
        mark = "\t" if kind == ".tsv" else ","
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline=""), delimiter=mark))
    return [{key: str(value) for key, value in row.items()} for row in rows]


@pytest.mark.parametrize(("choice", "columns"), CHOICES)
@pytest.mark.parametrize(
    ("kind", "to"),
    [
        *((".csv", ".csv"), (".jsonl", ".jsonl"), (".parquet", ".parquet"), (".csv", ".tsv")),
        *((".csv", ".parquet"), (".parquet", ".csv"), (".csv", ".jsonl"), (".parquet", ".jsonl")),
    ],
)
def test_the_chosen_columns_keep_their_values(
    kind: str, to: str, choice: ColumnChoice, columns: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / f"in{kind}")
    rows = read(rewritten(path, tmp_path / f"out{to}", choice, ReadOptions()), to)
    whole = [{**{key: str(value) for key, value in row.items()}, "p": "z"} for row in ROWS]
    assert rows == [{name: row[name] for name in columns} for row in whole]
    assert [list(row) for row in rows] == [columns] * len(ROWS)


def test_dialect_encoding_and_line_ends_stay(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(
        "id;text;name\r\n1;good;é\r\n2;bad;'x;y'\r\n".replace("'", '"').encode("cp1252")
    )
    options = ReadOptions(delimiter=";", encoding="cp1252")
    got = rewritten(path, tmp_path / "out.csv", ColumnChoice(drop=("text",)), options)
    assert got == 'id;name;p\r\n1;é;z\r\n2;"x;y";z\r\n'.encode("cp1252")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5))
def test_any_cells_come_out_as_they_were(rows: list[tuple[str, str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "in.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "text", "b"), *rows])
        got = rewritten(path, Path("out.csv"), ColumnChoice(keep=("a", "b")), ReadOptions())
        read_back = list(csv.reader(io.StringIO(got.decode(), newline="")))
    assert read_back == [["a", "b", "p"], *([a, b, "z"] for a, _, b in rows)]


def test_what_cannot_be_chosen_is_refused(tmp_path: Path) -> None:
    reader, _ = open_reader(local_source(write(tmp_path / "in.csv")))
    with pytest.raises(ColumnError, match=r"no column 'ids' \(did you mean 'id'\?\)"):
        chosen(reader, ColumnChoice(keep=("ids",)))
    reader.close()
    with pytest.raises(UsageError, match="--drop and --keep exclude each other"):
        ColumnChoice(keep=("a",), drop=("b",))
    with pytest.raises(UsageError, match="--drop and --only-new exclude each other"):
        ColumnChoice(drop=("b",), only_new=True)
