"""Measures what a core does with one large file that workers split: the terms of the simulation.

    python scripts/bench_parts.py reviews.parquet            print the terms
    python scripts/bench_parts.py reviews.parquet --write    write them into docs/, too

Each round takes every format: a local run, the scores of all parts, the file put together from
them, the parts of a folder (`--split-output`), what finishes it, and the search for the ends of
records. The terms are medians over rounds of processor time
(user and system) of one thread, which other work on the machine lengthens less than the clock's.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.evaluation.watch import TableEvaluation
from scorer.jobs.parts import scoring as parts
from scorer.jobs.parts.folder import begin_folder, finish_folder, follow_parts, score_part_of
from scorer.jobs.parts.known import joined
from scorer.jobs.parts.staged import Staged
from scorer.jobs.plan import plan
from scorer.jobs.policy import RunPolicy
from scorer.jobs.score import Job, score_table
from scorer.jobs.settings import Settings
from scorer.jobs.spec import OutputSpec
from scorer.model import Model, load_model
from scorer.tables.parts import PartSize
from scripts import figures, simulate_cluster
from scripts.bench import print_table

ROUNDS = 3
#: times that a folder is finished for one measurement
FOLLOWED = 30
SETTINGS = Settings(OutputSpec(evaluation=None), RunPolicy(threads=1, force=True))
FOLDERS = replace(SETTINGS, spec=replace(SETTINGS.spec, split_output=True))


@click.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("-m", "--model", default="imdb-bilstm", show_default=True)
@click.option("--rows", default=4_000, show_default=True)
@click.option("--write", is_flag=True, help="Write the terms into docs/figures.json and the page.")
def main(table: Path, model: str, rows: int, write: bool) -> None:
    """Measure with the first ROWS rows of TABLE, whose column `text` holds the texts."""
    loaded = load_model(model)
    with tempfile.TemporaryDirectory() as name:
        files = _write(pq.read_table(table, columns=["text"]).slice(0, rows), Path(name))
        rounds = [{each: _terms(loaded, path, rows) for each, path in files.items()}]
        for _ in range(ROUNDS):  # after one that warms up
            rounds.append({each: _terms(loaded, path, rows) for each, path in files.items()})
        size = files["CSV"].stat().st_size / rows
    terms = {
        each: {
            term: statistics.median(found[each][term] for found in rounds[1:])
            for term in rounds[0][each]
        }
        for each in files
    }
    measured = {
        "machine": figures.machine(1),
        "model": loaded.ref,
        "data": table.name,
        "rows": rows,
        "rounds": ROUNDS,
        "bytes_per_row": round(size),
        "terms": terms,
    }
    print_table("terms", simulate_cluster.terms_table(measured))
    if write:
        figures.store("parts", measured)
        simulate_cluster.write_page()


def _write(table: pa.Table, folder: Path) -> dict[str, Path]:
    """The same rows in every format that is split."""
    names = {"Parquet": "large.parquet", "CSV": "large.csv", "JSON Lines": "large.jsonl"}
    paths = {label: folder / name for label, name in names.items()}
    pq.write_table(table, paths["Parquet"], row_group_size=500)
    pc.write_csv(table, paths["CSV"])
    frame = table.to_pandas()
    frame.to_json(paths["JSON Lines"], orient="records", lines=True, force_ascii=False)
    return paths


def _terms(model: Model, path: Path, rows: int) -> dict[str, float]:
    """Seconds of a core: for a row in a local run, in a part, when put together, in a part of a
    folder and when that is finished; for a byte to look for the ends of records."""
    (job,) = plan([str(path)], str(path.with_suffix(f".scored{path.suffix}"))).jobs
    parts.SPLIT_BYTES, parts.PART_SIZE = 0, PartSize(rows // 4, path.stat().st_size // 4)
    local = _seconds(lambda: score_table(model, job, SETTINGS))
    found: list[Any] = []
    looking = _seconds(lambda: found.extend(parts.parts_of(job, SETTINGS).parts))
    known: list[Any] = []
    in_part = _seconds(lambda: known.extend(_scored(model, job, found)))
    together = _seconds(
        lambda: score_table(model, job, SETTINGS, known=joined(known)),
    )
    parts.forget_parts(job)
    (apart,) = plan(
        [str(path)], str(path.with_suffix(f".parts{path.suffix}")), split_output=True
    ).jobs
    begun = begin_folder(model, apart, FOLDERS, found)
    made = _seconds(lambda: _made(model, apart, begun))
    finish = _seconds(lambda: _followed(model, apart, begun))
    finish_folder(model, apart, FOLDERS, begun)
    return {
        "local": local / rows,
        "part": in_part / rows,
        "together": together / rows,
        "made": made / rows,
        "finish": finish / rows / FOLLOWED,
        "looking": looking / path.stat().st_size,
    }


def _scored(model: Model, job: Job, found: list[Any]) -> list[Any]:
    return [known for part in found for known in parts.score_part(model, job, SETTINGS, part)]


def _made(model: Model, job: Job, begun: Staged) -> None:
    for number in begun.lacking():
        score_part_of(model, job, FOLDERS, begun, number)


def _followed(model: Model, job: Job, begun: Staged) -> None:
    """What takes time in finishing a folder that is larger than this one."""
    for _ in range(FOLLOWED):
        follow_parts(job, begun, [], [TableEvaluation(model, None, None)])


def _seconds(function: Callable[[], object]) -> float:
    """Processor time that a call takes."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    function()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


if __name__ == "__main__":
    main()
