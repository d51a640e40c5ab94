"""The answers that `zoo add` needs: as a card, and which of them are missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from scorer.card import Card, card_faults
from scorer.errors import CardError, UsageError
from scorer.tasks import task_named

#: the options without which there is no card, with the question that asks for each
QUESTIONS = {
    "name": "Name of the model (lower-case letters, digits, hyphens)",
    "task": "What the model predicts",
    "text_columns": "Column of your tables that holds the text",
    "labels": "Labels in the order of the outputs, separated by commas",
}


@dataclass(frozen=True)
class NewCard:
    """The fields of a card that cannot be read from the model.

    vectorizer   fields of the card's `vectorizer`, those that are given
    inputs       NAME=COLUMN[,COLUMN...], one for each of several inputs
    """

    name: str | None
    version: str
    task: str | None
    license: str
    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    label_columns: tuple[str, ...]
    vectorizer: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    output_activation: str | None = None

    @property
    def missing(self) -> list[str]:
        """The names of the answers that are needed and not there."""
        needed = ["name", "task", "text_columns"]
        if self.task is not None and not task_named(self.task).accepts(0):
            needed.append("labels")
        return [name for name in needed if not getattr(self, name)]


def option_of(name: str) -> str:
    """The option that gives a field of a card."""
    single = {"labels": "label", "text_columns": "text-column", "label_columns": "label-column"}
    single |= {"inputs": "input", "kind": "vectorizer", "schema": "card"}
    return f"--{single.get(name, name.replace('_', '-'))}"


def draft_card(new: NewCard) -> Card:
    """A card from its few needed fields. Raises UsageError and CardError, all faults at once."""
    if new.missing:
        options = [option_of(name) for name in new.missing]
        listed = " and ".join([", ".join(options[:-1]), options[-1]] if options[1:] else options)
        raise UsageError(f"without --card the model needs {listed}")
    scorer: dict[str, Any] = {
        "schema": 1,
        "name": new.name,
        "version": new.version,
        "task": new.task,
        "labels": [{"name": label} for label in new.labels],
        "text_columns": list(new.text_columns),
        "label_columns": list(new.label_columns),
    }
    scorer |= {"vectorizer": dict(new.vectorizer)} if new.vectorizer else {}
    scorer |= {"inputs": [_input(text) for text in new.inputs]} if new.inputs else {}
    if new.output_activation is not None:
        scorer["output_activation"] = new.output_activation
    fields: dict[str, Any] = {
        "license": new.license,
        "library_name": "keras",
        "tags": ["scorer", new.task],
        "body": f"# {new.name}\n\nAdded with `zoo add`; nothing more is known of its training.\n",
        "scorer": scorer,
    }
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        raise CardError(_by_option(card_faults(error))) from error


def _input(text: str) -> dict[str, Any]:
    """NAME=COLUMN[,COLUMN...]; a name may hold no `=`, a column no comma."""
    name, equals, columns = text.partition("=")
    named = [column for column in columns.split(",") if column]
    if not (name and equals and named):
        raise UsageError(f"--input {text!r}: write NAME=COLUMN or NAME=COLUMN,COLUMN,...")
    return {"name": name, "columns": named}


def _by_option(faults: str) -> str:
    """The faults of a card, its fields named as the options that give them."""

    def option(match: re.Match[str]) -> str:
        parts = [part for part in match[1].split(".") if not part.isdecimal()]
        inner = parts[2] if parts[1:2] == ["vectorizer"] and parts[2:] else None
        name = inner or (parts[1] if parts[1:] else parts[0])
        return option_of(name) if name != "scorer" else "the options"

    return re.sub(r"field `([^`]*)`", option, faults)
