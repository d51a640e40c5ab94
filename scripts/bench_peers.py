"""Measures this tool beside other ways to score the same texts, each in a process of its own.

    python scripts/bench_peers.py imdb_test.parquet --train imdb_train.parquet
    python scripts/bench_peers.py imdb_test.parquet --train imdb_train.parquet --only vader
    python scripts/bench_peers.py imdb_test.parquet --train imdb_train.parquet --write

The last one writes the figures into docs/figures.json and the pages. Both files have the columns
`text` and `sentiment` (positive or negative). The peers' packages are in the extra `peers`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.benchmarks import processes
from scripts.benchmarks.peers.base import Peer, Rows
from scripts.benchmarks.peers.registry import PEERS
from scripts.figures import Table, machine, peers_block, store

PROCESS = str(Path(__file__).with_name("benchmarks") / "peer_process.py")
HEAD = ["peer", "rows/s", "accuracy", "start-up s", "peak MB", "rows", "threads"]
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Measured:
    """One process: seconds to its first score, rows per second after that, accuracy, peak MB."""

    start_up: float
    rows_per_second: float
    accuracy: float
    peak_mb: float


@dataclass(frozen=True)
class Contest:
    """Where a peer's files are, and how it runs."""

    scratch: Path
    rows: Rows
    threads: int

    def prepare(self, name: str) -> str:
        """Untimed: rows into the peer's folder, then whatever it trains or converts."""
        folder = self.scratch / name
        folder.mkdir()
        rows = self.rows_of(PEERS[name])
        rows.write(folder / "rows.json")
        rows.sample(10).write(folder / "ten.json")
        self._run("prepare", name)
        return (folder / "prepared.txt").read_text(encoding="utf-8")

    def measure(self, name: str) -> Measured:
        peak_mb = self._run("score", name).peak_mb
        found = json.loads((self.scratch / name / "measured.json").read_text(encoding="utf-8"))
        rate = len(self.rows_of(PEERS[name])) / found["seconds"]
        return Measured(found["start_up"], rate, found["accuracy"], peak_mb)

    def rows_of(self, peer: Peer) -> Rows:
        return self.rows.sample(peer.rows or len(self.rows))

    def threads_of(self, peer: Peer) -> int:
        return self.threads if peer.parallel else 1

    def _run(self, phase: str, name: str) -> processes.Run:
        print(f"{phase} {name}", file=sys.stderr, flush=True)
        command = [sys.executable, PROCESS, phase, name, str(self.scratch / name)]
        try:
            return processes.run([*command, str(self.threads)])
        except subprocess.CalledProcessError as error:
            raise click.ClickException(f"{name} failed:\n{error.stderr}") from error


@click.command()
@click.argument("data", type=_FILE)
@click.option("--train", required=True, type=_FILE, help="Rows for the peers that must learn.")
@click.option("--rows", default=25_000, show_default=True, help="At most; slow peers get fewer.")
@click.option("--threads", default=len(os.sched_getaffinity(0)), show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Figures are their medians.")
@click.option("--only", multiple=True, type=click.Choice(list(PEERS)), help="Repeatable.")
@click.option(
    "--write", is_flag=True, help="Write the figures into docs/figures.json and the pages."
)
def main(
    data: Path,
    train: Path,
    rows: int,
    threads: int,
    rounds: int,
    only: tuple[str, ...],
    write: bool,
) -> None:
    """Measure every peer on the rows of DATA: rows/s, accuracy, start-up and memory."""
    if write and only:
        raise click.UsageError("--write wants the whole table: leave --only out")
    with tempfile.TemporaryDirectory() as scratch:
        read_rows(train).write(Path(scratch) / "training.json")
        contest = Contest(Path(scratch), read_rows(data).sample(rows), threads)
        table, notes = compare(contest, only, rounds)
        measured = {
            "machine": machine(threads),
            "rows": len(contest.rows),
            "data": data.name,
            "rounds": rounds,
            "table": table,
            "notes": notes,
        }
    print(peers_block(measured))
    if write:
        store("peers", measured)


def read_rows(path: Path) -> Rows:
    columns = pq.read_table(path, columns=["text", "sentiment"]).to_pydict()
    return Rows(columns["text"], [label == "positive" for label in columns["sentiment"]])


def compare(contest: Contest, only: tuple[str, ...], rounds: int) -> tuple[Table, list[str]]:
    """The table, and how each peer was run. Rounds go through all peers in turn."""
    chosen = {name: peer for name, peer in PEERS.items() if not only or name in only}
    able = [name for name, peer in chosen.items() if not peer.missing()]
    choices = {name: contest.prepare(name) for name in able}
    found = [{name: contest.measure(name) for name in able} for _ in range(rounds)]
    table = [HEAD]
    for name, peer in chosen.items():
        runs = [each[name] for each in found if name in each]
        table.append(row(contest, peer, runs) if runs else absent(peer))
    return table, [note(chosen[n], choice) for n, choice in choices.items() if chosen[n].how]


def row(contest: Contest, peer: Peer, runs: list[Measured]) -> list[str]:
    rate = statistics.median(run.rows_per_second for run in runs)
    accuracy = statistics.median(run.accuracy for run in runs)
    return [
        peer.title,
        f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}",
        f"{accuracy:.3f}" if peer.learnt else "-",
        f"{statistics.median(run.start_up for run in runs):.2f}",
        f"{statistics.median(run.peak_mb for run in runs):,.0f}",
        f"{len(contest.rows_of(peer)):,}",
        str(contest.threads_of(peer)),
    ]


def absent(peer: Peer) -> list[str]:
    return [peer.title, f"not installed: `pip install {' '.join(peer.missing())}`", *[""] * 5]


def note(peer: Peer, choice: str) -> str:
    """How the peer was run, what it chose, and its packages' versions."""
    packages = ", ".join(f"{package} {version(package)}" for _, package in peer.needs)
    return "; ".join(part for part in (f"{peer.title}: {peer.how}", choice, packages) if part)


if __name__ == "__main__":
    main()
