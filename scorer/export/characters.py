"""What a vectorizer does to a text before it looks tokens up, as ONNX Runtime can do it.

ONNX has no operator that replaces within a text. ONNX Runtime's Tokenizer cuts a text into the
matches of a pattern, and StringConcat joins pieces. That is enough for changes that look at one
character at a time, and for leaving out a literal text. All changes of the first kind together say
of each character: it separates tokens, it disappears, it becomes others, or it stays. They are
found by asking the vectorizer's own steps about every character that there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scorer.errors import UnsupportedModel
from scorer.vectorizer import VectorizerSpec
from scorer.vectorizer.actions import byte_actions
from scorer.vectorizer.preparation import Lower, Preparation, Replace, Step, as_re2

_KEEP, _BREAK = 1 << 8, 1 << 9
_CODES = (*range(0xD800), *range(0xE000, 0x110000))
#: a pattern that matches one character, or a run of such characters
_ONE = re.compile(
    r"(?:\[\^?\]?(?:\\.|[^\]\\])*\]|\\[sSwWdDtnrfv]|\\[^A-Za-z0-9]|[^\\.^$|?*+(){}\[\]])(\+?)",
    re.DOTALL,
)
#: a pattern that matches one text alone
_LITERAL = re.compile(r"(?:\\[^A-Za-z0-9]|[^\\.^$|?*+(){}\[\]])+", re.DOTALL)


@dataclass(frozen=True)
class Characters:
    """What becomes of single characters; all others stay.

    separators  they end a token and belong to none
    deleted     they disappear
    changed     each becomes the characters that stand here
    """

    separators: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    changed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """`between` in place of every occurrence of `literal`."""

    literal: str
    between: str


Stage = Characters | Cut


def stages(spec: VectorizerSpec) -> tuple[list[Stage], Characters]:
    """What is done to a text in order, and what the characters of the result mean.

    Raises UnsupportedModel saying what ONNX Runtime's operators cannot do.
    """
    before: list[Stage] = []
    alike: list[Step] = []
    last = _last(_alike_at_the_end(spec.preparation.steps), spec)
    for step in spec.preparation.steps:
        if not isinstance(step, Replace) or _ONE.fullmatch(step.pattern):
            alike.append(step)
            _check_run(step, last)
            continue
        if alike:
            before.append(_before(alike))
        before.append(_cut(step, last))
        alike = []
    _check_order(before)
    if any(isinstance(step, Lower) and step.unicode for step in spec.preparation.steps):
        _check_sigma(spec.vocabulary)
    return before, last


def _alike_at_the_end(steps: Sequence[Step]) -> list[Step]:
    """The steps after the last one that looks at more than one character."""
    kept: list[Step] = []
    for step in steps:
        single = not isinstance(step, Replace) or _ONE.fullmatch(step.pattern)
        kept = [*kept, step] if single else []
    return kept


@cache
def _every() -> pa.Array:
    """Every character that there is."""
    return pa.array([chr(code) for code in _CODES], pa.large_string())


@cache
def _results(steps: tuple[Step, ...]) -> Mapping[str, str]:
    """What the steps make of each character that they change, and of every one of ASCII."""
    every = _every() if steps else _every()[:128]
    made = Preparation(steps)(every)
    other = pc.fill_null(pc.not_equal(made, every), False).to_numpy(zero_copy_only=False)
    other[:128] = True
    changed = pa.array(other)
    pairs = (side.filter(changed).to_pylist() for side in (every, made))
    return dict(zip(*pairs, strict=True))


def _before(steps: Sequence[Step]) -> Characters:
    """Of steps that others follow, for which nothing separates tokens yet."""
    changed = {one: made for one, made in _results(tuple(steps)).items() if made != one}
    deleted = frozenset(one for one, made in changed.items() if not made)
    return Characters(deleted=deleted, changed={k: v for k, v in changed.items() if v})


def _last(steps: Sequence[Step], spec: VectorizerSpec) -> Characters:
    """Of the last steps, the standardization, and what separates tokens."""
    actions = byte_actions(spec, _KEEP, _BREAK)
    separators, deleted, changed = set(), set(), {}
    read = cache(partial(_read, actions))
    for one, made in _results(tuple(steps)).items():
        kept, ends = read(made)
        if ends and kept:
            raise UnsupportedModel(
                f"a replacement puts both words and separators in place of {one!r}"
            )
        if ends:
            separators.add(one)
        elif not kept:
            deleted.add(one)
        elif kept != one:
            changed[one] = kept
    return Characters(frozenset(separators), frozenset(deleted), changed)


def _read(actions: np.ndarray, text: str) -> tuple[str, bool]:
    """What the vectorizer keeps of some characters, and whether they end a token."""
    told = [(c, int(actions[ord(c)]) if c.isascii() else _KEEP) for c in text]
    kept = (chr(action & 0xFF) if c.isascii() else c for c, action in told if action & _KEEP)
    return "".join(kept), any(action & _BREAK and not action & _KEEP for _, action in told)


def _check_run(step: Step, last: Characters) -> None:
    """Refuse a step that puts one text in place of a run of characters, where that counts."""
    if not isinstance(step, Replace):
        return
    found = _ONE.fullmatch(step.pattern)
    if found and found[1] and not set(step.text) <= last.separators:
        raise UnsupportedModel(
            f"ONNX Runtime has no operator that puts {step.text!r} in place of a run that "
            f"{step.pattern[:60]!r} matches"
        )


def _cut(step: Replace, last: Characters) -> Cut:
    """The stage of a step that replaces a literal text by separators or by nothing."""
    if not _LITERAL.fullmatch(step.pattern) or not set(step.text) <= last.separators:
        raise UnsupportedModel(
            f"ONNX Runtime has no operator that replaces {step.pattern[:60]!r} by {step.text!r}"
        )
    pattern = as_re2(step.pattern) if step.python else step.pattern
    return Cut(re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL), step.text)


def _check_order(before: Sequence[Stage]) -> None:
    """Refuse a later stage that would read what an earlier one put between pieces."""
    between: set[str] = set()
    for stage in before:
        read = stage.literal if isinstance(stage, Cut) else stage.changed
        if between & set(read):
            raise UnsupportedModel(
                f"ONNX Runtime has no operator that replaces {sorted(between & set(read))} after "
                "another replacement has put it there"
            )
        between |= set(stage.between) if isinstance(stage, Cut) else set()


def _check_sigma(words: Iterable[str]) -> None:
    """A capital sigma is lowered by what stands around it, which only Python does."""
    if any("σ" in word or "ς" in word for word in words):
        raise UnsupportedModel(
            "its vocabulary has Greek words, and ONNX Runtime has no operator that lowers a "
            "capital sigma as Python does"
        )
