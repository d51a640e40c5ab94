"""Ten rows from process start to exit: what each way to score them costs before the first score."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence

from scorer.zoo import list_models, shipped_zoo
from scripts.benchmarks import processes

HEAD = ["start-up", "s", "processor s", "times `import keras`", "times the first model"]
KERAS = "`import keras`"


def commands(model: str, score: Sequence[str], listing: Sequence[str]) -> dict[str, list[str]]:
    """What is started: Keras alone, `zoo list`, and ten rows by the model and by every other one
    that the zoo recommends or calls a flagship. `score` lacks the model's name behind `-m`."""
    entries = [entry.card.scorer for entry in list_models() if entry.zoo == shipped_zoo()]
    others = [e.name for e in entries if e.recommended or e.name.endswith("-flagship")]
    names = [model, *sorted(set(others) - {model})]
    runs = {f"`score -m {name}`": [*score, "-m", name] for name in names}
    return {KERAS: [sys.executable, "-c", "import keras"], "`zoo list`": list(listing), **runs}


def compared(commands: Mapping[str, Sequence[str]], rounds: int) -> list[list[str]]:
    """A table of medians over rounds in which all take turns, after one that warms caches. The last
    two columns are medians of the rounds' own ratios of processor seconds."""
    for command in commands.values():
        processes.run(command)
    found = [{name: processes.run(c) for name, c in commands.items()} for _ in range(rounds)]
    first = next(name for name in commands if name.startswith("`score"))
    table = [HEAD]
    for name in commands:
        run = processes.median([each[name] for each in found])
        ratios = (
            statistics.median(each[name].cpu / each[other].cpu for each in found)
            for other in (KERAS, first)
        )
        cells = (f"{ratio:.2f}" for ratio in ratios)
        table.append([name, f"{run.seconds:.2f}", f"{run.cpu:.2f}", *cells])
    return table
