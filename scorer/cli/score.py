"""`score`: append a model's predictions to tables."""

from __future__ import annotations

import json
import sys
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
from scorer.cli.log import log_to_stderr
from scorer.cli.run_view import FileProgress, Progress, render, render_plan, write_json
from scorer.cli.startup import skip_unused_imports
from scorer.errors import UsageError

if TYPE_CHECKING:
    from scorer.jobs.each import Runner
    from scorer.jobs.plan import Plan
    from scorer.jobs.score import Settings
    from scorer.model import Model


@click.command(cls=ExpectedErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-m", "--model", "reference", required=True, help="Name, name@version or path.")
@click.option("-o", "--output", help="File or directory to write; - is stdout.")
@click.option("--text-column", help="The column to score. Default: as the model's card says.")
@click.option("--probabilities", is_flag=True, help="Add a column for every label's probability.")
@click.option("--diagnostics", is_flag=True, help="Add n_tokens, oov_share and truncated.")
@click.option("--prefix", default="", help="Put this before the new columns' names.")
@threshold_option
@label_column_option
@label_map_option
@slice_option
@click.option("--no-report", is_flag=True, help="Do not evaluate where there are labels.")
@read_options
@click.option("--csv-safe", is_flag=True, help="Put ' before CSV cells that begin a formula.")
@click.option("--strict", is_flag=True, help="Stop at the first row that cannot be read.")
@click.option("--max-rejects", type=click.IntRange(min=0), help="Stop when more are unreadable.")
@device_option
@engine_option
@click.option(
    "--precision",
    type=click.Choice(["float32", "mixed"]),
    default="float32",
    show_default=True,
    help="mixed: float16 inside the network, for GPUs; see docs/benchmarks.md.",
)
@threads_option
@click.option(
    "--runner",
    type=click.Choice(["local", "ray", "spark"]),
    default="local",
    show_default=True,
    help="Score each file here, or in a task of Ray or Spark.",
)
@batch_size_option
@click.option("--force", is_flag=True, help="Replace outputs that are there already.")
@click.option("--resume", is_flag=True, help="Finish what an interrupted run has begun.")
@click.option("--incremental", is_flag=True, help="Score only inputs that are new or changed.")
@click.option("--dry-run", is_flag=True, help="Say what would be scored and why; write nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing but errors on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
@click.option(
    "--summary", type=click.Path(path_type=Path), help="Write the summary as JSON to this file."
)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
@zoo_option
def main(inputs: tuple[str, ...], **options: Any) -> None:
    """Append a model's predictions to tables: CSV, TSV, JSON Lines or Parquet.

    \b
    score -m imdb-bilstm reviews.parquet            writes reviews.scored.parquet
    score -m imdb-bilstm reviews.csv -o out.csv --probabilities
    cat new.csv | score -m imdb-bilstm - > scored.csv
    score -m imdb-bilstm inbox/ -o scored/ --incremental

    An input is a file, a folder with files, wildcards in quotes, a URL (s3://, gs://, abfs://) or
    -, stdin; files may be compressed (gzip, zstd,
    bzip2, xz, or zip with one file in it). Every row comes out in its place with all
    its columns. Rows without text are not scored; rows that cannot be read go to
    OUTPUT.rejects.jsonl. Where there are labels, a report on the model goes to INPUT's name with
    .report.

    Exit codes: 0 done; 1 failed, nothing published for what is named; 2 wrong usage; 3 done, but
    rows were rejected; 5 another run holds the output.
    """
    settings = _settings(options)
    skip_unused_imports()
    from scorer.jobs.plan import plan
    from scorer.jobs.run import new_run_id, run_jobs
    from scorer.model import load_model

    run_id = new_run_id()
    log_to_stderr(options["log_format"], run_id, quiet=options["quiet"])
    made = plan(inputs, options["output"], run_id)
    _check(options, made, settings)
    human = options["log_format"] == "text" and not options["quiet"]
    with compiling_shown(shown=human):
        model = load_model(
            options["reference"],
            zoos=options["zoos"],
            device=options["device"] if options["runner"] == "local" else "cpu",
            engine=options["engine"],
            precision=options["precision"],
        )
    shown = human and sys.stderr.isatty()
    runner = _runner(options["runner"], model, shown=shown)
    summary = run_jobs(model, made, settings, [Progress()] if shown else [], run_id, runner)
    if options["summary"]:
        write_json(options["summary"], summary.as_json())
    if options["as_json"]:
        echo(json.dumps(summary.as_json(), indent=1, ensure_ascii=False))
    elif settings.dry_run:
        echo(render_plan(summary))
    if human and (len(made.jobs) > 1 or not summary.failures):
        click.echo(render(summary), err=True)
    raise SystemExit(summary.exit_code)


def _check(options: dict[str, Any], made: Plan, settings: Settings) -> None:
    """Refuse before the model is loaded what cannot be done."""
    from scorer.jobs.plan import check_summary
    from scorer.jobs.publish import Stream
    from scorer.jobs.score import check_writable

    streaming = any(job.stream for job in made.jobs)
    if options["as_json"] and any(job.stream == Stream() for job in made.jobs):
        raise UsageError("--json and the rows cannot both go to stdout: use --summary FILE")
    if options["summary"]:
        check_summary(options["summary"], made)
    if options["runner"] != "local":
        _check_runner(options, made)
    if streaming and (settings.resume or settings.incremental):
        raise UsageError("what goes to stdout cannot be resumed: name an --output")
    if settings.resume and any(job.source.stat is None for job in made.jobs):
        raise UsageError("stdin cannot be read again, so the run cannot be resumed: name a file")
    if not settings.incremental:
        for job in made.jobs:
            check_writable(job, settings)


def _check_runner(options: dict[str, Any], made: Plan) -> None:
    runner = f"--runner {options['runner']}"
    if any(job.stream or job.source.stat is None for job in made.jobs):
        raise UsageError(f"{runner} scores files: stdin and stdout are for --runner local")
    if options["device"] == "gpu":
        raise UsageError(f"{runner} scores on CPUs: leave --device gpu out")


def _runner(name: str, model: Model, *, shown: bool) -> Runner | None:
    """What scores the files, its progress `shown`; None: this process. Raises RunnerError."""
    if name == "local":
        return None
    from scorer.distributed import open_runner

    runner = open_runner(name, model)
    return FileProgress(runner) if shown else runner


def _settings(options: dict[str, Any]) -> Settings:
    from scorer.evaluation.request import Wanted
    from scorer.jobs.score import Settings
    from scorer.tasks import OutputOptions

    wanted = Wanted(
        options["label_column"], options["label_map"], options["slices"], options["threshold"]
    )
    output = OutputOptions(
        probabilities=options["probabilities"],
        diagnostics=options["diagnostics"],
        threshold=options["threshold"],
        prefix=options["prefix"],
    )
    if options["resume"] and options["incremental"]:
        raise UsageError("--incremental resumes by itself: leave --resume out")
    given = {key: options[key] for key in ("threads", "batch_size") if options[key] is not None}
    if options["runner"] != "local":
        given.setdefault("threads", 1)  # Ray and Spark fill the processors with tasks
    return Settings(
        text_column=options["text_column"],
        output=output,
        read=reading_of(options),
        force=options["force"],
        resume=options["resume"],
        incremental=options["incremental"],
        dry_run=options["dry_run"],
        max_rejects=0 if options["strict"] else options["max_rejects"],
        evaluation=None if options["no_report"] else wanted,
        csv_safe=options["csv_safe"],
        **given,
    )


if __name__ == "__main__":
    main()
