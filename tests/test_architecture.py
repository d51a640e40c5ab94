"""The structure that the package promises: imports point down one list, start-up is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "scorer"

#: top to bottom; a module may import from its own line and the lines below
LAYERS = (
    "__main__",
    "cli",
    "distributed",
    "jobs",
    "evaluation",
    "pipeline",
    "curate export verify",
    "model",
    "frames",
    "binding",
    "scores",
    "tables",
    "engines",
    "bundle",
    "layers",
    "vectorizer",
    "zoo",
    "card",
    "card_vectorizer",
    "composition",
    "figures",
    "tasks",
    "compiling",
    "checks faults files homes printable",
    "errors",
)
RANK = {part: rank for rank, line in enumerate(LAYERS) for part in line.split()}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """The parts of `scorer` that a module imports, at its top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "scorer":
            rest = (node.module or "").split(".")[1:]
            names = [name.name for name in node.names if not name.name.startswith("__")]
            yield from rest[:1] or names
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith("scorer."):
                    yield name.name.split(".")[1]


def test_every_module_has_a_place() -> None:
    assert {part for part, _ in modules()} <= set(RANK)


def test_imports_point_down() -> None:
    upward = sorted(
        {
            f"{part} imports {target}"
            for part, tree in modules()
            for target in imported(tree)
            if RANK[target] < RANK[part]
        }
    )
    assert upward == []


def module_graph() -> dict[str, list[str]]:
    """Which modules every module imports, for types and inside functions too.

    A package's `__init__` is left out: it is what the world sees, and imports on first use.
    """
    trees = {
        ".".join(("scorer", *path.relative_to(PACKAGE).with_suffix("").parts)): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    graph: dict[str, list[str]] = {}
    for name, tree in trees.items():
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        found = {f"{node.module}.{part.name}" for node in nodes for part in node.names}
        graph[name] = sorted((found | {str(node.module) for node in nodes}) & set(trees))
    return graph


def test_modules_import_in_no_circle() -> None:
    try:
        TopologicalSorter(module_graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_modules_stay_short() -> None:
    long = [str(p) for p in PACKAGE.rglob("*.py") if len(p.read_text().splitlines()) > 400]
    assert long == []


HEAVY = ("keras", "tensorflow", "numba", "pandas", "sklearn", "matplotlib", "scipy")
HEAVY += ("pyarrow.parquet", "pyarrow.dataset", "pyarrow.orc", "pyarrow.ipc")
LIGHT_COMMANDS = [
    ("score", ["--help"]),
    ("zoo", ["--help"]),
    ("zoo", ["list"]),
    ("zoo", ["show", "tiny-binary"]),
]


@pytest.mark.parametrize(("command", "arguments"), LIGHT_COMMANDS)
def test_light_commands_import_nothing_heavy(
    command: str, arguments: list[str], tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORER_ZOO", str(tiny_zoo))
    code = (
        "import sys\n"
        f"from scorer.cli.{command} import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
