"""Whole processes, start to exit: seconds and peak memory by the operating system's accounting."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Run:
    """One finished process: wall-clock seconds and peak resident memory in MB."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Pair:
    """Two commands run in turn, A B A B; medians, and the median of the pairs' ratios B / A."""

    a: Run
    b: Run
    ratio: float


def run(command: Sequence[str]) -> Run:
    """Run a command to its end. Raises CalledProcessError where it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=QUIET
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=errors)
    return Run(seconds, usage.ru_maxrss / 1024)


def median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median(r.seconds for r in runs), statistics.median(r.peak_mb for r in runs)
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
