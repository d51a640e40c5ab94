"""What the commands share: options, and how they end.

Expected errors are one line on stderr and an exit code.
A stop by a signal unwinds like an error, so that temporary files go; its exit code is 128 + signal.
"""

from __future__ import annotations

import csv
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scorer.cli.stopping import Stopped, leave, stoppable
from scorer.errors import OutputClosed, ScorerError
from scorer.files import output_errors
from scorer.printable import printable

if TYPE_CHECKING:
    from scorer.tables.options import ReadOptions


class ExpectedErrors(click.Command):
    """A command that ends a failure with one line on stderr and its exit code."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program: the process ends even if a call into a network never does."""
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit as ended:
            remote = sys.modules.get("scorer.tables.remote")
            if remote is not None and remote.waiting():
                leave(ended.code if isinstance(ended.code, int) else 1)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stoppable(say_error):
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
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            message, code = _unforeseen(error, ctx.command_path), 1
        finally:
            drop_stdout()
        if message:
            say_error(message)
        ctx.exit(code)


def _unforeseen(error: Exception, command: str) -> str:
    """The line for an error that no module foresaw; its traceback goes into a file."""
    from scorer.jobs.unexpected import BugReports, as_expected

    return BugReports().line(as_expected(error, command))


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
READ_OPTIONS = (
    click.option(
        "--delimiter",
        help=r"Separate the fields of CSV and TSV at this character; \t is a tab. "
        "Default: a comma for CSV, a tab for TSV.",
    ),
    click.option(
        "--encoding", default="utf-8", show_default=True, help="Read text files in this encoding."
    ),
    click.option(
        "--quoting",
        type=click.Choice(["double", "none"]),
        default="double",
        show_default=True,
        help='Read "..." in CSV and TSV as a quoted field; with none, read quotes as text.',
    ),
    click.option(
        "--escape",
        metavar="CHARACTER",
        help="Read the character after this one in CSV and TSV as text. It is usually a "
        "backslash. Default: no escape character.",
    ),
    click.option(
        "--no-header",
        is_flag=True,
        help="Read the first line of CSV and TSV as a row, and name the columns column_1, "
        "column_2, ... Default: it has the columns' names.",
    ),
    click.option(
        "--columns",
        metavar="NAME,NAME,...",
        help="Name the columns of CSV and TSV files that have no header line. Implies --no-header.",
    ),
)


def read_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say how text files are written."""
    for option in reversed(READ_OPTIONS):
        command = option(command)
    return command


def reading_of(options: Mapping[str, Any]) -> ReadOptions:
    """What was said with `read_options`. Raises UsageError for what cannot be."""
    from scorer.tables.options import ReadOptions

    names = options["columns"]
    return ReadOptions(
        delimiter=options["delimiter"],
        encoding=options["encoding"],
        quoting=options["quoting"],
        escape=options["escape"],
        header=not options["no_header"],
        columns=() if names is None else next(csv.reader([names]), [""]),
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
