"""What a large table costs on many workers: a simulation, from terms that were measured.

    python scripts/simulate_cluster.py            print the table
    python scripts/simulate_cluster.py --write    write it into docs/distributed.md

Every worker takes the next task when it is free, as with Ray and Spark. A large file is parts,
which any worker scores, and then one task that reads it, puts the scores in, and writes it. Where
the output is a folder (`--split-output`), a worker writes the part that it scores, and the last
task looks through the scores alone. The terms of a core are those that `scripts/bench_parts.py
--write` measured, those of a task Ray's by `scripts/bench_runners.py --write`: docs/figures.json.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.jobs.parts.scoring import PART_SIZE
from scripts import figures
from scripts.pages import ROOT, with_block

PAGE = ROOT / "docs" / "distributed.md"
TB = 1e12
#: a part has as many bytes as `score` gives it
PARTS = round(TB / PART_SIZE.bytes)


@dataclass(frozen=True)
class Cluster:
    """Seconds of a core, and what goes wrong.

    per_row       of a local run: to read, score and write a row
    in_part       to read and score a row of a part
    copying       to read a row, put its scores in, and write it; of a folder, to look at its scores
    looking       to look through a row for where the record ends; the driver does it first
    per_task      to send and open a task
    opening       a worker starts and opens the model
    slow, slower  the share of workers that are slow, and how many times
    lost          workers that die at a random moment of their work; their task is done again
    uneven        a task has up to so many times the rows of another
    """

    workers: int
    per_row: float
    in_part: float
    copying: float
    looking: float = 0.0
    per_task: float = 0.0
    opening: float = 0.0
    slow: float = 0.0
    slower: float = 1.0
    lost: int = 0
    uneven: float = 1.0


def seconds(cluster: Cluster, rows: int, files: int, parts: int, seed: int = 0) -> float:
    """How long a run over `files` files of `rows` rows in all takes, each split into `parts`."""
    rng = random.Random(seed)
    speeds = [
        cluster.slower if i < cluster.slow * cluster.workers else 1.0
        for i in range(cluster.workers)
    ]
    looked = rows * cluster.looking if parts > 1 else 0.0
    free = [(looked + cluster.opening, i) for i in range(cluster.workers)]
    heapq.heapify(free)
    dying = set(rng.sample(range(cluster.workers), cluster.lost))
    ready = [looked + cluster.opening] * files  # when all parts of a file are done
    if parts > 1:
        for file, share in enumerate(_shares(rng, cluster.uneven, files)):
            for piece in _shares(rng, cluster.uneven, parts):
                work = cluster.per_task + rows * share * piece * cluster.in_part
                ready[file] = max(ready[file], _done(free, speeds, dying, work, 0.0, rng))
    per_row = cluster.copying if parts > 1 else cluster.per_row
    end = 0.0
    for file, share in enumerate(_shares(rng, cluster.uneven, files)):
        work = cluster.per_task + rows * share * per_row
        end = max(end, _done(free, speeds, dying, work, ready[file], rng))
    return end


def _shares(rng: random.Random, uneven: float, count: int) -> list[float]:
    """Shares of `count` tasks, which sum to 1; none has more than `uneven` times another's."""
    sizes = [rng.uniform(1.0, uneven) for _ in range(count)]
    return [size / sum(sizes) for size in sizes]


def _done(
    free: list[tuple[float, int]],
    speeds: Sequence[float],
    dying: set[int],
    work: float,
    earliest: float,
    rng: random.Random,
) -> float:
    """Give a task to the worker that is free first; when it is done. A worker that dies in it does
    not come back, and another begins anew."""
    at, worker = heapq.heappop(free)
    begun = max(at, earliest)
    if worker in dying and len(free) > 0:
        dying.remove(worker)
        found = begun + rng.random() * work * speeds[worker]
        return _done(free, speeds, dying, work, found, rng)
    end = begun + work * speeds[worker]
    heapq.heappush(free, (end, worker))
    return end


def measured() -> dict[str, Any]:
    """What `scripts/bench_parts.py` wrote last."""
    found: dict[str, Any] = figures.load()["parts"]
    return found


def cluster_of(terms: dict[str, float], bytes_per_row: float) -> Cluster:
    """One worker that reads a format of these terms, and writes files."""
    ray = figures.load()["runners"]["terms"]
    return Cluster(
        1,
        terms["local"],
        terms["part"],
        terms["together"],
        looking=terms["looking"] * bytes_per_row,
        per_task=float(figures.cell(ray, "`ray`", "per file, s")),
        opening=float(figures.cell(ray, "`ray`", "open, s")),
    )


