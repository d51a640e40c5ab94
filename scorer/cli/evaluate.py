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

from scorer.cli.common import (
    EngineOptions,
    ExpectedErrors,
    LabelOptions,
    ReadingOptions,
    TellingOptions,
    echo,
)
from scorer.cli.compile_view import compiling_shown
from scorer.cli.log import log_to_stderr
from scorer.cli.options import argument, option, options, takes
from scorer.cli.startup import skip_unused_imports
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

    inputs: tuple[str, ...] = argument(nargs=-1, required=True, metavar="INPUT...")
    references: tuple[str, ...] = option(
        "-m",
        "--model",
        required=True,
        multiple=True,
        help="Name, name@version or path (repeatable: models are compared).",
    )
    output: str | None = option(
        "-o", "--output", help="Folder of the report. Default: INPUT's name with .report."
    )
    text_column: str | None = option(
        "--text-column", help="The column to score. Default: as the first model's card says."
    )
    labels: LabelOptions = options(LabelOptions)
    requirements: tuple[str, ...] = option(
        "--require",
        multiple=True,
        help="End with code 4 unless it holds: 'accuracy>=0.85', card, 'drift<0.25' (repeatable).",
    )
    reading: ReadingOptions = options(ReadingOptions)
    engine: EngineOptions = options(EngineOptions)
    force: bool = option(
        "--force", is_flag=True, help="Write into a folder that holds other files."
    )
    telling: TellingOptions = options(TellingOptions)

    def folder(self) -> ReportFolder | None:
        """Where the report goes, if anywhere. Raises UsageError where that cannot be told."""
        from scorer.evaluation.folder import ReportFolder, report_beside

        if self.labels.no_report:
            return None
        if self.output is not None:
            return ReportFolder(Path(self.output), self.force)
        first = Path(self.inputs[0])
        if not first.exists():
            raise UsageError(f"{self.inputs[0]}: name the report's folder with --output")
        return ReportFolder(report_beside(first), self.force)

    def tables(self) -> Reading:
        """How the tables are read. Raises UsageError for what cannot be."""
        from scorer.evaluation.run import Reading
        from scorer.jobs.policy import available_cpus

        return Reading(
            text_column=self.text_column,
            read=self.reading.read(),
            batch_size=self.engine.batch_size,
            threads=self.engine.threads or available_cpus(),
            max_rejects=self.reading.most_rejects,
        )


@click.command(cls=ExpectedErrors, context_settings={"help_option_names": ["-h", "--help"]})
@takes(Arguments)
def main(arguments: Arguments) -> None:
    """Evaluate models on labelled tables, without writing rows: report.json and report.html.

    \b
    evaluate -m imdb-bilstm labelled.parquet        writes labelled.report/
    evaluate -m imdb-bilstm -m imdb-cnn labelled.csv --slice country
    evaluate -m imdb-bilstm labelled.csv --require 'accuracy>=0.85' --require card

    Several tables are one data set. Without labels the report shows what can be told without:
    drift of scores, lengths and vocabulary against the training data.

    Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but rows could not be read; 4 a
    requirement does not hold (the report is written all the same).
    """
    from scorer.evaluation.gates import parse_requirement, raise_if_failed
    from scorer.jobs.run import new_run_id

    telling = arguments.telling
    log_to_stderr(telling.log_format, new_run_id(), quiet=telling.quiet)
    requirements = [parse_requirement(text) for text in arguments.requirements]
    skip_unused_imports()
    options, reading = arguments.labels.evaluation(), arguments.tables()
    sources = _sources(arguments.inputs)
    folder = arguments.folder()
    if folder is not None:
        folder.check([source.path for source in sources if source.path is not None])
    with compiling_shown(shown=telling.human):
        models = [arguments.engine.load(reference) for reference in arguments.references]
    from scorer.evaluation.run import evaluate

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
        click.echo(render_text(report), err=True)
        if folder is not None:
            click.echo(f"-> {folder.page}", err=True)
    if telling.as_json:
        echo(report.to_json().removesuffix("\n"))


if __name__ == "__main__":
    main()
