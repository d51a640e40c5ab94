"""Arrow columns: their texts, what lies inside nested ones, the categories of dictionaries."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

SHORT_BITS = 16


def leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of a column that hold no others: a list's values, a struct's fields."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from leaves(array.storage)
    elif pa.types.is_map(kind):
        yield from leaves(array.keys)
        yield from leaves(array.items)
    elif pa.types.is_struct(kind):
        for i in range(kind.num_fields):
            yield from leaves(array.field(i))
    elif pa.types.is_nested(kind) and hasattr(array, "values"):
        yield from leaves(array.values)
    else:
        yield array


def leaf_types(kind: pa.DataType) -> list[pa.DataType]:
    """The types of `leaves` of a column of this type; none of a struct without fields."""
    if isinstance(kind, pa.BaseExtensionType):
        return leaf_types(kind.storage_type)
    if pa.types.is_map(kind):
        return leaf_types(kind.key_type) + leaf_types(kind.item_type)
    if pa.types.is_nested(kind):
        return [leaf for i in range(kind.num_fields) for leaf in leaf_types(kind.field(i).type)]
    return [kind]


def as_text(column: pa.Array) -> pa.Array:
    """A string or large_string array of a text column: dictionaries decoded, broken UTF-8 null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = column.cast(pa.large_string())
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        values = column.cast(pa.large_binary()).to_pylist()
        return pa.array([_text_or_none(value) for value in values], pa.large_string())
    return column


def _text_or_none(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def is_hollow(kind: pa.DataType) -> bool:
    """Whether the type is, or holds, a struct without fields."""
    if isinstance(kind, pa.BaseExtensionType):
        return is_hollow(kind.storage_type)
    if pa.types.is_map(kind):
        return is_hollow(kind.key_type) or is_hollow(kind.item_type)
    if not pa.types.is_nested(kind):
        return False
    return not kind.num_fields or any(is_hollow(kind.field(i).type) for i in range(kind.num_fields))


class Categories:
    """The categories of batches that are to become one.

    Each batch may have a dictionary of its own, and codes of 8 or 16 bits may not reach over all
    of them. With `apart`, dictionaries inside of lists and structs are not mixed at all: Arrow does
    not read back a row group with two of them.
    """

    def __init__(self, schema: pa.Schema, *, apart: bool = False) -> None:
        self._apart = apart
        self._columns = [
            i
            for i, field in enumerate(schema)
            if any(self._counts(field.type, leaf) for leaf in leaf_types(field.type))
        ]
        self._known: list[pa.Array] = []

    def _counts(self, column: pa.DataType, leaf: pa.DataType) -> bool:
        if not pa.types.is_dictionary(leaf):
            return False
        return self._is_apart(column) or bool(leaf.index_type.bit_width <= SHORT_BITS)

    def _is_apart(self, column: pa.DataType) -> bool:
        return self._apart and not pa.types.is_dictionary(column)

    def take(self, batch: pa.RecordBatch) -> bool:
        """Add the batch's categories. False if they may not come together: nothing is added."""
        coded = [
            (column.type, leaf)
            for column in map(batch.column, self._columns)
            for leaf in leaves(column)
            if self._counts(column.type, leaf.type)
        ]
        if not self._known:
            self._known = [leaf.dictionary for _, leaf in coded]
            return True
        joined = []
        for known, (column, leaf) in zip(self._known, coded, strict=True):
            more = leaf.dictionary
            every = known if known.equals(more) else pc.unique(pa.concat_arrays([known, more]))
            if every is not known and (self._is_apart(column) or len(every) > _room(leaf.type)):
                return False
            joined.append(every)
        self._known = joined
        return True

    def clear(self) -> None:
        """Forget all batches so far."""
        self._known = []


def _room(kind: pa.DataType) -> int:
    """How many categories Arrow brings together under the codes of a dictionary type."""
    bits: int = kind.index_type.bit_width
    return (1 << (bits - 1 if pa.types.is_signed_integer(kind.index_type) else bits)) - 1
