"""Two commits side by side: the same runs in turn, this tree's and another's.

Both score the same files with the bundle of this tree, each in processes of its own. The stages'
seconds are those that a run's summary states, summed over its threads.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from scripts.benchmarks import processes

STAGES = ("read", "score", "encode", "write")
#: what was measured in one run -> its seconds
Times = dict[str, float]
Round = tuple[Mapping[str, float], Mapping[str, float]]


@dataclass(frozen=True)
class Runs:
    """What both trees run: a model of `zoo` on files of the same rows, by name."""

    zoo: Path
    model: str
    threads: int
    files: Mapping[str, Path]
    scratch: Path

    def measure(self, tree: Path) -> Times:
        """Run every file once by the code in `tree`."""
        times: Times = {}
        for name, data in self.files.items():
            summary = self.scratch / "summary.json"
            out = self.scratch / f"out{data.suffix}"
            options = ["-m", self.model, "--zoo", str(self.zoo), "--threads", str(self.threads)]
            options += ["--force", "--quiet", "--no-report", "--summary", str(summary)]
            command = [sys.executable, "-m", "scorer", "score", *options, str(data), "-o", str(out)]
            run = processes.run(command, tree)
            times |= {f"{name}, whole run": run.seconds, f"{name}, processor": run.cpu}
            (file,) = json.loads(summary.read_text(encoding="utf-8"))["files"]
            if name != "ten rows":
                times |= {f"{name}, {stage}": file["seconds"][stage] for stage in STAGES}
        return times


@contextmanager
def tree_of(repository: Path, revision: str) -> Iterator[Path]:
    """A tree of the commit, beside the repository's own. Raises CalledProcessError."""
    git = ["git", "-C", str(repository), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def commit_of(tree: Path) -> str:
    """The commit of a tree, marked where files differ from it."""
    command = ["git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def files_of(parquet: Path, ten: Path, scratch: Path) -> dict[str, Path]:
    """The same rows as Parquet, CSV and JSON Lines, and ten of them."""
    table = pq.read_table(parquet)
    lines, csv = scratch / "rows.jsonl", scratch / "rows.csv"
    pa_csv.write_csv(table, csv)
    with lines.open("w", encoding="utf-8") as stream:
        for row in table.to_pylist():
            stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    return {"ten rows": ten, "Parquet": parquet, "CSV": csv, "JSON Lines": lines}


def rounds(runs: Runs, ours: Path, theirs: Path, repeats: int) -> list[Round]:
    """Both in turn, who is first in turn too, after a run of each that is not counted: it compiles
    what the tree has not compiled yet."""
    for tree in (ours, theirs):
        runs.measure(tree)
    measured: list[Round] = []
    for i in range(repeats):
        if i % 2:
            other = runs.measure(theirs)
            measured.append((runs.measure(ours), other))
        else:
            measured.append((runs.measure(ours), runs.measure(theirs)))
    return measured


def compared(measured: Sequence[Round], revision: str) -> list[list[str]]:
    """A table of medians; the ratio is the median of the rounds' own ratios, theirs to ours."""
    table = [["seconds", "this tree", revision, "times as fast"]]
    for name in measured[0][0]:
        ours, theirs = ([side[name] for side in pair] for pair in zip(*measured, strict=True))
        ratios = [b / a for a, b in zip(ours, theirs, strict=True) if a > 0]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
        medians = (f"{statistics.median(side):.3f}" for side in (ours, theirs))
        table.append([name, *medians, ratio])
    return table


def append_history(path: Path, entry: Mapping[str, Any]) -> None:
    """Put an entry behind those of the file, a JSON array, with the moment."""
    history = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps([*history, {"at": moment, **entry}], indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", encoding="utf-8")
