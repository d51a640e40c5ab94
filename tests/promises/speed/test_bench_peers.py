"""The comparison with other tools: it names its peers, says which are missing, and measures."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scripts import bench_peers, figures
from scripts.benchmarks.peers.base import Job, Peer, Rows, Score
from scripts.benchmarks.peers.registry import PEERS
from scripts.pages import with_block

OURS = "imdb-bow-lr"


class Absent(Peer):
    def load(self, job: Job) -> Score:
        raise AssertionError("a peer without its package must not be loaded")


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Thirty made-up reviews whose opinion no model could miss."""
    good = "A wonderful, superb and beautiful film, one of the best I have seen. Excellent!"
    bad = "Awful. The worst and most boring waste of time, a terrible film, poor and dull."
    columns = {"text": [good, bad] * 15, "sentiment": ["positive", "negative"] * 15}
    path = tmp_path / "reviews.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_it_measures_a_model_and_names_what_is_not_installed(
    reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = Absent(title="Absent", needs=(("no_such_module", "no-such-package"),))
    monkeypatch.setitem(PEERS, "vader", absent)
    chosen = ["--only", OURS, "--only", "vader", "--rows", "20", "--rounds", "1", "--threads", "1"]
    arguments = [str(reviews), "--train", str(reviews), *chosen]
    done = CliRunner().invoke(bench_peers.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    cells = {
        line.split(" | ")[0]: line.strip("| ").split(" | ") for line in done.output.splitlines()
    }
    title, rate, accuracy, start_up, peak_mb, rows, threads = cells[f"| {PEERS[OURS].title}"]
    assert (title, accuracy, rows, threads) == (PEERS[OURS].title, "1.000", "20", "1")
    assert float(rate.replace(",", "")) > 0
    assert float(start_up) > 0.05
    assert float(peak_mb.replace(",", "")) > 20
    assert cells["| Absent"][1] == "not installed: `pip install no-such-package`"


def test_an_unknown_peer_is_refused_with_the_list_of_peers(reviews: Path) -> None:
    arguments = [str(reviews), "--train", str(reviews), "--only", "abacus"]
    done = CliRunner().invoke(bench_peers.main, arguments)
    assert done.exit_code == 2
    assert all(name in done.output for name in PEERS)


def test_part_of_the_table_is_not_written(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "FILE", tmp_path / "figures.json")
    arguments = [str(reviews), "--train", str(reviews), "--only", OURS, "--write"]
    done = CliRunner().invoke(bench_peers.main, arguments)
    assert done.exit_code == 2
    assert "leave --only out" in done.output
    assert not figures.FILE.exists()


def test_a_sample_is_spread_over_the_rows() -> None:
    rows = Rows([str(i) for i in range(10)], [i % 2 == 0 for i in range(10)])
    assert rows.sample(4).texts == ["0", "2", "5", "7"]
    assert rows.sample(4).positive == [True, True, False, False]
    assert rows.sample(99) == rows


def test_a_page_keeps_what_is_outside_its_block() -> None:
    page = "before\n<!-- peers -->\nold\n<!-- /peers -->\nafter\n"
    assert with_block(page, "peers", r"new \1") == (
        "before\n<!-- peers -->\nnew \\1\n<!-- /peers -->\nafter\n"
    )
    with pytest.raises(ValueError, match="no block <!-- zoo -->"):
        with_block(page, "zoo", "new")
