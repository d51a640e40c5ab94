"""What the values of a label column mean to a model.

A value means a class by the first of these rules that knows it:

1. `--label-map VALUE=LABEL` (an empty LABEL leaves the rows out);
2. the card's names and aliases of its labels, in any case;
3. stars, for a model whose two labels are negative and positive and a column of numbers only:
   out of 5 (the largest is 5) 1-2 are negative, 4-5 positive; out of 10 (the largest is 6-10) 0-4
   are negative, 7-10 positive; what lies between means neither, and those rows are left out;
4. common spellings: pos/neg/neu; for two labels also 0/1, false/true, no/yes.

Which scale a column of numbers uses can only be told from all of its values, so values are
collected while rows stream by and get their meaning at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scorer.card import Label, ScorerCard
from scorer.errors import ColumnError, UsageError
from scorer.tasks import Truth

UNUSABLE = -1

_SYNONYMS = {
    "positive": {"positive", "pos"},
    "negative": {"negative", "neg"},
    "neutral": {"neutral", "neu"},
}
_FALSE, _TRUE = {"0", "false", "no"}, {"1", "true", "yes"}
_SCALES = {
    5: "stars out of 5: 1-2 negative, 4-5 positive, 3 left out",
    10: "stars out of 10: 0-4 negative, 7-10 positive, 5-6 left out",
}


def normal(value: object) -> str | None:
    """A label value as it is looked up: case-folded, 1.0 as 1, True as true; None if blank."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = str(value).strip().casefold()
    number = as_number(text)
    if number is None:
        return text or None
    return str(int(number)) if number.is_integer() else str(number)


def as_number(text: str) -> float | None:
    """The finite number that `text` spells, or None. NaN counts as blank."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None


def parse_label_map(pairs: Sequence[str], card: ScorerCard) -> dict[str, str]:
    """`VALUE=LABEL` pairs (several may share a string, comma-separated) as normal value -> label.

    Raises UsageError for a pair without '=', a label that the model lacks, or a regression.
    """
    if pairs and card.task.truth is Truth.NUMBER:
        raise UsageError(f"--label-map: {card.name} predicts a number: it has no labels to map to")
    spelled = {normal(s): x.name for x in card.labels for s in (x.name, *x.aliases)}
    found: dict[str, str] = {}
    for pair in (part for text in pairs for part in text.split(",")):
        value, equals, label = pair.partition("=")
        key = normal(value)
        if not equals or key is None:
            raise UsageError(f"--label-map {pair!r}: write VALUE=LABEL, as in bad=negative")
        if label.strip() and normal(label) not in spelled:
            raise UsageError(f"--label-map {pair!r}: {card.name} has the labels {_names(card)}")
        found[key] = spelled[normal(label)] if label.strip() else ""
    return found


@dataclass(frozen=True)
class Meaning:
    """`codes` of the values that mean a class, by normal value; `rule` says how, in words."""

    codes: Mapping[str, int]
    rule: str


@dataclass(frozen=True)
class LabelRules:
    """A classifier's labels and the user's map; `meaning` applies the four rules."""

    labels: tuple[Label, ...]
    label_map: Mapping[str, str] = field(default_factory=dict)

    def spelled(self) -> dict[str, int | None]:
        """What a map's values, names and aliases mean, whatever else a column holds.

        None: the map leaves its rows out.
        """
        mapped = {v: self._position(n) if n else None for v, n in self.label_map.items()}
        return self._named() | mapped

    def meaning(self, values: Sequence[str]) -> Meaning:
        """The meaning of a column with those (normal) values."""
        named = self._named()
        mapped = {v: self._position(name) for v, name in self.label_map.items() if name}
        rest = [v for v in values if v not in self.label_map]
        numbers = [as_number(v) for v in rest]
        scale = self._scale([x for x in numbers if x is not None]) if None not in numbers else None
        if scale and not any(v in named for v in rest if v not in ("0", "1")):
            codes = {v: code for v in rest if (code := self._star(float(v), scale)) != UNUSABLE}
            return Meaning(codes | mapped, _SCALES[scale])
        known = self._common() | named
        codes = {v: known[v] for v in rest if v in known}
        return Meaning(codes | mapped, "names and aliases of the labels")

    def possible(self, value: str) -> tuple[int, ...]:
        """Every class the value may turn out to mean, for what must be kept before the end."""
        if value in self.label_map:
            name = self.label_map[value]
            return (self._position(name),) if name else ()
        known = self._common() | self._named()
        number = as_number(value)
        if number is not None and 0 <= number <= 10 and self._polarity() is not None:
            return (0, 1)
        return (known[value],) if value in known else ()

    def _named(self) -> dict[str, int]:
        return {
            key: i
            for i, label in enumerate(self.labels)
            for spelling in (label.name, *label.aliases)
            if (key := normal(spelling)) is not None
        }

    def _common(self) -> dict[str, int]:
        found: dict[str, int] = {}
        named = self._named()
        for spellings in _SYNONYMS.values():
            owners = {named[s] for s in spellings if s in named}
            if len(owners) == 1:
                found |= dict.fromkeys(spellings, owners.pop())
        if len(self.labels) == 2:
            found |= dict.fromkeys(_FALSE, 0) | dict.fromkeys(_TRUE, 1)
        return found

    def _polarity(self) -> tuple[int, int] | None:
        """Codes of negative and positive, if those are the model's two labels."""
        common = self._common()
        if len(self.labels) != 2 or not {"negative", "positive"} <= set(common):
            return None
        return common["negative"], common["positive"]

    def _scale(self, numbers: Sequence[float]) -> int | None:
        """5 or 10 if the numbers are stars of a scale that can be told, else None."""
        if self._polarity() is None or not numbers or min(numbers) < 0 or max(numbers) > 10:
            return None
        return 10 if max(numbers) > 5 else 5 if max(numbers) == 5 else None

    def _star(self, stars: float, scale: int) -> int:
        polarity = self._polarity()
        assert polarity is not None
        low, high = {5: (2, 4), 10: (4, 7)}[scale]
        return polarity[0] if stars <= low else polarity[1] if stars >= high else UNUSABLE

    def _position(self, name: str) -> int:
        return [label.name for label in self.labels].index(name)


