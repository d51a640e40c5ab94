"""Which column holds the text, and whether the new columns have free names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from scorer.errors import ColumnError

SHOWN = 20
#: a column's name is shorter; a text in the first line is often not
LONG = 60


class Table(Protocol):
    """What is asked of a table here: its name, its columns, its rows where they are known."""

    @property
    def name(self) -> str: ...

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def rows(self) -> int | None: ...


def text_column_of(table: Table, requested: str | None, candidates: Sequence[str]) -> str | None:
    """`choose_text_column` of a table; None where it has no columns and, for certain, no rows."""
    if not len(table.schema) and table.rows == 0:
        return None
    return choose_text_column(table.name, table.schema, requested, candidates)


def choose_text_column(
    name: str, schema: pa.Schema, requested: str | None, candidates: Sequence[str]
) -> str:
    """The column to score: `requested`, else the one of the card's candidates that is there.

    Raises ColumnError where it is missing, holds no strings, or where several would do.
    """
    present = schema.names
    if requested is None:
        matches = [column for column in candidates if column in present]
        if len(matches) > 1:
            several = " and ".join(repr(column) for column in matches)
            raise ColumnError(f"{name}: {several} may hold the text: choose one with --text-column")
        if not matches:
            expected = " or ".join(repr(column) for column in candidates)
            raise ColumnError(
                f"{name}: no column {expected}{missing(candidates, present)}; "
                "choose the text column with --text-column"
            )
        requested = matches[0]
    elif requested not in present:
        raise ColumnError(f"{name}: no column {requested!r}{missing([requested], present)}")
    if present.count(requested) > 1:
        raise ColumnError(f"{name}: two columns are named {requested!r}: rename one")
    if not holds_text(schema.field(requested).type):
        kind = schema.field(requested).type
        what = "no text" if pa.types.is_large_binary(kind) else str(kind)
        raise ColumnError(f"{name}: column {requested!r} holds {what}, not strings")
    return requested


def missing(names: Sequence[str], present: Sequence[str]) -> str:
    """The tail of a message on a missing column: the nearest name and what there is."""
    if not present:
        return "; its rows have no columns"
    folded = {column.casefold(): column for column in present}
    near = [
        column
        for name in names
        for column in difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    ]
    nearest = f" (did you mean {folded[near[0]]!r}?)" if near else ""
    shown = ", ".join(_shown(column) for column in present[:SHOWN])
    more = f" and {len(present) - SHOWN} more" if len(present) > SHOWN else ""
    hint = ""
    if len(present) == 1 and (marks := [mark for mark in ";\t|," if mark in present[0]]):
        hint = f"; if the file's delimiter is {marks[0]!r}, use --delimiter {marks[0]!r}"
    elif any(len(column) > LONG or _is_number(column) for column in present):
        hint = "; if the first line of the file is a row, use --no-header or --columns"
    return f"{nearest}; there are: {shown}{more}{hint}"


def _shown(name: str) -> str:
    """A name in a list of names: in quotes where its ends could not be told."""
    return name if name == name.strip() != "" and ", " not in name else repr(name)


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def holds_text(kind: pa.DataType) -> bool:
    """Whether a column of this type can be scored (a column of nulls can: none is scored)."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def check_words(name: str, schema: pa.Schema, column: str) -> None:
    """Raise ColumnError where a column cannot be written into a text, or is not the only one."""
    if schema.names.count(column) > 1:
        raise ColumnError(f"{name}: two columns are named {column!r}: rename one")
    kind = schema.field(column).type
    if not (holds_text(kind) or pa.types.is_primitive(kind)):
        raise ColumnError(f"{name}: column {column!r} holds {kind}, neither words nor numbers")


def check_free(name: str, present: Sequence[str], added: Sequence[str], prefix: str) -> None:
    """Raise ColumnError where the input already has a column of a new column's name."""
    clashes = [column for column in added if column in present]
    if clashes:
        remedy = "another --prefix" if prefix else "--prefix"
        raise ColumnError(
            f"{name}: already has a column {clashes[0]!r}: name the new ones with {remedy}"
        )
