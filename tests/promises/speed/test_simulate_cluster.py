"""The simulation of a cluster agrees with what can be reckoned by hand, and with the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.simulate_cluster import PAGE, Cluster, page, seconds

FREE = Cluster(4, per_row=1.0, in_part=0.95, copying=0.1, per_task=0.0, opening=0.0)


def test_equal_files_take_as_many_rounds_as_there_must_be() -> None:
    assert seconds(FREE, 800, files=8, parts=1) == pytest.approx(200)
    assert seconds(FREE, 900, files=9, parts=1) == pytest.approx(300)


def test_a_split_file_is_scored_by_all_and_put_together_by_one() -> None:
    assert seconds(FREE, 800, files=1, parts=1) == pytest.approx(800)
    assert seconds(FREE, 800, files=1, parts=8) == pytest.approx(800 / 4 * 0.95 + 80)
    looked = replace(FREE, looking=0.02)
    assert seconds(looked, 800, files=1, parts=8) == pytest.approx(16 + 800 / 4 * 0.95 + 80)


def test_what_goes_wrong_costs_time_and_no_row() -> None:
    best = seconds(FREE, 4_000, files=4, parts=25)
    for wrong in ({"slow": 0.25, "slower": 2.0}, {"lost": 1}, {"lost": 3}, {"uneven": 5.0}):
        took = seconds(replace(FREE, **wrong), 4_000, files=4, parts=25)
        assert best < took < 5 * best, wrong


def test_the_page_has_the_tables() -> None:
    assert page() == PAGE.read_text(encoding="utf-8")