def into_folders(cluster: Cluster, terms: dict[str, float]) -> Cluster:
    """The same where it writes folders."""
    return replace(cluster, in_part=terms["made"], copying=terms["finish"])


def terms_table(found: dict[str, Any]) -> list[list[str]]:
    """What a core does in a second."""
    heads = [
        "a local run, rows/s",
        "a part, rows/s",
        "put together, rows/s",
        "a folder's part, rows/s",
        "a folder finished, rows/s",
        "looked through, MB/s",
    ]
    lines = [["format", *heads]]
    for name, terms in found["terms"].items():
        rates = [
            f"{1 / terms[term]:,.0f}" for term in ("local", "part", "together", "made", "finish")
        ]
        looked = f"{1 / terms['looking'] / 1e6:,.0f}" if name == "CSV" else ""
        lines.append([name, *rates, looked])
    return lines


def table() -> list[list[str]]:
    """1 TB in one file, in few and in many, on 1 to 100 workers; then with what goes wrong."""
    found = measured()
    rows = int(TB / found["bytes_per_row"])
    heads = ["1 TB of reviews as", "workers", "hours", "core-hours paid", "times one worker"]
    lines = [heads]
    terms = {**found["terms"]}
    plain = replace(cluster_of(terms["Parquet"], found["bytes_per_row"]), looking=0.0)
    csv = cluster_of(terms["CSV"], found["bytes_per_row"])
    apart, csv_apart = into_folders(plain, terms["Parquet"]), into_folders(csv, terms["CSV"])
    alone = seconds(plain, rows, 1, 1)
    cases = [("one file", plain, 1, 1), ("one file into a folder", apart, 1, PARTS)]
    for workers in (10, 100):
        some = replace(plain, workers=workers)
        cases += [
            ("one file, not split", some, 1, 1),
            ("one file, split", some, 1, PARTS),
            ("one CSV file with quotes, split", replace(csv, workers=workers), 1, PARTS),
            ("one file into a folder", replace(apart, workers=workers), 1, PARTS),
            (
                "one CSV file with quotes into a folder",
                replace(csv_apart, workers=workers),
                1,
                PARTS,
            ),
            ("20 files, split", some, 20, PARTS // 20),
            ("2,000 files", some, 2_000, 1),
        ]
    hundred, folder = replace(plain, workers=100), replace(apart, workers=100)
    wrong: dict[str, dict[str, Any]] = {
        "5 workers 3 times as slow": {"slow": 0.05, "slower": 3.0},
        "5 workers lost": {"lost": 5},
        "parts of 1 to 4 times the rows": {"uneven": 4.0},
    }
    for name, change in wrong.items():
        cases.append((f"one file, split; {name}", replace(hundred, **change), 1, PARTS))
        cases.append((f"one file into a folder; {name}", replace(folder, **change), 1, PARTS))
        cases.append((f"20 files, split; {name}", replace(hundred, **change), 20, PARTS // 20))
    for name, cluster, files, parts in cases:
        took = seconds(cluster, rows, files, parts)
        paid = took * cluster.workers / 3600
        cells = (f"{took / 3600:.2f}", f"{paid:,.0f}", f"{alone / took:.0f}")
        lines.append([name, str(cluster.workers), *cells])
    return lines


def page() -> str:
    """docs/distributed.md with the tables as they are now."""
    found = measured()
    head = (
        f"{found['machine']}; `{found['model']}` on {found['rows']:,} rows of `{found['data']}`; "
        f"medians of {found['rounds']} rounds of processor time:"
    )
    terms = f"{head}\n\n{figures.markdown(terms_table(found))}"
    text = with_block(PAGE.read_text(encoding="utf-8"), "part-terms", terms)
    return with_block(text, "simulated", figures.markdown(table()))


def write_page() -> None:
    """Write both tables into docs/distributed.md."""
    PAGE.write_text(page(), encoding="utf-8")


@click.command()
@click.option("--write", is_flag=True, help="Write the tables into docs/distributed.md.")
def main(write: bool) -> None:
    """Print what 1 TB costs on many workers."""
    print(figures.markdown(table()))
    if write:
        write_page()


if __name__ == "__main__":
    main()
