"""The house's rules, and what the code makes of them: import graph, sizes, upward imports, circles.

    python scripts/house.py            # lines by room, the longest modules and functions, breaches
    python scripts/house.py --graph    # also which rooms each room imports

Ends with 1 where a rule is broken. `tests` asks the same functions.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "scorer"

#: Rooms (packages and modules of `scorer`), top to bottom. A room imports from its own line and the
#: lines below.
FLOORS = (
    "__main__",
    "cli",
    "api",
    "distributed",
    "jobs",
    "evaluation",
    "pipeline",
    "adding curate export verify",
    "model",
    "explain",
    "feeding frames",
    "binding",
    "scores",
    "tables",
    "engines",
    "bundle",
    "layers",
    "vectorizer",
    "zoo",
    "card",
    "composition",
    "figures",
    "tasks",
    "compiling",
    "checks faults files homes notebook processors progress",
    "printable",
    "errors",
)
RANK = {room: rank for rank, floor in enumerate(FLOORS) for room in floor.split()}
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
SHOWN = 5


@dataclass(frozen=True)
class Module:
    """A module of the package by its dotted name, without `scorer.`: `tables.window`."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_init(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def imported(self) -> Iterator[str]:
        """What it imports of the package, at its top, for types or inside functions.

        `from scorer.tables import window` gives both `tables` and `tables.window`.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                module = node.module or ""
                yield from _inside(module)
                for name in node.names:
                    yield from _inside(f"{module}.{name.name}")
            elif isinstance(node, ast.Import):
                for name in node.names:
                    yield from _inside(name.name)

    def functions(self) -> Iterator[tuple[str, int]]:
        """Every function with its lines, from `def` to its end, decorators left out."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _inside(dotted: str) -> Iterator[str]:
    package, _, name = dotted.partition(".")
    if package == PACKAGE.name and name and not name.startswith("__"):
        yield name


def modules(package: Path = PACKAGE) -> list[Module]:
    """The package's modules in order, its own `__init__` left out: it imports on first use."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts != ("__init__",):
            found.append(Module(".".join(part for part in parts if part != "__init__"), path))
    return found


def room_graph(house: list[Module]) -> dict[str, set[str]]:
    """Which other rooms every room imports."""
    graph: dict[str, set[str]] = {module.room: set() for module in house}
    for module in house:
        graph[module.room] |= {name.partition(".")[0] for name in module.imported()} & graph.keys()
    return {room: targets - {room} for room, targets in graph.items()}


def module_graph(house: list[Module]) -> dict[str, list[str]]:
    """Which modules every module imports; a room's `__init__` is the room's face, and left out."""
    names = {module.name for module in house if not module.is_init}
    return {
        module.name: sorted(names & set(module.imported()))
        for module in house
        if not module.is_init
    }


def homeless(house: list[Module]) -> list[str]:
    """Rooms that are on none of the FLOORS."""
    return sorted({module.room for module in house} - RANK.keys())


def upward_imports(house: list[Module]) -> list[str]:
    return [
        f"{room} imports {target}"
        for room, targets in sorted(room_graph(house).items())
        for target in sorted(targets)
        if RANK[target] < RANK[room]
    ]


def circle(house: list[Module]) -> list[str]:
    """Modules that import one another in a circle; empty where there is no such circle."""
    try:
        TopologicalSorter(module_graph(house)).prepare()
    except CycleError as error:
        ring = error.args[1][:-1]
        first = ring.index(min(ring))  # graphlib begins anywhere
        return [*ring[first:], *ring[:first], ring[first]]
    return []


def longest_modules(house: list[Module]) -> list[tuple[int, str]]:
    """Lines of every module, the longest first."""
    return sorted(((module.lines, module.name) for module in house), reverse=True)


def longest_functions(house: list[Module]) -> list[tuple[int, str]]:
    """Lines of every function, the longest first."""
    return sorted(
        (
            (lines, f"{module.name}.{function}")
            for module in house
            for function, lines in module.functions()
        ),
        reverse=True,
    )


def broken_rules(house: list[Module]) -> list[str]:
    """Every breach of a rule, a line each."""
    found = [f"{room} has no floor in {Path(__file__).name}" for room in homeless(house)]
    if found:
        return found
    found += upward_imports(house)
    if ring := circle(house):
        found.append(f"a circle: {' -> '.join(ring)}")
    found += [
        f"{name} has {lines} lines, more than {most}"
        for sizes, most in (
            (longest_modules(house), MAX_MODULE_LINES),
            (longest_functions(house), MAX_FUNCTION_LINES),
        )
        for lines, name in sizes
        if lines > most
    ]
    return found


def report(house: list[Module], *, graph: bool) -> Iterator[str]:
    """Lines for people: counts by room, the longest of each kind, and the graph of rooms."""
    lines: Counter[str] = Counter()
    for module in house:
        lines[module.room] += module.lines
    for room in sorted(lines, key=lambda room: RANK.get(room, 0)):
        count = sum(module.room == room for module in house)
        yield f"{room:16} {count:3} modules {lines[room]:6,} lines"
    yield f"{'scorer':16} {len(house):3} modules {lines.total():6,} lines"
    for title, sizes in (
        ("module", longest_modules(house)),
        ("function", longest_functions(house)),
    ):
        for size, name in sizes[:SHOWN]:
            yield f"longest {title}: {name}, {size} lines"
    if graph:
        for room, targets in room_graph(house).items():
            yield f"{room} -> {' '.join(sorted(targets)) or '-'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--graph", action="store_true", help="print which rooms import which")
    house = modules()
    for line in report(house, graph=parser.parse_args().graph):
        print(line)
    broken = broken_rules(house)
    print("\n".join(broken) or "no rule is broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
