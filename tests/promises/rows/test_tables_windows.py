"""How many rows a window takes: enough to be worth a worker's while, whatever the format."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.tables import Source, Window, WindowSize, open_reader
from scorer.tables.window import USUAL_SIZE, Record, Records, Reject, cut_windows
from scorer.vectorizer import TokenBatch
from tests.support.parrot import ParrotEngine, parrot
from tests.support.rows import rows_of
from tests.support.settings import settings_of

GROWING = WindowSize(1024, 8192)
SHORT, LONG = "short", "x" * 2000


def written(texts: list[str], kind: str, group: int = 1 << 20) -> bytes:
    if kind == "csv":
        return "".join(f"{text}\n" for text in ["text", *texts]).encode()
    if kind == "jsonl":
        return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), stream, row_group_size=group)
    return stream.getvalue()


def windows(data: bytes, kind: str, size: WindowSize) -> list[Window]:
    reader, _ = open_reader(Source(f"in.{kind}", lambda: io.BytesIO(data)))
    try:
        return list(reader.windows("text", size=size))
    finally:
        reader.close()


KINDS = pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])


@KINDS
@pytest.mark.parametrize(
    ("text", "size", "rows"),
    [
        (SHORT, GROWING, [8192, 8192, 3616]),
        (LONG, GROWING, [1024] * 19 + [544]),
        (SHORT, USUAL_SIZE, [1024] * 19 + [544]),
        (SHORT, WindowSize(5000, 5000), [5000] * 4),
        (LONG, WindowSize(3000, 3000), [3000] * 6 + [2000]),
    ],
)
def test_a_window_grows_while_its_texts_are_short(
    text: str, size: WindowSize, rows: list[int], kind: str
) -> None:
    found = windows(written([text] * 20_000, kind), kind, size)
    assert [window.rows for window in found] == rows


@KINDS
def test_a_window_is_closed_as_soon_as_its_texts_suffice(kind: str) -> None:
    """Not later: long texts after short ones would otherwise wait for the most rows."""
    texts = [SHORT] * 3000 + [LONG] * 3000
    first = windows(written(texts, kind), kind, GROWING)[0]
    assert 3400 < first.rows < 4700


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 90), max_size=60),
    kind=st.sampled_from(["csv", "jsonl", "parquet"]),
    rows=st.integers(1, 6),
    more=st.integers(0, 12),
    small=st.integers(1, 400),
    group=st.integers(1, 20),
)
def test_no_row_is_lost_and_none_waits_for_nothing(
    lengths: list[int], kind: str, rows: int, more: int, small: int, group: int
) -> None:
    texts, size = ["x" * length for length in lengths], WindowSize(rows, rows + more)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scorer.tables.window.SMALL_BYTES", small)
        found = windows(written(texts, kind, group), kind, size)
    assert [text for window in found for text in window.texts.to_pylist()] == texts
    assert all(0 < window.rows <= size.most for window in found)
    # Parquet comes in pieces that a row group's end cuts: one piece may be too much to add.
    least = max(1, size.most - rows + 1) if kind == "parquet" else size.most
    for window in found[:-1]:
        taken = window.table.nbytes if window.raw is None else window.raw_bytes
        assert window.rows >= least or (window.rows >= rows and taken >= small)


class Counting(ParrotEngine):
    """Notes how many rows each call was given."""

    window_rows, short_rows = 1024, 8192

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def run(self, tokens: TokenBatch) -> np.ndarray:
        self.given.append(len(tokens.n_tokens))
        return super().run(tokens)


@pytest.mark.parametrize(
    ("text", "threads", "rows"),
    [
        ("good film", 1, [8192, 8192, 3616]),
        ("good film", 4, [5000] * 4),
        ("good film", 64, [1024] * 19 + [544]),
        ("good film " * 200, 1, [1024] * 19 + [544]),
    ],
)
def test_texts_of_a_list_are_cut_by_their_length_and_for_every_thread(
    text: str, threads: int, rows: list[int]
) -> None:
    model = parrot()
    model.engine = engine = Counting()
    model.predict([text] * 20_000, threads=threads)
    assert sorted(engine.given, reverse=True) == rows


def test_a_run_takes_what_suits_the_engine_or_what_was_asked_for(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(written(["good film"] * 10_000, "csv"))
    model = parrot()
    for batch_size, rows in ((None, [8192, 1808]), (4000, [4000, 4000, 2000])):
        model.engine = engine = Counting()
        wanted = settings_of(batch_size=batch_size, threads=1, force=True, evaluation=None)
        (job,) = plan([str(source)], str(tmp_path / "out.csv")).jobs
        score_table(model, job, wanted)
        assert [given for given in engine.given if given] == rows


sizes = st.builds(WindowSize, st.integers(1, 9), st.integers(1, 20))


@given(sizes, st.integers(0, 5), st.lists(st.integers(1, 9), max_size=30), st.integers(1, 60))
def test_the_first_that_is_enough(
    size: WindowSize, rows: int, lengths: list[int], small: int
) -> None:
    held = np.array(list(accumulate(lengths, initial=3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scorer.tables.window.SMALL_BYTES", small)
        patch.setattr("scorer.tables.window.WINDOW_BYTES", 2 * small)
        enough = [k for k in range(1, len(held)) if size.enough(rows + k, held[k])]
        assert size.first_enough(rows, held) == (enough[0] if enough else len(held))


@given(sizes, st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=8), st.integers(1, 60))
def test_rows_given_together_fall_into_the_windows_of_rows_given_alone(
    size: WindowSize, groups: list[list[int]], small: int
) -> None:
    """A group of rows ends with one that is rejected."""
    together: list[Records | Reject] = []
    alone: list[Record | Reject] = []
    for number, group in enumerate(groups):
        raw = [b"x" * length + b"\n" for length in group]
        texts = [str(length) for length in group]
        column = pa.array(texts, pa.string())
        together.append(Records(pa.array(raw, pa.binary()), [column, column]))
        alone += [Record(line, [text, text]) for line, text in zip(raw, texts, strict=True)]
        reject = Reject(number, "a reason", b"bad")
        together.append(reject)
        alone.append(reject)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scorer.tables.window.SMALL_BYTES", small)
        patch.setattr("scorer.tables.window.WINDOW_BYTES", 2 * small)
        assert _seen(cut_windows(together, "ab", size)) == _seen(cut_windows(alone, "ab", size))


def _seen(windows: Iterator[Window]) -> list[object]:
    return [(w.index, rows_of(w), w.table.to_pydict(), w.rejects) for w in windows]
