"""The rows that matter most, kept while all rows stream by."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: texts are kept whole up to this length
TEXT_CHARACTERS = 16_000
#: a column's name that no table has
TEXT = "\0text"


@dataclass(frozen=True)
class KeptRow:
    """A row as a report shows it.

    row      counts the inputs' rows from 1
    outputs  each model's outputs, (models, k)
    names    what the columns that may name it say of it
    given    the row as the models read it, its whole text in the column TEXT; None where no model
             explains what it says
    """

    row: int
    text: str
    label: str | None
    outputs: tuple[tuple[float, ...], ...]
    names: Mapping[str, str] = field(default_factory=dict)
    given: pa.Table | None = field(default=None, compare=False, repr=False)


class TopRows:
    """For each group, the `size` rows of highest key; of equal keys the earlier row.

    What is kept does not depend on how the rows were cut into windows, nor on their order.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._heaps: dict[Hashable, list[tuple[float, int, KeptRow]]] = {}

    def add(
        self,
        group: Hashable,
        keys: NDArray[np.floating],
        rows: NDArray[np.int64],
        keep: Callable[[int], KeptRow],
    ) -> None:
        """Offer rows: `keys` and row numbers `rows`, both (n,); `keep(i)` is called for few."""
        heap = self._heaps.setdefault(group, [])
        if len(heap) == self.size:
            candidates = np.flatnonzero(keys >= heap[0][0])
        else:
            candidates = np.arange(len(keys))
        if len(candidates) > self.size:
            order = np.lexsort((rows[candidates], -keys[candidates]))
            candidates = candidates[order[: self.size]]
        for i in candidates:
            self._offer(heap, float(keys[i]), int(rows[i]), int(i), keep)

    def _offer(
        self,
        heap: list[tuple[float, int, KeptRow]],
        key: float,
        row: int,
        i: int,
        keep: Callable[[int], KeptRow],
    ) -> None:
        if len(heap) < self.size:
            heapq.heappush(heap, (key, -row, keep(i)))
        elif (key, -row) > heap[0][:2]:
            heapq.heapreplace(heap, (key, -row, keep(i)))

    def best(self, groups: list[Hashable]) -> list[tuple[float, Hashable, KeptRow]]:
        """The `size` highest of those groups together: key, group and row, highest first."""
        rows = [(key, at, g, kept) for g in groups for key, at, kept in self._heaps.get(g, [])]
        rows.sort(key=lambda item: (-item[0], -item[1]))
        return [(key, group, kept) for key, _, group, kept in rows[: self.size]]
