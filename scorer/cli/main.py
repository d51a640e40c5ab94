"""`scorer`: all commands under one name."""

from __future__ import annotations

import importlib
from typing import Any

import click

from scorer.cli.common import HELP, Program, with_version
from scorer.cli.grouping import CommandList

#: the commands and their modules, each imported when it is asked for
COMMANDS = {
    "score": "scorer.cli.score",
    "evaluate": "scorer.cli.evaluate",
    "explain": "scorer.cli.explain",
    "zoo": "scorer.cli.zoo",
    "warm-up": "scorer.cli.warm_up",
}


class LazyGroup(Program, CommandList):
    """A group that imports a command when it runs, or when the help lists it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).main
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        _, command, rest = super().resolve_command(ctx, args)
        return args[0], command, rest  # not the command's own name, which is `main`


@with_version
@click.group(cls=LazyGroup, context_settings=HELP)
def main(**_: Any) -> None:
    """Score tables with text models, offline.

    \b
    scorer zoo list                            list the models
    scorer score -m imdb-bilstm reviews.csv    write reviews.scored.csv
    scorer COMMAND --help                      explain a command

    score, evaluate and zoo are commands of their own, too.
    """


if __name__ == "__main__":
    main()
