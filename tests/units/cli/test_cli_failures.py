"""How commands end when something gives out that no module can name."""

from __future__ import annotations

import click
from click.testing import CliRunner

from scorer.cli.common import ExpectedErrors


@click.command(cls=ExpectedErrors)
def greedy() -> None:
    raise MemoryError


def test_too_little_memory_is_one_line() -> None:
    done = CliRunner().invoke(greedy)
    assert done.exit_code == 1
    assert done.stderr == "Error: there is not enough memory for this: lower --batch-size\n"
