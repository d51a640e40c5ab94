"""A card, and the index of a zoo."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from scripts.fuzzing.case import Target, expect, folder


def run_card(data: bytes) -> None:
    """A card that is read must also be shown, rendered, and read again alike."""
    from scorer.card import parse_card, read_card, render_card

    path = folder() / "README.md"
    path.write_bytes(data)
    card = read_card(path)
    json.dumps(card.model_dump(mode="json", by_alias=True), allow_nan=False)
    again = parse_card(render_card(card))
    expect(again.scorer == card.scorer, "a rendered card reads otherwise")


def run_index(data: bytes) -> None:
    """No entry of an index points outside its zoo."""
    from scorer.zoo import INDEX_FILE, list_models

    zoo = folder() / "zoo"
    zoo.mkdir(exist_ok=True)
    (zoo / INDEX_FILE).write_bytes(data)
    for entry in list_models((zoo,), all_versions=True):
        if entry.zoo == zoo:
            expect(entry.model_path.resolve().is_relative_to(zoo), "a path left its zoo")
            expect(entry.digest is not None, "an indexed model without a digest")


def good_card() -> dict[str, Any]:
    return {
        "license": "apache-2.0",
        "scorer": {
            "schema": 1,
            "name": "fuzzed",
            "version": "1.0.0",
            "task": "binary",
            "labels": [{"name": "bad", "aliases": ["0"]}, {"name": "good"}],
            "text_columns": ["text"],
            "golden": [{"text": "good", "output": [0.5]}, {"text": "", "output": None}],
            "figures": [{"metric": "accuracy", "value": 0.5, "data": "made up", "rows": 6}],
        },
    }


@cache
def card_seeds() -> list[bytes]:
    from scorer.card import parse_card, render_card

    plain = "---\n" + json.dumps(good_card()) + "\n---\n# A card\n"
    return [plain.encode(), render_card(parse_card(plain)).encode()]


def index_seeds() -> list[bytes]:
    file = {"sha256": "0" * 64, "size": 7}
    entry = {"name": "a", "version": "1.0.0", "files": {"model.keras": file, "README.md": file}}
    return [json.dumps({"schema": 1, "models": [entry, {**entry, "version": "1.2.0"}]}).encode()]


TARGETS = {
    "card": Target(run_card, card_seeds),
    "index": Target(run_index, index_seeds, is_json=True),
}
