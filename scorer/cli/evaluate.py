"""`evaluate`: how good are models on labelled data, and has the data changed?"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from scorer.cli import completion
from scorer.cli.colour import say
from scorer.cli.common import (
    ENGINE,
    HELP,
    INPUT,
    MESSAGES,
    MODEL,
    REPORT,
    EngineOptions,
    ExpectedErrors,
    LabelOptions,
    ReadingOptions,
    TellingOptions,
    echo,
    inputs_argument,
    say_awaited,
    with_version,
)
from scorer.cli.compile_view import compiling_shown
from scorer.cli.log import log_to_stderr
from scorer.cli.options import option, options, takes
from scorer.cli.startup import light_start, skip_unused_imports
from scorer.errors import InputError, UsageError

if TYPE_CHECKING:
    from scorer.evaluation.folder import ReportFolder
    from scorer.evaluation.result import Report
    from scorer.evaluation.run import Reading
    from scorer.tables import Source

log = logging.getLogger("scorer.evaluate")


@dataclass(frozen=True)
class Arguments:
    """What the command line says."""

    inputs: tuple[str, ...] = inputs_argument()
    references: tuple[str, ...] = option(
        "-m",
        "--model",
        group=MODEL,
        required=True,
        multiple=True,
        shell_complete=completion.models,
        help="Evaluate this model: its name, name@version or path (repeat to compare models).",
    )
    text_column: str | None = option(
        "--text-column",
        group=INPUT,
        help="Read texts from this column. Default: the text column that the first model's card "
        "names.",
    )
    reading: ReadingOptions = options(ReadingOptions, group=INPUT)
    output: str | None = option(
        "-o",
        "--output",
        group=REPORT,
        shell_complete=completion.files,
        help="Write the report into this folder. Default: INPUT's name with .report.",
    )
    force: bool = option(
        "--force", group=REPORT, is_flag=True, help="Write into a folder that holds other files."
    )
    labels: LabelOptions = options(LabelOptions, group=REPORT)
    requirements: tuple[str, ...] = option(
        "--require",
        group=REPORT,
        multiple=True,
        metavar="RULE",
        help="End with exit code 4 unless this holds: 'accuracy>=0.85', 'drift<0.25', or card "
        "(repeatable). Default: no requirement.",
    )
    engine: EngineOptions = options(EngineOptions, group=ENGINE)
    telling: TellingOptions = options(TellingOptions, group=MESSAGES)

    def folder(self) -> ReportFolder | None:
        """Where the report goes, if anywhere. Raises UsageError where that cannot be told."""
        from scorer.evaluation.folder import ReportFolder, report_beside

        if self.labels.no_report:
            return None
        if self.output == "-":
            raise UsageError(
                "--output -: a report is a folder, which cannot go to stdout: name the folder"
            )
        if self.output is not None:
            return ReportFolder(Path(self.output), self.force)
        first = Path(self.inputs[0])
        if not first.exists():
            raise UsageError(f"{self.inputs[0]}: name the report's folder with --output")
        return ReportFolder(report_beside(first), self.force)

    def tables(self) -> Reading:
        """How the tables are read. Raises UsageError for what cannot be."""
        from scorer.evaluation.run import Reading
        from scorer.processors import available_cpus

        return Reading(
            text_column=self.text_column,
            read=self.reading.read(),
            batch_size=self.engine.batch_size,
            threads=self.engine.threads or available_cpus(),
            max_rejects=self.reading.most_rejects,
        )


@with_version
@click.command(cls=ExpectedErrors, context_settings=HELP)
@takes(Arguments)
def main(arguments: Arguments) -> None:
    """Evaluate models on labelled tables and write a report.

    \b
    evaluate -m imdb-bilstm labelled.parquet        writes labelled.report/
    evaluate -m imdb-bilstm -m imdb-cnn labelled.csv --slice country
    evaluate -m imdb-bilstm labelled.csv --require 'accuracy>=0.85' --require card

    Several tables are one data set. Without labels the report shows what can be told without:
    drift of scores, lengths and vocabulary against the training data.

    Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but rows could not be read; 4 a
    requirement does not hold (the report is written all the same).
    """
    with light_start():
        from scorer.evaluation.gates import parse_requirement, raise_if_failed
        from scorer.evaluation.run import evaluate
        from scorer.jobs.run import new_run_id

        telling = arguments.telling
        log_to_stderr(telling.log_format, new_run_id(), quiet=telling.quiet)
        requirements = [parse_requirement(text) for text in arguments.requirements]
        skip_unused_imports()
        options, reading = arguments.labels.evaluation(), arguments.tables()
        say_awaited(arguments.inputs, shown=telling.human)
        sources = _sources(arguments.inputs)
        folder = arguments.folder()
        if folder is not None:
            folder.check([source.path for source in sources if source.path is not None])
        with compiling_shown(shown=telling.human):
            models = arguments.engine.load_all(arguments.references)

    with _progress(shown=telling.human and sys.stderr.isatty()) as watch:
        report = evaluate(
            models,
            sources,
            options,
            reading,
            requirements=requirements,
            folder=folder,
            watch=watch,
        )
    _say(report, folder, telling)
    raise_if_failed(report.gates)
    raise SystemExit(3 if report.rejected else 0)


def _sources(inputs: Sequence[str]) -> list[Source]:
    """The tables, all of them: figures of a part would pass for figures of the whole."""
    from scorer.jobs.inputs import find_inputs

    located = find_inputs(inputs)
    if located.failures:
        raise InputError(located.failures[0].error)
    for warning in located.warnings:
        log.warning("%s", warning)
    return [file.source for file in located.files]


class _Watch(Protocol):
    """Hears how many rows more are done."""

    def __call__(self, rows: int) -> None: ...


@contextmanager
def _progress(*, shown: bool) -> Iterator[_Watch]:
    """What moves a bar of rows on stderr, if one is `shown`."""
    if not shown:
        yield lambda rows: None
        return
    from tqdm import tqdm

    bar: Any
    with tqdm(unit=" rows", unit_scale=True, leave=False) as bar:

        def move(rows: int) -> None:
            bar.update(rows)

        yield move


def _say(report: Report, folder: ReportFolder | None, telling: TellingOptions) -> None:
    from scorer.evaluation.terminal import render_text

    if telling.human:
        say(render_text(report))
        if folder is not None:
            click.echo(f"-> {folder.page}", err=True)
    if telling.as_json:
        echo(report.to_json().removesuffix("\n"))


if __name__ == "__main__":
    main()
