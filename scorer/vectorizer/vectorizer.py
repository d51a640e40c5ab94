"""Runs a VectorizerSpec: Arrow strings in, a TokenBatch out.

Every rule about characters is about single bytes, so one table of 256 actions and one pass over the
bytes serve all settings; what needs more (Unicode's letters, patterns) is prepared before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from scorer.vectorizer.actions import byte_actions
from scorer.vectorizer.spec import TokenBatch, VectorizerSpec
from scorer.vectorizer.words import as_array

if TYPE_CHECKING:
    import pyarrow as pa

    from scorer.vectorizer.building import Built

LEFT_OUT = -1


def expect_kernels(specs: Iterable[VectorizerSpec]) -> None:
    """Tell `compiling.watch` what vectorizers of these specs will have to compile."""
    from scorer.vectorizer import building, kernels

    building.add_words.expect()
    kernels.tokenize_rows.expect()
    if any(max(spec.ngrams) > 1 for spec in specs):
        kernels.fill_paths.expect()


class Vectorizer:
    """Calls turn texts into a TokenBatch. Safe to share between threads; a call holds no GIL while
    it looks tokens up and uses one core.

    A text without tokens (null, empty, punctuation only) has n_tokens 0. With `split=None` the
    whole text is one token, and an empty one none, which Keras maps to its padding id.
    """

    def __init__(self, spec: VectorizerSpec) -> None:
        # Here, not above: Numba takes a second to import, and a spec alone does not need it.
        from scorer.vectorizer import kernels

        self._spec = spec
        self._tokenize = kernels.tokenize
        self._actions = byte_actions(spec, kernels.KEEP, kernels.BREAK)
        self._numbering = numbering(spec)
        self._arranged = (
            self._numbering is not None
            or spec.start_id is not None
            or spec.padding.masked
            or spec.padding.truncating == "pre"
            or not spec.padding.is_implied
        )
        length = None if self._arranged else spec.output_sequence_length
        self._limit = length or np.iinfo(np.int64).max
        built = _built(spec)
        self._longest = int(np.diff(built.starts).max(initial=1)) - 1
        self._sizes = np.array(spec.ngrams, np.int64)
        paths = kernels.build_paths(built.places, built.ends, built.ids, len(built.entries))
        self._tables = (built.slots, built.entries, paths)

    def __call__(self, texts: pa.Array) -> TokenBatch:
        """`texts` is any kind of Arrow string Array (dictionary and view types are cast)."""
        data, offsets = _string_buffers(self._spec.preparation(_as_strings(texts)))
        ids, row_ends, n_tokens, n_oov = self._tokenize(
            data,
            offsets,
            self._actions,
            self._limit,
            self._longest,
            self._sizes,
            self._tables,
        )
        if self._arranged:
            ids, row_ends, truncated = self._arrange(ids, row_ends)
        else:
            truncated = self._spec.ids_of(n_tokens) > np.diff(row_ends)
        return TokenBatch(ids, row_ends, n_tokens, n_oov, truncated)

    def _arrange(
        self, ids: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number, start, cut and pad rows of looked-up tokens; ids, offsets and what was cut."""
        spec, padding = self._spec, self._spec.padding
        if self._numbering is not None:
            ids, offsets = _kept(self._numbering[ids], offsets, LEFT_OUT)
        if spec.start_id is not None:
            start = spec.start_id + (spec.output_mode != "int")
            ids = np.insert(ids, offsets[:-1], np.int32(start))
            offsets = offsets + np.arange(len(offsets))
        length = spec.output_sequence_length
        counts = np.diff(offsets)
        truncated = np.zeros(len(counts), np.bool_)
        if length is not None:
            truncated = counts > length
            ids, offsets = _cut(ids, offsets, length, from_start=padding.truncating == "pre")
        if padding.masked:
            ids, offsets = _kept(ids, offsets, 0)
        elif length is not None and not padding.is_implied:
            ids, offsets = _filled(ids, offsets, length, padding.value, padding.side == "pre")
        return ids, offsets, truncated


def _built(spec: VectorizerSpec) -> Built:
    """The vocabulary's tokens and n-grams."""
    from scorer.vectorizer import building

    split = building.NOWHERE
    if spec.ngrams != (1,):
        characters = spec.split == "character"
        split = building.AT_CHARACTERS if characters else building.AT_SPACES
    words = _string_buffers(as_array(spec.vocabulary))
    return building.build(*words, split, spec.ngrams)


def numbering(spec: VectorizerSpec) -> np.ndarray | None:
    """int32 (words + 2,): what becomes of the ids that the look-up gives; None: they stay."""
    if spec.word_ids is None and spec.unknown_id == 1:
        return None
    shift = int(spec.output_mode != "int")  # a bag's ids are columns + 1
    words = np.arange(2, len(spec.vocabulary) + 2) if spec.word_ids is None else spec.word_ids
    unknown = LEFT_OUT if spec.unknown_id is None else spec.unknown_id + shift
    table = np.empty(len(spec.vocabulary) + 2, np.int32)
    table[:2] = unknown
    table[2:] = words + shift if spec.word_ids is not None else words
    if spec.word_ids is not None:
        table[2:][spec.word_ids < 0] = LEFT_OUT
    return table


def _kept(ids: np.ndarray, offsets: np.ndarray, without: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows less the ids that equal `without`."""
    keep = ids != without
    if keep.all():
        return ids, offsets
    before = np.concatenate([[0], np.cumsum(keep)])
    return ids[keep], before[offsets]


def _cut(
    ids: np.ndarray, offsets: np.ndarray, length: int, *, from_start: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The last (`from_start`) or first `length` ids of each row."""
    counts = np.diff(offsets)
    if not (counts > length).any():
        return ids, offsets
    kept = np.minimum(counts, length)
    starts = offsets[1:] - kept if from_start else offsets[:-1]
    ends = np.concatenate([[0], np.cumsum(kept)])
    return ids[np.arange(ends[-1]) + np.repeat(starts - ends[:-1], kept)], ends


def _filled(
    ids: np.ndarray, offsets: np.ndarray, length: int, value: int, before: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Every row with `length` ids, `value` put before or after its own."""
    counts = np.diff(offsets)
    positions = np.arange(length)
    own = positions >= (length - counts)[:, None] if before else positions < counts[:, None]
    filled = np.full((len(counts), length), value, np.int32)
    filled[own] = ids
    return filled.reshape(-1), np.arange(len(counts) + 1, dtype=np.int64) * length


def _as_strings(texts: pa.Array) -> pa.Array:
    """A string or large_string Array of the same texts."""
    import pyarrow as pa

    if not isinstance(texts, pa.Array):
        raise TypeError(f"expected an Arrow Array of strings, not {type(texts).__name__}")
    if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
        return texts
    value_type = texts.type.value_type if pa.types.is_dictionary(texts.type) else texts.type
    if value_type not in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
        raise TypeError(f"expected an Arrow Array of strings, not of {texts.type}")
    return texts.cast(pa.large_string())


def _string_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Bytes uint8 (bytes,) and offsets int64 (rows + 1,) of a string Array; nulls become empty."""
    import pyarrow as pa

    if texts.null_count:
        texts = texts.fill_null("")  # a null's slot may hold bytes
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offset_buffer, data = texts.buffers()
    width = np.int32 if pa.types.is_string(texts.type) else np.int64
    offsets = np.frombuffer(offset_buffer, width, len(texts) + 1, texts.offset * width().itemsize)
    return np.frombuffer(data or b"", np.uint8), offsets.astype(np.int64)
