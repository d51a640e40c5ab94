"""Values of columns to ids: StringLookup, IntegerLookup and Hashing at an input of a network.

A value is looked up as it is: no letter is lowered, no space cut off. Null is the empty text. Of a
lookup of whole numbers, 3, "3" and "3.0" are the same value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scorer.vectorizer.hashing import fingerprint64, siphash
from scorer.vectorizer.spec import Buckets, Category, TokenBatch, VectorizerSpec
from scorer.vectorizer.words import as_array

if TYPE_CHECKING:
    import pyarrow as pa

NO_ID = -1
#: whole numbers beyond are not exact where a table holds floats
MOST_NUMBER = 1 << 53


class Categories:
    """Calls turn columns into a TokenBatch. Safe to share between threads."""

    def __init__(self, spec: VectorizerSpec) -> None:
        """`spec` must have a `category` and the ids of its words (`word_ids`)."""
        assert spec.category is not None
        assert spec.word_ids is not None
        self._spec = spec
        self._category: Category = spec.category
        self._words = as_array(spec.vocabulary)
        self._shift = int(spec.output_mode != "int")  # a bag's ids are columns + 1
        unknown = NO_ID if spec.unknown_id is None else spec.unknown_id
        self._table = np.append(spec.word_ids, unknown).astype(np.int64)

    @property
    def numeric(self) -> bool:
        """Whether it looks up whole numbers."""
        return self._category.numeric

    def __call__(self, columns: Sequence[pa.Array]) -> tuple[TokenBatch, np.ndarray]:
        """The ids of rows with one value in each column, and bool (rows,): each has an id.

        A column holds texts, or of a lookup of whole numbers int64, null where there is none.
        """
        pairs = [self._ids(column) for column in columns]
        ids = np.stack([ids for ids, _ in pairs], axis=1)
        unknown = np.stack([unknown for _, unknown in pairs], axis=1)
        there = np.stack([_there(column) for column in columns], axis=1)
        good = ~((ids == NO_ID) & unknown).any(axis=1)
        batch = self._batch(ids, there.sum(axis=1), (unknown & there).sum(axis=1))
        return batch, good

    def _ids(self, column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """int64 (rows,), NO_ID where a value has none, and bool (rows,): it is not a word."""
        import pyarrow as pa
        import pyarrow.compute as pc

        keys = column.cast(pa.large_string())
        if not self._category.numeric:
            keys = keys.fill_null("")
        places = pc.index_in(keys, value_set=self._words)
        places = pc.fill_null(places, len(self._words)).to_numpy(zero_copy_only=False)
        unknown = places == len(self._words)
        ids = self._table[places]
        buckets = self._category.buckets
        if buckets is not None and unknown.any():
            hashed = keys.filter(pa.array(unknown)).dictionary_encode()
            values = hashed.dictionary.to_pylist()
            found = np.array([_bucket(value, buckets) for value in values] or [NO_ID], np.int64)
            codes = hashed.indices.fill_null(0).to_numpy(zero_copy_only=False)
            ids[unknown] = np.where(hashed.indices.is_valid(), found[codes], NO_ID)
        return ids, unknown

    def _batch(self, ids: np.ndarray, n_tokens: np.ndarray, n_oov: np.ndarray) -> TokenBatch:
        """Rows without those ids that a bag, or a mask, leaves out."""
        kept = np.where(ids == NO_ID, -self._shift, ids) + self._shift
        leave_zeros_out = self._shift or self._spec.padding.masked
        keep = (kept != 0) if leave_zeros_out else np.ones(ids.shape, np.bool_)
        offsets = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
        return TokenBatch(
            kept[keep].astype(np.int32),
            offsets.astype(np.int64),
            n_tokens.astype(np.int32),
            n_oov.astype(np.int32),
        )


def _there(column: pa.Array) -> np.ndarray:
    """bool (rows,), whether there is a value, which is not an empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    there = column.is_valid().to_numpy(zero_copy_only=False)
    if not pa.types.is_integer(column.type):
        there = there & (pc.fill_null(pc.binary_length(column), 0).to_numpy() > 0)
    found: np.ndarray = there
    return found


def _bucket(value: str, buckets: Buckets) -> int:
    """The id of a value that is not a word."""
    if buckets.modulo:
        return buckets.first + int(value) % buckets.count
    data = value.encode()
    number = fingerprint64(data) if buckets.salt is None else siphash(data, buckets.salt)
    return buckets.first + number % buckets.count
