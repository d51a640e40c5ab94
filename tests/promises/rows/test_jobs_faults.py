"""What goes wrong at night: full disks, signals, two runs at once, a reader that fails midway."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.jobs.plan import plan
from scorer.jobs.run import run_jobs
from tests.support.parrot import parrot
from tests.support.settings import settings_of

ROOT = Path(__file__).parents[3]
ROWS = 2000
SLOW = 1e-3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = (f'{i},"good film {i} {"very " * 20}"\n' for i in range(ROWS))
    (tmp_path / "in.csv").write_text("n,text\n" + "".join(lines))
    return tmp_path


def start(
    seconds_per_row: float, *arguments: str, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    """The score command as a process of its own, in the current folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_score", str(seconds_per_row), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=before,
    )


def wait_for(path: Path, process: subprocess.Popen[str], size: int = 1) -> None:
    """Until `path` holds `size` bytes."""
    until = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size >= size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def ended(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str]:
    """Exit code and stderr."""
    _, errors = process.communicate(timeout=seconds)
    assert "Traceback" not in errors, errors
    return process.returncode, errors


def resume(name: str, output: str) -> None:
    """Finish an interrupted run, in this process; something of it must be left."""
    settings = settings_of(batch_size=50, resume=True)
    summary = run_jobs(parrot(), plan([name], output), settings)
    assert summary.failures == []
    assert summary.total("resumed") > 0


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(".*"))


def whole(folder: Path, name: str = "in.csv") -> bytes:
    """The output of a run that nothing disturbed, with the same windows."""
    output = folder / f"whole{Path(name).suffix}"
    run_jobs(parrot(), plan([name], str(output)), settings_of(batch_size=50))
    return output.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_run_cleanly_within_seconds(folder: Path, number: signal.Signals) -> None:
    process = start(SLOW, "in.csv")
    wait_for(folder / ".in.scored.csv.journal", process, 3000)
    asked = time.monotonic()
    process.send_signal(number)
    code, errors = ended(process)
    assert time.monotonic() - asked < 5
    assert code == 128 + number
    assert errors.splitlines() == [
        "Warning: in.csv: the scores so far are kept for --resume",
        f"Error: stopped by {number.name}",
    ]
    assert hidden(folder) == [".in.scored.csv.journal"]
    resume("in.csv", "in.scored.csv")
    assert (folder / "in.scored.csv").read_bytes() == whole(folder)
    assert hidden(folder) == []


def test_two_runs_at_once(folder: Path) -> None:
    first = start(SLOW, "in.csv")
    wait_for(folder / ".in.scored.csv.journal", first)
    first.send_signal(signal.SIGSTOP)  # else it may be done before the second has started
    code, errors = ended(start(0, "in.csv", "--force"))
    first.send_signal(signal.SIGCONT)
    assert code == 5
    assert errors == "Error: in.scored.csv: another run is writing it: wait for it to end\n"
    assert ended(first)[0] == 0
    assert (folder / "in.scored.csv").read_bytes() == whole(folder)


def test_two_crons_that_overlap(folder: Path) -> None:
    (folder / "inbox").mkdir()
    (folder / "in.csv").rename("inbox/in.csv")
    arguments = ["inbox", "-o", "scored", "--incremental"]
    first = start(SLOW, *arguments)
    wait_for(folder / "scored/.in.csv.journal", first)
    first.send_signal(signal.SIGSTOP)
    code, errors = ended(start(0, *arguments))
    first.send_signal(signal.SIGCONT)
    assert code == 5
    assert errors.startswith("Error: scored: another incremental run is using it")
    assert ended(first)[0] == 0
    code, errors = ended(start(0, *arguments))
    assert (code, "1 unchanged" in errors) == (0, True)


def test_a_full_disk_is_named_and_resumed_from(folder: Path) -> None:
    """A limit on the size of files stands for the disk: the system refuses the write alike."""

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    code, errors = ended(start(0, "in.csv", before=small))
    assert code == 1
    kept, error = errors.splitlines()
    assert "the scores so far are kept" in kept
    assert error == "Error: in.scored.csv: cannot be written: File too large"
    assert hidden(folder) == [".in.scored.csv.journal"]
    resume("in.csv", "in.scored.csv")
    assert (folder / "in.scored.csv").read_bytes() == whole(folder)


