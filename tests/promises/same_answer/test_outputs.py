"""Outputs destroy nothing: devices, pipes, links, folders, inputs; and locks hold."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scorer.cli.evaluate import main as evaluate_main
from scorer.cli.score import main
from scorer.errors import OutputError
from scorer.files import write_whole
from tests.support.parrot import use_parrot

TABLE = "text,n\ngood film,1\nbad,2\n"
SCORED_LINES = 3


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_parrot(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text(TABLE)
    return tmp_path


def score(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["-m", "parrot", *arguments])


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_device_takes_the_rows_and_stays_a_device(force: list[str]) -> None:
    result = score("in.csv", "-o", "/dev/null", *force)
    assert result.exit_code == 0, result.output
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert not Path("/dev/.null.lock").exists()
    assert names() == ["in.csv"]


def read_pipe(path: Path, found: list[bytes]) -> threading.Thread:
    thread = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["pipe", "pipe.csv"])
def test_a_named_pipe_takes_the_rows_and_stays_a_pipe(name: str) -> None:
    os.mkfifo(name)
    found: list[bytes] = []
    thread = read_pipe(Path(name), found)
    result = score("in.csv", "-o", name)
    thread.join(10)
    assert result.exit_code == 0, result.output
    assert len(found[0].splitlines()) == SCORED_LINES
    assert stat.S_ISFIFO(Path(name).stat().st_mode)
    assert names() == ["in.csv", name]


def test_rejects_of_a_stream_go_beside_the_input() -> None:
    Path("in.csv").write_text(TABLE + "broken\n")
    assert score("in.csv", "-o", "/dev/null").exit_code == 3
    assert names() == ["in.csv", "in.csv.rejects.jsonl"]


@pytest.mark.parametrize("linked", ["real/out.csv", "real/new.csv"])
def test_a_link_stays_and_its_file_is_replaced(linked: str) -> None:
    Path("real").mkdir()
    Path("real/out.csv").write_text("old")
    Path("link.csv").symlink_to(linked)
    if linked == "real/out.csv":
        refused = score("in.csv", "-o", "link.csv")
        assert refused.exit_code == 2
        assert Path("real/out.csv").read_text() == "old"
    result = score("in.csv", "-o", "link.csv", "--force")
    assert result.exit_code == 0, result.output
    assert Path("link.csv").is_symlink()
    assert len(Path(linked).read_text().splitlines()) == SCORED_LINES
    assert [path.name for path in Path("real").glob(".*")] == []


def test_linked_outputs_are_known_to_the_ledger() -> None:
    Path("inbox").mkdir()
    Path("elsewhere").mkdir()
    Path("out").mkdir()
    Path("inbox/a.csv").write_text(TABLE)
    Path("out/a.csv").symlink_to("../elsewhere/a.csv")
    first = score("inbox", "-o", "out", "--incremental", "--json")
    assert first.exit_code == 0, first.output
    again = score("inbox", "-o", "out", "--incremental", "--json")
    assert json.loads(again.stdout)["skipped"] == 1
    assert Path("out/a.csv").is_symlink()


def test_two_links_to_one_file_are_one_output() -> None:
    for name in ("a", "b"):
        Path(f"{name}.csv").write_text(TABLE)
    Path("out").mkdir()
    Path("out/a.csv").symlink_to("one.csv")
    Path("out/b.csv").symlink_to("one.csv")
    result = score("a.csv", "b.csv", "-o", "out")
    assert result.exit_code == 2
    assert "two inputs would be written to this file" in result.stderr


SPELLINGS = ["in.csv", "./in.csv", "x/../in.csv", "link.csv", "x/hard.csv", "x/deep/link.csv"]


@pytest.fixture
def spellings(folder: Path) -> None:
    Path("x/deep").mkdir(parents=True)
    Path("link.csv").symlink_to("in.csv")
    Path("x/hard.csv").hardlink_to("in.csv")
    Path("x/deep/link.csv").symlink_to(folder / "link.csv")


@pytest.mark.usefixtures("spellings")
@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("given", SPELLINGS[:1] + SPELLINGS[3:5])
def test_the_input_is_no_output_in_any_spelling(given: str, name: str) -> None:
    for arguments in (["-o", name], ["-o", "new.csv", "--summary", name]):
        result = score(given, *arguments, "--force")
        assert result.exit_code == 2, result.output
        assert "is the input itself" in result.stderr
        assert Path("in.csv").read_text() == TABLE
        assert not Path("new.csv").exists()


def test_another_input_is_no_output_either() -> None:
    Path("out").mkdir()
    Path("b.csv").write_text(TABLE)
    Path("out/in.csv").hardlink_to("b.csv")
    result = score("in.csv", "b.csv", "-o", "out", "--force")
    assert (result.exit_code, "is the input itself" in result.stderr) == (2, True)


def test_an_input_is_no_rejects_file() -> None:
    record = '{"text": "good"}\n'
    Path("out.jsonl.rejects.jsonl").write_text(record)
    result = score("out.jsonl.rejects.jsonl", "-o", "out.jsonl", "--force")
    assert result.exit_code == 2
    assert Path("out.jsonl.rejects.jsonl").read_text() == record


def test_an_input_is_no_report() -> None:
    Path("rows.report").mkdir()
    record = '{"text": "good"}\n'
    Path("rows.report/report.json").write_text(record)
    arguments = ["-m", "parrot", "rows.report/report.json", "-o", "rows.report", "--force"]
    result = CliRunner().invoke(evaluate_main, arguments)
    assert result.exit_code == 2, result.output
    assert "is the input itself" in result.stderr
    assert Path("rows.report/report.json").read_text() == record


def test_standard_output_may_be_the_input_in_no_way(tiny_zoo: Path) -> None:
    command = [sys.executable, "-m", "scorer.cli.score", "-m", "tiny-binary", "--zoo"]
    with Path("in.csv").open("ab") as appended:
        done = subprocess.run(
            [*command, str(tiny_zoo), "in.csv", "-o", "-"],
            stdout=appended,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2, done.stderr
    assert Path("in.csv").read_text() == TABLE


def test_a_folder_is_no_file() -> None:
    Path("out/in.csv").mkdir(parents=True)
    Path("out/in.csv/precious").write_text("mine")
    for force in ([], ["--force"]):
        result = score("in.csv", "-o", "out", *force)
        assert result.exit_code == 1
        assert "out/in.csv: is a folder: name a file to write" in result.stderr
    assert Path("out/in.csv/precious").read_text() == "mine"
    summary = score("in.csv", "--summary", "out")
    assert (summary.exit_code, names()) == (1, ["in.csv", "out"])


def test_a_pipe_in_an_output_folder_is_not_replaced() -> None:
    Path("out").mkdir()
    os.mkfifo("out/in.csv")
    result = score("in.csv", "-o", "out", "--force")
    assert result.exit_code == 1
    assert stat.S_ISFIFO(Path("out/in.csv").stat().st_mode)


def test_a_link_in_place_of_the_part_is_not_followed() -> None:
    Path("precious").write_text("mine")
    Path(".out.csv.part").symlink_to("precious")
    assert score("in.csv", "-o", "out.csv").exit_code == 0
    assert Path("precious").read_text() == "mine"
    assert len(Path("out.csv").read_text().splitlines()) == SCORED_LINES


def test_summaries_follow_the_same_rules() -> None:
    os.mkfifo("pipe")
    Path("link.json").symlink_to("real.json")
    found: list[bytes] = []
    thread = read_pipe(Path("pipe"), found)
    assert score("in.csv", "--summary", "pipe").exit_code == 0
    thread.join(10)
    assert json.loads(found[0])["rows"]["read"] == 2
    assert score("in.csv", "--force", "--summary", "link.json").exit_code == 0
    assert Path("link.json").is_symlink()
    assert json.loads(Path("real.json").read_text())["rows"]["read"] == 2
    taken = score("in.csv", "--force", "--summary", "in.scored.csv")
    assert taken.exit_code == 2
    assert "the rows are written there" in taken.stderr


def test_a_summary_on_standard_output(tiny_zoo: Path, folder: Path) -> None:
    """/dev/stdout is the open file, be it a pipe or a file with something in it: never replaced."""
    command = [sys.executable, "-m", "scorer.cli.score", "-m", "tiny-binary", "--zoo"]
    with Path("log").open("ab") as log:
        log.write(b"before\n")
        log.flush()
        done = subprocess.run(
            [*command, str(tiny_zoo), "in.csv", "--summary", "/dev/stdout"],
            stdout=log,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    first, _, rest = Path("log").read_text().partition("\n")
    assert first == "before"
    assert json.loads(rest)["rows"]["read"] == 2
    assert Path("/dev/stdout").is_symlink()


def test_what_takes_no_bytes_is_named() -> None:
    Path("it").mkdir()
    with pytest.raises(OutputError, match="it: is a folder: name a file"), write_whole(Path("it")):
        pass
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("door")
        with pytest.raises(OutputError, match="is a socket: name"), write_whole(Path("door")):
            pass


TAKE_TURNS = """
import os, sys, time
from pathlib import Path
from scorer.errors import OutputBusy
from scorer.jobs.publish import locked

held, until = 0, time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    try:
        with locked(Path("it.lock"), "busy"):
            os.close(os.open("inside", os.O_CREAT | os.O_EXCL))  # no one else may be
            held += 1
            os.unlink("inside")
    except OutputBusy:
        pass
print(held)
"""


def test_two_processes_never_hold_one_lock() -> None:
    command = [sys.executable, "-c", TAKE_TURNS, "1.5"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        held, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert int(held) > 10
    assert names() == ["in.csv"]
