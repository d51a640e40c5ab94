"""What identifies an output: all of OutputSpec, nothing of RunPolicy but the marked field."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from scorer.errors import UsageError
from scorer.evaluation.request import EvaluationOptions
from scorer.jobs.ledger.file import FILE
from scorer.jobs.plan import plan
from scorer.jobs.policy import Resume, RunPolicy
from scorer.jobs.run import run_jobs
from scorer.jobs.settings import Settings, journal_identity, output_identity, run_identity
from scorer.jobs.spec import OutputSpec
from scorer.jobs.summary import RunSummary
from scorer.tables import ColumnChoice, ReadOptions, local_source
from scorer.tasks import OutputOptions
from tests.support.parrot import parrot
from tests.support.settings import settings_of

#: another value for every field: a field that is added must be given one here
SPECS: dict[str, Any] = {
    "text_column": "review",
    "output": OutputOptions(diagnostics=True),
    "read": ReadOptions(delimiter=";"),
    "columns": ColumnChoice(keep=("n",)),
    "csv_safe": True,
    "split_output": True,
    "evaluation": EvaluationOptions(slices=("n",)),
}
POLICIES: dict[str, Any] = {
    "threads": 7,
    "batch_size": 7,
    "force": True,
    "resume": Resume.MAY,
    "incremental": True,
    "dry_run": True,
    "max_rejects": 7,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("inbox").mkdir()
    for name in ("a", "b"):
        Path(f"inbox/{name}.csv").write_text("n,text\n1,good\n2,bad\n")


def test_every_field_of_the_spec_changes_the_identity() -> None:
    assert SPECS.keys() == {item.name for item in fields(OutputSpec)}
    before = output_identity(parrot(), OutputSpec())
    for name, value in SPECS.items():
        changed = replace(OutputSpec(), **{name: value})
        assert output_identity(parrot(), changed) != before, name
        json.dumps(output_identity(parrot(), changed))


def test_a_new_field_changes_it_by_itself() -> None:
    more: Any = make_dataclass(
        "More", [("columns_order", str, "input")], bases=(OutputSpec,), frozen=True
    )
    assert more(columns_order="sorted").identity() != more().identity()


def test_a_new_field_of_a_part_changes_it_too() -> None:
    @dataclass(frozen=True)
    class More(OutputOptions):
        decimals: int = 7

    few, many = (OutputSpec(output=More(decimals=n)).identity() for n in (3, 7))
    assert {key for key in few if few[key] != many[key]} == {"output.decimals"}


def test_of_the_policy_the_marked_field_counts_and_for_the_journal_only() -> None:
    assert POLICIES.keys() == {item.name for item in fields(RunPolicy)}
    model, source = parrot(), local_source(Path("inbox/a.csv"))
    for name, value in POLICIES.items():
        before, after = Settings(), Settings(policy=replace(RunPolicy(), **{name: value}))
        for identity in (journal_identity, run_identity):
            same = identity(model, source, before) == identity(model, source, after)
            assert same == (name != "batch_size"), name
        assert output_identity(model, before.spec) == output_identity(model, after.spec)


def run(**given: Any) -> RunSummary:
    return run_jobs(parrot(), plan(["inbox"], "out"), settings_of(**given))


SLICED = EvaluationOptions(slices=("n",))


def test_another_slice_makes_outputs_and_reports_again() -> None:
    run(incremental=True)
    assert run(incremental=True).skipped == 2
    again = run(incremental=True, evaluation=SLICED)
    reasons = {file.reason for file in again.files}
    assert reasons == {"the setting slices was [] and is now ['n']"}


def test_of_finished_files_another_slice_is_not_resumed() -> None:
    Path("inbox/c.csv").write_text("other,columns\n1,2\n")
    assert len(run(resume=True).files) == 2
    resumed = run(resume=True, evaluation=SLICED)
    messages = [failure.error for failure in resumed.failures]
    assert sum("cannot resume: the setting slices was" in message for message in messages) == 2


def test_recorded_scores_serve_another_report() -> None:
    model, source = parrot(), local_source(Path("inbox/a.csv"))
    plain, sliced = Settings(), settings_of(evaluation=SLICED)
    assert journal_identity(model, source, plain) == journal_identity(model, source, sliced)
    assert run_identity(model, source, plain) != run_identity(model, source, sliced)


def test_a_ledger_of_an_earlier_release_is_no_error_but_scored_anew() -> None:
    run(incremental=True)
    with sqlite3.connect(Path("out") / FILE) as ledger:
        identity = json.loads(ledger.execute("select identity from outputs").fetchone()[0])
        del identity["form"]
        ledger.execute("update outputs set identity = ?", (json.dumps(identity),))
    ledger.close()
    reasons = {file.reason for file in run(incremental=True).files}
    assert reasons == {"the form of the records (another release made them) was None and is now 2"}


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="--incremental resumes by itself"):
        RunPolicy(resume=Resume.MUST, incremental=True)
