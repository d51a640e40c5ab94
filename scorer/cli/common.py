"""What the commands share: expected errors become one line on stderr and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from scorer.errors import ScorerError
from scorer.printable import printable


class ExpectedErrors(click.Command):
    """A command that ends an expected failure with one line on stderr and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ScorerError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            drop_stdout()
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted", err=True)
            drop_stdout()
            ctx.exit(128 + signal.SIGINT)


def drop_stdout() -> None:
    """Keep what stdout could not take from being tried again, and complained of, at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ExpectedErrorsGroup(click.Group):
    """A group whose commands are `ExpectedErrors`."""

    command_class = ExpectedErrors


zoo_option = click.option(
    "--zoo",
    "zoos",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="Search this zoo first (repeatable); then $SCORER_ZOO, yours and the shipped one.",
)
