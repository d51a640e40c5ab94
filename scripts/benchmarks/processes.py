"""Whole processes, start to exit: seconds and peak memory by the operating system's accounting."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: starts its arguments as a command, waits, and prints its seconds, its peak memory in KB and the
#: processors' seconds; tells the command when it started, on the clock that all processes share
WAITER = """
import os, sys, time
started = time.perf_counter()
null = os.open(os.devnull, os.O_WRONLY)
to_null = [(os.POSIX_SPAWN_DUP2, null, 1)]
environment = {**os.environ, "PROCESS_STARTED": repr(started)}
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], environment, file_actions=to_null)
_, status, usage = os.wait4(pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
sys.exit(os.waitstatus_to_exitcode(status))
"""
QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Run:
    """One finished process: wall-clock seconds, peak resident memory in MB, processors' seconds."""

    seconds: float
    peak_mb: float
    cpu: float


@dataclass(frozen=True)
class Pair:
    """Two commands run in turn, A B A B; medians, and the median of the pairs' ratios B / A."""

    a: Run
    b: Run
    ratio: float


def run(command: Sequence[str], tree: Path | None = None) -> Run:
    """Run a command to its end; with the Python modules of `tree`, where one is given. Raises
    CalledProcessError where it fails.

    A small process starts it and waits: the peak of a process begins at its parent's size, and
    this one may hold gigabytes.
    """
    waiter = [sys.executable, "-I", "-S", "-c", WAITER, *command]
    environment = QUIET if tree is None else QUIET | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        waiter, capture_output=True, text=True, env=environment, cwd=tree, check=True
    )
    seconds, peak_kb, cpu = done.stdout.split()[-3:]
    return Run(float(seconds), int(peak_kb) / 1024, float(cpu))


def median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median(r.seconds for r in runs),
        statistics.median(r.peak_mb for r in runs),
        statistics.median(r.cpu for r in runs),
    )


def paired(a: Sequence[str], b: Sequence[str], repeats: int) -> Pair:
    """A and B in turn, `repeats` times, after one A that is not counted (it warms caches)."""
    run(a)
    pairs = [(run(a), run(b)) for _ in range(repeats)]
    return Pair(
        median([x for x, _ in pairs]),
        median([y for _, y in pairs]),
        statistics.median(y.seconds / x.seconds for x, y in pairs),
    )
