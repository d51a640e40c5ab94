"""A card as text: YAML front matter between two `---` lines, then Markdown.

It is untrusted input: nesting, the number of values and YAML aliases are capped before anything is
built from it.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from scorer.errors import CardError

MAX_YAML_DEPTH = 16
MAX_YAML_NODES = 50_000
MAX_NUMBER = 64  # characters; YAML 1.1 reads 1:1:1… in base 60, in quadratic time


def split_front_matter(text: str) -> tuple[Any, str]:
    """The front matter as plain data, and the Markdown after it.

    Raises CardError for what is not YAML, or is dear to build.
    """
    front, body = _split(text)
    return _safe_yaml(front), body


def join_front_matter(front: dict[str, Any], body: str) -> str:
    """The text of a card, as `split_front_matter` reads it."""
    head = yaml.dump(front, Dumper=_CompactDumper, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{head}---\n{body}"


class _CompactDumper(yaml.SafeDumper):
    """Lists of numbers on one line; no anchors, which the reader refuses."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flat = all(isinstance(item, int | float | str) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


def _represent_str(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
    # Quoted, a character that YAML takes for a line's end (U+0085, U+2028) is escaped.
    style = None if data.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_CompactDumper.add_representer(list, _represent_list)
_CompactDumper.add_representer(str, _represent_str)


def _split(text: str) -> tuple[str, str]:
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    if not lines or lines[0].strip() != "---":
        raise CardError("the card does not begin with a `---` line (YAML front matter)")
    for i, line in enumerate(lines[1:], start=1):
        if line.strip() == "---":
            return "".join(lines[1:i]), "".join(lines[i + 1 :])
    raise CardError("the card's front matter has no closing `---` line")


def _safe_yaml(text: str) -> Any:
    """Plain data from YAML, without aliases (billion laughs) or deep nesting (stack overflow)."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check_events(yaml.parse(text, Loader=loader))
        return _plain(yaml.load(text, Loader=loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 2})" if mark else ""
        raise CardError(f"the card's front matter is not YAML{line}") from error
    except (ValueError, RecursionError, OverflowError, TypeError) as error:
        raise CardError(f"the card's front matter cannot be read: {error}") from error


def _check_events(events: Iterator[Any]) -> None:
    """Refuse what is dear to build, before anything is built."""
    depth = 0
    for nodes, event in enumerate(events):
        if isinstance(event, yaml.AliasEvent):
            raise CardError("YAML aliases are not allowed in a card")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:
            raise CardError(f"the card nests deeper than {MAX_YAML_DEPTH} levels")
        if nodes > MAX_YAML_NODES:
            raise CardError(f"the card has more than {MAX_YAML_NODES} values")
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and _long_number(event.value):
            raise CardError(f"the card has a number of more than {MAX_NUMBER} characters")


def _long_number(text: str) -> bool:
    return len(text) > MAX_NUMBER and re.fullmatch(r"[-+0-9._:xXa-fA-F]+", text) is not None


def _plain(value: Any) -> Any:
    """What JSON can hold too, so that any part of a card can be shown: dates become texts."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise CardError("the card has a number that is not finite")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise CardError(f"the card has a value of the YAML type {type(value).__name__}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise CardError(f"the card has the key {key!r:.60}, which is not a text; quote it")
    return key
