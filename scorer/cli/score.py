"""`score`: append a model's predictions to tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from scorer.cli.common import ExpectedErrors, zoo_option
from scorer.cli.startup import skip_unused_imports
from scorer.errors import UsageError

if TYPE_CHECKING:
    from scorer.jobs.score import Settings
    from scorer.jobs.summary import FileSummary, RunSummary
    from scorer.model import Scores
    from scorer.tables import Reader, Window


@click.command(cls=ExpectedErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-m", "--model", "reference", required=True, help="Name, name@version or path.")
@click.option("-o", "--output", help="File or directory to write; - is stdout.")
@click.option("--text-column", help="The column to score. Default: as the model's card says.")
@click.option("--probabilities", is_flag=True, help="Add a column for every label's probability.")
@click.option("--diagnostics", is_flag=True, help="Add n_tokens, oov_share and truncated.")
@click.option("--prefix", default="", help="Put this before the new columns' names.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Probability from which a binary model says its last label. Default: the card's.",
)
@click.option("--delimiter", help="Of CSV and TSV. Default: a comma, and a tab.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of text files.")
@click.option("--strict", is_flag=True, help="Stop at the first row that cannot be read.")
@click.option("--max-rejects", type=click.IntRange(min=0), help="Stop when more are unreadable.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto")
@click.option("--engine", type=click.Choice(["cpu", "keras"]), help="Force one engine.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: one a processor.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Rows a thread takes at a time.")
@click.option("--force", is_flag=True, help="Replace outputs that are there already.")
@click.option("--resume", is_flag=True, help="Finish what an interrupted run has begun.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
@zoo_option
def main(inputs: tuple[str, ...], **options: Any) -> None:
    """Append a model's predictions to tables: CSV, TSV, JSON Lines or Parquet.

    \b
    score -m imdb-bilstm reviews.parquet            writes reviews.scored.parquet
    score -m imdb-bilstm reviews.csv -o out.csv --probabilities
    cat new.csv | score -m imdb-bilstm - > scored.csv

    Every row comes out in its place with all its columns. Rows without text are not scored; rows
    that cannot be read go to OUTPUT.rejects.jsonl.

    Exit codes: 0 done; 1 failed, nothing published; 2 wrong usage; 3 done, but rows were rejected;
    5 another run holds the output.
    """
    from scorer.jobs.plan import plan
    from scorer.jobs.score import check_writable

    jobs = plan(inputs, options["output"])
    if options["as_json"] and any(job.stream for job in jobs):
        raise UsageError("--json and the rows cannot both go to stdout: name an --output file")
    settings = _settings(options)
    for job in jobs:
        check_writable(job, settings)
    skip_unused_imports()
    from scorer.jobs.run import run_jobs
    from scorer.model import load_model

    model = load_model(
        options["reference"],
        zoos=options["zoos"],
        device=options["device"],
        engine=options["engine"],
    )
    summary = run_jobs(model, jobs, settings, [Progress(enabled=not options["quiet"])])
    if not options["quiet"] or summary.failures:
        click.echo(render(summary), err=True)
    if options["as_json"]:
        click.echo(json.dumps(summary.as_json(), indent=1, ensure_ascii=False))
    raise SystemExit(summary.exit_code)


def _settings(options: dict[str, Any]) -> Settings:
    from scorer.jobs.score import Settings
    from scorer.model import OutputOptions
    from scorer.tables import ReadOptions

    output = OutputOptions(
        probabilities=options["probabilities"],
        diagnostics=options["diagnostics"],
        threshold=options["threshold"],
        prefix=options["prefix"],
    )
    given = {key: options[key] for key in ("threads", "batch_size") if options[key] is not None}
    return Settings(
        text_column=options["text_column"],
        output=output,
        read=ReadOptions(options["delimiter"], options["encoding"]),
        force=options["force"],
        resume=options["resume"],
        max_rejects=0 if options["strict"] else options["max_rejects"],
        **given,
    )


class Progress:
    """A progress bar of rows on stderr, if that is a terminal."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._bar: Any = None

    def begin(self, reader: Reader) -> Sequence[str]:
        if self._enabled:
            from tqdm import tqdm

            self._bar = tqdm(
                total=reader.rows, desc=reader.name, unit=" rows", unit_scale=True, leave=False
            )
        return ()

    def __call__(self, window: Window, scores: Scores) -> None:
        if self._bar is not None:
            self._bar.update(window.rows + len(window.rejects))

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def render(summary: RunSummary) -> str:
    """The closing summary for people."""
    lines = [_file_line(file) for file in summary.files]
    lines += [f"Error: {failure.error}" for failure in summary.failures]
    read, seconds = summary.total("read"), summary.elapsed_s
    rate = f", {read / seconds:,.0f} rows/s" if seconds and read else ""
    model = f"{summary.model.name}@{summary.model.version} ({summary.model.engine})"
    lines.append(f"{model}: {read:,} rows in {seconds:.2f} s{rate}")
    return "\n".join(lines)


def _file_line(file: FileSummary) -> str:
    counts = f"{file.scored:,} scored + {file.unscored:,} unscored + {file.rejected:,} rejected"
    rejects = f"\n  unreadable rows: {file.rejects}" if file.rejects else ""
    return f"{file.input} -> {file.output}\n  {file.read:,} rows = {counts}{rejects}"


if __name__ == "__main__":
    main()
