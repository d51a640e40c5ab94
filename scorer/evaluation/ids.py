"""Which column names the rows: the one that was asked for, or the first whose values all differ."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scorer.tables import Window

MAX_CANDIDATES = 8
SHOWN_CHARACTERS = 80
#: characters of a name; what has more is a text
LENGTHS = range(1, SHOWN_CHARACTERS + 1)
_NAMED_SO = re.compile(r"(?i)(^|[^a-z])(id|uid|uuid|guid|key)$|[a-z]I[dD]$")


def candidates(schema: pa.Schema, taken: Iterable[str]) -> tuple[str, ...]:
    """Columns of whole numbers or texts that may name rows, those that are called an id first."""
    left_out = set(taken)
    found = [
        field.name
        for field in schema
        if field.name not in left_out
        and schema.names.count(field.name) == 1
        and _may_name(field.type)
    ]
    found.sort(key=lambda name: _NAMED_SO.search(name) is None)
    return tuple(found[:MAX_CANDIDATES])


class RowNames:
    """Watches the candidates window by window; 8 bytes a row for each that may still be unique.

    asked   the column that was asked for: its values are shown whether they differ or not
    """

    def __init__(self, names: Iterable[str], asked: str | None = None) -> None:
        self._asked = asked
        self._seen: dict[str, list[NDArray[np.int64]]] = {} if asked else {n: [] for n in names}

    def add(self, window: Window) -> None:
        """Take in a window; a column that cannot name its rows is watched no longer."""
        for name in [*self._seen]:
            column = window.table.column(name) if name in window.table.schema.names else None
            if column is None or column.null_count or column.equals(window.texts):
                del self._seen[name]
                continue
            values = column.to_pylist()
            hashes = np.fromiter(map(hash, values), np.int64, len(values))
            if _repeats(hashes) or any(len(str(value)) not in LENGTHS for value in values):
                del self._seen[name]
            else:
                self._seen[name].append(hashes)

    def of(self, window: Window, i: int) -> dict[str, str]:
        """What each column that may name rows says of a window's row."""
        names = [self._asked] if self._asked else [*self._seen]
        values = {name: window.table.column(name)[i].as_py() for name in names}
        return {name: _shown(value) for name, value in values.items() if value is not None}

    def chosen(self) -> str | None:
        """The column that names the rows, None where no candidate tells all of them apart."""
        if self._asked:
            return self._asked
        found = (name for name, hashes in self._seen.items() if hashes and not _repeats(*hashes))
        return next(found, None)


def _may_name(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    )


def _repeats(*hashes: NDArray[np.int64]) -> bool:
    """Of 64-bit hashes: two values of a table share one by chance as good as never."""
    together = np.concatenate(hashes)
    return len(np.unique(together)) < len(together)


def _shown(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
