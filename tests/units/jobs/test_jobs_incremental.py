"""Incremental runs: only what is new or changed, and the reason for it."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from scorer.errors import InputError, OutputBusy, UsageError
from scorer.jobs.ledger.file import FILE
from scorer.jobs.plan import plan
from scorer.jobs.publish import locked
from scorer.jobs.run import run_jobs
from scorer.jobs.settings import Settings
from scorer.jobs.summary import RunSummary
from scorer.model import Model
from scorer.tasks import OutputOptions
from tests.support.parrot import parrot
from tests.support.settings import changed, settings_of

SETTINGS = settings_of(incremental=True)


@pytest.fixture(autouse=True)
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("inbox/day=1").mkdir(parents=True)
    write("inbox/a.csv", "good")
    write("inbox/day=1/b.csv", "bad")


def write(name: str, *texts: str) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in ["text", *texts]))


def run(model: Model | None = None, settings: Settings = SETTINGS) -> RunSummary:
    return run_jobs(model or parrot(), plan(["inbox"], "scored"), settings)


def reasons(summary: RunSummary) -> dict[str, str]:
    return {file.input.removeprefix("inbox/"): file.reason for file in summary.files}


def outputs() -> dict[str, bytes]:
    found = sorted(path for path in Path("scored").rglob("*.csv") if path.is_file())
    return {str(path): path.read_bytes() for path in found}


def test_a_second_run_does_nothing() -> None:
    assert reasons(run()) == {"a.csv": "new", "day=1/b.csv": "new"}
    before = {name: Path(name).stat().st_mtime_ns for name in outputs()}
    again = run()
    assert (reasons(again), again.skipped, again.exit_code) == ({}, 2, 0)
    assert {name: Path(name).stat().st_mtime_ns for name in outputs()} == before
    assert sorted(p.name for p in Path("scored").glob(".*")) == [FILE]


def test_new_and_changed_files_are_scored() -> None:
    run()
    write("inbox/c.csv", "plot")
    write("inbox/a.csv", "good", "film")
    summary = run()
    assert set(reasons(summary)) == {"a.csv", "c.csv"}
    assert reasons(summary)["c.csv"] == "new"
    assert reasons(summary)["a.csv"].startswith("changed: the input's size was 10 and is now 15")
    assert outputs()["scored/a.csv"].count(b"\n") == 3


def test_a_touched_file_is_not_scored_again() -> None:
    run()
    os.utime("inbox/a.csv", ns=(1, 1))
    assert run().skipped == 2
    os.utime("inbox/a.csv", ns=(2, 2))
    write("inbox/a.csv", "evil")
    assert reasons(run())["a.csv"].startswith("changed: the input's modification time was")


def test_a_removed_input_is_told_and_its_output_stays() -> None:
    run()
    Path("inbox/a.csv").unlink()
    summary = run()
    assert (summary.removed, summary.skipped) == (["inbox/a.csv"], 1)
    assert "scored/a.csv" in outputs()


def test_a_lost_output_is_made_again() -> None:
    run()
    before = outputs()
    Path("scored/a.csv").unlink()
    assert reasons(run()) == {"a.csv": "its output is gone"}
    assert outputs() == before


def test_a_newer_model_says_what_it_redoes_and_why() -> None:
    run()
    newer = parrot()
    card = newer.card.scorer.model_copy(update={"version": "1.1.0"})
    newer.card = newer.card.model_copy(update={"scorer": card})
    rehearsal = run(newer, changed(SETTINGS, dry_run=True))
    why = "the model was parrot@1.0.0 and is now parrot@1.1.0"
    assert [(job.input, job.reason) for job in rehearsal.planned] == [
        ("inbox/a.csv", why),
        ("inbox/day=1/b.csv", why),
    ]
    assert set(reasons(run(newer)).values()) == {why}
    assert run(newer).skipped == 2


def test_changed_settings_make_new_outputs_and_threads_do_not() -> None:
    run()
    assert run(settings=changed(SETTINGS, threads=3, batch_size=7)).skipped == 2
    summary = run(settings=changed(SETTINGS, output=OutputOptions(diagnostics=True)))
    assert set(reasons(summary).values()) == {"the setting diagnostics was False and is now True"}


def test_a_dry_run_writes_nothing() -> None:
    summary = run(settings=changed(SETTINGS, dry_run=True))
    assert [job.reason for job in summary.planned] == ["new", "new"]
    assert not Path("scored").exists()


def test_the_good_files_are_published_and_the_bad_one_is_tried_again() -> None:
    write("inbox/bad.csv")
    Path("inbox/bad.csv").write_text("other,columns\n")
    summary = run()
    assert [failure.input for failure in summary.failures] == ["inbox/bad.csv"]
    assert summary.exit_code == 1
    assert set(reasons(summary)) == {"a.csv", "day=1/b.csv"}
    again = run()
    assert (again.skipped, len(again.failures), again.exit_code) == (2, 1, 1)
    write("inbox/bad.csv", "good")
    rehearsal = run(settings=changed(SETTINGS, dry_run=True))
    assert [(job.input, job.reason[:30]) for job in rehearsal.planned] == [
        ("inbox/bad.csv", "failed before: inbox/bad.csv: ")
    ]
    assert reasons(run())["bad.csv"].startswith("failed before: inbox/bad.csv: ")
    assert run().skipped == 3


def test_a_file_that_is_none_of_ours_is_not_replaced() -> None:
    Path("scored").mkdir()
    Path("scored/a.csv").write_text("precious")
    summary = run()
    assert [failure.error for failure in summary.failures] == [
        "scored/a.csv: already exists; use --force to replace it"
    ]
    assert Path("scored/a.csv").read_text() == "precious"
    assert "a.csv" in reasons(run(settings=changed(SETTINGS, force=True)))


@pytest.mark.parametrize("moment", ["begin", "score", "finish"])
def test_a_crash_at_any_point_of_the_ledger_heals(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    run()
    write("inbox/a.csv", "good", "more")
    with monkeypatch.context() as patch:
        if moment == "score":
            patch.setattr("scorer.jobs.each.score_table", crash)
        else:
            patch.setattr(f"scorer.jobs.ledger.file.Ledger.{moment}", crash)
        with pytest.raises(Crash):
            run()
    assert set(reasons(run())) == {"a.csv"}
    assert outputs()["scored/a.csv"].count(b"\n") == 3
    assert run().skipped == 2
    assert sorted(p.name for p in Path("scored").glob(".*")) == [FILE]


def test_two_runs_at_once_are_refused() -> None:
    Path("scored").mkdir()
    with (
        locked(Path("scored/.scorer.lock"), "held"),
        pytest.raises(OutputBusy, match="scored: another incremental run is using it"),
    ):
        run()


def test_a_ledger_that_is_none_is_named() -> None:
    Path("scored").mkdir()
    Path(f"scored/{FILE}").write_text("this is no database" * 100)
    with pytest.raises(InputError, match=r"ledger\.sqlite: cannot be used as a ledger"):
        run()


def test_a_later_version_of_the_ledger_is_refused() -> None:
    run()
    with sqlite3.connect(f"scored/{FILE}") as connection:
        connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="a ledger of version 99"):
        run()


def test_a_folder_is_needed() -> None:
    with pytest.raises(UsageError, match="name a folder as --output"):
        run_jobs(parrot(), plan(["inbox/a.csv"], "out.csv"), SETTINGS)


def test_the_ledger_tells_what_was_done() -> None:
    summary = run()
    with sqlite3.connect(f"scored/{FILE}") as connection:
        rows = connection.execute(
            "select output, input, state, run_id, summary from outputs order by output"
        ).fetchall()
    connection.close()
    assert [row[:4] for row in rows] == [
        ("a.csv", "inbox/a.csv", "done", summary.run_id),
        ("day=1/b.csv", "inbox/day=1/b.csv", "done", summary.run_id),
    ]
    assert json.loads(rows[0][4])["scored"] == 1
