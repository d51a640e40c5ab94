"""`evaluate`: how good are models on labelled data, and has the data changed?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scorer.cli.common import (
    ExpectedErrors,
    batch_size_option,
    device_option,
    echo,
    engine_option,
    label_column_option,
    label_map_option,
    read_options,
    reading_of,
    slice_option,
    threads_option,
    threshold_option,
    zoo_option,
)
from scorer.cli.compile_view import compiling_shown
from scorer.cli.startup import skip_unused_imports
from scorer.errors import InputError, OutputExists, UsageError
from scorer.printable import printable

if TYPE_CHECKING:
    from scorer.evaluation.result import Report
    from scorer.evaluation.run import Reading
    from scorer.model import Model
    from scorer.tables import Source

REPORT_FILES = {"report.json", "report.html"}


@click.command(cls=ExpectedErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-m",
    "--model",
    "references",
    required=True,
    multiple=True,
    help="Name, name@version or path (repeatable: models are compared).",
)
@click.option("-o", "--output", help="Folder of the report. Default: INPUT's name with .report.")
@click.option("--text-column", help="The column to score. Default: as the first model's card says.")
@label_column_option
@label_map_option
@slice_option
@threshold_option
@click.option(
    "--require",
    "requirements",
    multiple=True,
    help="End with code 4 unless it holds: 'accuracy>=0.85', card, 'drift<0.25' (repeatable).",
)
@read_options
@device_option
@engine_option
@threads_option
@batch_size_option
@click.option("--no-report", is_flag=True, help="Write no report: only the table on stderr.")
@click.option("--force", is_flag=True, help="Write into a folder that holds other files.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no table on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json on stdout, too.")
@zoo_option
def main(inputs: tuple[str, ...], **options: Any) -> None:
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
    from scorer.files import refuse_inputs
    from scorer.jobs.inputs import find_inputs

    requirements = [parse_requirement(text) for text in options["requirements"]]
    found = find_inputs(inputs)
    if found.failures:  # figures of a part would pass for figures of the whole
        raise InputError(found.failures[0].error)
    for warning in found.warnings:
        click.echo(f"Warning: {printable(warning)}", err=True)
    sources = [file.source for file in found.found]
    folder = None if options["no_report"] else _folder(inputs, options)
    if folder is not None:
        reports = [folder / name for name in REPORT_FILES]
        refuse_inputs(reports, [source.path for source in sources if source.path is not None])
    skip_unused_imports()
    options["read"] = reading_of(options)
    with compiling_shown(shown=not options["quiet"]):
        models = _models(options)
    report = _evaluate(models, sources, options, requirements)
    if folder is not None:
        from scorer.evaluation.report import write_report

        write_report(report, folder)
    _say(report, folder, options)
    raise_if_failed(report.gates)
    raise SystemExit(3 if report.rejected else 0)


def _folder(inputs: Sequence[str], options: dict[str, Any]) -> Path:
    """Where the report goes; a folder with anything but a report in it is left alone."""
    from scorer.tables.formats import split_suffixes

    if options["output"] is None:
        first = Path(inputs[0])
        if not first.exists():
            raise UsageError(f"{inputs[0]}: name the report's folder with --output")
        folder = first.with_name(f"{split_suffixes(first.name)[0]}.report")
    else:
        folder = Path(options["output"])
    if folder.is_file():
        raise OutputExists(f"{folder}: is a file: name another folder with --output")
    others = {path.name for path in folder.iterdir()} - REPORT_FILES if folder.is_dir() else set()
    if others and not options["force"]:
        raise OutputExists(f"{folder}: holds other files ({min(others)}): --force writes there")
    return folder


def _models(options: dict[str, Any]) -> list[Model]:
    from scorer.model import load_model

    loaded: dict[str, Model] = {}
    for reference in options["references"]:
        model = load_model(
            reference,
            zoos=options["zoos"],
            device=options["device"],
            engine=options["engine"],
        )
        if options["threshold"] is not None and not model.card.scorer.task.takes_threshold:
            raise UsageError(f"--threshold is for binary models; {model.ref} is not")
        if model.ref in loaded:
            raise UsageError(f"{model.ref}: was named twice")
        loaded[model.ref] = model
    return list(loaded.values())


def _evaluate(
    models: Sequence[Model],
    sources: Sequence[Source],
    options: dict[str, Any],
    requirements: Sequence[Any],
) -> Report:
    from scorer.evaluation.finish import finish
    from scorer.evaluation.request import Wanted
    from scorer.evaluation.run import evaluate_tables

    wanted = Wanted(
        options["label_column"], options["label_map"], options["slices"], options["threshold"]
    )
    bar, watch = _progress(options)
    try:
        evaluator = evaluate_tables(models, sources, wanted, _reading(options), watch)
    finally:
        if bar is not None:
            bar.close()
    return finish(evaluator, [source.name for source in sources], requirements)


def _reading(options: dict[str, Any]) -> Reading:
    from scorer.evaluation.run import Reading
    from scorer.jobs.score import available_cpus

    given = {"batch_size": options["batch_size"]} if options["batch_size"] else {}
    return Reading(
        text_column=options["text_column"],
        read=options["read"],
        threads=options["threads"] or available_cpus(),
        **given,
    )


def _progress(options: dict[str, Any]) -> tuple[Any, Callable[[int], None]]:
    """A bar of rows on stderr, if that is a terminal, and what moves it."""
    if options["quiet"] or not sys.stderr.isatty():
        return None, lambda rows: None
    from tqdm import tqdm

    bar: Any = tqdm(unit=" rows", unit_scale=True, leave=False)

    def move(rows: int) -> None:
        bar.update(rows)

    return bar, move


def _say(report: Report, folder: Path | None, options: dict[str, Any]) -> None:
    from scorer.evaluation.terminal import render_text

    if not options["quiet"]:
        click.echo(render_text(report), err=True)
        if folder is not None:
            click.echo(f"-> {folder / 'report.html'}", err=True)
    if options["as_json"]:
        echo(report.to_json().removesuffix("\n"))


if __name__ == "__main__":
    main()
