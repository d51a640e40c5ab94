"""What workers do, without Ray or Spark, and how the command refuses what they cannot."""

from __future__ import annotations

import gzip
import logging
import pickle
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from tqdm import tqdm

from scorer.binding import Binding
from scorer.cli.run_view import FileProgress
from scorer.cli.score import main
from scorer.distributed.held import hold_folder
from scorer.distributed.worker import (
    FileWork,
    PartMade,
    PartResult,
    file_work,
    opened,
    send,
    table_work,
)
from scorer.errors import ColumnError, InputError, ScorerError
from scorer.jobs.each import LocalRunner, Outcome, Runner
from scorer.jobs.parts import scoring as parts
from scorer.jobs.plan import plan
from scorer.jobs.run import run_jobs
from scorer.jobs.score import Job, score_table
from scorer.jobs.settings import Settings
from scorer.jobs.summary import FileSummary, RunSummary
from scorer.jobs.unexpected import attempted
from scorer.model import Model, load_model
from scorer.scores import Scores
from scorer.tables.parts import PartSize
from scorer.tables.text import plain
from scorer.tasks import OutputOptions
from tests.support import runners
from tests.support.parrot import use_parrot
from tests.support.settings import changed

TEXTS = runners.rows(40)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(tiny_zoo: Path) -> Model:
    return load_model("tiny-binary", zoos=[tiny_zoo], engine="cpu")


def one_job(name: str, output: str) -> Job:
    (job,) = plan([name], output).jobs
    return job


def arrived(work: FileWork) -> FileWork:
    """As a worker gets it."""
    copy: FileWork = pickle.loads(pickle.dumps(work))
    return copy


def test_a_sent_model_is_the_same_model_and_opened_once(model: Model) -> None:
    sent = send(model)
    there = opened(pickle.loads(pickle.dumps(sent)))
    assert there is opened(sent)
    assert (there.ref, there.digest, there.engine.name) == (model.ref, model.digest, "cpu")
    assert there.predict(TEXTS).equals(model.predict(TEXTS))


def test_another_model_takes_its_place(model: Model, tiny_zoo: Path) -> None:
    assert opened(send(model)).ref == "tiny-binary@1.0.0"
    assert opened(send(load_model("tiny-stars", zoos=[tiny_zoo]))).ref == "tiny-stars@1.0.0"


