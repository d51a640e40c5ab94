"""Compare the readers of CSV and JSON Lines with Python's own csv and json, on random hard files.

    python scripts/compare_readers.py                    100,000 files, half of either format
    python scripts/compare_readers.py --files 500 --seed 7

Every file is read, and written with two more cells a row, every other file by the compiled loops,
which otherwise take larger ones. A difference is a row that is not there,
there twice or not in its place, a value that is not what csv or json reads, a byte of a record or
of a reject that is not the file's, or a traceback. Each ends up in a file of its own under
--keep, with its options; the exit code is then 1.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pyarrow as pa
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from scorer.errors import ScorerError
from scorer.tables import ReadOptions, Source, WindowSize, open_reader, open_writer
from scorer.tables.columns import choose_text_column
from scorer.tables.text import delimited, json_writer, jsonl, plain
from scripts.fuzzing.texts import BOM, MAKERS, Case

ADDED = pa.schema([("p", pa.string()), ("q", pa.float32())])
CELLS = ("yes", "0.5")
SEP_LINE = re.compile(rb'(\xef\xbb\xbf)?("?)sep=([;,\t|:~^ ])\2(\r\n|\r|\n|$)')


@dataclass(frozen=True)
class Found:
    """The rows of a file in order: the text (None: null), or the bytes of one set aside.

    `records` are the bytes of the rows that were read, `kept` the file with its new cells.
    """

    rows: list[str | bytes | None]
    records: list[bytes]
    kept: bytes = b""


# What Python reads of them


def expected(case: Case) -> Found | None:
    """What csv or json makes of a file; None where it cannot be a table with a text column."""
    if case.name.endswith("jsonl"):
        return _expected_json(case.content)
    return _expected_csv(case)


def split(content: bytes, *, at_cr: bool) -> list[bytes]:
    return re.findall(
        rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+" if at_cr else rb"[^\n]*\n|[^\n]+", content
    )


def _expected_json(content: bytes) -> Found | None:
    bom = BOM if content.startswith(BOM) else b""
    lines = split(content.removeprefix(bom), at_cr=False)
    start, lone, _ = re.sub(rb"\r\n", b"\n", lines[0].lstrip() if lines else b"").partition(b"\r")
    if lone and isinstance(_json(start), dict):
        lines = split(content.removeprefix(bom), at_cr=True)
    if lines:
        lines[0] = bom + lines[0]
    rows: list[str | bytes | None] = []
    first: Any = None
    keys: set[str] = set()
    records: list[bytes] = []
    for line in lines:
        if not line.removeprefix(bom if line is lines[0] else b"").strip():
            continue
        value = _json(line.removeprefix(bom) if line is lines[0] else line)
        if not isinstance(value, dict):
            rows.append(line)
            continue
        text = value.get("text")
        first = text if first is None else first
        keys |= value.keys()
        good = (text is None or isinstance(text, str)) and not (value.keys() & set(ADDED.names))
        if good and not re.search("[\ud800-\udfff]", text or ""):
            rows.append(text)
            records.append(line)
        else:
            rows.append(line)
    if rows and ("text" not in keys or not isinstance(first, str | None)):
        return None
    return Found(rows, records)


def _json(line: bytes) -> Any:
    try:
        return json.loads(line.decode())
    except ValueError:
        return None


def _expected_csv(case: Case) -> Found | None:
    encoding = case.options.get("encoding", "utf-8")
    content = case.content
    delimiter = case.options.get("delimiter", "\t" if case.name.endswith("tsv") else ",")
    sep = SEP_LINE.match(content)
    bom = BOM if content.startswith(BOM) and not sep and encoding == "utf-8" else b""
    content = content[sep.end() if sep else len(bom) :]
    if sep and "delimiter" not in case.options:
        delimiter = sep[3].decode()
    style = {
        "delimiter": delimiter,
        "strict": True,
        "quoting": csv.QUOTE_NONE if case.options.get("quoting") == "none" else csv.QUOTE_MINIMAL,
        "escapechar": case.options.get("escape"),
    }
    lines = split(content, at_cr=False)
    if any(re.search(rb"\r(?!\n)", line) for line in _first_record(lines, style, encoding)[1]):
        at_cr = split(content, at_cr=True)
        lines = at_cr if _first_record(lines, style, encoding)[0] is None else lines
    head, read = _first_record(lines, style, encoding)
    if "columns" in case.options:
        start = lines[_blank_lines(lines) :]
        head = _named(case.options["columns"], head, start, style, encoding)
    if head is None:
        return None
    if case.options.get("header", True):
        if len(set(head)) < len(head) or any("\0" in name for name in head):
            return None
        if not _decodes(b"".join(read), encoding):
            return None
        before = len(read) + _blank_lines(lines)
    else:
        before = _blank_lines(lines)
        head = [""] * len(head)
    found = _by_rule(lines[before:], style, encoding, len(head), bom if not before else b"")
    plain = _plainly(b"".join(lines[before:]), style, encoding, len(head))
    if plain is not None and not re.search(rb"\r(?!\n)", content):
        read_rows = [row for row in found.rows if isinstance(row, str)]
        assert read_rows == plain, (read_rows, plain)
    return found


def _named(
    columns: list[str],
    first: list[str] | None,
    lines: Sequence[bytes],
    style: dict[str, Any],
    encoding: str,
) -> list[str] | None:
    """The names that were given, None where the first row has another number of fields.

    A broken first row may be a good one with another delimiter, which is refused too.
    """
    if first is not None:
        return columns if len(first) in (0, len(columns)) else None
    others = [_record(lines[:1], {**style, "delimiter": mark}, encoding)[0] for mark in ",;\t|"]
    widths = [len(fields) for fields in others if fields]
    return None if len(columns) > 1 and len(columns) in widths else columns


def _blank_lines(lines: Sequence[bytes]) -> int:
    return next((i for i, line in enumerate(lines) if line.strip(b"\r\n")), len(lines))


def _first_record(
    lines: list[bytes], style: dict[str, Any], encoding: str
) -> tuple[list[str] | None, list[bytes]]:
    """The fields of the first record that is not blank, None where broken, and its lines."""
    start = _blank_lines(lines)
    return _record(lines[start:], style, encoding)


def _record(
    lines: Sequence[bytes], style: dict[str, Any], encoding: str
) -> tuple[list[str] | None, list[bytes]]:
    """The fields of the record that begins `lines`, None where it is broken, and its lines."""
    read: list[bytes] = []

    def decoded() -> Iterator[str]:
        for line in lines:
            read.append(line)
            yield line.decode(encoding, "replace")
        read.append(b"")  # the end was met

    try:
        return next(csv.reader(decoded(), **style), []), [line for line in read if line]
    except csv.Error:
        return None, read


def _by_rule(
    lines: list[bytes], style: dict[str, Any], encoding: str, width: int, bom: bytes
) -> Found:
    """Record by record; of a broken one the first line is set aside, and the others begin anew.

    Up to the line that broke it each is a record of its own or set aside.
    """
    rows: list[str | bytes | None] = []
    records: list[bytes] = []
    at = alone_until = 0
    while at < len(lines):
        mark = bom if at == 0 else b""
        fields, read = _record(lines[at:], style, encoding)
        if at < alone_until and len(read) > 1:
            fields, read = None, read[:1]
        if fields is None:
            alone_until = max(alone_until, at + len(read) - 1)
            rows.append(mark + lines[at])
            at += 1
            continue
        at += len(read)
        raw = b"".join(read)
        if not fields:
            continue
        if len(fields) != width or not _decodes(raw, encoding):
            rows.append(mark + raw)
        else:
            rows.append(fields[-1])
            records.append(mark + raw)
    return Found(rows, records)


def _plainly(content: bytes, style: dict[str, Any], encoding: str, width: int) -> list[str] | None:
    """The last field of all rows as csv reads a whole file; None where it finds it broken."""
    if not _decodes(content, encoding) or style["escapechar"]:
        return None
    try:
        rows = list(csv.reader(io.StringIO(content.decode(encoding), newline=""), **style))
    except csv.Error:
        return None
    return [row[-1] for row in rows if row and len(row) == width]


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        return bool(raw.decode(encoding)) or True
    except UnicodeDecodeError:
        return False


# What we read of them


def found(case: Case, rows: int) -> Found:
    """What the readers and writers make of a file, in windows of so many rows."""
    source = Source(case.name, lambda: io.BytesIO(case.content))
    reader, is_a = open_reader(source, ReadOptions(**case.options))
    out = io.BytesIO()
    writer = open_writer(out, is_a.format, reader, ADDED, {})
    numbered: dict[int, bytes] = {}
    texts: list[str | None] = []
    records: list[bytes] = []
    if len(reader.schema) or reader.rows != 0:
        wanted = "text" if is_a.format.objects else reader.schema.names[-1]
        text = choose_text_column(case.name, reader.schema, wanted, ())
        reserved = frozenset(ADDED.names)
        for window in reader.windows(text, size=WindowSize(rows, rows), reserved=reserved):
            numbered |= {reject.row: reject.raw for reject in window.rejects}
            texts += window.texts.to_pylist()
            records += window.raw.to_pylist() if window.raw is not None else []
            cells = [
                pa.array([CELLS[0]] * window.rows),
                pa.array([0.5] * window.rows, pa.float32()),
            ]
            added = pa.RecordBatch.from_arrays(cells, schema=ADDED)
            writer.write(writer.encode(window, added))
    total = len(texts) + len(numbered)
    remaining = iter(texts)
    in_order = [numbered[i] if i in numbered else next(remaining) for i in range(1, total + 1)]
    if reader.rows != total:
        raise AssertionError(f"{total} rows came of {reader.rows}")
    return Found(in_order, records, out.getvalue())


def difference(case: Case, rows: int) -> str | None:
    """How the two differ, empty if they do not; None where neither can be compared."""
    wanted = expected(case)
    try:
        got = found(case, rows)
    except ScorerError as error:
        return None if wanted is None else f"refused: {error}"
    if wanted is None:
        return None
    if got.rows != wanted.rows:
        return f"rows {got.rows!r}, wanted {wanted.rows!r}"
    if got.records != wanted.records:
        return f"records {got.records!r}, wanted {wanted.records!r}"
    with_cells = b"".join(_with_cells(case, raw) for raw in got.records)
    if not got.kept.endswith(with_cells):
        return f"written {got.kept!r}, wanted {with_cells!r}"
    return ""


def _with_cells(case: Case, raw: bytes) -> bytes:
    if case.name.endswith("jsonl"):
        end = raw[len(raw.rstrip()) :]
        body = raw.rstrip()[:-1]
        comma = b"" if body.rstrip().endswith(b"{") else b","
        return body + comma + f'"p":"{CELLS[0]}","q":{CELLS[1]}}}'.encode() + end
    sep = SEP_LINE.match(case.content)
    usual = b"\t" if case.name.endswith("tsv") else b","
    mark = case.options.get("delimiter", "").encode() or (sep[3] if sep else usual)
    signs = rb"(?:\\.|[^\\])*?" if "escape" in case.options else b".*?"
    split_end = re.fullmatch(b"(" + signs + rb")([\r\n]*)", raw, re.DOTALL)
    assert split_end, raw
    body, end = split_end.groups()
    return body + mark + mark.join(cell.encode() for cell in CELLS) + end


@contextmanager
def at_once() -> Iterator[None]:
    """Within, rows are read and written by the compiled loops, however few they are."""
    with (
        patch.object(plain, "BLOCK_BYTES", 64),
        patch.object(plain, "LOOP_BYTES", 0),
        patch.object(jsonl, "SCHEMA_ROWS", 1),
        patch.object(delimited, "LOOP_BYTES", 0),
        patch.object(json_writer, "LOOP_BYTES", 0),
    ):
        yield


@dataclass
class Tally:
    """How many files were compared, were in no shape to be, or differ."""

    compared: int = 0
    refused: int = 0
    rows: int = 0
    differences: list[tuple[Case, str]] = field(default_factory=list)


def compare(files: int, seed: int, watch: Callable[[], Any] = lambda: None) -> dict[str, Tally]:
    """Compare so many files, the formats in turn; the same for the same `seed`."""
    tallies = {kind: Tally() for kind in MAKERS}
    for i in range(files):
        kind = list(MAKERS)[i % len(MAKERS)]
        rng = random.Random(f"{seed} {i}")
        case, tally = MAKERS[kind](rng), tallies[kind]
        loops = i // len(MAKERS) % 2
        if loops and kind == "jsonl":  # the loops begin behind the first row, which has the keys
            mark = BOM if case.content.startswith(BOM) else b""
            first = mark + b'{"text": "first"}\n'
            case = replace(case, content=first + case.content.removeprefix(mark))
        try:
            with at_once() if loops else nullcontext():
                said = difference(case, rng.randint(1, 4))
        except Exception as error:  # a traceback is a difference
            said = f"{type(error).__name__}: {error}"
        if said:
            tally.differences.append((case, said))
        elif said is None:
            tally.refused += 1
        else:
            tally.compared += 1
        watch()
    return tallies


@click.command()
@click.option("--files", default=100_000, show_default=True, help="How many files to compare.")
@click.option("--seed", default=0, show_default=True, help="Which files: the same for the same.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    default=Path("runs/readers"),
    show_default=True,
    help="Folder for the files that differ.",
)
def main(files: int, seed: int, keep: Path) -> None:
    """Read random CSV and JSON Lines files with our readers and with Python's own, and compare."""
    with tqdm(total=files, unit=" files", disable=None) as bar:
        tallies = compare(files, seed, bar.update)
    click.echo(f"{'format':<8}{'compared':>10}{'refused':>10}{'different':>10}")
    for kind, tally in tallies.items():
        counts = (tally.compared, tally.refused, len(tally.differences))
        click.echo(f"{kind:<8}" + "".join(f"{count:>10,}" for count in counts))
        for i, (case, said) in enumerate(tally.differences[:20]):
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{kind}-{seed}-{i}").write_bytes(case.content)
            click.echo(f"{keep}/{kind}-{seed}-{i} {case.name} {case.options}: {said}", err=True)
    raise SystemExit(1 if any(tally.differences for tally in tallies.values()) else 0)


if __name__ == "__main__":
    main()
