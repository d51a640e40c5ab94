"""How a program ends that is started without its streams, or whose stdout takes no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BAD = "Bad file descriptor"
FULL = "No space left on device"


def run(shell: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `scorer` with the arguments and redirections `shell`."""
    command = f"exec {sys.executable} -m scorer {shell}"
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("shell", "said"),
    [
        ("zoo list >&-", f"Error: stdout: cannot be written: {BAD}"),
        ("zoo list --help >/dev/full", f"Error: stdout: cannot be written: {FULL}"),
        ("score --help >/dev/full", f"Error: stdout: cannot be written: {FULL}"),
        ("--version >/dev/full", f"Error: stdout: cannot be written: {FULL}"),
        ("score -q -m imdb-bow-lr - <&-", f"Error: stdin: cannot be read to its end: {BAD}"),
    ],
)
def test_a_closed_or_full_stream_is_one_line(shell: str, said: str, tmp_path: Path) -> None:
    done = run(shell, tmp_path)
    assert (done.returncode, done.stderr) == (1, said + "\n")


def test_rows_are_scored_without_any_stream(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\na fine film\n")
    done = run("score -m imdb-bow-lr rows.csv <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "rows.scored.csv").read_text().startswith("text,prediction,probability\n")
