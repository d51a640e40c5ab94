"""What of the inputs is not read is said, and nothing that a folder holds stops or hangs a run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scorer.cli.evaluate import main as evaluate
from scorer.errors import InputError, UsageError
from scorer.jobs.plan import RunPlan, plan
from scorer.jobs.run import run_jobs
from scorer.jobs.settings import Settings
from scorer.jobs.summary import RunSummary
from tests.support.parrot import parrot, use_parrot
from tests.support.settings import settings_of

ROOT = Path(__file__).parents[3]
CSV = "text\ngood\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(CSV)


def ways(made: RunPlan) -> list[tuple[str, str]]:
    return [(job.source.name, job.output_name) for job in made.jobs]


def run(made: RunPlan, settings: Settings | None = None) -> RunSummary:
    return run_jobs(parrot(), made, settings or settings_of())


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_score", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def unlistable(monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    """Let the system refuse to list the folder `closed`, as it does to all but root."""
    listed = os.scandir

    def scandir(path: str = ".") -> object:
        if Path(path).name == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("incremental", [False, True])
def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_is_scored(
    incremental: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write("in/a.csv", "in/lost+found/b.csv", "in/z/c.csv")
    settings = settings_of(incremental=incremental)
    assert len(run(plan(["in"], "all"), settings).files) == 3
    unlistable(monkeypatch, "lost+found")
    summary = run(plan(["in"], "out"), settings)
    line = "in/lost+found: cannot be listed: Permission denied"
    assert [failure.error for failure in summary.failures] == [line]
    assert [file.input for file in summary.files] == ["in/a.csv", "in/z/c.csv"]
    assert (summary.exit_code, summary.as_json()["failures"][0]["input"]) == (1, "in/lost+found")
    assert line in caplog.messages
    if incremental:  # what was not seen has not been removed
        again = run(plan(["in"], "all"), settings)
        assert (again.removed, again.skipped, again.exit_code) == ([], 2, 1)


def test_a_folder_that_cannot_be_listed_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    write("closed/a.csv", "in/closed/b.csv")
    unlistable(monkeypatch, "closed")
    for name in ("closed", "in"):
        with pytest.raises(InputError, match=r"closed: cannot be listed: Permission denied$"):
            plan([name], "out")


def test_an_evaluation_does_not_go_on_with_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    use_parrot(monkeypatch)
    write("in/a.csv", "in/closed/b.csv")
    unlistable(monkeypatch, "closed")
    done = CliRunner().invoke(evaluate, ["-m", "parrot", "in", "--no-report"])
    assert done.exit_code == 1
    assert done.stderr == "Error: in/closed: cannot be listed: Permission denied\n"


def test_only_regular_files_are_read_from_a_folder(tmp_path: Path) -> None:
    write("in/a.csv")
    os.mkfifo("in/b.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("in/c.csv")
        process = start("in", "-o", "out", "--no-report")
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.splitlines()[0] == (
        "Warning: not read (pipes, sockets or devices): in/b.csv, in/c.csv"
    )
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.csv"]


def test_wildcards_leave_pipes_out_too() -> None:
    write("a.csv")
    os.mkfifo("b.csv")
    made = plan(["*.csv"], "out")
    assert ways(made) == [("a.csv", "out/a.csv")]
    assert made.warnings[0].endswith(": b.csv")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_pipe_that_is_named_is_read_as_a_stream(suffix: str) -> None:
    table = pa.table({"text": ["good"]})
    pq.write_table(table, "content.parquet")
    Path("content.csv").write_text(CSV)
    pipe = f"pipe{suffix}"
    os.mkfifo(pipe)
    process = start(pipe, "-o", f"out{suffix}", "--no-report")
    feeding = threading.Thread(
        target=lambda: Path(pipe).write_bytes(Path(f"content{suffix}").read_bytes()), daemon=True
    )
    feeding.start()
    _, errors = process.communicate(timeout=30)
    feeding.join(5)
    assert process.returncode == 0, errors
    assert "1 row = 1 scored" in errors
    assert Path(f"out{suffix}").stat().st_size > 20
    assert Path(pipe).is_fifo()


def test_a_pipe_cannot_be_scored_incrementally() -> None:
    write("a.csv")
    os.mkfifo("pipe.csv")
    summary = run(plan(["a.csv", "pipe.csv"], "out/"), settings_of(incremental=True))
    assert [file.input for file in summary.files] == ["a.csv"]
    (failure,) = summary.failures
    assert failure.error.startswith("pipe.csv: a stream has no size or time")


def test_linked_folders_are_named_and_not_followed() -> None:
    write("elsewhere/b.csv", "in/a.csv", "in/sub/c.csv")
    Path("in/linked").symlink_to("../elsewhere")
    Path("in/sub/loop").symlink_to("..")
    made = plan(["in"], "out")
    assert [name for name, _ in ways(made)] == ["in/a.csv", "in/sub/c.csv"]
    assert made.warnings == (
        "links to folders, not followed (name one as an input to score what it holds): "
        "in/linked, in/sub/loop",
    )
    assert run(made).as_json()["warnings"] == list(made.warnings)
    assert ways(plan(["in/linked"], "out")) == [("in/linked/b.csv", "out/b.csv")]


def test_linked_files_are_read_and_two_links_are_two_files() -> None:
    write("elsewhere.csv")
    Path("in").mkdir()
    for name in ("a.csv", "b.csv"):
        Path("in", name).symlink_to("../elsewhere.csv")
    Path("in/gone.csv").symlink_to("nowhere")
    summary = run(plan(["in"], "out"))
    assert [file.input for file in summary.files] == ["in/a.csv", "in/b.csv"]
    assert [failure.error for failure in summary.failures] == ["in/gone.csv: no such file"]


def test_a_file_taken_for_an_earlier_output_is_named() -> None:
    write("in/a.csv", "in/a.scored.csv", "in/x.report/b.csv")
    made = plan(["in"], "out")
    assert [name for name, _ in ways(made)] == ["in/a.csv"]
    assert made.warnings == (
        "taken for reports of earlier runs and left out (name one as an input to score it): "
        "in/x.report",
        "taken for outputs of earlier runs and left out (name one as an input to score it): "
        "in/a.scored.csv",
    )
    both = plan(["in/a.csv", "in/a.scored.csv", "in/x.report"], "out")
    assert [name for name, _ in ways(both)] == [
        "in/a.csv",
        "in/a.scored.csv",
        "in/x.report/b.csv",
    ]
    assert ways(plan(["in/*.csv"], "out")) == [("in/a.csv", "out/a.csv")]


def test_folders_that_a_wildcard_matches_are_named() -> None:
    write("in/a.csv", "in/sub/b.csv")
    made = plan(["in/*"], "out")
    assert ways(made) == [("in/a.csv", "out/a.csv")]
    assert made.warnings[0].startswith("folders that match, not entered")
    assert made.warnings[0].endswith(": in/sub")
    assert plan(["in/**"], "out").warnings == ()


def test_parq_is_a_suffix_of_parquet() -> None:
    Path("in").mkdir()
    pq.write_table(pa.table({"text": ["good"]}), "in/a.parq")
    (file,) = run(plan(["in"], "out")).files
    assert pq.read_table(file.output).num_rows == 1


@pytest.mark.parametrize("output", ["out", "out/", "out.csv"])
def test_a_wildcard_means_a_folder_however_many_files_match(output: str) -> None:
    write("x/a.csv")
    place = output.rstrip("/")
    assert ways(plan(["x/*.csv"], output)) == [("x/a.csv", f"{place}/a.csv")]
    write("x/b.csv")
    assert ways(plan(["x/*.csv"], output)) == [
        ("x/a.csv", f"{place}/a.csv"),
        ("x/b.csv", f"{place}/b.csv"),
    ]
    write("there")
    with pytest.raises(UsageError, match="several inputs need a folder"):
        plan(["x/a.c[s]v"], "there")


def test_a_wildcard_does_not_read_the_outputs_again() -> None:
    write("a.csv", "x/b.csv")
    first = plan(["**/*.csv"], "out/")
    run(first)
    assert ways(plan(["**/*.csv"], "out/")) == ways(first)


def test_outputs_that_are_inputs_or_one_file_are_refused() -> None:
    write("a.csv", "in/b.csv", "c.csv")
    Path("out").mkdir()
    Path("out/a.csv").symlink_to("../in/b.csv")
    with pytest.raises(UsageError, match=r"out/a\.csv: is the input itself"):
        plan(["a.csv", "in/b.csv"], "out")
    with pytest.raises(UsageError, match=r"in/b\.csv: is the input itself"):
        plan(["in"], "in/")
    Path("same").symlink_to("in")
    with pytest.raises(UsageError, match=r"same/b\.csv: is the input itself"):
        plan(["in"], "same")
    with pytest.raises(UsageError, match="two inputs would be written to this file"):
        plan(["c.csv", str(Path("c.csv").absolute())], None)


def test_trailing_slashes_do_not_matter() -> None:
    write("in/a.csv", "in/b/c.csv")
    expected = [("in/a.csv", "out/a.csv"), ("in/b/c.csv", "out/b/c.csv")]
    assert ways(plan(["in//"], "out//")) == ways(plan(["in"], "out")) == expected
    assert ways(plan(["in/"], None))[0] == ("in/a.csv", "in.scored/a.csv")


def test_planning_thousands_of_files_takes_time_in_proportion() -> None:
    Path("in").mkdir()
    for i in range(1200):
        Path(f"in/{i}.csv").touch()

    def seconds(pattern: str) -> float:
        """The least of three, since a collection of garbage may fall into any one."""
        times = []
        for _ in range(3):
            started = time.process_time()
            plan([pattern], "out")
            times.append(time.process_time() - started)
        return min(times)

    seconds("in/1?.csv")
    few, many = seconds("in/[2-5]??.csv") / 400, seconds("in") / 1200
    assert many < 4 * few
    assert many < 2e-3
