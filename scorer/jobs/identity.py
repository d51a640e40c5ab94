"""What an output depends on: two runs that agree in it give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

LABELS = {
    "form": "the form of the records (another release made them)",
    "size": "the input's size",
    "modified_ns": "the input's modification time",
    "etag": "the input's ETag",
    "model": "the model",
    "model_sha256": "the model's digest",
    "card_sha256": "the model's card",
    "scorer": "this program's version",
}


def digest(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity, for keeping and comparing."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first thing in which two identities differ, in words; empty if in none."""
    now = json.loads(json.dumps(dict(now)))  # as `before`, which was kept as JSON: lists for tuples
    for key in dict.fromkeys([*before, *now]):
        was, is_now = before.get(key), now.get(key)
        if was != is_now:
            what = LABELS.get(key, f"the setting {key.rpartition('.')[2]}")
            return f"{what} was {_shown(was)} and is now {_shown(is_now)}"
    return ""


def _shown(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text
