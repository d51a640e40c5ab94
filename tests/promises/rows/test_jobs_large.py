"""A million rows with broken ones among them balance; memory does not grow with the input."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.tiny import WORDS

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.slow


def line(i: int, rng: random.Random) -> tuple[str, bytes]:
    """A row as bytes, and what is wrong with it if anything."""
    text = " ".join(rng.choices(WORDS, k=rng.randint(0, 10)))
    if rng.random() > 0.01:
        quote = '"' if rng.random() < 0.3 else ""
        return "", f"{i},{quote}{text}{quote},1\n".encode()
    kind = rng.choice(["expected", "broken", "invalid"])
    broken = {
        "expected": f"{i},{text}\n".encode(),
        # Never an empty text: `",` would close a quote that a row above has opened, which is
        # a good record with line breaks in it for every reader of CSV.
        "broken": f'{i},"the {text},1\n'.encode(),
        "invalid": f"{i},{text}".encode() + b"\xff,1\n",
    }
    return kind, broken[kind]


PEAK = """
import sys
from pathlib import Path
from scorer.cli.score import main
try:
    main(sys.argv[2:])
finally:
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    Path(sys.argv[1]).write_text(peak.split()[1])
"""


def spawn(folder: Path, zoo: Path, *arguments: str) -> tuple[int, int]:
    """Exit code and peak memory in MB of a whole `score` process.

    The process measures itself: what the system says of a child counts its parent's memory too.
    """
    peak = folder / "peak"
    command = [sys.executable, "-c", PEAK, str(peak), "-m", "tiny-binary", "--zoo", str(zoo)]
    done = subprocess.run([*command, "--no-report", "-q", *arguments], check=False, cwd=ROOT)
    return done.returncode, int(peak.read_text()) // 1024


def test_a_million_rows_balance_to_the_row(tmp_path: Path, tiny_zoo: Path) -> None:
    rng, wrong = random.Random(1), Counter[str]()
    source = tmp_path / "in.csv"
    with source.open("wb") as file:
        file.write(b"id,text,n\n")
        for i in range(1_000_000):
            kind, raw = line(i, rng)
            wrong[kind] += 1
            file.write(raw)
    good = wrong.pop("")
    report = tmp_path / "run.json"
    code, _ = spawn(tmp_path, tiny_zoo, str(source), "--summary", str(report))
    assert code == 3
    rows = json.loads(report.read_text())["rows"]
    assert (rows["read"], rows["rejected"]) == (1_000_000, wrong.total())
    assert rows["scored"] + rows["unscored"] == good
    rejects = (tmp_path / "in.scored.csv.rejects.jsonl").read_text().splitlines()
    found = [json.loads(reject) for reject in rejects]
    assert Counter(reject["reason"].split()[0] for reject in found) == wrong
    with (tmp_path / "in.scored.csv").open(newline="") as out:
        ids = [int(row["id"]) for row in csv.DictReader(out)]
    lost = {int(reject["raw"].split(",")[0]) for reject in found}
    assert ids == [i for i in range(1_000_000) if i not in lost]


def texts(rows: int) -> Iterator[pa.Table]:
    rng = random.Random(2)
    for _ in range(rows // 10_000):
        block = [" ".join(rng.choices(WORDS, k=200)) for _ in range(10_000)]
        yield pa.table({"text": block})


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_input(tmp_path: Path, tiny_zoo: Path, suffix: str) -> None:
    peaks = []
    for rows in (20_000, 200_000):
        source = tmp_path / f"{rows}.{suffix}"
        if suffix == "parquet":
            # One row group as large as the file: read in pieces all the same.
            pq.write_table(pa.concat_tables(texts(rows)), source, row_group_size=rows)
        else:
            with source.open("w") as file:
                file.write("text\n")
                for block in texts(rows):
                    file.writelines(f"{text}\n" for text in block["text"].to_pylist())
        code, peak = spawn(tmp_path, tiny_zoo, str(source))
        assert code == 0
        peaks.append(peak)
    assert peaks[1] < 600
    assert peaks[1] <= 1.2 * peaks[0]