@pytest.fixture
def little_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "little"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_a_disk_that_fills(folder: Path, little_disk: Path, name: str) -> None:
    texts = [f"good film {i} " + os.urandom(400).hex() for i in range(ROWS)]
    if name == "in.parquet":
        pq.write_table(pa.table({"text": texts}), name)
    else:
        Path(name).write_text("text\n" + "".join(f"{text}\n" for text in texts))
    output = little_disk / f"out{Path(name).suffix}"
    code, errors = ended(start(0, name, "-o", str(output)))
    assert code == 1
    error = errors.splitlines()[-1]
    assert error == f"Error: {output}: cannot be written: No space left on device"
    assert [path.name for path in little_disk.iterdir()] in ([], [f".{output.name}.journal"])
    subprocess.run(["mount", "-o", "remount,size=50m", str(little_disk)], check=True)
    resume(name, str(output))
    assert output.read_bytes() == whole(folder, name)
    assert hidden(little_disk) == []


def test_a_reader_that_fails_midway_leaves_no_output(folder: Path) -> None:
    pq.write_table(pa.table({"text": [f"good {i}" for i in range(ROWS)]}), "in.parquet")
    data = bytearray(Path("in.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xff" * 2000
    Path("in.parquet").write_bytes(data)
    code, errors = ended(start(0, "in.parquet"))
    assert code == 1
    assert "Error: in.parquet: cannot be read as Parquet" in errors
    assert not (folder / "in.scored.parquet").exists()


def test_a_folder_that_may_not_be_written(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (folder / "closed").mkdir(mode=0o500)
    code, errors = ended(start(0, "in.csv", "-o", "closed/out.csv"))
    assert code == 1
    assert errors == "Error: closed/out.csv: cannot be written: Permission denied\n"


def test_json_log_lines(folder: Path) -> None:
    with (folder / "in.csv").open("a") as file:
        file.write("broken\n")
    process = start(0, "in.csv", "--log-format", "json", "--summary", "run.json")
    code, errors = ended(process)
    assert code == 3
    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["event"] for line in lines] == ["run_started", "file_done", "run_done"]
    assert len({line["run_id"] for line in lines}) == 1
    assert lines[1]["rejected"] == 1
    summary = json.loads(Path("run.json").read_text())
    assert summary["run_id"] == lines[0]["run_id"]
    assert summary["rows"] == {"read": ROWS + 1, "scored": ROWS, "unscored": 0, "rejected": 1}
    assert summary["model"]["sha256"] == "5" * 64
    code, errors = ended(start(0, "in.csv", "--log-format", "json"))
    assert code == 2
    line = json.loads(errors)
    assert (line["level"], line["event"]) == ("error", "error")
    assert line["message"] == "in.scored.csv: already exists; use --force to replace it"


def test_json_log_lines_stay_short_and_their_events_are_names(folder: Path) -> None:
    (folder / "inbox").mkdir()
    for i in range(30):
        (folder / "inbox" / f"{i}.csv").write_text("text\ngood film\n")
    (folder / "inbox" / "broken.csv").write_text("some,columns\n1,2\n")
    (folder / "inbox" / "notes.txt").write_text("nothing")
    code, errors = ended(start(0, "inbox", "-o", "out", "--log-format", "json"))
    assert code == 1
    lines = [json.loads(line) for line in errors.splitlines()]
    events = ["run_started", "warning", "file_done", "file_failed", "run_done"]
    assert sorted({line["event"] for line in lines}) == sorted(events)
    failed = next(line for line in lines if line["event"] == "file_failed")
    assert (failed["input"], failed["exit_code"]) == ("inbox/broken.csv", 2)
    assert failed["message"].startswith("inbox/broken.csv: no column 'text'")
    done = lines[-1]
    assert (done["files"], done["failures"], done["rows"]["read"]) == (30, 1, 30)
    assert len(errors.splitlines()[-1]) < 500


def test_no_progress_bar_without_a_terminal(folder: Path) -> None:
    code, errors = ended(start(1e-4, "in.csv"))
    assert code == 0
    assert "\r" not in errors
    assert len(errors.splitlines()) == 5


def test_a_progress_bar_on_a_terminal(folder: Path) -> None:
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_score", "1e-4", "in.csv"],
        stderr=follower,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 4096):
            seen += chunk
    except OSError:  # the other side is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    assert b"rows/s" in seen
    assert b"in.csv:" in seen
