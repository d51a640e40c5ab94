"""Records that compiled loops tell apart, as Arrow arrays: the bytes of each, its wanted fields.

Importing this module imports Numba.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from scorer.tables.text import kernels
from scorer.tables.text.json_kernels import json_objects
from scorer.tables.window import Records

# Room for about so many fields of one call.
ROOM = 1 << 14


def prepare_loops() -> None:
    """Compile what reads and writes tables of text, so that no run waits for it."""
    for each in (kernels.delimited_records, json_objects, kernels.gather, kernels.splice):
        each.prepare()


class Taken(NamedTuple):
    """Records, where they end in the data, and whether the next one is refused: if not, its end may
    be missing."""

    records: Records
    end: int
    refused: bool


class _Fields:
    """What the kernels write of the records that they find. The room is used again each time."""

    def __init__(self, columns: int) -> None:
        rows = max(1, ROOM // max(columns, 1))
        self._ends = np.empty(rows, np.int32)
        self._bounds = np.empty((columns, rows, 2), np.int32)
        self._kinds = np.empty((columns, rows), np.uint8)

    def _taken(self, data: bytes, at: int, found: int) -> Taken:
        """`found` is what a kernel gave that began `at`."""
        count, refused = (found, False) if found >= 0 else (~found, True)
        if not count:
            return Taken(Records(), at, refused)
        offsets = np.empty(count + 1, np.int32)
        offsets[0], offsets[1:] = at, self._ends[:count]
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
        raw = pa.Array.from_buffers(pa.binary(), count, buffers)
        columns = [self._texts(data, k, count) for k in range(len(self._kinds))]
        return Taken(Records(raw, columns), int(offsets[-1]), refused)

    def _texts(self, data: bytes, k: int, count: int) -> pa.Array:
        bounds, kinds = self._bounds[k, :count], self._kinds[k, :count]
        offsets = np.empty(count + 1, np.int32)
        out = np.empty(int((bounds[:, 1] - bounds[:, 0]).sum(dtype=np.int64)), np.uint8)
        kernels.gather(np.frombuffer(data, np.uint8), bounds, kinds, offsets, out)
        missing, valid = kinds == kernels.NOTHING, None
        if missing.any():
            valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        return pa.Array.from_buffers(
            pa.string(), count, [valid, pa.py_buffer(offsets), pa.py_buffer(out)]
        )


class DelimitedFields(_Fields):
    """Of CSV records of `width` fields: those that stand at `places`, in this order."""

    def __init__(self, delimiter: str, width: int, places: Sequence[int]) -> None:
        wanted = sorted(set(places))
        super().__init__(len(wanted))
        self._delimiter, self._width = ord(delimiter), width
        self._places = np.array(wanted, np.int64)
        self._order = [wanted.index(place) for place in places]
        self._stops = np.zeros(256, np.uint8)
        self._stops[[*b'"\r\n', self._delimiter]] = 1

    def take(self, data: bytes, at: int) -> Taken:
        """The records that begin at `at`."""
        found = kernels.delimited_records(
            *(np.frombuffer(data, np.uint8), at),
            *(self._delimiter, self._stops, self._width, self._places),
            *(self._ends, self._bounds, self._kinds),
        )
        (raw, columns), end, refused = self._taken(data, at, found)
        ordered = [columns[k] for k in self._order] if len(raw) else ()
        return Taken(Records(raw, ordered), end, refused)


class ObjectFields(_Fields):
    """Of the objects on JSON Lines: the values of `keys`, the text's first.

    An object with a `reserved` key is refused, and one whose text is neither a string nor null.
    `said` gives the text of the other keys' values that are no strings.
    """

    def __init__(
        self,
        keys: Sequence[str],
        reserved: frozenset[str],
        longest: int,
        said: Callable[[object], str | None],
    ) -> None:
        super().__init__(len(keys))
        names = [name.encode("utf-8", "surrogatepass") for name in (*keys, *sorted(reserved))]
        self._names = np.frombuffer(b"".join(names) or b"\0", np.uint8)
        self._name_ends = np.array(list(accumulate(map(len, names))), np.int64)
        self._longest, self._said = longest, said

    def take(self, data: bytes, at: int) -> Taken:
        """The objects on the lines from `at` on."""
        found = json_objects(
            *(np.frombuffer(data, np.uint8), at, self._longest, self._names, self._name_ends),
            *(self._ends, self._bounds, self._kinds),
        )
        taken = self._taken(data, at, found)
        refused = found < len(self._ends) and data.find(b"\n", taken.end) >= 0
        return Taken(taken.records, taken.end, refused)

    def _texts(self, data: bytes, k: int, count: int) -> pa.Array:
        texts = super()._texts(data, k, count)
        others = np.flatnonzero(self._kinds[k, :count] == kernels.OTHER).tolist()
        if not others:
            return texts
        values = texts.to_pylist()
        for row in others:
            begin, end = self._bounds[k, row].tolist()
            values[row] = self._said(json.loads(data[begin:end]))
        return pa.array(values, pa.string())
