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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scorer.cli.options import option
from scorer.cli.stopping import Stopped, leave, stoppable
from scorer.errors import OutputClosed, ScorerError
from scorer.files import output_errors
from scorer.printable import printable

if TYPE_CHECKING:
    from scorer.evaluation.request import EvaluationOptions
    from scorer.model import Model
    from scorer.tables import ReadOptions
    from scorer.tables.dialect import Quoting


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


ZOO: dict[str, Any] = {
    "type": click.Path(path_type=Path, file_okay=False),
    "multiple": True,
    "help": "Search this zoo first (repeatable); then $SCORER_ZOO, yours and the shipped one.",
}
zoo_option = click.option("--zoo", "zoos", **ZOO)


@dataclass(frozen=True)
class LabelOptions:
    """What to evaluate by."""

    threshold: float | None = option(
        "--threshold",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Probability from which a binary model says its last label, and a multilabel model "
        "any label. Default: the card's.",
    )
    label_columns: tuple[str, ...] = option(
        "--label-column",
        multiple=True,
        help="The column with the truth; repeat it for a multilabel model's 0/1 columns. "
        "Default: as the card says.",
    )
    label_map: tuple[str, ...] = option(
        "--label-map",
        multiple=True,
        metavar="VALUE=LABEL",
        help="What a value of the label column means (repeatable); VALUE= leaves its rows out.",
    )
    slices: tuple[str, ...] = option(
        "--slice", multiple=True, help="Figures by this column (repeatable)."
    )
    no_report: bool = option("--no-report", is_flag=True, help="Write no report.")

    def evaluation(self) -> EvaluationOptions:
        from scorer.evaluation.request import EvaluationOptions

        label = self.label_columns[0] if len(self.label_columns) == 1 else self.label_columns
        return EvaluationOptions(label or None, self.label_map, self.slices, self.threshold)


@dataclass(frozen=True)
class ReadingOptions:
    """How the tables are written, and what becomes of rows that cannot be read."""

    delimiter: str | None = option(
        "--delimiter",
        help=r"Separate the fields of CSV and TSV at this character; \t is a tab. "
        "Default: a comma for CSV, a tab for TSV.",
    )
    encoding: str = option(
        "--encoding", default="utf-8", show_default=True, help="Read text files in this encoding."
    )
    quoting: Quoting = option(
        "--quoting",
        type=click.Choice(["double", "none"]),
        default="double",
        show_default=True,
        help='Read "..." in CSV and TSV as a quoted field; with none, read quotes as text.',
    )
    escape: str | None = option(
        "--escape",
        metavar="CHARACTER",
        help="Read the character after this one in CSV and TSV as text. It is usually a "
        "backslash. Default: no escape character.",
    )
    no_header: bool = option(
        "--no-header",
        is_flag=True,
        help="Read the first line of CSV and TSV as a row, and name the columns column_1, "
        "column_2, ... Default: it has the columns' names.",
    )
    columns: str | None = option(
        "--columns",
        metavar="NAME,NAME,...",
        help="Name the columns of CSV and TSV files that have no header line. Implies --no-header.",
    )
    strict: bool = option(
        "--strict", is_flag=True, help="Stop at the first row that cannot be read."
    )
    max_rejects: int | None = option(
        "--max-rejects", type=click.IntRange(min=0), help="Stop when more are unreadable."
    )

    def read(self) -> ReadOptions:
        """Raises UsageError for what cannot be."""
        from scorer.tables import ReadOptions

        names = self.columns
        return ReadOptions(
            delimiter=self.delimiter,
            encoding=self.encoding,
            quoting=self.quoting,
            escape=self.escape,
            header=not self.no_header,
            columns=() if names is None else next(csv.reader([names]), []) or [""],
        )

    @property
    def most_rejects(self) -> int | None:
        return 0 if self.strict else self.max_rejects


@dataclass(frozen=True)
class EngineOptions:
    """What runs the model."""

    device: str = option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto")
    engine: str | None = option(
        "--engine", type=click.Choice(["cpu", "keras"]), help="Force one engine."
    )
    precision: str = option(
        "--precision",
        type=click.Choice(["float32", "mixed"]),
        default="float32",
        show_default=True,
        help="mixed: float16 inside the network, for GPUs; see docs/benchmarks.md.",
    )
    threads: int | None = option(
        "--threads", type=click.IntRange(min=1), help="Worker threads (default: all CPUs)."
    )
    batch_size: int | None = option(
        "--batch-size", type=click.IntRange(min=1), help="Rows a thread takes at a time."
    )
    zoos: tuple[Path, ...] = option("--zoo", **ZOO)

    def load(self, reference: str, device: str | None = None) -> Model:
        """The model, on another `device` than the one asked for where that is given."""
        from scorer.model import load_model

        return load_model(
            reference,
            zoos=self.zoos,
            device=device or self.device,
            engine=self.engine,
            precision=self.precision,
        )


@dataclass(frozen=True)
class TellingOptions:
    """What is said, and where."""

    quiet: bool = option("-q", "--quiet", is_flag=True, help="Nothing but errors on stderr.")
    as_json: bool = option("--json", is_flag=True, help="Print the result as JSON on stdout.")
    log_format: str = option("--log-format", type=click.Choice(["text", "json"]), default="text")

    @property
    def human(self) -> bool:
        """Whether anything but errors and warnings is said to people."""
        return self.log_format == "text" and not self.quiet
