"""One peer in a process of its own, as `scripts/bench_peers.py` starts it.

python peer_process.py prepare NAME FOLDER THREADS    train or convert; writes prepared.txt
python peer_process.py score NAME FOLDER THREADS      writes measured.json
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from scripts.benchmarks.peers.base import Job, Peer, Rows
from scripts.benchmarks.peers.registry import PEERS

WARM_UP = 10  # one row in ten, not counted


def main() -> None:
    phase, name, folder, threads = sys.argv[1:]
    job, peer = Job(Path(folder), int(threads)), PEERS[name]
    if phase == "prepare":
        (job.folder / "prepared.txt").write_text(peer.prepare(job), encoding="utf-8")
    else:
        (job.folder / "measured.json").write_text(json.dumps(measure(peer, job)), encoding="utf-8")


def measure(peer: Peer, job: Job) -> dict[str, float]:
    """Seconds from this process's start to the first score, seconds for all rows, and accuracy."""
    score = peer.load(job)
    score(Rows.read(job.folder / "ten.json").texts)
    start_up = time.perf_counter() - float(os.environ["PROCESS_STARTED"])
    rows = Rows.read(job.folder / "rows.json")
    score(rows.sample(max(1, len(rows) // WARM_UP)).texts)
    started = time.perf_counter()
    positive = score(rows.texts)
    seconds = time.perf_counter() - started
    right = sum(a == b for a, b in zip(positive, rows.positive, strict=True))
    return {"start_up": start_up, "seconds": seconds, "accuracy": right / len(rows)}


if __name__ == "__main__":
    main()
