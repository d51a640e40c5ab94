"""`score`: append a model's predictions to tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scorer.cli import completion
from scorer.cli.colour import say
from scorer.cli.common import (
    ENGINE,
    HELP,
    INPUT,
    MESSAGES,
    MODEL,
    OUTPUT,
    REPORT,
    RUN,
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
from scorer.cli.look_view import looking_shown
from scorer.cli.options import option, options, takes
from scorer.cli.run_view import FileProgress, Progress, render, render_plan, sizes, write_json
from scorer.cli.startup import light_start, skip_unused_imports
from scorer.errors import UsageError

if TYPE_CHECKING:
    from scorer.evaluation.request import EvaluationOptions
    from scorer.jobs.each import Runner
    from scorer.jobs.plan import RunPlan
    from scorer.jobs.policy import RunPolicy
    from scorer.jobs.settings import Settings
    from scorer.jobs.spec import OutputSpec
    from scorer.jobs.table import Watcher
    from scorer.model import Model


@dataclass(frozen=True)
class Arguments:
    """What the command line says."""

    inputs: tuple[str, ...] = inputs_argument()
    reference: str = option(
        "-m",
        "--model",
        group=MODEL,
        required=True,
        shell_complete=completion.models,
        help="Score with this model: its name, name@version or path.",
    )
    text_column: str | None = option(
        "--text-column",
        group=INPUT,
        help="Read texts from this column. Default: the text column that the card names.",
    )
    reading: ReadingOptions = options(ReadingOptions, group=INPUT)
    output: str | None = option(
        "-o",
        "--output",
        group=OUTPUT,
        shell_complete=completion.files,
        help="Write to this file or folder; - is stdout. Default: INPUT's name with .scored.",
    )
    probabilities: bool = option(
        "--probabilities",
        group=OUTPUT,
        is_flag=True,
        help="Add a column for every label's probability. A multilabel model always has them.",
    )
    top: int | None = option(
        "--top",
        group=OUTPUT,
        type=click.IntRange(min=1),
        metavar="K",
        help="Add the K most probable labels with their probabilities. Default: only the first.",
    )
    diagnostics: bool = option(
        "--diagnostics",
        group=OUTPUT,
        is_flag=True,
        help="Add the columns n_tokens, oov_share and truncated.",
    )
    explain: int | None = option(
        "--explain",
        group=OUTPUT,
        type=click.IntRange(min=1),
        metavar="K",
        help="Add the column explanation: the K words that moved the score most. Default: none.",
    )
    prefix: str = option(
        "--prefix",
        group=OUTPUT,
        default="",
        help="Begin the new columns' names with this. Default: no prefix.",
    )
    keep: tuple[str, ...] = option(
        "--keep",
        group=OUTPUT,
        multiple=True,
        metavar="COLUMN",
        help="Write this column of the input and the new ones (repeatable). Default: all columns.",
    )
    drop: tuple[str, ...] = option(
        "--drop",
        group=OUTPUT,
        multiple=True,
        metavar="COLUMN",
        help="Leave this column of the input out (repeatable). Default: none.",
    )
    only_new: bool = option(
        "--only-new",
        group=OUTPUT,
        is_flag=True,
        help="Write only the new columns; keep an id with --keep ID.",
    )
    csv_safe: bool = option(
        "--csv-safe",
        group=OUTPUT,
        is_flag=True,
        help="Put ' before CSV cells that a spreadsheet would read as formulas.",
    )
    split_output: bool = option(
        "--split-output",
        group=OUTPUT,
        is_flag=True,
        help="Write each output as a folder of parts (a data set), not as one file.",
    )
    summary: Path | None = option(
        "--summary",
        group=OUTPUT,
        type=click.Path(path_type=Path),
        help="Write the run's summary as JSON to this file. Default: no file.",
    )
    labels: LabelOptions = options(LabelOptions, group=REPORT)
    report: bool = option(
        "--report",
        group=REPORT,
        is_flag=True,
        help="Write a report even without labels: how predictions, scores, lengths and unknown "
        "words are distributed. Default: write one where there are labels.",
    )
    force: bool = option(
        "--force", group=RUN, is_flag=True, help="Replace outputs that exist already."
    )
    resume: bool = option("--resume", group=RUN, is_flag=True, help="Finish an interrupted run.")
    incremental: bool = option(
        "--incremental", group=RUN, is_flag=True, help="Score only inputs that are new or changed."
    )
    dry_run: bool = option(
        "--dry-run",
        group=RUN,
        is_flag=True,
        help="List what would be scored and why; write nothing.",
    )
    runner: str = option(
        "--runner",
        group=RUN,
        type=click.Choice(["local", "ray", "spark"]),
        default="local",
        show_default=True,
        help="Score each file here, or in a task of Ray or Spark.",
    )
    engine: EngineOptions = options(EngineOptions, group=ENGINE)
    telling: TellingOptions = options(TellingOptions, group=MESSAGES)

    def settings(self) -> Settings:
        """Raises UsageError for what cannot be."""
        from scorer.jobs.settings import Settings

        return Settings(self._spec(), self._policy())

    def _spec(self) -> OutputSpec:
        from scorer.jobs.spec import OutputSpec
        from scorer.tables import ColumnChoice
        from scorer.tasks import OutputOptions

        return OutputSpec(
            text_column=self.text_column,
            output=OutputOptions(
                self.probabilities,
                self.diagnostics,
                self.labels.threshold,
                self.prefix,
                self.explain,
                self.top,
            ),
            read=self.reading.read(),
            columns=ColumnChoice(self.keep, self.drop, self.only_new),
            csv_safe=self.csv_safe,
            split_output=self.split_output,
            evaluation=self._evaluation(),
        )

    def _evaluation(self) -> EvaluationOptions | None:
        if self.report and self.labels.no_report:
            raise UsageError("--report and --no-report exclude each other")
        if self.labels.no_report:
            return None
        return replace(self.labels.evaluation(), unlabelled=self.report)

    def _policy(self) -> RunPolicy:
        from scorer.jobs.policy import Resume, RunPolicy
        from scorer.processors import available_cpus

        # Ray and Spark fill the processors with tasks.
        threads = available_cpus() if self.runner == "local" else 1
        return RunPolicy(
            threads=self.engine.threads or threads,
            batch_size=self.engine.batch_size,
            force=self.force,
            resume=Resume.MUST if self.resume else Resume.NEVER,
            incremental=self.incremental,
            dry_run=self.dry_run,
            max_rejects=self.reading.most_rejects,
        )


@with_version
@click.command(cls=ExpectedErrors, context_settings=HELP)
@takes(Arguments)
def main(arguments: Arguments) -> None:
    """Append a model's predictions to tables.

    \b
    score -m imdb-bilstm reviews.parquet            writes reviews.scored.parquet
    score -m imdb-bilstm reviews.csv -o out.csv --probabilities
    cat new.csv | score -m imdb-bilstm - > scored.csv
    score -m imdb-bilstm inbox/ -o scored/ --incremental

    An input is a file, a folder with files, wildcards in quotes, a URL (s3://, gs://, abfs://) or
    -, stdin: CSV, TSV, JSON Lines, a JSON array, Parquet, Arrow, an Arrow stream, ORC or Excel.
    Text may be compressed (gzip, zstd, bzip2, xz, or zip with one file in it). docs/formats.md has
    them all. Every row comes out in its place with all its columns. Rows without text are not
    scored; rows that cannot be read go to OUTPUT.rejects.jsonl. Where there are labels, a report on
    the model goes to INPUT's name with .report.

    Exit codes: 0 done; 1 failed, nothing published for what is named; 2 wrong usage; 3 done, but
    rows were rejected; 5 another run holds the output.
    """
    with light_start():
        settings = arguments.settings()
        skip_unused_imports()
        from scorer.jobs.plan import plan
        from scorer.jobs.run import new_run_id, run_jobs

        run_id = new_run_id()
        telling, local = arguments.telling, arguments.runner == "local"
        log_to_stderr(telling.log_format, run_id, quiet=telling.quiet)
        say_awaited(arguments.inputs, shown=telling.human)
        split = arguments.split_output
        made = plan(arguments.inputs, arguments.output, run_id, split_output=split)
        _check(arguments, made, settings)
        with compiling_shown(shown=telling.human):
            model = arguments.engine.load(arguments.reference, None if local else "cpu")
    shown = telling.human and sys.stderr.isatty()
    runner = _runner(arguments, model, [Progress(sizes(made.jobs))] if shown else [])
    summary = run_jobs(model, made, settings, run_id=run_id, runner=runner)
    if arguments.summary:
        write_json(arguments.summary, summary.as_json())
    if telling.as_json:
        echo(json.dumps(summary.as_json(), indent=1, ensure_ascii=False))
    elif settings.policy.dry_run:
        echo(render_plan(summary))
    if telling.human and (len(made.jobs) > 1 or not summary.failures):
        say(render(summary))
    raise SystemExit(summary.exit_code)


def _check(arguments: Arguments, made: RunPlan, settings: Settings) -> None:
    """Refuse before the model is loaded what cannot be done."""
    from scorer.jobs.parts.folder import check_folder
    from scorer.jobs.plan import check_summary
    from scorer.jobs.publish import Stream
    from scorer.jobs.score import check_resumable, check_writable

    if arguments.telling.as_json and any(job.stream == Stream() for job in made.jobs):
        raise UsageError("--json and the rows cannot both go to stdout: use --summary FILE")
    if arguments.summary:
        check_summary(arguments.summary, made)
    if arguments.runner != "local":
        _check_runner(arguments, made)
    for job in made.jobs:
        if arguments.split_output:
            check_folder(job)
        check_resumable(job, settings)
        if not settings.policy.incremental:
            check_writable(job, settings)


def _check_runner(arguments: Arguments, made: RunPlan) -> None:
    runner = f"--runner {arguments.runner}"
    if any(job.stream or job.source.stat is None for job in made.jobs):
        raise UsageError(f"{runner} scores files: stdin and stdout are for --runner local")
    if arguments.engine.device == "gpu":
        raise UsageError(f"{runner} scores on CPUs: leave --device gpu out")


def _runner(arguments: Arguments, model: Model, watchers: Sequence[Watcher]) -> Runner:
    """What scores the files, and shows it where there are `watchers`. Raises RunnerError."""
    look_on = looking_shown(shown=arguments.telling.human)
    if arguments.runner == "local":
        from scorer.jobs.each import LocalRunner

        return LocalRunner(model, watchers, look_on)
    from scorer.distributed import open_runner

    runner = open_runner(arguments.runner, model, look_on)
    return FileProgress(runner) if watchers else runner


if __name__ == "__main__":
    main()
