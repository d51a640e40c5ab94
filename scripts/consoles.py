"""Runs the commands that README and docs show, and writes what they print beneath them.

python scripts/consoles.py            write the output of every command into the pages
python scripts/consoles.py --check    exit with 1 where a page shows another output

A block of commands is fenced as `console`; a line of it that begins with `$ ` is a command, and the
lines up to the next one are what it prints. The blocks of a page run in order in one empty folder
that holds `examples/`. Times and rates differ from run to run, so they are not compared. A block
fenced as `sh` is not run; the tests ask whether its options exist.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.cli.main import main as scorer_command

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100  # characters in the pages' output
NAMES = ("score", "evaluate", "zoo", "explain", "scorer")
FENCE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(\d+\.\d+)")
TOLERANCE = 2e-5  # of scores, which engines and processors compute to 1e-5
#: what a run prints and the next one prints otherwise
VARYING = (
    (re.compile(r"^Compiling for this processor.*\n", re.MULTILINE), ""),
    (re.compile(r", after [\d.]+ s of compiling"), ""),
    (re.compile(r"\b[\d.,]+ (s|rows/s)(?![\w/])"), r"# \1"),
)


@dataclass(frozen=True)
class Shown:
    """A command of a page and the output that the page shows."""

    command: str
    output: str


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a page is stale.")
@click.argument("pages", nargs=-1, type=click.Path(path_type=Path, exists=True))
def main(check: bool, pages: tuple[Path, ...]) -> None:
    """Run the commands of PAGES (default: README and docs) and write their output."""
    stale = False
    for path in pages or pages_with_consoles():
        text = path.read_text(encoding="utf-8")
        fresh = rewritten(text)
        if fresh == text:
            continue
        stale = True
        if not check:
            path.write_text(fresh, encoding="utf-8")
        print(f"{'stale' if check else 'written'}: {path}")
    raise SystemExit(1 if check and stale else 0)


def pages_with_consoles() -> list[Path]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [path for path in pages if FENCE.search(path.read_text(encoding="utf-8"))]


def rewritten(page: str) -> str:
    """The page with what its commands print now, where that differs in more than times."""
    with folder():
        return FENCE.sub(lambda block: f"```console\n{_block(block[1])}```", page)


def _block(text: str) -> str:
    return "".join(f"$ {shown.command}\n{_output(shown)}" for shown in commands(text))


def _output(shown: Shown) -> str:
    now = output_of(shown.command)
    return shown.output if alike(now, shown.output) else without_varying(now)


def alike(one: str, other: str) -> bool:
    """Whether outputs differ in times and rates alone, and in numbers by what a processor may."""
    ours, theirs = (NUMBER.split(_fixed(text)) for text in (one, other))
    return ours[::2] == theirs[::2] and all(
        math.isclose(float(a), float(b), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for a, b in zip(ours[1::2], theirs[1::2], strict=True)
    )


def commands(block: str) -> Iterator[Shown]:
    """The commands of a block with what it shows beneath each. Raises ValueError without any."""
    first, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    if first or not parts:
        raise ValueError(f"a console block begins with another line than a command: {block[:80]!r}")
    for part in parts:
        lines = part.splitlines(keepends=True)
        end = next(i for i, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        yield Shown("".join(lines[:end]).rstrip("\n"), "".join(lines[end:]))


def _fixed(output: str) -> str:
    for pattern, instead in VARYING:
        output = pattern.sub(instead, output)
    return output


def without_varying(output: str) -> str:
    """What a page shows of an output: the lines about compiling say nothing to its reader."""
    for pattern, instead in VARYING[:-1]:
        output = pattern.sub(instead, output)
    return output


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty working folder with `examples/`, a home of its own, and a terminal of WIDTH."""
    with tempfile.TemporaryDirectory() as made, contextlib.chdir(made):
        shutil.copytree(ROOT / "examples", "examples")
        home = Path(made).with_name(Path(made).name + ".home")
        settings = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "XDG_DATA_HOME": str(home)}
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SCORER_ZOO")}
        with mock.patch.dict(os.environ, kept | settings, clear=True):
            yield Path(made)


def _for_a_shell(command: str) -> bool:
    """Whether a command has pipes, redirections and the like outside its quotes."""
    parts = shlex.shlex(command, posix=False, punctuation_chars=True)
    return any(set(part) <= set("();<>|&") for part in parts)


def output_of(command: str) -> str:
    """What a command prints on stdout and stderr, in the working folder.

    Our own commands run in this process, which has imported what they need.
    """
    words = shlex.split(command.replace("\\\n", " "))
    if words[0] in NAMES and not _for_a_shell(command):
        arguments = words[1:] if words[0] == "scorer" else words
        return CliRunner().invoke(scorer_command, arguments, prog_name="scorer").output
    where = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": where, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    return done.stdout


if __name__ == "__main__":
    main()
