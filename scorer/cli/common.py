"""What the commands share: options, and how they end.

Expected errors are one line on stderr and an exit code.
A stop by a signal unwinds like an error, so that temporary files go; its exit code is 128 + signal.
"""

from __future__ import annotations

import csv
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from scorer.cli import completion
from scorer.cli.grouping import CommandList, Grouped, GroupedCommand
from scorer.cli.options import argument, option
from scorer.cli.stopping import Stopped, leave, others_run, stoppable
from scorer.cli.streams import drop_stdout, open_closed_streams
from scorer.errors import OutputClosed, ScorerError, UsageError
from scorer.files import output_errors
from scorer.printable import printable

Command = TypeVar("Command", bound=click.Command)

if TYPE_CHECKING:
    from scorer.evaluation.request import EvaluationOptions
    from scorer.model import Model
    from scorer.tables import ReadOptions
    from scorer.tables.text.dialect import Quoting


class Program(click.Command):
    """A command that, run as a program, ends its process as soon as all is written."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program: the process ends even if a call into a network never does."""
        open_closed_streams()
        try:
            return self._printed(*args, **kwargs)
        except SystemExit as ended:
            remote = sys.modules.get("scorer.tables.remote")
            abandoned = remote is not None and remote.waiting()
            if abandoned or not others_run():
                leave(ended.code if isinstance(ended.code, int) else 1, at_once=abandoned)
            raise

    def _printed(self, *args: Any, **kwargs: Any) -> Any:
        """Run; what --help and --version cannot print ends with one line, as all else does."""
        try:
            return super().__call__(*args, **kwargs)
        except OSError as error:
            say_error(f"stdout: cannot be written: {error.strerror}")
            drop_stdout()
            raise SystemExit(1) from None


class ExpectedErrors(Program, GroupedCommand):
    """A command that ends a failure with one line on stderr and its exit code."""

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


def say_awaited(inputs: Sequence[str], *, shown: bool) -> None:
    """Where a command would wait for someone to type its input, say so."""
    if shown and "-" in inputs and sys.stdin.isatty():
        click.echo("Waiting for rows on stdin; end them with Ctrl-D", err=True)


def say_error(message: str) -> None:
    """One line on stderr, through the log where a command has set one up."""
    log = logging.getLogger("scorer")
    if log.handlers:
        log.error("%s", message)
    else:
        click.echo(f"Error: {printable(message)}", err=True)


class ExpectedErrorsGroup(Program, CommandList):
    """A group whose commands are `ExpectedErrors`."""

    command_class = ExpectedErrors

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which the module has them."""
        return list(self.commands)


#: titles of groups of options, in the order in which the help lists them
MODEL, INPUT, OUTPUT, REPORT = "Model", "Input", "Output", "Report"
RUN, ENGINE, MESSAGES = "Run", "Engine", "Messages"

ZOO: dict[str, Any] = {
    "type": click.Path(path_type=Path, file_okay=False),
    "multiple": True,
    "help": "Search this zoo first (repeatable). Default: the zoos in $SCORER_ZOO, your own zoo, "
    "the shipped zoo.",
}
zoo_option = click.option("--zoo", "zoos", cls=Grouped, **ZOO)
model_argument = click.argument("model", shell_complete=completion.models)
json_option = click.option(
    "--json", "as_json", cls=Grouped, is_flag=True, help="Print the result as JSON on stdout."
)
HELP = {"help_option_names": ["-h", "--help"]}


def with_version(command: Command) -> Command:
    """Give a command that stands by itself the option --version."""
    from scorer.cli.version import version_option

    command.params.append(version_option())
    return command


def inputs_argument() -> Any:
    """The field of a command's inputs."""
    return argument(nargs=-1, required=True, metavar="INPUT...", shell_complete=completion.files)


