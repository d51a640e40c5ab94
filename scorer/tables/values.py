"""Arrow values as CSV's cells and as JSON's values: exactly, or refused with the reason.

type                     CSV            JSON
numbers                  shortest form  number; NaN and the infinities are null
dates, times             ISO, a space   the same; nanoseconds where there are any
UUID, decimal            its text       its text
bytes                    refused        base64
lists, structs, maps     refused        array, object, array of pairs

Of the columns that a model appends, a list of texts has a cell too: the texts joined by `|`.
"""

from __future__ import annotations

import base64
import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from scorer.tasks import LABEL_SEPARATOR

NANOS = 1_000_000_000
# What Arrow writes in place of a date that its calendar does not reach.
_OUT_OF_RANGE = "<value out of range"


class Unwritable(Exception):
    """A value or a type that the output's format has no place for; says what it is."""


def check_csv(kind: pa.DataType) -> None:
    """Raise Unwritable where CSV has no place for values of this type."""
    inner = _stored(kind)
    if _is_uuid(kind):
        return
    if pa.types.is_nested(inner) or _is_bytes(inner) or pa.types.is_interval(inner):
        raise Unwritable(str(kind))


def csv_cells(column: pa.Array) -> list[str | None]:
    """A column's values as text, None for null. Raises Unwritable."""
    if _is_uuid(column.type):
        return [str(value) if value is not None else None for value in _uuids(column)]
    try:
        cells: list[str | None] = _plain(column).cast(pa.string()).to_pylist()
    except UnicodeDecodeError:
        raise Unwritable("text that is not UTF-8") from None
    except (pa.ArrowException, KeyError) as error:
        raise Unwritable(f"{column.type} ({_first_line(error)})") from error
    if pa.types.is_temporal(_stored(column.type)):
        far = next((cell for cell in cells if cell and cell.startswith(_OUT_OF_RANGE)), None)
        if far is not None:
            raise Unwritable(f"{column.type} out of any calendar's range: {far}")
    return cells


def is_list_of_texts(kind: pa.DataType) -> bool:
    """Whether it is the type of the lists that a model appends."""
    return bool(pa.types.is_list(kind) and pa.types.is_string(kind.value_type))


def appended_cells(column: pa.Array) -> pa.Array:
    """An appended column's values as a string array; a list's texts joined by `|`."""
    if is_list_of_texts(column.type):
        lists = column.to_pylist()
        joined = [None if texts is None else LABEL_SEPARATOR.join(texts) for texts in lists]
        return pa.array(joined, pa.string())
    return column.cast(pa.string())


def each_text(texts: pa.Array, write: Callable[[str], str]) -> pa.Array:
    """What `write` makes of every text, asked once for each that is there; null stays null."""
    coded = texts.dictionary_encode()
    written = pa.array([write(text) for text in coded.dictionary.to_pylist()], pa.string())
    return written.take(coded.indices)


def check_json(kind: pa.DataType) -> None:
    """Raise Unwritable where JSON has no place for values of this type."""
    for each in _all_types(kind):
        if pa.types.is_struct(each):
            names = Counter(each.field(i).name for i in range(each.num_fields))
            name, times = max(names.items(), key=lambda item: item[1], default=("", 0))
            if times > 1:
                raise Unwritable(f"a struct with {times} fields named {name!r}")


def json_objects(column: pa.Array) -> list[Any]:
    """A column's values as what `json.dumps(default=str)` writes. Raises Unwritable."""
    kinds = list(_all_types(column.type))
    try:
        if any(map(_is_nano, kinds)):
            return [_clean(_value(scalar)) for scalar in column]
        values = _python_values(column)
    except UnicodeDecodeError:
        raise Unwritable("text that is not UTF-8") from None
    except (pa.ArrowException, KeyError, ValueError, OverflowError) as error:
        raise Unwritable(f"{column.type} ({_first_line(error)})") from error
    if any(pa.types.is_floating(kind) or _is_bytes(kind) for kind in kinds):
        return [_clean(value) for value in values]
    return values


def _python_values(column: pa.Array) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
        return values
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError):  # a date that Python's calendar does not reach
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    """A scalar's Python value, those that Python has no type for as text."""
    if not scalar.is_valid:
        return None
    kind = scalar.type
    if pa.types.is_dictionary(kind):
        return _value(scalar.value)
    if isinstance(kind, pa.BaseExtensionType):
        return scalar.as_py() if _is_uuid(kind) else _value(scalar.value)
    if pa.types.is_map(kind):
        return [[_value(pair["key"]), _value(pair["value"])] for pair in scalar.values]
    if pa.types.is_struct(kind):
        return {name: _value(scalar[name]) for name in scalar}
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return [_value(item) for item in scalar.values]
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return _time(scalar)
    return scalar.as_py()


def _time(scalar: Any) -> str:
    """A date, time or duration as Python writes it, with nine decimals if it has nanoseconds."""
    if _is_nano(scalar.type):
        return _nano_time(scalar.value, scalar.type)
    try:
        return str(scalar.as_py())
    except (ValueError, OverflowError):
        text = scalar.cast(pa.string()).as_py()
    if text.startswith(_OUT_OF_RANGE):
        raise ValueError(text.strip("<>"))
    return str(text)


def _nano_time(count: int, kind: pa.DataType) -> str:
    """Without `as_py`, whose type depends on whether pandas is installed."""
    if pa.types.is_timestamp(kind):
        coarse = pa.timestamp("us", kind.tz)
    else:
        coarse = pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")
    if count % 1000 == 0:
        return str(pa.scalar(count // 1000, coarse).as_py())
    seconds, nanos = divmod(count, NANOS)
    text, zone = str(pa.scalar(seconds * 1_000_000, coarse).as_py()), ""
    if pa.types.is_timestamp(kind):
        text, zone = text[:19], text[19:]
    return f"{text}.{nanos:09d}{zone}"


def _clean(value: Any) -> Any:
    """The value with bytes in base64, and numbers that JSON does not know as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _plain(column: pa.Array) -> pa.Array:
    """The column without the ways in which Arrow stores values once, and without extensions."""
    while True:
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
        elif pa.types.is_run_end_encoded(kind):
            column = pc.run_end_decode(column)
        elif isinstance(kind, pa.BaseExtensionType):
            column = column.storage
        else:
            return column


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type of what `_plain` gives."""
    while True:
        if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        else:
            return kind


def _all_types(kind: pa.DataType) -> Iterator[pa.DataType]:
    """The type and those within it."""
    kind = kind if _is_uuid(kind) else _stored(kind)
    yield kind
    if not _is_uuid(kind) and pa.types.is_nested(kind):
        for i in range(kind.num_fields):
            yield from _all_types(kind.field(i).type)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _is_uuid(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def _uuids(column: pa.Array) -> Iterator[uuid.UUID | None]:
    for value in column.storage.to_pylist():
        yield None if value is None else uuid.UUID(bytes=value)


def _is_nano(kind: pa.DataType) -> bool:
    return pa.types.is_temporal(kind) and getattr(kind, "unit", "") == "ns"


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
