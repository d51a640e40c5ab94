"""What the values of a label column mean to a model.

A value means a class by the first of these rules that knows it:

1. `--label-map VALUE=LABEL` (an empty LABEL leaves the rows out);
2. a scale (`scales`), for a model whose labels are negative and positive, with or without neutral,
   and a column of numbers only: stars out of 5 or 10, or the signs -1, 0 and 1;
3. the card's names and aliases of its labels, in any case;
4. common spellings: pos/neg/neu; for two labels also 0/1, false/true, no/yes.

A column of numbers only must be understood whole: where one of them means nothing, or where a
model of three or more labels meets nothing but 0 and 1, the numbers are of a coding that cannot be
told, and none of them means anything.

Which scale a column of numbers uses can only be told from all of its values, so values are
collected while rows stream by and get their meaning at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from scorer.card import Label, ScorerCard
from scorer.errors import ColumnError, UsageError
from scorer.evaluation.labels.scales import TEN_STARS_MOST, scale_of
from scorer.tasks import Truth

UNUSABLE = -1

SYNONYMS = {
    "positive": {"positive", "pos"},
    "negative": {"negative", "neg"},
    "neutral": {"neutral", "neu"},
}
_FALSE, _TRUE = {"0", "false", "no"}, {"1", "true", "yes"}
#: numbers that many codings use
_SMALL = {"-1", "0", "1"}
_NAMED = "labels"


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
    """`codes` of the values that mean a class, by normal value.

    kind      what the column holds, in words: "stars out of 5"
    reading   what its values mean by that; empty where each value says it by itself
    doubt     why a column of numbers cannot be understood; empty where it can
    """

    codes: Mapping[str, int]
    kind: str = _NAMED
    reading: str = ""
    doubt: str = ""


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
        mapped = {v: self._position(name) for v, name in self.label_map.items() if name}
        rest = [v for v in values if v not in self.label_map]
        numbers = [x for v in rest if (x := as_number(v)) is not None]
        found = self._of_numbers(rest, numbers) if numbers and len(numbers) == len(rest) else None
        if found is None:
            known = self._common() | self._named()
            found = Meaning({v: known[v] for v in rest if v in known})
        return replace(found, codes={**found.codes, **mapped})

    def _of_numbers(self, values: Sequence[str], numbers: Sequence[float]) -> Meaning | None:
        """Of a column of numbers only; None where each is known by its name or an alias."""
        named, three = self._named(), self._polarity()
        scale = scale_of(numbers, neutral=three[1] is not None) if three else None
        if scale and three and not any(v in named for v in values if v not in _SMALL):
            codes = [(v, three[scale.place(x)]) for v, x in zip(values, numbers, strict=True)]
            names = [None if code is None else self.labels[code].name for code in three]
            reading = scale.reading(names)
            return Meaning({v: c for v, c in codes if c is not None}, scale.name, reading)
        if not set(values) <= set(self._common() | named):
            return Meaning({}, doubt="numbers that fit no known scale")
        if len(self.labels) > 2 and set(values) <= self._aliases() & _SMALL:
            return Meaning({}, doubt=f"only 0 and 1, where the model has {len(self.labels)} labels")
        return None

    def possible(self, value: str) -> tuple[int, ...]:
        """Every class the value may turn out to mean, for what must be kept before the end."""
        if value in self.label_map:
            name = self.label_map[value]
            return (self._position(name),) if name else ()
        known = self._common() | self._named()
        number, three = as_number(value), self._polarity()
        if number is not None and -1 <= number <= TEN_STARS_MOST and three is not None:
            named = {known[value]} if value in known else set()
            return tuple(sorted(named | {code for code in three if code is not None}))
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
        for spellings in SYNONYMS.values():
            owners = {named[s] for s in spellings if s in named}
            if len(owners) == 1:
                found |= dict.fromkeys(spellings, owners.pop())
        if len(self.labels) == 2:
            found |= dict.fromkeys(_FALSE, 0) | dict.fromkeys(_TRUE, 1)
        return found

    def _aliases(self) -> set[str]:
        """The spellings that are no label's name."""
        names = {normal(label.name) for label in self.labels}
        return {spelling for spelling in self._named() if spelling not in names}

    def _polarity(self) -> tuple[int, int | None, int] | None:
        """Codes of negative, neutral (or None) and positive, if the model has no other labels."""
        common = self._common()
        if not {"negative", "positive"} <= set(common):
            return None
        neutral = common.get("neutral")
        three = (common["negative"], neutral, common["positive"])
        return three if len(self.labels) == len({*three} - {None}) else None

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
