"""One file that nobody foresaw ends alone: one line names it, and the other files are published."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scorer.cli.common import ExpectedErrors
from scorer.distributed.worker import file_work
from scorer.errors import InputError, ScorerError, UnexpectedError
from scorer.jobs import table as table_module
from scorer.jobs.ledger.file import Ledger
from scorer.jobs.plan import plan
from scorer.jobs.run import run_jobs
from scorer.jobs.settings import Settings
from scorer.jobs.summary import RunSummary
from scorer.jobs.unexpected import as_expected
from scorer.model import load_model
from scorer.tables import Source
from tests.support.parrot import parrot
from tests.support.settings import settings_of

ROOT = Path(__file__).parents[3]
CSV = "text,label\ngood,pos\nbad,neg\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three tables in `in/`, and a state folder for the reports of defects."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("in").mkdir()
    for name in ("a.csv", "b.csv", "c.csv"):
        Path("in", name).write_text(CSV)
    return tmp_path


def run(settings: Settings | None = None, inputs: list[str] | None = None) -> RunSummary:
    return run_jobs(parrot(), plan(inputs or ["in"], "out/"), settings or settings_of())


def published() -> list[str]:
    return sorted(path.name for path in Path("out").glob("*.csv"))


def breaks(monkeypatch: pytest.MonkeyPatch, error: BaseException, name: str = "b.csv") -> None:
    """Let the reader raise `error` where it opens the file `name`."""
    opened = table_module.open_reader

    def open_or_raise(source: Source, *options: Any) -> Any:
        if Path(source.name).name == name:
            raise error
        return opened(source, *options)

    monkeypatch.setattr(table_module, "open_reader", open_or_raise)


@pytest.mark.parametrize("incremental", [False, True])
def test_an_unforeseen_error_ends_its_file_alone(
    incremental: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    breaks(monkeypatch, KeyError("no such\ncodec"))
    summary = run(settings_of(incremental=incremental))
    assert published() == ["a.csv", "c.csv"]
    assert summary.exit_code == 1
    (failure,) = summary.failures
    (report,) = Path("state/scorer/reports").iterdir()
    start = "in/b.csv: unexpected error: KeyError: 'no such\\ncodec' (table.py, line "
    assert failure.error.startswith(start)
    assert failure.error.endswith(f"); please report this with {report.resolve()}")
    assert "\n" not in failure.error
    assert failure.error in caplog.messages
    content = report.read_text()
    assert "Traceback (most recent call last)" in content
    assert content.startswith("scorer ")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    monkeypatch.undo()


def test_one_defect_in_many_files_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(table_module, "open_reader", fail)
    summary = run()
    assert len(summary.failures) == 3
    (report,) = Path("state/scorer/reports").iterdir()
    assert all(str(report) in failure.error for failure in summary.failures)


def test_without_a_state_folder_the_line_says_all_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    breaks(monkeypatch, ZeroDivisionError("division"))
    (failure,) = run().failures
    assert "ZeroDivisionError: division" in failure.error
    assert failure.error.endswith("; please report this")
    assert published() == ["a.csv", "c.csv"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "in/b.csv: there is not enough memory for it: lower --batch-size"),
        (OSError(5, "Input/output error"), "in/b.csv: Input/output error"),
        (OSError(5, "Input/output error", "in/b.csv"), "in/b.csv: Input/output error"),
        (OSError(24, "Too many open files", "/lib"), "in/b.csv: /lib: Too many open files"),
    ],
)
def test_what_the_system_refuses_is_no_defect(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, error)
    assert [failure.error for failure in run().failures] == [line]
    assert not Path("state").exists()


@pytest.mark.parametrize("method", ["reason", "begin", "finish"])
def test_an_error_of_the_ledger_about_one_file_ends_that_file(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(Ledger, method)

    def fail(self: Ledger, output: str, *rest: Any) -> Any:
        if output == "b.csv":
            raise ValueError("surrogates not allowed")
        return real(self, output, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, method, fail)
        summary = run(settings_of(incremental=True))
    assert [failure.input for failure in summary.failures] == ["in/b.csv"]
    assert {"a.csv", "c.csv"} <= set(published())
    assert (summary.exit_code, len(summary.files), summary.skipped) == (1, 2, 0)
    again = run(settings_of(incremental=True, force=True))
    assert [file.input for file in again.files] == ["in/b.csv"]


def test_a_worker_reports_an_unforeseen_error_of_a_file(
    tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model("tiny-binary", zoos=[tiny_zoo], engine="cpu")
    breaks(monkeypatch, KeyError("codec"))
    work = file_work(model, settings_of(threads=1))
    (job,) = plan(["in/b.csv"], "out.csv").jobs
    outcome = pickle.loads(pickle.dumps(work(job, 0))).received()
    assert isinstance(outcome, UnexpectedError)
    assert str(outcome).startswith("in/b.csv: unexpected error: KeyError")
    assert "Traceback" in outcome.details


def test_a_worker_that_cannot_open_the_model_says_so_for_the_file(
    tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model("tiny-binary", zoos=[tiny_zoo], engine="cpu")

    def fail(*_: object) -> None:
        raise RuntimeError("cannot cache function")

    work = file_work(model, settings_of(threads=1))
    monkeypatch.setattr("scorer.distributed.worker.opened", fail)
    (job,) = plan(["in/b.csv"], "out.csv").jobs
    assert "cannot cache function" in str(work(job, 0).received())


def test_an_input_that_is_not_there_does_not_stop_the_others() -> None:
    summary = run(inputs=["in/a.csv", "in/gone.csv", "in/no*.csv", "in/c.csv"])
    assert [failure.error for failure in summary.failures] == [
        "in/gone.csv: no such file",
        "in/no*.csv: no file matches",
    ]
    assert published() == ["a.csv", "c.csv"]
    assert summary.exit_code == 1
    with pytest.raises(InputError, match=r"in/gone\.csv: no such file"):
        plan(["in/gone.csv", "in/gone-too.csv"], "out/")


def test_a_known_error_stays_what_it_is() -> None:
    known = InputError("a.csv: broken")
    assert as_expected(known, "b.csv") is known
    error: ScorerError = as_expected(ValueError(), "b.csv")
    assert str(error) == "b.csv: unexpected error: ValueError"


@click.command(cls=ExpectedErrors)
def broken() -> None:
    raise KeyError("codec")


def test_a_command_ends_an_unforeseen_error_with_one_line() -> None:
    done = CliRunner().invoke(broken)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: broken: unexpected error: KeyError: 'codec'")


NOT_UTF8 = os.fsdecode(b"caf\xe9.csv")


def score(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own, whose streams take UTF-8 and nothing else."""
    return subprocess.run(
        [sys.executable, "-m", "tests.support.slow_score", "0", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=False,
    )


def test_a_name_that_is_not_utf8_is_a_name_like_others() -> None:
    Path("in", NOT_UTF8).write_text(CSV)
    rows = pa.table({"text": ["good", "bad"], "label": ["pos", "neg"]})
    pq.write_table(rows, "in/d.parquet")
    Path("in/d.parquet").rename(Path("in", os.fsdecode(b"\xff.parquet")))
    Path("in", os.fsdecode(b"day\xff=1")).mkdir()
    Path("in", os.fsdecode(b"day\xff=1"), "broken.csv").write_text("text\na,b\n")
    done = score("in", "-o", "out", "--incremental", "--json", "--summary", "run.json")
    assert (done.returncode, b"Traceback" in done.stderr) == (3, False), done.stderr
    for text in (done.stdout.decode(), Path("run.json").read_text()):
        summary = json.loads(text)
        assert "in/caf\\xe9.csv" in [file["input"] for file in summary["files"]]
        assert summary["failures"] == []
    assert Path("out", NOT_UTF8).read_text().startswith("text,label,prediction")
    assert Path("out", os.fsdecode(b"\xff.parquet")).read_bytes().startswith(b"PAR1")
    again = score("in", "-o", "out", "--incremental")
    assert (again.returncode, b"6 unchanged" in again.stderr) == (0, True), again.stderr


def test_names_that_are_shown_alike_are_two_files() -> None:
    Path("in", NOT_UTF8).write_text(CSV)
    Path("in/caf\\xe9.csv").write_text("text\nslow\n")
    settings = settings_of(incremental=True)
    assert (len(run(settings).files), run(settings).skipped) == (5, 5)
    Path("in", NOT_UTF8).write_text("text\nevil film\n")
    (file,) = run(settings).files
    assert (file.read, file.reason[:8]) == (1, "changed:")


def test_an_output_beside_an_input_has_its_name() -> None:
    Path(NOT_UTF8).write_text(CSV)
    done = score(NOT_UTF8, "--label-column", "label", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"][0]["report"] == "caf\\xe9.report"
    assert Path(os.fsdecode(b"caf\xe9.report"), "report.html").exists()
    assert Path(os.fsdecode(b"caf\xe9.scored.csv")).exists()


def test_a_name_with_a_line_break_is_shown_on_one_line() -> None:
    Path("in/x\ny\x1b[2J.csv").write_text("some,column\n1,2\n")
    done = score("in", "-o", "out")
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith(b"Error")]
    assert error.startswith(rb"Error: in/x\ny\x1b[2J.csv: no column")
    planned = score("in", "-o", "elsewhere", "--dry-run")
    assert rb"in/x\ny\x1b[2J.csv -> elsewhere/x\ny\x1b[2J.csv" in planned.stdout.splitlines()[-2]
