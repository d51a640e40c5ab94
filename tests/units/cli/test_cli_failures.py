"""How commands end when something gives out that no module can name."""

from __future__ import annotations

import os

import click
from click.testing import CliRunner

from scorer.cli.common import ExpectedErrors
from scorer.cli.main import main


@click.command(cls=ExpectedErrors)
def greedy() -> None:
    raise MemoryError


def test_too_little_memory_is_one_line() -> None:
    done = CliRunner().invoke(greedy)
    assert done.exit_code == 1
    assert done.stderr == "Error: there is not enough memory for this: lower --batch-size\n"


def test_a_misspelled_command_is_told_the_nearest() -> None:
    done = CliRunner().invoke(main, ["scor"])
    assert done.exit_code == 2
    assert "No such command 'scor'. Did you mean 'score'?" in done.stderr


def test_a_name_that_is_not_utf_8_is_shown_with_its_bytes() -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    done = CliRunner().invoke(main, ["score", "-m", "imdb-bow-lr", name])
    assert done.stderr == "Error: caf\\xe9.csv: no such file\n"
