"""What a large table costs on many workers: a simulation, from terms that were measured.

    python scripts/simulate_cluster.py            print the table
    python scripts/simulate_cluster.py --write    write it into docs/distributed.md

Every worker takes the next task when it is free, as with Ray and Spark. A large file is parts,
which any worker scores, and then one task that reads it, puts the scores in, and writes it. Terms
are those of docs/distributed.md (one core of an AMD EPYC, Zen 4; `imdb-bilstm` on film reviews).
"""

from __future__ import annotations

import heapq
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import figures
from scripts.pages import ROOT, with_block

PAGE = ROOT / "docs" / "distributed.md"
ROWS_A_TB = 755_000_000  # film reviews of 1.3 KB


@dataclass(frozen=True)
class Cluster:
    """Seconds of a core, and what goes wrong.

    per_row       to read, score and write a row; `copying` of it to read and write alone
    per_task      to send and open a task
    opening       a worker starts and opens the model
    slow, slower  the share of workers that are slow, and how many times
    lost          workers that die at a random moment of their work; their task is done again
    uneven        a task has up to so many times the rows of another
    """

    workers: int
    per_row: float = 1 / 5_180
    copying: float = 1 / 110_000
    per_task: float = 0.012
    opening: float = 1.2
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
    free = [(cluster.opening, i) for i in range(cluster.workers)]
    heapq.heapify(free)
    dying = set(rng.sample(range(cluster.workers), cluster.lost))
    ready = [cluster.opening] * files  # when all parts of a file are done
    if parts > 1:
        scoring = cluster.per_row - cluster.copying / 2  # a part is read too
        for file, share in enumerate(_shares(rng, cluster.uneven, files)):
            for piece in _shares(rng, cluster.uneven, parts):
                work = cluster.per_task + rows * share * piece * scoring
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


def table() -> list[list[str]]:
    """1 TB in one file, in few and in many, on 1 to 100 workers; then with what goes wrong."""
    rows = ROWS_A_TB
    lines = [["1 TB of reviews as", "workers", "hours", "core-hours paid", "times one worker"]]
    plain = Cluster(1)
    alone = seconds(plain, rows, 1, 1)
    shapes = [("one file, not split", 1, 1), ("one file, split", 1, 2_000)]
    shapes += [("20 files, split", 20, 100), ("2,000 files", 2_000, 1)]
    cases = [
        (name, replace(plain, workers=workers), files, parts)
        for workers in (10, 100)
        for name, files, parts in shapes
    ]
    wrong = {
        "5 workers 3 times as slow": replace(plain, workers=100, slow=0.05, slower=3.0),
        "5 workers lost": replace(plain, workers=100, lost=5),
        "parts of 1 to 4 times the rows": replace(plain, workers=100, uneven=4.0),
    }
    cases += [(f"20 files, split; {name}", cluster, 20, 100) for name, cluster in wrong.items()]
    lines.append(["one file", "1", f"{alone / 3600:.1f}", f"{alone / 3600:.0f}", "1"])
    for name, cluster, files, parts in cases:
        took = seconds(cluster, rows, files, parts)
        paid = took * cluster.workers / 3600
        cells = (f"{took / 3600:.2f}", f"{paid:.0f}", f"{alone / took:.0f}")
        lines.append([name, str(cluster.workers), *cells])
    return lines


@click.command()
@click.option("--write", is_flag=True, help="Write the table into docs/distributed.md.")
def main(write: bool) -> None:
    """Print what 1 TB costs on many workers."""
    text = figures.markdown(table())
    print(text)
    if write:
        page = with_block(PAGE.read_text(encoding="utf-8"), "simulated", text)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
