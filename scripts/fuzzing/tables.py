"""A table, scored by the command: every row that was read is in its output or set aside."""

from __future__ import annotations

import io
import json
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


@cache
def model() -> Path:
    """The good archive with its card: a model that reads the column `text`."""
    from scripts.hostile.archives import write_good

    place = folder() / "good"
    place.mkdir()
    write_good(place / "model.keras")
    (place / "README.md").write_text("---\n" + json.dumps(good_card()) + "\n---\n")
    return place


def run_table(name: str) -> Callable[[bytes], None]:
    """Score a table by the command; every row that was read is in its output or set aside."""

    def run(data: bytes) -> None:
        from click.testing import CliRunner

        from scorer.cli.score import main as score

        source, output = folder() / name, folder() / "scored" / name
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
    if output.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(output) as file:
            expect(file.metadata.num_rows == written, "the output lacks rows")
    elif output.suffix == ".jsonl":
        lines = [line for line in output.read_bytes().split(b"\n") if line.strip()]
        expect(len(lines) == written, "the output lacks rows")


@cache
def parquet_seeds() -> list[bytes]:
    """Small files of many kinds, among them a dictionary, a nested column and each codec."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["good film", None, "", "bad " * 50, "日本語 🎬", "a\0b"]
    columns = {"id": pa.array(range(6)), "text": pa.array(texts)}
    other = {
        "text": pa.array(texts).dictionary_encode(),
        "list": pa.array([[1], [], None, [2, 3], [4], [5]]),
        "struct": pa.array([{"a": i, "b": str(i)} for i in range(6)]),
        "price": pa.array([1, 2, 3, 4, 5, 6], pa.decimal128(9, 2)),
    }
    seeds = []
    for table in (pa.table(columns), pa.table(other), pa.table(columns).slice(0, 0)):
        for codec in ("none", "snappy", "zstd"):
            stream = io.BytesIO()
            pq.write_table(table, stream, compression=codec, row_group_size=4)
            seeds.append(stream.getvalue())
    return seeds


TARGETS = {
    "csv": Target(run_table("table.csv"), lambda: list(CSV)),
    "jsonl": Target(run_table("table.jsonl"), lambda: list(JSON_LINES)),
    "parquet": Target(run_table("table.parquet"), parquet_seeds),
}
