"""A card for tables whose columns have other names: `--column entity=airline`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from scorer.card.schema import Card, ScorerCard
from scorer.composition import TEXT, Composition, parse_template
from scorer.errors import UsageError


def columns_read(card: ScorerCard) -> tuple[str, ...]:
    """The columns that the model reads beside the text, by the card's names."""
    composed = card.composition.columns if card.composition else ()
    return tuple(dict.fromkeys((*composed, *card.columns_beside)))


def with_columns(card: Card, columns: Mapping[str, str]) -> Card:
    """The card of the same model for tables in which `columns` are called otherwise.

    columns   the card's name -> the table's. Raises UsageError for a name that the card does not
    have, and for one that its template cannot hold.
    """
    if not columns:
        return card
    mapping = card.scorer
    check_known(columns, [card])
    changes: dict[str, object] = {}
    if mapping.composition is not None:
        changes["text_template"] = _template(mapping.composition, columns)
    changes["inputs"] = tuple(
        each.model_copy(update={"columns": tuple(columns.get(c, c) for c in each.columns)})
        for each in mapping.inputs
    )
    # A copy keeps what was computed of the card, so the new mapping is built from its fields.
    fields = {name: getattr(mapping, name) for name in type(mapping).model_fields}
    renamed = ScorerCard.model_construct(**{**fields, **changes})
    return Card.model_construct(
        **{name: getattr(card, name) for name in ("license", "body")},
        **(card.model_extra or {}),
        scorer=renamed,
    )


def check_known(columns: Iterable[str], cards: Iterable[Card]) -> None:
    """Raise UsageError for the first of the card's names that no card has."""
    found = list(cards)
    known = [name for card in found for name in columns_read(card.scorer)]
    for name in columns:
        if name in known:
            continue
        refs = " and ".join(card.ref for card in found)
        if not known:
            raise UsageError(
                f"--column {name}: {refs} reads only the text; choose its column with --text-column"
            )
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UsageError(
            f"--column {name}: {refs} reads no column {name!r}{hint}; "
            f"it reads {', '.join(dict.fromkeys(known))}"
        )


def _template(composition: Composition, columns: Mapping[str, str]) -> str:
    parts = []
    for words, name in composition.pieces:
        parts.append(words.replace("{", "{{").replace("}", "}}"))
        if name is not None:
            parts.append("{" + columns.get(name, name) + "}")
    template = "".join(parts)
    names = tuple(columns.get(name, name) for name in composition.columns)
    try:
        good = parse_template(template).columns == names and TEXT not in names
    except ValueError:
        good = False
    if not good:
        shown = ", ".join(f"{name}={column}" for name, column in columns.items())
        raise UsageError(
            f"--column {shown}: a column named 'text', named twice, or with one of {{}}:! in its "
            "name cannot be read here: rename the column"
        )
    return template
