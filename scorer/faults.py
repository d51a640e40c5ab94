"""Says in plain words everything that pydantic finds wrong with a card or an index."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

MOST = 12  # faults that are told
_WHERE = 200  # characters of a field's place

#: pydantic's name of a fault -> what to say, from what pydantic says of it
_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is not a field that is known here",
    "value_error": lambda c: str(c["error"]),
    "literal_error": lambda c: f"must be {c['expected']}",
    "enum": lambda c: f"must be {c['expected']}",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda c: f"has more than {c['max_length']} characters",
    "too_short": lambda c: f"needs {c['min_length']} or more entries, it has {c['actual_length']}",
    "too_long": lambda c: f"has more than {c['max_length']} entries",
    "greater_than": lambda c: f"must be greater than {c['gt']:g}",
    "greater_than_equal": lambda c: f"must be {c['ge']:g} or greater",
    "less_than": lambda c: f"must be less than {c['lt']:g}",
    "less_than_equal": lambda c: f"must be {c['le']:.10g} or less",
    "finite_number": lambda _: "must be a finite number",
}
#: the begin of pydantic's name of a fault of type -> what the field must be
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a mapping",
    "model": "a mapping",
}
#: what a pattern stands for, by the last part of the field's place
_PATTERNS = {
    "name": "must be lower-case letters, digits and single hyphens, such as 'my-model'",
    "version": "must be three numbers with dots between them, such as '1.0.0'",
    "replace": "must be REGEX=>TEXT, such as '<br />=> '",
    "sha256": "must be 64 hexadecimal digits",
}


def in_words(error: ValidationError, known: Mapping[str, tuple[str, ...]] | None = None) -> str:
    """All faults in one line: the field, what is wrong, and what was found.

    known   for a part of the card (`scorer`, `vectorizer` ...), the names of its fields: the one
            that is nearest to an unknown field is named
    """
    faults = [_told(fault, known or {}) for fault in error.errors(include_url=False)]
    unique = list(dict.fromkeys(faults))
    more = f"; and {len(unique) - MOST} more faults" if len(unique) > MOST else ""
    return "; ".join(unique[:MOST]) + more


def _told(fault: Any, known: Mapping[str, tuple[str, ...]]) -> str:
    place = [
        str(part) for part in fault["loc"] if part not in ("function-after", "constrained-str")
    ]
    where = ".".join(place)[:_WHERE]
    kind, found = fault["type"], fault.get("input")
    words = _words_of(kind, fault.get("ctx") or {}, place)
    if kind == "value_error":
        return f"field `{where}`: {words}" if where else words
    if kind == "extra_forbidden":
        words += _nearest(place, known)
    shown = isinstance(found, str | int | float) and kind != "extra_forbidden"
    value = f", not {found!r:.60}" if shown else ""
    return f"field `{where}` {words}{value}" if where else words


def _words_of(kind: str, context: Mapping[str, Any], place: list[str]) -> str:
    if kind in _WORDS:
        return _WORDS[kind](context)
    if kind == "string_pattern_mismatch":
        names = [part for part in reversed(place) if part in _PATTERNS]
        return _PATTERNS[names[0]] if names else "is not written as it must be"
    return f"must be {_TYPES.get(kind.partition('_')[0], 'of another kind')}"


def _nearest(place: list[str], known: Mapping[str, tuple[str, ...]]) -> str:
    *parents, name = place
    fields = known.get(next((p for p in reversed(parents) if not p.isdecimal()), ""), ())
    near = difflib.get_close_matches(name, fields, n=1, cutoff=0.6)
    return f" (did you mean `{near[0]}`?)" if near else ""
