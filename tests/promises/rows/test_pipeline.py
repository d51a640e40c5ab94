"""The pipeline: order, bounds, prompt failure, and the balance of rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.binding import Binding
from scorer.errors import RowsLost
from scorer.pipeline import LOOK_AHEAD, Scoring, Tally, ordered_map, run
from scorer.scores import Scores
from scorer.tables import Reject, Window
from scorer.tasks import OutputOptions
from tests.support.parrot import expected, parrot


@given(st.lists(st.floats(0, 0.002), max_size=30), st.integers(1, 5))
def test_results_come_in_order_whoever_is_first(delays: list[float], threads: int) -> None:
    def work(item: tuple[int, float]) -> int:
        time.sleep(item[1])
        return item[0]

    assert list(ordered_map(work, enumerate(delays), threads)) == list(range(len(delays)))


def test_no_more_than_the_look_ahead_is_drawn() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            drawn.append(i)
            yield i

    for done, result in enumerate(ordered_map(lambda i: i, items(), 3)):
        assert result == done
        assert len(drawn) <= done + 3 + LOOK_AHEAD


def test_the_threads_work_at_once() -> None:
    both = threading.Barrier(2, timeout=10)
    assert len(list(ordered_map(lambda _: both.wait(), range(4), 2))) == 4


def test_a_worker_failure_comes_up_at_once_and_stops_the_rest() -> None:
    started: list[int] = []

    def work(i: int) -> int:
        started.append(i)
        if i == 2:
            raise ValueError("broken")
        return i

    seen: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(ordered_map(work, range(1000), 2))
    assert seen in ([], [0, 1])
    assert len(started) <= 3 + 2 + LOOK_AHEAD


def test_a_reader_failure_comes_up_after_what_was_read() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("disk")

    results = ordered_map(lambda i: i, items(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="disk"):
        next(results)


class Collector:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[str | None] = []
        self.added: list[pa.RecordBatch] = []

    def encode(self, window: Window, added: pa.RecordBatch) -> tuple[Window, pa.RecordBatch]:
        return window, added

    def write(self, encoded: tuple[Window, pa.RecordBatch]) -> None:
        self.texts += encoded[0].texts.to_pylist()
        self.added.append(encoded[1])

    def close(self) -> None: ...

    def abandon(self) -> None: ...


def cut(texts: list[str | None], sizes: list[int]) -> Iterator[tuple[Window, None]]:
    start = 0
    for index, size in enumerate([*sizes, len(texts)]):
        part = pa.array(texts[start : start + size], pa.string())
        start += size
        yield Window(index, part, pa.record_batch([part], names=["text"])), None


text = st.none() | st.sampled_from(["", "good film", "bad", "???", "the plot", "zzz yyy"])


@given(st.lists(text, max_size=30), st.lists(st.integers(0, 9), max_size=5), st.integers(1, 4))
def test_scores_do_not_depend_on_windows_or_threads(
    texts: list[str | None], sizes: list[int], threads: int
) -> None:
    model, writer = parrot(), Collector()
    options = OutputOptions(probabilities=True, diagnostics=True)
    scoring = Scoring(Binding(model, "text", (), options), writer)
    tally = run(cut(texts, sizes), scoring, threads)
    tally.check(len(texts))
    assert writer.texts == texts
    out = pa.Table.from_batches(writer.added)
    alone = [model.predict([text], options=options) for text in texts]
    wanted = pa.concat_tables(alone) if alone else model.predict([], options=options)
    assert out.equals(wanted)
    assert tally.unscored == sum(value in (None, "", "???") for value in texts)


def test_recorded_scores_are_not_redone() -> None:
    model, writer = parrot(), Collector()
    texts = pa.array(["good", "bad"])
    window = Window(0, texts, pa.record_batch([texts], names=["text"]))
    recorded = Scores(
        outputs=np.array([[0.25], [0.75]], dtype=np.float32),
        n_tokens=np.ones(2, np.int32),
        n_oov=np.zeros(2, np.int32),
        truncated=np.zeros(2, np.bool_),
        scored=np.ones(2, np.bool_),
    )
    run([(window, recorded)], Scoring(Binding(model, "text"), writer), 1)
    assert writer.added[0].to_pydict() == {"prediction": ["neg", "pos"], "probability": [0.75] * 2}
    assert model.engine.rows == 0  # type: ignore[attr-defined]


def test_the_observers_see_every_window_in_order_on_one_thread() -> None:
    seen: list[tuple[int, int]] = []

    def observe(window: Window, scores: Scores) -> None:
        assert len(scores.scored) == window.rows
        seen.append((window.index, threading.get_ident()))

    texts: list[str | None] = ["good"] * 50
    run(cut(texts, [5] * 9), Scoring(Binding(parrot(), "text"), Collector()), 4, [observe])
    assert seen == [(i, threading.get_ident()) for i in range(10)]


def test_lost_rows_are_noticed() -> None:
    window = Window(0, pa.array(["a"]), pa.record_batch([pa.array(["a"])], names=["t"]))
    rejected = Window(1, window.texts, window.table, rejects=(Reject(2, "broken", b""),))
    tally = run(
        [(window, None), (rejected, None)], Scoring(Binding(parrot(), "text"), Collector()), 1
    )
    tally.check(3)
    with pytest.raises(RowsLost, match=r"4 rows came in, but 0 scored|4 rows came in, but 2"):
        tally.check(4)
    with pytest.raises(RowsLost, match="are 0"):
        Tally(read=1).check()


def test_expected_of_the_parrot_differs_between_texts() -> None:
    table = expected(parrot(), ["good film", "film good", "bad", None])
    assert len(set(table["probability"].to_pylist())) == 4
