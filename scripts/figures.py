"""docs/figures.json holds what the benchmarks measured; the pages get their figures from it.

python scripts/figures.py            write the figures into README.md and docs/
python scripts/figures.py --check    exit with 1 where a page shows other figures

`--write` of the benchmarks in scripts/ writes the file, so no such figure is typed into a page.
`scripts/measure.sh` runs them all.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.pages import ROOT, with_block, write_pages

FILE = ROOT / "docs" / "figures.json"
Table = list[list[str]]
#: a benchmark's tables in their order on the page, with what stands above each
TITLES = {
    "whole": "A whole run, from process start to exit:",
    "start": "Start-up with ten rows, from process start to exit:",
    "stages": "Each stage alone:",
    "formats": "Whole runs of loaded models by format, beside the same work in memory:",
    "network": "The network alone, on prepared token ids:",
    "limit": "Recurrent networks on one thread, beside their matrix products alone:",
    "memory": "Memory and file size (the same rows repeated):",
}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a page is stale.")
def main(check: bool) -> None:
    """Write the measured figures into the pages."""
    write_pages(pages(load()), check=check)


def pages(figures: dict[str, Any]) -> dict[Path, str]:
    """Every page that shows figures, as it should be. What was never measured changes no block."""
    found = figures | {"history": history()}
    made = {}
    for name, blocks in BLOCKS.items():
        page = (ROOT / name).read_text(encoding="utf-8")
        for block, (part, text) in blocks.items():
            page = with_block(page, block, text(found[part])) if part in found else page
        made[ROOT / name] = page
    return made


def history() -> list[dict[str, Any]]:
    """What `scripts/bench.py --against` has measured, the oldest first."""
    path = ROOT / "docs" / "history.json"
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return found


def load() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def store(name: str, measured: Any) -> None:
    """Replace a benchmark's part of the file, and write the pages."""
    figures = load() | {name: measured}
    text = json.dumps(figures, indent=1, ensure_ascii=False, sort_keys=True)
    FILE.write_text(f"{text}\n", encoding="utf-8")
    write()


def write() -> None:
    """Write the pages from the files of figures."""
    for path, page in pages(load()).items():
        path.write_text(page, encoding="utf-8")


def machine(threads: int) -> str:
    """The processor and what of it a benchmark uses: `AMD EPYC 9R14, 2 of 2 cores`."""
    return f"{processor()}, {threads} of {os.cpu_count()} cores"


def processor() -> str:
    """The processor's name by Linux, or what Python knows of it."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(names, platform.machine())


def cell(table: Table, row: str, column: str) -> str:
    """A cell of a table by its row's first cell and its column's head. Raises KeyError."""
    place = table[0].index(column) if column in table[0] else -1
    for line in table[1:]:
        if line[0] == row and place >= 0:
            return line[place]
    raise KeyError(f"no {column!r} of {row!r} in {table[0]}")


def speed_sentence(bench: dict[str, Any]) -> str:
    tables = bench["tables"]
    rows, times = (
        cell(tables["whole"], row, column)
        for row, column in (("`score`", "rows/s"), ("Keras `predict`", "times ours"))
    )
    start = cell(tables["start"], f"`score -m {bench['model']}`", "s")
    return (
        f"On {bench['machine']}, `score -m {bench['model']}` scores {rows} film reviews\n"
        f"a second from start to exit, {times} times as fast as Keras `predict`. A run of\n"
        f"ten rows takes {start} s. "
        "[docs/benchmarks.md](docs/benchmarks.md) has all figures and how they were measured."
    )


def bench_tables(bench: dict[str, Any]) -> str:
    head = (
        f"{bench['machine']}; `{bench['model']}` on {bench['rows']:,} rows of `{bench['data']}`, "
    )
    parts = [f"{head}medians of {bench['repeats']}."]
    for name, title in TITLES.items():
        if name not in bench["tables"]:  # it was measured before there was such a table
            continue
        parts += [title, markdown(bench["tables"][name])]
    return "\n\n".join(parts)


def zoo_table(measured: dict[str, Any]) -> str:
    return f"{measured['machine']}.\n\n{markdown(measured['table'])}"


def peers_block(measured: dict[str, Any]) -> str:
    head = (
        f"{measured['machine']}; {measured['rows']:,} rows of `{measured['data']}`, "
        f"medians of {measured['rounds']} rounds."
    )
    notes = "\n".join(f"* {note}" for note in measured["notes"])
    return f"{head}\n\n{markdown(measured['table'])}\n\n{notes}"


def layers_block(measured: dict[str, Any]) -> str:
    head = (
        f"{measured['machine']}; {measured['rows']:,} rows of `{measured['data']}`, "
        f"medians of {measured['repeats']}."
    )
    return f"{head}\n\n{markdown(measured['table'])}"


def runners_block(measured: dict[str, Any]) -> str:
    head = (
        f"{measured['machine']}; `{measured['model']}` on {measured['files']} files of "
        f"{measured['rows']:,} rows of `{measured['data']}`."
    )
    return "\n\n".join([head, markdown(measured["terms"]), markdown(measured["runs"])])


def history_block(history: Sequence[dict[str, Any]]) -> str:
    """The whole runs of every entry: how many times as fast as the earlier commit."""
    runs = ("ten rows", "Parquet", "CSV", "JSON Lines")
    table = [["date", "commit", "against", "model", "rows", *runs]]
    for entry in history:
        times = [cell(entry["table"], f"{run}, whole run", "times as fast") for run in runs]
        named = (f"`{entry[what]}`" for what in ("commit", "against", "model"))
        table.append([entry["at"][:10], *named, f"{entry['rows']:,}", *times])
    return markdown(table)


def markdown(table: Sequence[Sequence[str]]) -> str:
    head, *body = table
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body))


#: page -> block -> the part of the file that it shows, and how
BLOCKS: dict[str, dict[str, tuple[str, Callable[[Any], str]]]] = {
    "README.md": {"speed": ("bench", speed_sentence)},
    "docs/benchmarks.md": {
        "bench": ("bench", bench_tables),
        "zoo-bench": ("zoo", zoo_table),
        "layers": ("layers", layers_block),
        "peers": ("peers", peers_block),
        "history": ("history", history_block),
    },
    "docs/distributed.md": {"runners": ("runners", runners_block)},
}

if __name__ == "__main__":
    main()
