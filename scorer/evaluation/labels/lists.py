"""Any number of labels of a row, as tables hold them.

In one column: lists of labels, or texts in which `|` joins them. A JSON list is read in a text,
too: it is how JSON Lines' lists reach an evaluation. In one column for each label: 0 or 1.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scorer.evaluation.columns import encoded
from scorer.evaluation.labels.meaning import normal
from scorer.tasks import LABEL_SEPARATOR

BLANK, UNKNOWN = -1, -2
_SAYS = {"0": 0, "false": 0, "no": 0, "1": 1, "true": 1, "yes": 1}

Targets = NDArray[np.int8]


@dataclass
class LabelLists:
    """Reads a column of lists or of joined texts.

    codes   the label that a spelling means, of `k` labels; None leaves its rows out
    """

    codes: Mapping[str, int | None]
    k: int
    unusable: Counter[str] = field(default_factory=Counter)
    _rows: dict[Any, tuple[Targets, str | None]] = field(default_factory=dict)

    def read(self, column: pa.Array) -> Targets:
        """int8 (rows, k): 1 for a label that a row has; a row of BLANK or of UNKNOWN."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_nested(column.type):
            keys = [None if labels is None else tuple(labels) for labels in column.to_pylist()]
            found = {key: self._row(key) for key in dict.fromkeys(keys)}
        else:
            keys = column.to_pylist()
            found = {key: self._row(_split(key)) for key in dict.fromkeys(keys)}
        for key, n in Counter(keys).items():
            unknown = found[key][1]
            if unknown is not None:
                self.unusable[unknown] += n
        rows = [found[key][0] for key in keys]
        return np.array(rows, dtype=np.int8).reshape(-1, self.k)

    def _row(self, labels: tuple[Any, ...] | None) -> tuple[Targets, str | None]:
        """A row's target, and the first of its labels that means none."""
        if labels not in self._rows:
            self._rows[labels] = self._read_row(labels)
        return self._rows[labels]

    def _read_row(self, labels: tuple[Any, ...] | None) -> tuple[Targets, str | None]:
        if labels is None:
            return np.full(self.k, BLANK, dtype=np.int8), None
        target = np.zeros(self.k, dtype=np.int8)
        for label in labels:
            spelled = normal(label)
            if spelled is None:
                continue
            code = self.codes.get(spelled)
            if code is None:
                return np.full(self.k, UNKNOWN, dtype=np.int8), str(label)
            target[code] = 1
        return target, None


def read_flags(columns: Sequence[pa.Array]) -> tuple[Targets, Counter[str]]:
    """int8 (rows, k) as `LabelLists.read` gives it, of a 0/1 column for each label.

    Also the values that are neither, with their rows.
    """
    flags, unusable = [], Counter[str]()
    for column in columns:
        values = encoded(column)
        spelled = [normal(value) for value in values.dictionary.to_pylist()]
        said = [BLANK if s in (None, "nan") else _SAYS.get(s or "", UNKNOWN) for s in spelled]
        indices = pc.fill_null(values.indices, len(said)).to_numpy(zero_copy_only=False)
        flag = np.array([*said, BLANK], dtype=np.int8)[indices]
        for code in np.unique(indices[flag == UNKNOWN]):
            unusable[str(spelled[code])] += int(np.count_nonzero(indices == code))
        flags.append(flag)
    target = np.stack(flags, axis=1)
    least = target.min(axis=1)
    return np.where(least[:, None] < 0, least[:, None], target).astype(np.int8), unusable


def _split(text: Any) -> tuple[Any, ...] | None:
    """The labels of a text; none of an empty one, None of null."""
    if text is None:
        return None
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = str(text).strip()
    if text.startswith("["):
        # Python writes lists with the other quotes.
        for spelling in (text, text.replace("'", '"')):
            try:
                return tuple(map(str, json.loads(spelling)))
            except (ValueError, RecursionError):
                continue
    return tuple(text.split(LABEL_SEPARATOR))
