"""A table, scored by the command: every row that was read is in its output or set aside."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from scripts.fuzzing.cards import good_card
from scripts.fuzzing.case import Target, expect, folder

CSV = (
    b'\xef\xbb\xbfid,text\r\n1,good film\r\n2,"bad, ""very"" bad\nfilm"\r\n3,\r\n',
    b'text,id\nwine,007\n\xc3\xbc\xe6\x97\xa5,1.10\nbroken,1,2\n"open,3\nx,\xff\n\n',
    b"text\n" + b"a" * 5000 + b"\n\0\n",
    b'\xef\xbb\xbfsep=;\r\rid;text\r1;good film\r2;"bad\rfilm"\r3;\r',
    b'id,text\n1","good","film\n2,"a "b" c"\n3,"x\n',
)
JSON_LINES = (
    b'{"text": "good film", "id": 1}\n{"id": 2, "text": null}\n{"text": "\\ud83d", "id": 3}\n',
    b'{"text": "a\\u0000b"}\r\n[1]\n{"text": 3}\nbroken\n{"text": "\xff"}\n{}\n\n{"text":"x"}',
    b'{}\n{"\\ud800": 1}\n{}\n{"text": "x"}\n',
    b'{"text": "good"}\r{"text":\r"bad"}\r',
)
JSON_ARRAYS = (
    b'[{"text": "good film", "id": 1}, {"id": 2, "text": null},\n{"text": "\\ud83d", "id": 3}]\n',
    b'\xef\xbb\xbf[\r\n  {"text": "a\\u0000b", "x": [1, {"y": 1.10}]},\r\n  {"text": 3}\r\n]',
    b"[]",
    b'[{"text": "x"}, 7, {"text": "\xff"}]',
)


@cache
def model() -> Path:
    """The good archive with its card: a model that reads the column `text`."""
    from scripts.hostile.archives import write_good

    place = folder() / "good"
    place.mkdir()
    write_good(place / "model.keras")
    (place / "README.md").write_text("---\n" + json.dumps(good_card()) + "\n---\n")
    return place


def run_table(name: str, written: str | None = None) -> Callable[[bytes], None]:
    """Score a table by the command; every row that was read is in its output or set aside.

    written   the output's name, where it is not the input's
    """

    def run(data: bytes) -> None:
        from click.testing import CliRunner

        from scorer.cli.score import main as score

        source, output = folder() / name, folder() / "scored" / (written or name)
        output.parent.mkdir(exist_ok=True)
        source.write_bytes(data)
        arguments = ["-m", model(), source, "-o", output, "--force", "--json", "--threads", 1]
        ended = CliRunner().invoke(score, [str(argument) for argument in arguments])
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        expect(ended.exit_code in (0, 1, 2, 3), f"exit code {ended.exit_code}")
        expect("Traceback" not in ended.stderr, "a traceback")
        if ended.exit_code in (0, 3):
            check_output(output, json.loads(ended.stdout)["files"][0])
        else:
            errors = [x for x in ended.stderr.splitlines() if x.startswith(("Error: ", "Usage: "))]
            expect(len(errors) == 1, f"not one error but {ended.stderr!r}")

    return run


def check_output(output: Path, counts: dict[str, Any]) -> None:
    written = counts["scored"] + counts["unscored"]
    expect(counts["read"] == written + counts["rejected"], "the rows do not balance")
    if output.suffix in COUNTED:
        expect(COUNTED[output.suffix](output) == written, "the output lacks rows")


def _parquet_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return int(file.metadata.num_rows)


def _arrow_rows(path: Path) -> int:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        return int(reader.read_all().num_rows)


def _stream_rows(path: Path) -> int:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
        return int(reader.read_all().num_rows)


def _orc_rows(path: Path) -> int:
    from pyarrow import orc

    return int(orc.ORCFile(path).nrows)


def _lines(path: Path) -> int:
    """A lone CR ends a line where it ends the first one; else it is white space in an object."""
    data = path.read_bytes()
    first, cr, _ = data.lstrip().partition(b"\n")[0].removesuffix(b"\r").partition(b"\r")
    ends = rb"[\r\n]" if cr and _is_json(first) else rb"\n"
    return sum(1 for line in re.split(ends, data) if line.strip())


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _json_rows(path: Path) -> int:
    """Of an array, or of lines, which have the same suffix."""
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf").lstrip()
    return len(json.loads(data)) if data.startswith(b"[") else _lines(path)


#: how many rows an output has, by its suffix
COUNTED: dict[str, Callable[[Path], int]] = {
    ".parquet": _parquet_rows,
    ".jsonl": _lines,
    ".arrow": _arrow_rows,
    ".arrows": _stream_rows,
    ".orc": _orc_rows,
    ".json": _json_rows,
}


@cache
def seed_tables() -> list[Any]:
    """Small tables, among them one with a dictionary and nested columns, and one without a row."""
    import pyarrow as pa

    texts = ["good film", None, "", "bad " * 50, "日本語 🎬", "a\0b"]
    columns = {"id": pa.array(range(6)), "text": pa.array(texts)}
    other = {
        "text": pa.array(texts).dictionary_encode(),
        "list": pa.array([[1], [], None, [2, 3], [4], [5]]),
        "struct": pa.array([{"a": i, "b": str(i)} for i in range(6)]),
        "price": pa.array([1, 2, 3, 4, 5, 6], pa.decimal128(9, 2)),
    }
    return [pa.table(columns), pa.table(other), pa.table(columns).slice(0, 0)]


def parquet_seeds() -> list[bytes]:
    """Each table by each codec."""
    import pyarrow.parquet as pq

    seeds = []
    for table in seed_tables():
        for codec in ("none", "snappy", "zstd"):
            stream = io.BytesIO()
            pq.write_table(table, stream, compression=codec, row_group_size=4)
            seeds.append(stream.getvalue())
    return seeds


def arrow_seeds(*, stream: bool) -> list[bytes]:
    """Each table as it is and compressed, in batches of four rows."""
    import pyarrow as pa

    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    seeds = []
    for table in seed_tables():
        for codec in (None, "lz4", "zstd"):
            sink, options = io.BytesIO(), pa.ipc.IpcWriteOptions(compression=codec)
            with opened(sink, table.schema, options=options) as writer:
                writer.write_table(table, max_chunksize=4)
            seeds.append(sink.getvalue())
    return seeds


def orc_seeds() -> list[bytes]:
    """Each table by each codec; ORC has no dictionary of its own."""
    from pyarrow import orc

    seeds = []
    for table in seed_tables():
        text = table["text"]
        plain = text.cast("string") if str(text.type).startswith("dictionary") else text
        table = table.set_column(table.column_names.index("text"), "text", plain)
        for codec in ("uncompressed", "zlib", "snappy", "zstd"):
            stream = io.BytesIO()
            orc.write_table(table, stream, compression=codec)
            seeds.append(stream.getvalue())
    return seeds


def zip_seeds() -> list[bytes]:
    """A table alone, stored and deflated; with a folder beside it; two, which are refused."""
    seeds = []
    for names in (("table.csv",), ("folder/", "folder/table.csv"), ("a.csv", "b.csv")):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w", method) as archive:
                for name in names:
                    archive.writestr(zipfile.ZipInfo(name), b"" if name[-1] == "/" else CSV[0])
            seeds.append(stream.getvalue())
    return seeds


TARGETS = {
    "csv": Target(run_table("table.csv"), lambda: list(CSV)),
    "jsonl": Target(run_table("table.jsonl"), lambda: list(JSON_LINES)),
    "json_array": Target(run_table("table.json"), lambda: list(JSON_ARRAYS), is_json=True),
    "parquet": Target(run_table("table.parquet"), parquet_seeds),
    "arrow": Target(run_table("table.arrow"), lambda: arrow_seeds(stream=False)),
    "arrow_stream": Target(run_table("table.arrows"), lambda: arrow_seeds(stream=True)),
    "orc": Target(run_table("table.orc"), orc_seeds),
    "zip": Target(run_table("table.csv.zip", "table.csv"), zip_seeds),
}
