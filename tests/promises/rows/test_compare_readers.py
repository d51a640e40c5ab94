"""Random hard files against Python's own readers, and that a difference would be seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from scorer.tables.text.delimited import DelimitedReader
from scorer.tables.text.jsonl import JsonLinesReader
from scorer.tables.window import Record, Records, Reject
from scripts.compare_readers import compare, main


def test_random_files_have_the_rows_that_python_reads() -> None:
    for kind, tally in compare(600, seed=1).items():
        assert tally.differences == [], kind
        assert tally.compared > 240, kind


@pytest.mark.parametrize("fault", ["lost", "doubled", "swapped"])
@pytest.mark.parametrize("reader", [DelimitedReader, JsonLinesReader])
def test_a_row_out_of_place_is_a_difference(
    reader: type[DelimitedReader | JsonLinesReader], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = reader._records

    def faulty(*args: object) -> Iterator[Record | Reject]:
        items = [row for item in original(*args) for row in rows_of(item)]
        if fault == "lost":
            del items[1:2]
        elif fault == "doubled":
            items[1:2] *= 2
        else:
            items[:2] = items[1::-1]
        yield from items

    monkeypatch.setattr(reader, "_records", faulty)
    kind = "csv" if reader is DelimitedReader else "jsonl"
    assert compare(100, seed=2)[kind].differences


def rows_of(item: Record | Records | Reject) -> list[Record | Reject]:
    if not isinstance(item, Records):
        return [item]
    texts = (column.to_pylist() for column in item.columns)
    rows = zip(item.raw.to_pylist(), zip(*texts, strict=True), strict=True)
    return [Record(*row) for row in rows]


def test_the_command_counts_and_keeps_what_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    arguments = ["--files", "40", "--keep", str(tmp_path)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    monkeypatch.setattr("scripts.compare_readers._json", lambda line: {"text": "x"})
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 1
    assert "jsonl-0-0" in ended.stderr
