"""What the commands share: expected errors become one line on stderr and an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from scorer.errors import ScorerError


class ExpectedErrors(click.Command):
    """A command that ends an expected failure with one line on stderr and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ScorerError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


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
