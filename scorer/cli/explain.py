"""`scorer explain`: which words moved a score."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scorer.cli import completion
from scorer.cli.colour import takes_colour
from scorer.cli.common import (
    ENGINE,
    HELP,
    INPUT,
    MESSAGES,
    MODEL,
    EngineOptions,
    ExpectedErrors,
    ReadingOptions,
    TellingOptions,
    echo,
)
from scorer.cli.compile_view import compiling_shown
from scorer.cli.explain_view import render
from scorer.cli.log import log_to_stderr
from scorer.cli.options import argument, option, options, takes
from scorer.cli.startup import light_start, skip_unused_imports
from scorer.errors import InputError, UsageError
from scorer.printable import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from scorer.explain import Explanation
    from scorer.model import Model
    from scorer.tables import Reader


@dataclass(frozen=True)
class Arguments:
    """What the command line says."""

    given: str = argument(metavar="TEXT|FILE", shell_complete=completion.files)
    reference: str = option(
        "-m",
        "--model",
        group=MODEL,
        required=True,
        shell_complete=completion.models,
        help="Explain this model's score: its name, name@version or path.",
    )
    label: str | None = option(
        "--label",
        group=MODEL,
        help="Weigh the words for and against this label. Default: the last label of a binary "
        "model, else the most probable one.",
    )
    row: int | None = option(
        "--row",
        group=INPUT,
        type=click.IntRange(min=1),
        help="Read FILE, and explain this row; the first is 1. Default: TEXT is the text itself.",
    )
    text_column: str | None = option(
        "--text-column",
        group=INPUT,
        help="Read the text from this column. Default: the text column that the card names.",
    )
    reading: ReadingOptions = options(ReadingOptions, group=INPUT)
    engine: EngineOptions = options(EngineOptions, group=ENGINE)
    telling: TellingOptions = options(TellingOptions, group=MESSAGES)


@click.command(cls=ExpectedErrors, context_settings=HELP)
@takes(Arguments)
def main(arguments: Arguments) -> None:
    """Say which words moved a score, and by how much.

    \b
    scorer explain -m imdb-flagship "Two hours of my life."
    scorer explain -m imdb-flagship reviews.csv --row 12
    scorer explain -m imdb-flagship "Two hours of my life." --json

    A weight above zero speaks for the label, one below zero against it. docs/explain.md says what
    the weights mean and how they are found. Colours are left out where $NO_COLOR is set.
    """
    telling = arguments.telling
    with light_start():
        from scorer.jobs.run import new_run_id

        log_to_stderr(telling.log_format, new_run_id(), quiet=telling.quiet)
        _check(arguments)
        skip_unused_imports()
        with compiling_shown(shown=telling.human):
            model = arguments.engine.load(arguments.reference)
    explanation = _explained(model, arguments)
    if telling.as_json:
        echo(json.dumps(explanation.as_dict(), indent=1, ensure_ascii=False))
    else:
        echo(render(explanation, colour=takes_colour(sys.stdout)))


def _check(arguments: Arguments) -> None:
    """Raise UsageError where a file was meant for a text, or the other way round."""
    if arguments.row is None and _is_file(arguments.given):
        raise UsageError(f"{arguments.given}: is a file: say which row of it with --row N")
    if arguments.row is None and arguments.text_column is not None:
        raise UsageError("--text-column is for a file: give --row N too, or leave it out")


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # a text may be longer than any file's name
        return False


def _explained(model: Model, arguments: Arguments) -> Explanation:
    given: str | pa.Table = arguments.given
    if arguments.row is not None:
        given = _read_row(model, arguments, arguments.row)
    found = model.explain(given, label=arguments.label, text_column=arguments.text_column)
    explanation: Explanation | None = found[0] if isinstance(found, list) else found
    if explanation is None:
        raise InputError(
            f"{arguments.given}: row {arguments.row} has no text that the model scores"
        )
    return explanation


def _read_row(model: Model, arguments: Arguments, row: int) -> pa.Table:
    """A row of a table: its text, and what the model reads beside it."""
    from scorer.jobs.inputs import find_inputs
    from scorer.tables import open_reader

    located = find_inputs([arguments.given])
    if located.failures:
        raise InputError(located.failures[0].error)
    if len(located.files) != 1:
        raise UsageError(f"{arguments.given}: {len(located.files)} tables; --row is of one")
    reader, _ = open_reader(located.files[0].source, arguments.reading.read())
    with closing(reader):
        bound = model.bind(reader, arguments.text_column)
        if bound.text is None:
            raise InputError(f"{reader.name}: has no rows")
        beside = [name for name in bound.context_columns if name != bound.text]
        return _row_of(reader, bound.text, beside, row, arguments.reading.most_rejects)


def _row_of(
    reader: Reader, text: str, beside: Sequence[str], row: int, most_rejects: int | None
) -> pa.Table:
    """The row of that number; rows that cannot be read are counted too."""
    import pyarrow as pa

    from scorer.pipeline import RejectLimit

    seen, limit = 0, RejectLimit(reader.name, most_rejects)
    for window in reader.windows(text, beside):
        unreadable = {reject.row: reject for reject in window.rejects}
        last = seen + window.rows + len(unreadable)
        if row in unreadable:
            reason = unreadable[row].reason
            raise InputError(f"{reader.name}: row {row} cannot be read: {reason}")
        limit.add(window)
        if row <= last:
            at = row - seen - 1 - sum(number < row for number in unreadable)
            columns = {name: window.table.column(name).slice(at, 1) for name in beside}
            return pa.table({text: window.texts.slice(at, 1), **columns})
        seen = last
    raise UsageError(f"{reader.name}: has {counted(seen, 'row')}: there is no row {row}")
