"""Passes windows through worker threads: scored, encoded and in order, never too many at a time.

read -> [score -> encode] on `threads` workers -> write, in the order of reading

Each worker takes a whole window alone; the kernels below it release the GIL. No more than
`threads + LOOK_AHEAD` windows are held at once, however long the input is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np

from scorer.binding import Binding
from scorer.errors import RejectedRow, RowsLost
from scorer.scores import Scores
from scorer.tables import Reject, Window, Writer

LOOK_AHEAD = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


class Observer(Protocol):
    """Sees every window with its scores once, in the order of the input, on one thread."""

    def __call__(self, window: Window, scores: Scores) -> None: ...


@dataclass
class Tally:
    """Where the rows went, and the seconds that each stage took.

    `score_s` and `encode_s` are summed over the workers, so they may exceed the run's time.
    """

    read: int = 0
    scored: int = 0
    unscored: int = 0
    rejected: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("read", "score", "encode", "write"), 0.0)
    )

    def add(self, window: Window, scores: Scores) -> None:
        scored = int(np.count_nonzero(scores.scored))
        self.scored += scored
        self.unscored += window.rows - scored
        self.rejected += len(window.rejects)

    def check(self, expected: int | None = None) -> None:
        """Raise RowsLost unless every row that was read (and `expected`) is accounted for."""
        total = self.scored + self.unscored + self.rejected
        if total != self.read or expected not in (None, total):
            raise RowsLost(
                f"{self.read if expected is None else expected} rows came in, but {self.scored} "
                f"scored + {self.unscored} unscored + {self.rejected} rejected are {total}: "
                "nothing was published; please report this"
            )


@dataclass
class RejectLimit:
    """How many rows of a table could not be read, and how many may be: None, any number."""

    name: str
    limit: int | None
    count: int = 0

    def add(self, window: Window) -> None:
        """Count a window's. Raises RejectedRow naming the first row that is too many."""
        before = self.count
        self.count += len(window.rejects)
        if self.limit is not None and self.count > self.limit:
            raise RejectedRow(self._stopped(window.rejects[self.limit - before]))

    def _stopped(self, reject: Reject) -> str:
        place = f"row {reject.row}" + (f" (line {reject.line})" if reject.line else "")
        rule = "--strict" if self.limit == 0 else f"--max-rejects {self.limit}"
        return f"{self.name}: {place} cannot be read: {reject.reason}; {rule}: nothing published"


@dataclass(frozen=True)
class Done:
    """A window with its scores and its bytes or batch for the writer."""

    window: Window
    scores: Scores
    encoded: Any
    score_s: float
    encode_s: float


@dataclass(frozen=True)
class Scoring:
    """What a worker does with a window. `recorded` scores (of a run before) are not redone."""

    binding: Binding
    writer: Writer

    def __call__(self, item: tuple[Window, Scores | None]) -> Done:
        window, recorded = item
        started = perf_counter()
        scores = recorded
        if scores is None:
            scores = self.binding.score(window)
        scored = perf_counter()
        added = self.binding.output(scores)
        encoded = self.writer.encode(window, added)
        return Done(window, scores, encoded, scored - started, perf_counter() - scored)


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """`map` on a pool of threads: results in order, at most `threads + LOOK_AHEAD` in flight.

    `items` is drawn on the caller's thread. The first exception, of `items` or of `function`, is
    raised where its result was due; what has not started by then never does.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="scorer")
    source, failure = iter(items), None
    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as error:
                failure = error  # what was read before it is still good, and due first
                break
            pending.append(pool.submit(function, item))
            if len(pending) >= threads + LOOK_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run(
    windows: Iterable[tuple[Window, Scores | None]],
    scoring: Scoring,
    threads: int,
    observers: Sequence[Observer] = (),
) -> Tally:
    """Take every window through `scoring` to its writer. Closes nothing."""
    tally = Tally()
    for done in ordered_map(scoring, _timed(windows, tally), threads):
        started = perf_counter()
        scoring.writer.write(done.encoded)
        tally.add(done.window, done.scores)
        for observe in observers:
            observe(done.window, done.scores)
        tally.seconds["write"] += perf_counter() - started
        tally.seconds["score"] += done.score_s
        tally.seconds["encode"] += done.encode_s
    return tally


def _timed(
    windows: Iterable[tuple[Window, Scores | None]], tally: Tally
) -> Iterator[tuple[Window, Scores | None]]:
    """The same windows, their rows and the time it takes to get them noted in `tally`."""
    started = perf_counter()
    for item in windows:
        tally.seconds["read"] += perf_counter() - started
        tally.read += item[0].rows + len(item[0].rejects)
        yield item
        started = perf_counter()
    tally.seconds["read"] += perf_counter() - started