def test_models_of_several_inputs_read_their_columns() -> None:
    model = runners.several_inputs()

    def runner(jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        work = arrived(file_work(model, settings))
        return ((job, work(job, 0).received()) for job in jobs)

    runners.check_several_inputs(model, runner)


def test_relative_paths_are_those_of_the_run(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in.csv").write_text("text\ngood\nbroken,row\n")
    here = score_table(model, one_job("in.csv", "here.csv"), runners.SETTINGS)
    work = arrived(file_work(model, runners.SETTINGS))
    job = one_job("in.csv", "there.csv")
    monkeypatch.chdir("/")
    there = work(job, 0).received()
    assert Path("there.csv").read_bytes() == Path("here.csv").read_bytes()
    same = {"elapsed_s": 0.0, "seconds": {}}
    assert replace(there, **same) == replace(
        here, **same, output="there.csv", rejects="there.csv.rejects.jsonl"
    )
    rejects = Path("there.csv.rejects.jsonl")
    assert rejects.read_bytes() == Path("here.csv.rejects.jsonl").read_bytes()
    assert b'"file": "in.csv"' in rejects.read_bytes()


def by_parts(model: Model) -> Runner:
    """Workers that split files, in this process; no part is scored again as a whole."""

    def runner(jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        work = arrived(file_work(model, settings))
        for job in jobs:
            told = [work.part(job, part) for part in parts.parts_of(job, settings).parts]
            with pytest.MonkeyPatch.context() as patch:
                if told and all(part.known is not None for part in told):
                    patch.setattr(Binding, "score_rows", None)
                outcome = work(job, 0, told).received()
            yield job, outcome

    return runner


def folders_by_parts(model: Model) -> Runner:
    """Workers that make folders, in this process, as Ray and Spark call them."""

    def runner(jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        work = arrived(file_work(model, settings))
        splitter = parts.Splitter(settings)
        for job in jobs:
            held = attempted(
                job.source.name, lambda job=job: hold_folder(model, job, settings, splitter)
            )
            if isinstance(held, ScorerError):
                yield job, held
            elif held is None:
                yield job, work(job, 0).received()
            else:
                begun = pickle.loads(pickle.dumps(held.begun))
                made = [work.make_part(job, begun, number) for number in begun.lacking()]
                yield job, held.ended(work.finish(job, begun, made).received())

    return runner


def test_folders_of_parts_are_the_files_of_a_local_run(model: Model) -> None:
    runners.check_folders(model, folders_by_parts(model))


def test_a_folder_whose_part_fails_is_not_published_and_its_parts_are_kept(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runners.small_parts(monkeypatch)
    runners.write_large(Path("in"))
    asked = changed(runners.SETTINGS, split_output=True)
    (job,) = plan(["in/lines.csv"], "out.csv", split_output=True).jobs
    held = hold_folder(model, job, asked, parts.Splitter(asked))
    assert held is not None
    work = file_work(model, asked)
    made = [work.make_part(job, held.begun, number) for number in (0, 2)]
    lost = PartMade(1, InputError("in/lines.csv: the disk is gone"))
    outcome = held.ended(work.finish(job, held.begun, [made[0], lost, made[1]]).received())
    assert isinstance(outcome, InputError)
    assert caplog.messages == ["in/lines.csv: the parts so far are kept for --resume"]
    assert not Path("out.csv").exists()
    resumed = changed(asked, resume=True)
    again = hold_folder(model, job, resumed, parts.Splitter(resumed))
    assert again is not None
    assert again.begun.lacking() == [1, *range(3, len(held.begun.parts))]
    again.release()
    assert made[0] == PartMade(0)


def test_an_incremental_run_makes_the_folders_that_changed(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    runners.small_parts(monkeypatch)
    runners.write_large(Path("in"))
    asked = changed(runners.SETTINGS, split_output=True, incremental=True)

    def run() -> RunSummary:
        made = plan(["in"], "out/", split_output=True)
        return run_jobs(model, made, asked, runner=folders_by_parts(model))

    first = run()
    assert (len(first.files), first.skipped, first.failures) == (3, 0, [])
    with Path("in/lines.csv").open("a") as file:
        file.write("1500,good,1\n")
    again = run()
    assert [Path(file.input).name for file in again.files] == ["lines.csv"]
    assert (again.skipped, again.total("read")) == (2, first.files[1].read + 1)
    Path("out/large.parquet").rename("out/moved")
    assert [Path(file.input).name for file in run().files] == ["large.parquet"]


def watch_scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows the network runs for, call by call from now on."""
    scored: list[int] = []
    score_rows = Binding.score_rows

    def watched(self: Binding, texts: pa.Array, table: pa.RecordBatch) -> Scores:
        scored.append(len(texts))
        return score_rows(self, texts, table)

    monkeypatch.setattr(Binding, "score_rows", watched)
    return scored


@pytest.mark.parametrize(
    "options", [OutputOptions(), OutputOptions(True, True, 0.3, "m_"), OutputOptions(explain=2)]
)
def test_a_split_file_is_that_of_a_local_run(model: Model, options: OutputOptions) -> None:
    runners.check_parts(model, by_parts(model), options)


def test_every_kind_of_file_is_that_of_a_local_run(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SPLIT_BYTES", 0)
    monkeypatch.setattr(parts, "PART_SIZE", PartSize(100, 500))
    runners.check_same(model, by_parts(model))


def test_a_part_that_fails_is_scored_by_who_puts_the_file_together(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"text": TEXTS * 9}), "in.parquet", row_group_size=90)
    monkeypatch.setattr(parts, "SPLIT_BYTES", 0)
    monkeypatch.setattr(parts, "PART_SIZE", PartSize(90, 90))
    here = score_table(model, one_job("in.parquet", "here.parquet"), runners.SETTINGS)
    job = one_job("in.parquet", "there.parquet")
    work = file_work(model, runners.SETTINGS)
    found = parts.parts_of(job, runners.SETTINGS).parts
    told = [work.part(job, part) for part in found if part != found[2]]
    assert len(told) == 3
    scored = watch_scored(monkeypatch)
    there = work(job, 0, [told[0], PartResult(found[1]), PartResult(found[2]), told[2]]).received()
    assert isinstance(there, FileSummary)
    assert sum(scored) == 90  # not those that were recorded
    assert there.scored == here.scored
    assert Path("there.parquet").read_bytes() == Path("here.parquet").read_bytes()


def test_rows_that_are_not_those_of_a_part_are_scored(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may change between its parts and the whole."""
    monkeypatch.setattr(parts, "SPLIT_BYTES", 0)
    monkeypatch.setattr(parts, "PART_SIZE", PartSize(90, 400))
    lines = [f"{i},{text or ''}" for i, text in enumerate(runners.rows(300))]
    Path("in.csv").write_text("\n".join(["n,text", *lines, ""]).replace("plot, poor", "plot"))
    job = one_job("in.csv", "there.csv")
    work = file_work(model, runners.SETTINGS)
    told = [work.part(job, part) for part in parts.parts_of(job, runners.SETTINGS).parts]
    lines[150:152] = ["150,another text"]
    Path("in.csv").write_text("\n".join(["n,text", *lines, ""]).replace("plot, poor", "plot"))
    score_table(model, one_job("in.csv", "here.csv"), runners.SETTINGS)
    assert isinstance(work(job, 0, told).received(), FileSummary)
    assert Path("there.csv").read_bytes() == Path("here.csv").read_bytes()


def test_a_resumed_run_scores_only_the_parts_that_lack(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SPLIT_BYTES", 0)
    monkeypatch.setattr(parts, "PART_SIZE", PartSize(90, 9_000))
    monkeypatch.setattr(plain, "BLOCK_BYTES", 1 << 12)
    runners.write_large(Path("in"))
    Path("out").mkdir()
    score_table(model, one_job("in/lines.csv", "here.csv"), runners.SETTINGS)
    job = one_job("in/lines.csv", "out/lines.csv")
    work = file_work(model, runners.SETTINGS)
    found = parts.parts_of(job, runners.SETTINGS).parts
    for part in (found[0], *found[2:]):  # and then the run was killed
        work.part(job, part)
    other = file_work(model, changed(runners.SETTINGS, resume=True, text_column="text"))
    refused = other(job, 0, [other.part(job, part) for part in found]).received()
    assert "cannot resume: the setting text_column was None and is now text" in str(refused)
    scored = watch_scored(monkeypatch)
    resumed = file_work(model, changed(runners.SETTINGS, resume=True))
    told = [resumed.part(job, part) for part in found]
    assert isinstance(resumed(job, 0, told).received(), FileSummary)
    assert len(found) > 3
    assert told[1].known is not None
    assert sum(scored) == told[1].known[0].rows
    assert Path("out/lines.csv").read_bytes() == Path("here.csv").read_bytes()
    assert {path.name for path in Path("out").iterdir()} == {
        "lines.csv",
        "lines.csv.rejects.jsonl",
        "lines.report",
    }


def test_a_large_file_that_stays_whole_says_why_once(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parts, "SPLIT_BYTES", 0)
    for name in ("a.csv.gz", "b.csv.gz"):
        Path(name).write_bytes(gzip.compress(b"text\ngood\n"))
    pq.write_table(pa.table({"text": ["good"] * 50_001}), "c.parquet")
    Path("d.csv").write_text("text\ngood\n")
    splitter = parts.Splitter(runners.SETTINGS)
    for name in ("a.csv.gz", "b.csv.gz", "c.parquet", "d.csv"):
        assert splitter.parts(one_job(name, f"out-{name}")) == ()
    assert caplog.messages == [
        "a.csv.gz: one worker scores all of it: it is compressed (gzip): decompress it first",
        "c.parquet: one worker scores all of it: it has one row group: "
        "write it with more (row_group_size=50_000)",
    ]


def test_an_error_and_its_warnings_are_reported_not_raised(
    model: Model, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = gzip.compress(("text\n" + "good film\n" * 90_000).encode(), mtime=0)
    Path("in.csv.gz").write_bytes(whole[: len(whole) // 2])
    work = file_work(model, changed(runners.SETTINGS, batch_size=100))
    logging.getLogger("scorer").propagate = False
    try:
        report = work(one_job("in.csv.gz", "out.csv"), 0)
    finally:
        logging.getLogger("scorer").propagate = True
    assert capfd.readouterr().err == ""
    assert caplog.messages == []
    outcome = report.received()
    assert isinstance(outcome, InputError)
    assert str(outcome).startswith("in.csv.gz: cannot be read to its end")
    assert caplog.messages == ["in.csv.gz: the scores so far are kept for --resume"]


def test_a_second_try_replaces_what_the_first_left(model: Model) -> None:
    """It may have published and died before it could say so."""
    Path("in.csv").write_text("text\ngood\n")
    work = file_work(model, runners.SETTINGS)
    first = work(one_job("in.csv", "out.csv"), 0).received()
    refused = work(one_job("in.csv", "out.csv"), 0).received()
    assert "already exists" in str(refused)
    second = work(one_job("in.csv", "out.csv"), 1).received()
    same = {"elapsed_s": 0.0, "seconds": {}}
    assert replace(second, **same) == replace(first, **same)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_tables_of_any_string_type_get_their_columns(model: Model, kind: pa.DataType) -> None:
    table = pa.table({"n": range(40), "text": pa.array(TEXTS, pa.string()).cast(kind)})
    options = OutputOptions(probabilities=True, diagnostics=True, prefix="m_")
    work, added = table_work("it", table.schema, model, None, options)
    chunked = pa.concat_tables([table.slice(0, 7), table.slice(7)])
    expected = model.predict(TEXTS, options=options)
    for given in (table, chunked, table.slice(0, 0), table.schema.empty_table()):
        scored = work(given)
        rows = given.num_rows
        assert scored.schema == pa.schema([*table.schema, *added])
        assert scored.select(["n", "text"]) == given
        assert scored.select(added.names).equals(expected.slice(0, rows))


def test_columns_are_checked_before_any_work(model: Model) -> None:
    schema = pa.schema({"txt": pa.string(), "prediction": pa.string(), "n": pa.int64()})
    for column, message in {
        None: "it: no column 'text' or 'review' .did you mean 'txt'",
        "n": "column 'n' holds int64, not strings",
        "txt": "it: already has a column 'prediction'",
    }.items():
        with pytest.raises(ColumnError, match=message):
            table_work("it", schema, model, column, None)


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(main, ["-m", "parrot", *arguments], input=text)


@pytest.mark.parametrize(("runner", "module"), [("ray", "ray"), ("spark", "pyspark.sql")])
def test_a_missing_package_is_named(
    runner: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_parrot(monkeypatch)
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.delitem(sys.modules, f"scorer.distributed.{runner}", raising=False)
    Path("in.csv").write_text("text\ngood\n")
    done = run("in.csv", "--runner", runner)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "is not installed (" in done.stderr
    assert done.stderr.endswith(f"pip install 'text-scorer[{runner}]'\n")
    assert not Path("in.scored.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "-o", "out.csv"], "--runner ray scores files: stdin and stdout are for --runner"),
        (["in.csv", "-o", "-"], "--runner ray scores files: stdin and stdout are for --runner"),
        (["in.csv", "--device", "gpu"], "--runner ray scores on CPUs: leave --device gpu out"),
    ],
)
def test_what_workers_cannot_do_is_wrong_usage(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_parrot(monkeypatch)
    Path("in.csv").write_text("text\ngood\n")
    done = run(*arguments, "--runner", "ray", text="text\ngood\n")
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize("ahead", [True, False])
def test_a_terminal_shows_how_many_files_are_done(
    ahead: bool, model: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Workers may be sent all files at once or one by one: the bar counts those sent."""
    monkeypatch.setattr("tqdm.tqdm", partial(tqdm, mininterval=0))
    for name in ("a.csv", "b.csv", "c.csv"):
        Path(name).write_text("text\ngood\n")
    jobs = plan(["a.csv", "b.csv", "c.csv"], "out/").jobs
    inner = LocalRunner(model)

    def runner(drawn: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        yield from inner(list(drawn) if ahead else drawn, settings)

    ended = list(FileProgress(runner)(iter(jobs), runners.SETTINGS))
    assert [job.source.name for job, _ in ended] == ["a.csv", "b.csv", "c.csv"]
    assert all(isinstance(outcome, FileSummary) for _, outcome in ended)
    bars = capsys.readouterr().err
    assert "3/3" in bars
    assert ("1/3" in bars) == ahead
