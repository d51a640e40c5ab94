"""Options under titles in a command's help."""

from __future__ import annotations

from typing import Any

import click

from scorer.cli.common import ExpectedErrors
from scorer.cli.options import option


class Grouped(click.Option):
    """An option that the help lists below the title `group`."""

    def __init__(self, *arguments: Any, group: str = "Options", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.group = group


def grouped(title: str, *flags: str, **attributes: Any) -> Any:
    """A dataclass field that is an option below a title in the help; see `options.option`."""
    return option(*flags, cls=Grouped, group=title, **attributes)


class GroupedCommand(ExpectedErrors):
    """A command whose help lists its options by their groups, in the order of their first one."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)
