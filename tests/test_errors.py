"""Errors: the tree that the module shows is the one that it defines; a new one is a class."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from scorer import errors
from scorer.cli.common import ExpectedErrors
from scorer.errors import InputError, ScorerError

ROOT = Path(__file__).parent.parent
LINE = re.compile(r"(?P<branch>[ |+-]*)(?P<name>[A-Z]\w+)(?: +exit (?P<code>\d+))? ")


def subclasses(kind: type[ScorerError]) -> list[type[ScorerError]]:
    """The errors of the package below `kind`, not those that tests define."""
    return [below for below in kind.__subclasses__() if below.__module__ == errors.__name__]


def tree(kind: type[ScorerError], depth: int = 0) -> list[tuple[int, str, int]]:
    """Depth, name and exit code of an error and all that are below it."""
    below = [row for each in subclasses(kind) for row in tree(each, depth + 1)]
    return [(depth, kind.__name__, kind.exit_code), *sorted(below)]


def documented() -> list[tuple[int, str, int]]:
    """The same as the module's docstring draws it: an exit code holds for the branch below it."""
    rows: list[tuple[int, str, int]] = []
    codes: dict[int, int] = {-1: 1}
    for line in str(errors.__doc__).splitlines():
        if found := LINE.match(line[4:] if line.startswith("    ") else ""):
            depth = len(found["branch"]) // 4
            codes[depth] = int(found["code"] or codes[depth - 1])
            rows.append((depth, found["name"], codes[depth]))
    return rows


def test_the_tree_is_drawn_as_it_is() -> None:
    assert len(documented()) > 15
    assert sorted(documented()) == sorted(tree(ScorerError))


@pytest.mark.parametrize("code", sorted({code for _, _, code in tree(ScorerError)}))
def test_every_exit_code_is_documented(code: int) -> None:
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert re.search(rf"^\| {code}\b|exit code {code}\b", pages, re.MULTILINE)


class TooOld(InputError):
    """A new error: its class says what it is a kind of, and with what a command ends."""

    exit_code = 77


@click.command(cls=ExpectedErrors)
def read() -> None:
    raise TooOld("a.csv: was written in 1999: ask for a newer one")


def test_a_new_error_is_a_class() -> None:
    done = CliRunner().invoke(read)
    assert done.exit_code == 77
    assert done.stderr == "Error: a.csv: was written in 1999: ask for a newer one\n"
