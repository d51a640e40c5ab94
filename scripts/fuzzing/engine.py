"""libFuzzer (by atheris) on one target: here, or round after round in processes of its own."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts.fuzzing.case import MAX_BYTES, MEGABYTES, ROOT, SECONDS, run_case
from scripts.fuzzing.documents import mutate_json
from scripts.fuzzing.targets import TARGETS

MAX_ROUNDS = 50  # a round ends with a crash or with the last case
# Numba compiles these from their byte code, which instrumentation would change.
NOT_INSTRUMENTED = [
    "scorer.vectorizer.kernels",
    *(f"scorer.engines.cpu.{path.stem}" for path in (ROOT / "scorer/engines/cpu").glob("*.py")),
]


def fuzz_here(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, until libFuzzer ends it."""
    import atheris  # type: ignore[import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["scorer", "zipfile"], exclude=NOT_INSTRUMENTED):
        import scorer

        for module in pkgutil.walk_packages(scorer.__path__, "scorer."):
            # These read nothing of a stranger's, or need packages that may not be there.
            if not module.name.startswith(("scorer.evaluation", "scorer.distributed")):
                importlib.import_module(module.name)
    target = TARGETS[name]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed = mutate_json(data, seed) if target.is_json and seed % 4 else None
        if changed is None or len(changed) > max_size:
            return bytes(atheris.Mutate(data, max_size))
        return changed

    for warm_up in ("config", "csv"):  # what Numba compiles, before the clock runs
        run_case(TARGETS[warm_up], TARGETS[warm_up].seeds()[0])
    atheris.Setup(["fuzz", *arguments], lambda data: run_case(target, data), custom_mutator=mutate)
    atheris.Fuzz()


def fuzz_target(name: str, cases: int, corpus: Path) -> dict[str, Any]:
    """Fuzz one target in processes of its own; a crash is kept and the run goes on."""
    seeds, crashes = corpus / name, corpus / "crashes"
    for path in (seeds, crashes):
        path.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(TARGETS[name].seeds()):
        (seeds / f"seed-{i}").write_bytes(seed)
    done, rounds, started = 0, 0, time.perf_counter()
    while done < cases and rounds < MAX_ROUNDS:
        rounds += 1
        limits = [f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={MAX_BYTES}"]
        wanted = [f"-runs={cases - done}", "-print_final_stats=1", f"-seed={rounds + done}"]
        script = str(ROOT / "scripts/fuzz.py")
        command = [sys.executable, script, "--here", name, *limits, *wanted]
        ended = subprocess.run(
            [*command, f"-artifact_prefix={crashes}/{name}-", str(seeds)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        told = re.findall(r"number_of_executed_units: (\d+)", ended.stderr)
        runs = int(told[-1]) if told else 0
        done += runs
        if ended.returncode:
            log = ended.stdout[-20_000:] + ended.stderr[-20_000:]
            (crashes / f"{name}-{rounds}.log").write_text(log)
            if runs <= len(list(seeds.iterdir())):  # a seed crashes: no more to be learnt
                break
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    kept = [p for p in crashes.glob(f"{name}-*") if p.suffix != ".log"]
    seconds = time.perf_counter() - started
    return {"cases": done, "crashes": len(kept), "seconds": seconds, "peak_mb": peak}
