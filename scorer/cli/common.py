"""What the commands share: options, and how they end.

Expected errors are one line on stderr and an exit code.
A stop by a signal unwinds like an error, so that temporary files go; its exit code is 128 + signal.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from scorer.errors import OutputClosed, ScorerError
from scorer.files import output_errors
from scorer.printable import printable


class Stopped(BaseException):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class ExpectedErrors(click.Command):
    """A command that ends an expected failure with one line on stderr and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stoppable():
                return super().invoke(ctx)
        except OutputClosed as closed:  # as of any program in a pipe, nothing is said
            message, code = "", closed.exit_code
        except ScorerError as error:
            message, code = str(error), error.exit_code
        except MemoryError:
            message, code = "there is not enough memory for this: lower --batch-size", 1
        except (KeyboardInterrupt, Stopped) as stop:
            number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
            message, code = f"stopped by {signal.Signals(number).name}", 128 + number
        finally:
            drop_stdout()
        if message:
            say_error(message)
        ctx.exit(code)


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first SIGTERM or SIGHUP into Stopped; later ones do not disturb the cleaning up."""

    def stop(number: int, frame: object) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    try:
        previous = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # not the main thread: signals are someone else's
        previous = {}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def echo(text: str) -> None:
    """Print a result on stdout. Raises OutputError, and OutputClosed where no one reads on."""
    with output_errors("stdout"):
        click.echo(text)


def say_error(message: str) -> None:
    """One line on stderr, through the log where a command has set one up."""
    log = logging.getLogger("scorer")
    if log.handlers:
        log.error("%s", message)
    else:
        click.echo(f"Error: {printable(message)}", err=True)


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
label_column_option = click.option(
    "--label-column", help="The column with the truth. Default: as the card says."
)
label_map_option = click.option(
    "--label-map",
    multiple=True,
    metavar="VALUE=LABEL",
    help="What a value of the label column means (repeatable); VALUE= leaves its rows out.",
)
slice_option = click.option(
    "--slice", "slices", multiple=True, help="Figures by this column (repeatable)."
)
threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Probability from which a binary model says its last label. Default: the card's.",
)
delimiter_option = click.option("--delimiter", help="Of CSV and TSV. Default: a comma, and a tab.")
encoding_option = click.option(
    "--encoding", default="utf-8", show_default=True, help="Of text files."
)
device_option = click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto")
engine_option = click.option(
    "--engine", type=click.Choice(["cpu", "keras"]), help="Force one engine."
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="Default: one a processor."
)
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(min=1), help="Rows a thread takes at a time."
)