@dataclass(frozen=True)
class LabelOptions:
    """What to evaluate by."""

    threshold: float | None = option(
        "--threshold",
        group=MODEL,
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Predict the second label of a binary model at or above this probability, and any "
        "label of a multilabel model. Default: the card's threshold.",
    )
    label_columns: tuple[str, ...] = option(
        "--label-column",
        multiple=True,
        help="Read the true labels from this column; repeat it for the 0/1 columns of a "
        "multilabel model. Default: the card's label columns.",
    )
    label_map: tuple[str, ...] = option(
        "--label-map",
        multiple=True,
        metavar="VALUE=LABEL",
        help="Read VALUE in the label column as LABEL (repeatable); VALUE= leaves its rows out. "
        "Default: the labels' names and the card's aliases.",
    )
    slices: tuple[str, ...] = option(
        "--slice",
        multiple=True,
        help="Break metrics down by this column (repeatable). Default: all rows together.",
    )
    id_column: str | None = option(
        "--id-column",
        help="Show this column beside the largest mistakes. Default: the first column whose "
        "values all differ.",
    )
    no_report: bool = option("--no-report", is_flag=True, help="Write no report.")

    def evaluation(self) -> EvaluationOptions:
        from scorer.evaluation.request import EvaluationOptions

        label = self.label_columns[0] if len(self.label_columns) == 1 else self.label_columns
        return EvaluationOptions(
            label or None, self.label_map, self.slices, self.threshold, id_column=self.id_column
        )


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
        help="Name the columns of CSV and TSV files without a header line. Implies --no-header. "
        "Default: the names in the header line.",
    )
    limit: int | None = option(
        "--limit",
        type=click.IntRange(min=1),
        metavar="N",
        help="Read only the first N rows of each input. Default: all rows.",
    )
    strict: bool = option(
        "--strict",
        is_flag=True,
        help="Stop at the first row that cannot be read. Default: set such rows aside.",
    )
    max_rejects: int | None = option(
        "--max-rejects",
        type=click.IntRange(min=0),
        metavar="N",
        help="Stop when more than N rows cannot be read. Default: any number.",
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
            limit=self.limit,
        )

    @property
    def most_rejects(self) -> int | None:
        return 0 if self.strict else self.max_rejects


@dataclass(frozen=True)
class EngineOptions:
    """What runs the model."""

    device: str = option(
        "--device",
        type=click.Choice(["auto", "cpu", "gpu"]),
        default="auto",
        show_default=True,
        help="Run on this device; auto takes a GPU where there is one.",
    )
    engine: str | None = option(
        "--engine",
        type=click.Choice(["cpu", "keras"]),
        help="Use this engine. Default: cpu; keras on a GPU and for layers that cpu lacks.",
    )
    precision: str = option(
        "--precision",
        type=click.Choice(["float32", "mixed"]),
        default="float32",
        show_default=True,
        help="Compute in this precision; mixed is float16 inside the network, for GPUs.",
    )
    threads: int | None = option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="Use N worker threads. Default: all CPUs.",
    )
    batch_size: int | None = option(
        "--batch-size",
        type=click.IntRange(min=1),
        metavar="N",
        help="Give a thread N rows at a time. Default: as many as suit the engine and the texts.",
    )
    zoos: tuple[Path, ...] = option("--zoo", group=MODEL, **ZOO)
    other_names: tuple[str, ...] = option(
        "--column",
        group=INPUT,
        multiple=True,
        metavar="NAME=COLUMN",
        help="Read from COLUMN what the card calls NAME, as in entity=airline (repeatable). "
        "Default: the card's names.",
    )

    def load(self, reference: str, device: str | None = None) -> Model:
        """The model, on another `device` than the one asked for where that is given."""
        (model,) = self.load_all([reference], device)
        return model

    def load_all(self, references: Sequence[str], device: str | None = None) -> list[Model]:
        """Several models; each column that is renamed must be one that a model reads."""
        from scorer.model import load_model

        renamed = self._renamed()
        read: list[dict[str, str]] = [{} for _ in references]
        if renamed:
            from scorer.card.columns import check_known, columns_read
            from scorer.zoo import find

            cards = [find(reference, self.zoos).card for reference in references]
            check_known(renamed, cards)
            names = [columns_read(card.scorer) for card in cards]
            read = [{k: v for k, v in renamed.items() if k in known} for known in names]
        return [
            load_model(
                reference,
                zoos=self.zoos,
                device=device or self.device,
                engine=self.engine,
                precision=self.precision,
                columns=columns,
            )
            for reference, columns in zip(references, read, strict=True)
        ]

    def _renamed(self) -> dict[str, str]:
        """The card's names and the table's. Raises UsageError."""
        pairs: dict[str, str] = {}
        for given in self.other_names:
            name, equals, column = given.partition("=")
            if not (name and equals and column):
                raise UsageError(f"--column {given!r}: write NAME=COLUMN, as in entity=airline")
            if pairs.setdefault(name, column) != column:
                raise UsageError(f"--column: {name!r} is given twice: give it one column")
        return pairs


@dataclass(frozen=True)
class TellingOptions:
    """What is said, and where."""

    quiet: bool = option("-q", "--quiet", is_flag=True, help="Print only errors on stderr.")
    as_json: bool = option("--json", is_flag=True, help="Print the result as JSON on stdout.")
    log_format: str = option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Write messages on stderr as text, or as one JSON object a line.",
    )

    @property
    def human(self) -> bool:
        """Whether anything but errors and warnings is said to people."""
        return self.log_format == "text" and not self.quiet
