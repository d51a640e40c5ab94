"""The first rows of a table, for a first look at what a model makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from scorer.tables.formats.base import Reader
from scorer.tables.window import USUAL_SIZE, Window, WindowSize


def first_rows(reader: Reader, limit: int | None) -> Reader:
    """The reader of the table's first `limit` rows, unreadable ones counted; None: of all."""
    return reader if limit is None else cast(Reader, _FirstRows(reader, limit))


class _FirstRows:
    """Has all that the reader has; only its rows end earlier."""

    def __init__(self, reader: Reader, limit: int) -> None:
        self._reader = reader
        self._limit = limit
        self._ended: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    @property
    def rows(self) -> int | None:
        """How many there are, once that is known."""
        if self._ended is not None:
            return self._ended
        return None if self._reader.rows is None else min(self._reader.rows, self._limit)

    def windows(
        self,
        text: str,
        others: Sequence[str] = (),
        size: WindowSize = USUAL_SIZE,
        reserved: frozenset[str] = frozenset(),
    ) -> Iterator[Window]:
        seen = 0
        for window in self._reader.windows(text, others, size, reserved):
            left = self._limit - seen
            if window.rows + len(window.rejects) > left:
                window = _cut(window, self._limit, left)
            seen += window.rows + len(window.rejects)
            yield window
            if seen == self._limit:
                break
        self._ended = seen


def _cut(window: Window, limit: int, left: int) -> Window:
    """The first `left` rows of a window, which are the table's up to row `limit`."""
    rejects = tuple(reject for reject in window.rejects if reject.row <= limit)
    rows = left - len(rejects)
    return replace(
        window,
        texts=window.texts.slice(0, rows),
        table=window.table.slice(0, rows),
        raw=None if window.raw is None else window.raw.slice(0, rows),
        rejects=rejects,
    )
