"""Options: a new one is a field, of the command's arguments or of a group that commands share."""

from __future__ import annotations

from dataclasses import dataclass

import click
from click.testing import CliRunner

from scorer.cli.common import ReadingOptions
from scorer.cli.options import argument, click_fields, option, options, takes


@dataclass(frozen=True)
class Greeting(ReadingOptions):
    """The shared options of reading, and a new one beside them."""

    shout: bool = option("--shout", is_flag=True, help="In capitals.")


@dataclass(frozen=True)
class Arguments:
    names: tuple[str, ...] = argument(nargs=-1)
    greeting: Greeting = options(Greeting)
    times: int = option("--times", type=click.IntRange(min=1), default=1, help="How often.")


@click.command()
@takes(Arguments)
def greet(arguments: Arguments) -> None:
    """Greet."""
    for name in arguments.names * arguments.times:
        click.echo(name.upper() if arguments.greeting.shout else name)
    click.echo(arguments.greeting.encoding)


def test_a_new_option_is_a_field() -> None:
    done = CliRunner().invoke(
        greet, ["ann", "bo", "--times", "2", "--shout", "--encoding", "latin-1"]
    )
    assert done.output.splitlines() == ["ANN", "BO", "ANN", "BO", "latin-1"]
    wrong = CliRunner().invoke(greet, ["ann", "--times", "0"])
    assert wrong.exit_code == 2
    assert "--times" in wrong.stderr


def test_help_lists_the_fields_in_their_order() -> None:
    text = CliRunner().invoke(greet, ["--help"]).output
    flags = [
        field.metadata["click"][1][-1]
        for field in click_fields(Arguments)
        if field.metadata["click"][1]
    ]
    assert flags[-2:] == ["--shout", "--times"]
    places = [text.index(f" {flag} ") for flag in flags]
    assert places == sorted(places)
