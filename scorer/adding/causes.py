"""Why a model's outputs are not the expected ones: the usual mistakes, each tried in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from pydantic import ValidationError

from scorer.adding.expected import Comparison, compare
from scorer.card import Card
from scorer.card.vectorizer import VectorizerCard
from scorer.errors import ScorerError
from scorer.model import Model

_USUAL = (
    "the usual causes: cleaning of the text (--standardize, --replace), the side of padding and "
    "cutting (--padding, --truncating, --sequence-length), the activation (--output-activation), "
    "the numbers of words (--index-from, --start-id, --oov-id, --num-words)"
)
_CLEANING = ("lower", "lower_and_strip_punctuation", "strip_punctuation", "none")
_MATRICES = ("binary", "count", "freq", "tfidf")

Fields = dict[str, Any]
Load = Callable[[Card], Model]


def likely_cause(comparison: Comparison, card: Card, load: Load, allowed: float) -> str:
    """What would make the outputs agree, in words; the usual causes where nothing tried does.

    load   makes the model that a changed card describes
    """
    if _is_first_label(comparison, allowed):
        return "y0 holds the probability of the first label: give that of the second"
    for option, fields in alternatives(card, _length(load, card)):
        try:
            found = compare(load(Card.model_validate(fields)), comparison.expected)
        except (ScorerError, ValidationError):
            continue
        if found.gap <= allowed:
            return f"with {option} all of them agree"
    return _USUAL


def _is_first_label(comparison: Comparison, allowed: float) -> bool:
    if comparison.expected.outputs.shape[1] != 1 or not comparison.scored.any():
        return False
    swapped = 1 - comparison.expected.outputs[comparison.scored]
    return bool(np.abs(comparison.found[comparison.scored] - swapped).max() <= allowed)


def _length(load: Load, card: Card) -> int | None:
    """The length of the rows of ids that the network reads."""
    inputs = load(card).bundle.inputs
    return next((each.spec.shape[0] for each in inputs if each.spec.dtype == "ids"), None)


def alternatives(card: Card, length: int | None) -> Iterator[tuple[str, Fields]]:
    """The fields of cards that differ in one answer, with the options that give it."""
    told = card.scorer.vectorizer or VectorizerCard()
    for changes in _changes(told, length):
        yield _options(changes), _changed(card, vectorizer=changes)
    for activation in (None, "sigmoid", "softmax"):
        if activation != card.scorer.output_activation:
            option = f"--output-activation {activation}" if activation else "no --output-activation"
            yield option, _changed(card, output_activation=activation)


def _changes(told: VectorizerCard, length: int | None) -> Iterator[Fields]:
    """Changes of what the card says of the vectorizer, the likeliest first."""
    if length is not None and told.matrix is None:
        usual = "pre" if told.kind in ("tokenizer", "word_index") else "post"
        now = (told.padding or usual, told.truncating or usual)
        for padding, truncating in product(("pre", "post"), repeat=2):
            sides = {"padding": padding, "truncating": truncating}
            if (padding, truncating) != now:
                yield {"sequence_length": length, **sides}
    for name in _CLEANING:
        if name != told.standardize:
            yield {"standardize": name}
    if told.replace:
        yield {"replace": []}
    if told.kind == "word_index":
        yield from ({"index_from": n} for n in (0, 3, 2, 1) if n != told.index_from)
        yield from ({"start_id": n} for n in (None, 1, 0) if n != told.start_id)
        yield from ({"oov_id": n} for n in (None, 2, 0, 1) if n != told.oov_id)
        yield {"index_from": 3, "start_id": 1, "oov_id": 2}
    if told.matrix is not None:
        yield from ({"matrix": mode} for mode in _MATRICES if mode != told.matrix)


def _options(changes: Fields) -> str:
    """The options that make the changes."""
    parts = []
    for name, value in changes.items():
        option = f"--{name.replace('_', '-')}"
        parts.append(f"no {option}" if value in (None, []) else f"{option} {value}")
    return " ".join(parts)


def _changed(card: Card, *, vectorizer: Fields | None = None, **scorer: Any) -> Fields:
    """The card's fields with others in their place."""
    fields = card.model_dump(by_alias=True) | {"body": card.body}
    fields["scorer"] |= scorer
    if vectorizer is not None:
        fields["scorer"]["vectorizer"] = (fields["scorer"]["vectorizer"] or {}) | vectorizer
    fields["scorer"]["golden"] = []
    return fields
