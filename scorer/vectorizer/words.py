"""The words of a vocabulary in one piece of memory, not an object for each.

A model may have some 350,000.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_LINE_FEED = 10
_FIRST_PRINTED = 32
#: what else than control characters ends a line for `str.splitlines`
_SEPARATORS = "\x85\u2028\u2029"
#: so many words are counted by Arrow, whose import takes as long as to count them in Python
_MANY = 50_000


class Words(Sequence[str]):
    """Words of valid Unicode; equal to a tuple of the same words.

    data     their bytes in UTF-8, one word after another
    offsets  int64 (words + 1,), where each begins, and where the last one ends
    """

    def __init__(self, data: bytes, offsets: np.ndarray) -> None:
        self.data = data
        self.offsets = offsets

    @classmethod
    def of(cls, words: Iterable[str]) -> Words:
        """Raises UnicodeEncodeError where a word is not valid Unicode."""
        encoded = [word.encode() for word in words]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(word) for word in encoded], out=offsets[1:])
        return cls(b"".join(encoded), offsets)

    @property
    def array(self) -> pa.Array:
        """large_string (words,)"""
        import pyarrow as pa

        buffers = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(pa.large_string(), len(self), buffers)

    @property
    def has_empty(self) -> bool:
        return not np.diff(self.offsets).all()

    @property
    def are_distinct(self) -> bool:
        different = self.array.unique() if len(self) > _MANY else set(self)
        return len(different) == len(self)

    def first(self, count: int) -> Words:
        return Words(self.data, self.offsets[: count + 1])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                return Words(self.data, self.offsets[start : max(start, stop) + 1])
            return tuple(self)[index]
        start, stop = self.offsets[range(len(self))[index] :][:2].tolist()
        return self.data[start:stop].decode()

    def __iter__(self) -> Iterator[str]:
        ends = self.offsets.tolist()
        for start, stop in pairwise(ends):
            yield self.data[start:stop].decode()

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Words | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))


def as_array(words: Sequence[str]) -> pa.Array:
    """large_string (words,)"""
    if isinstance(words, Words):
        return words.array
    import pyarrow as pa

    return pa.array(words, pa.large_string())


def lines_of(data: bytes) -> Words:
    """The lines as `str.splitlines` has them, empty ones at the end left out. Raises
    UnicodeDecodeError."""
    text = data.decode("utf-8")
    values = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(values == _LINE_FEED)
    controls = np.count_nonzero(values < _FIRST_PRINTED)
    if controls > len(feeds) or any(separator in text for separator in _SEPARATORS):
        words = Words.of(text.splitlines())
    else:
        content = data.translate(None, b"\n")
        inner = feeds - np.arange(len(feeds))
        words = Words(content, np.concatenate([[0], inner, [len(content)]]))
    filled = np.flatnonzero(np.diff(words.offsets))
    return words.first(int(filled[-1]) + 1 if len(filled) else 0)