def choose_label_columns(
    name: str, present: Sequence[str], wanted: Sequence[str], card: ScorerCard
) -> tuple[str, ...]:
    """The columns of the truth: those `wanted`, else what the card says; () where none is there.

    Of a model whose rows have any number of labels it may be one for each label, in their order.
    Raises ColumnError where one that is wanted is not there, or is named after no label.
    """
    if card.task.truth is Truth.SET and len(wanted) != 1:
        return _label_set_columns(name, present, wanted, card)
    if len(wanted) > 1:
        raise UsageError(
            f"--label-column: {card.name} predicts one label or number for a row: name one column"
        )
    asked = wanted[0] if wanted else None
    column = choose_label_column(name, present, asked, card.label_columns)
    return () if column is None else (column,)


def _label_set_columns(
    name: str, present: Sequence[str], wanted: Sequence[str], card: ScorerCard
) -> tuple[str, ...]:
    from scorer.tables.columns import missing

    codes = LabelRules(card.labels).spelled()
    for column in wanted:
        if column not in present:
            raise ColumnError(f"{name}: no column {column!r}{missing([column], present)}")
        if normal(column) not in codes:
            raise ColumnError(
                f"{name}: column {column!r} is not named after a label of {card.name} "
                f"({_names(card)}): rename it, or give the label that alias in the card"
            )
    found: dict[int | None, list[str]] = {}
    for column in wanted or present:
        found.setdefault(codes.get(normal(column) or ""), []).append(column)
    lacking = [label.name for i, label in enumerate(card.labels) if len(found.get(i, ())) != 1]
    if not lacking:
        return tuple(found[i][0] for i in range(len(card.labels)))
    if wanted:
        raise ColumnError(
            f"{name}: --label-column names not one column for each label: see {', '.join(lacking)}"
        )
    lists = [column for column in card.label_columns if normal(column) not in codes]
    chosen = choose_label_column(name, present, None, lists)
    return () if chosen is None else (chosen,)


def _names(card: ScorerCard) -> str:
    return ", ".join(label.name for label in card.labels)


def choose_label_column(
    name: str, present: Sequence[str], wanted: str | None, candidates: Sequence[str]
) -> str | None:
    """`wanted`, else the first of the card's candidates that is there, in any case, else None.

    Raises ColumnError where `wanted` is not there.
    """
    from scorer.tables.columns import missing

    if wanted is not None:
        if wanted not in present:
            raise ColumnError(f"{name}: no column {wanted!r}{missing([wanted], present)}")
        return wanted
    folded = {column.casefold(): column for column in reversed(present)}
    for candidate in candidates:
        column = candidate if candidate in present else folded.get(candidate.casefold())
        if column is not None:
            return column
    return None
