"""What an output depends on: two runs that agree in it give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scorer import __version__
from scorer.model import Model

if TYPE_CHECKING:
    from scorer.jobs.score import Settings

LABELS = {
    "size": "the input's size",
    "modified_ns": "the input's modification time",
    "etag": "the input's ETag",
    "model": "the model",
    "model_sha256": "the model's digest",
    "card_sha256": "the model's card",
    "scorer": "this program's version",
}


def settings_identity(model: Model, settings: Settings) -> dict[str, Any]:
    """The model and every setting that shows in the output."""
    card = model.card.scorer.model_dump_json().encode()
    return {
        "model": model.ref,
        "model_sha256": model.digest,
        "card_sha256": hashlib.sha256(card).hexdigest(),
        "engine": model.engine.name,
        "scorer": __version__,
        "text_column": settings.text_column,
        **asdict(settings.output),
        **asdict(settings.read),
        "csv_safe": settings.csv_safe,
    }


def digest(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity, for keeping and comparing."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first thing in which two identities differ, in words; empty if in none."""
    for key in dict.fromkeys([*before, *now]):
        was, is_now = before.get(key), now.get(key)
        if was != is_now:
            what = LABELS.get(key, f"the setting {key}")
            return f"{what} was {_shown(was)} and is now {_shown(is_now)}"
    return ""


def _shown(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text
