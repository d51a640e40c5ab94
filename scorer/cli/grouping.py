"""Options under titles in a command's help."""

from __future__ import annotations

from typing import Any

import click

#: the title of options that no group was named for
OTHER = "Options"


class Grouped(click.Option):
    """An option that the help lists below the title `group`."""

    def __init__(self, *arguments: Any, group: str = OTHER, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists its options by their groups, in the order of their first one.

    Options without a group come last.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, records in grouped_records(self, ctx).items():
            with formatter.section(title):
                formatter.write_dl(records)


class CommandList(click.Group):
    """A group whose help gives the whole first sentence of each command."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, first_sentence(command)) for name, command in found if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def first_sentence(command: click.Command) -> str:
    """Of its help."""
    paragraph = " ".join((command.help or "").split("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".") + "."


def grouped_records(command: click.Command, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """What the help says of a command's options, by the titles of their groups."""
    found: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if isinstance(parameter, click.Option) and record is not None:
            found.setdefault(getattr(parameter, "group", OTHER), []).append(record)
    if OTHER in found:
        found[OTHER] = found.pop(OTHER)
    return found
