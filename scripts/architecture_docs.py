"""Writes the drawing and the table of docs/architecture.md from the code.

python scripts/architecture_docs.py            write them
python scripts/architecture_docs.py --check    exit with 1 where they are not what the code says
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import house
from scripts.pages import with_block, write_pages

PAGE = house.ROOT / "docs" / "architecture.md"
WIDTH = 76


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the page is stale.")
def main(check: bool) -> None:
    """Write the drawing and the table of docs/architecture.md."""
    write_pages({PAGE: page()}, check=check)


def page() -> str:
    """The page with the drawing and the table as the code is now."""
    modules = house.modules()
    text = with_block(PAGE.read_text(encoding="utf-8"), "drawing", drawing())
    return with_block(text, "packages", table(modules))


def drawing() -> str:
    """The packages from top to bottom. Those of one line may import one another."""
    edge = f"+{'-' * (WIDTH - 2)}+"
    lines = [edge]
    for floor in house.FLOORS:
        lines += [f"| {'   '.join(floor.split()):<{WIDTH - 4}} |", edge]
    return "\n".join(["```text", *lines, "```"])


def table(modules: list[house.Module]) -> str:
    """What each package does, by its docstring, and which others it imports."""
    graph = house.room_graph(modules)
    lines = ["| package | what it does | imports |", "| --- | --- | --- |"]
    for room in sorted(graph, key=lambda room: (house.RANK[room], room)):
        targets = sorted(graph[room], key=lambda target: (house.RANK[target], target))
        imports = ", ".join(f"`{target}`" for target in targets) or "-"
        lines.append(f"| `{room}` | {summary(room)} | {imports} |")
    return "\n".join(lines)


def summary(room: str) -> str:
    """The first line of a package's docstring."""
    package = house.PACKAGE / room / "__init__.py"
    path = package if package.exists() else house.PACKAGE / f"{room}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


if __name__ == "__main__":
    main()
