"""Two commits side by side: one's code runs in each of its turns, and the table says which won."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import figures
from scripts.benchmarks import against, formats, processes


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    """Whatever slows a round down slows both."""
    measured = [
        ({"start": 1.0, "read": 0.0}, {"start": 2.0, "read": 0.1}),
        ({"start": 10.0, "read": 0.0}, {"start": 15.0, "read": 0.1}),
        ({"start": 2.0, "read": 0.0}, {"start": 2.0, "read": 0.1}),
    ]
    assert against.compared(measured, "v1") == [
        ["seconds", "this tree", "v1", "times as fast"],
        ["start", "2.000", "2.000", "1.50"],
        ["read", "0.000", "0.100", "-"],
    ]


def test_who_is_first_takes_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order: list[str] = []
    runs = against.Runs(tmp_path, "m", 1, {}, tmp_path)
    monkeypatch.setattr(
        against.Runs, "measure", lambda self, tree: order.append(tree.name) or {"at": len(order)}
    )
    measured = against.rounds(runs, Path("ours"), Path("theirs"), 3)
    assert order == ["ours", "theirs"] * 2 + ["theirs", "ours"] + ["ours", "theirs"]
    assert measured == [({"at": 3}, {"at": 4}), ({"at": 6}, {"at": 5}), ({"at": 7}, {"at": 8})]


def test_a_run_takes_the_modules_of_its_tree(tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("sum(range(2_000_000))\n")
    run = processes.run([sys.executable, "-m", "only_here"], tmp_path)
    assert run.cpu > 0
    with pytest.raises(subprocess.CalledProcessError):
        processes.run([sys.executable, "-m", "only_here"])


def test_a_commit_has_a_tree_of_its_own_for_a_while(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        (tmp_path / "file").write_text("one")
        subprocess.run([*git, *command], check=True)
    (tmp_path / "file").write_text("two")
    with against.tree_of(tmp_path, "HEAD") as tree:
        assert (tree / "file").read_text() == "one"
        assert f"{against.commit_of(tree)}-dirty" == against.commit_of(tmp_path)
    assert not tree.exists()


def test_history_grows(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    for commit in ("a", "b"):
        against.append_history(path, {"commit": commit})
    assert [entry["commit"] for entry in json.loads(path.read_text())] == ["a", "b"]


def test_a_share_is_the_median_of_the_rounds_own() -> None:
    """Of formats' rows: the clock's seconds first, then the processor's."""
    measured = {
        formats.TEXTS: [(1.0, 2.0), (2.0, 2.0), (1.0, 2.0)],
        "CSV": [(2.0, 2.5), (4.0, 4.0), (10.0, 4.0)],
    }
    assert list(formats.rows_of("m", measured, 1000)) == [
        ["`m`", formats.TEXTS, "1,000", "1.00", "2000.0", "1.00"],
        ["`m`", "CSV", "250", "0.50", "4000.0", "0.50"],
    ]


def test_the_page_shows_how_many_times_as_fast_each_commit_is() -> None:
    names = ("ten rows", "Parquet", "CSV", "JSON Lines")
    table = [["seconds", "this tree", "b", "times as fast"]]
    table += [[f"{name}, whole run", "1", "2", f"2.0{i}"] for i, name in enumerate(names)]
    entry = {"at": "2026-01-02T03:04:05+00:00", "commit": "aaa-dirty", "against": "bbb"}
    block = figures.history_block([entry | {"model": "m", "rows": 1000, "table": table}])
    assert block.splitlines()[-1] == (
        "| 2026-01-02 | `aaa-dirty` | `bbb` | `m` | 1,000 | 2.00 | 2.01 | 2.02 | 2.03 |"
    )
