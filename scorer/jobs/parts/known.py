"""Scores of a table's rows that are known before it is read."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scorer.scores import Scores
from scorer.tables import Window
from scorer.tables.arrays import as_text


@dataclass(frozen=True)
class Known:
    """The scores of rows that can be read, in their order, and `row_sums` of them."""

    scores: Scores
    sums: NDArray[np.uint32]

    @property
    def rows(self) -> int:
        return len(self.sums)


def with_known(
    pairs: Iterable[tuple[Window, Scores | None]], known: Known | None, columns: Sequence[str] = ()
) -> Iterator[tuple[Window, Scores | None]]:
    """The windows with their scores: those they have, or those that are `known` of these rows.

    The model reads `columns` beside the text. Where fewer rows are known than there are, or others,
    there are none: they are scored.
    """
    row = 0
    for window, scores in pairs:
        end = row + window.rows
        if scores is None and known is not None and end <= known.rows:
            same = np.array_equal(known.sums[row:end], row_sums(window, columns))
            scores = sliced(known.scores, row, end) if same else None
        yield window, scores
        row = end


def row_sums(window: Window, columns: Sequence[str]) -> NDArray[np.uint32]:
    """A sum (rows,) of what a model reads of each row: its text and `columns`."""
    sums = text_sums(window.texts)
    for name in columns:
        sums = sums * np.uint32(31) + text_sums(as_text(window.table.column(name)))
    return sums


def text_sums(texts: pa.Array) -> NDArray[np.uint32]:
    """CRC-32 of every text (rows,); a null's is not that of an empty text."""
    if not len(texts):
        return np.zeros(0, dtype=np.uint32)
    kind = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1].tolist()
    content = memoryview(data if data is not None else b"")
    sums = np.array([zlib.crc32(content[a:b]) for a, b in pairwise(places)], dtype=np.uint32)
    return np.where(texts.is_valid().to_numpy(zero_copy_only=False), sums, ~sums)


def joined(parts: Sequence[Known]) -> Known | None:
    """The scores of all rows, one after the other; None for no rows."""
    if not parts:
        return None
    scores = [part.scores for part in parts]
    words = [part.words for part in scores if part.words is not None]
    return Known(
        Scores(
            np.concatenate([part.outputs for part in scores]),
            np.concatenate([part.n_tokens for part in scores]),
            np.concatenate([part.n_oov for part in scores]),
            np.concatenate([part.truncated for part in scores]),
            np.concatenate([part.scored for part in scores]),
            pa.concat_arrays(words) if words else None,
        ),
        np.concatenate([part.sums for part in parts]),
    )


def sliced(scores: Scores, first: int, end: int) -> Scores:
    """The scores of some rows."""
    rows = slice(first, end)
    return Scores(
        scores.outputs[rows],
        scores.n_tokens[rows],
        scores.n_oov[rows],
        scores.truncated[rows],
        scores.scored[rows],
        None if scores.words is None else scores.words.slice(first, end - first),
    )
