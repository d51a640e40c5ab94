"""Composes the text that a model reads from several columns of a table.

A card's template holds the text's place and the names of other columns in braces, between words:

    {text} {variety} {province} price{price}
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = "text"
#: a whole number, however its format writes it: 80, 80. and 80.0 are one word
_WHOLE = r"^(-?[0-9]+)\.0*$"
_HAS_WORD = r"[^\s[:punct:]]"


@dataclass(frozen=True)
class Composition:
    """Pieces of the composed text in order: (words, the column that follows them, or None)."""

    pieces: tuple[tuple[str, str | None], ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns beside the text, each once."""
        return tuple(dict.fromkeys(name for _, name in self.pieces if name not in (None, TEXT)))

    def __call__(self, texts: pa.Array, table: pa.RecordBatch | pa.Table) -> pa.Array:
        """large_string (rows,): the composed texts; null where `texts` has no word.

        A column that is null, or that `table` lacks, leaves its place empty. Floating-point numbers
        that are whole are written as such, so that no file format changes a score.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        own = texts.cast(pa.large_string())
        parts: list[pa.Array | pa.Scalar] = []
        for words, name in self.pieces:
            parts.append(pa.scalar(words, pa.large_string()))
            if name == TEXT:
                parts.append(own)
            elif name is not None and name in table.schema.names:
                parts.append(_as_words(table[name]))
        joined = pc.binary_join_element_wise(
            *parts, pa.scalar("", pa.large_string()), null_handling="replace", null_replacement=""
        )
        has_word = pc.fill_null(pc.match_substring_regex(own, _HAS_WORD), False)
        return pc.if_else(has_word, joined, pa.scalar(None, pa.large_string()))

    def missing(self, present: Iterable[str]) -> tuple[str, ...]:
        """The columns that a table with the columns `present` lacks."""
        there = set(present)
        return tuple(name for name in self.columns if name not in there)


def parse_template(template: str) -> Composition:
    """Read a template. Raises ValueError saying which rule it breaks."""
    pieces = tuple(_pieces(template))
    if sum(name == TEXT for _, name in pieces) != 1:
        raise ValueError("the template must name {text} once: the place of the text itself")
    return Composition(pieces)


def _pieces(template: str) -> Iterator[tuple[str, str | None]]:
    for words, name, style, conversion in string.Formatter().parse(template):
        if name == "" or style or conversion:
            raise ValueError("the template may hold words and {column} only")
        yield words, name


def _as_words(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return pc.replace_substring_regex(
        values.cast(pa.large_string()), pattern=_WHOLE, replacement=r"\1"
    )
