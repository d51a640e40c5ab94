"""What is done to a text before it is split into tokens: letters lowered, patterns replaced.

A step works on a whole Arrow array. Patterns are run by RE2, in time linear in the text, since a
card may come from a stranger. RE2's classes are ASCII, as in `tf.strings.regex_replace`; a pattern
that stands for Python's `re` is rewritten, so that \\s, \\w and \\d mean what Python means by them.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from scorer.errors import InputError, UnsupportedModel, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

MAX_STEPS = 64
MAX_PATTERN = 1024  # characters
MAX_TEXT = 16  # bytes of a replacement: what one step may grow a text by
MAX_GROWN = 256 << 20  # bytes of a window after a step

#: white space of `str.split()` beyond ASCII's, and of `\s`
UNICODE_SPACE = "\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
ASCII_SPACE = "\t-\r\x1c-\x20"
_PYTHON_CLASSES = {
    "s": (f"[{ASCII_SPACE}{UNICODE_SPACE}]", f"{ASCII_SPACE}{UNICODE_SPACE}"),
    "S": (f"[^{ASCII_SPACE}{UNICODE_SPACE}]", None),
    "w": (r"[\p{L}\p{N}_]", r"\p{L}\p{N}_"),
    "W": (r"[^\p{L}\p{N}_]", None),
    "d": (r"\p{Nd}", r"\p{Nd}"),
    "D": (r"\P{Nd}", r"\P{Nd}"),
    "Z": (r"\z", None),
}


class Step(Protocol):
    """One change of every text. Null stays null."""

    def __call__(self, texts: pa.Array) -> pa.Array: ...


@dataclass(frozen=True)
class Lower:
    """Lower-case letters: A-Z alone, or all, as Python's `str.lower` does it."""

    unicode: bool

    def __call__(self, texts: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        lowered = pc.ascii_lower(texts)
        if not self.unicode or pc.all(pc.string_is_ascii(texts)).as_py() is not False:
            return lowered
        # Only Python's own method maps "İ" to two characters and ends a word in "ς".
        return pa.array([t if t is None else t.lower() for t in texts.to_pylist()], texts.type)


@dataclass(frozen=True)
class Replace:
    """`text` in place of every match of `pattern`; \\1 stands for the first group."""

    pattern: str
    text: str
    python: bool = False

    def __post_init__(self) -> None:
        if len(self.pattern) > MAX_PATTERN:
            raise UnsupportedModel(
                f"a replacement's pattern has {len(self.pattern)} characters, at most {MAX_PATTERN}"
            )
        if len(self.text.encode()) > MAX_TEXT:
            raise UnsupportedModel(
                f"the replacement text {self.text[:40]!r} is longer than {MAX_TEXT} bytes"
            )

    def __call__(self, texts: pa.Array) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        pattern = as_re2(self.pattern) if self.python else self.pattern
        try:
            return pc.replace_substring_regex(texts, pattern, self.text)
        except pa.ArrowInvalid as error:
            reason = str(error).splitlines()[0].removeprefix("Invalid regular expression: ")
            raise UnsupportedModel(
                f"the pattern {self.pattern[:80]!r} is not one that RE2 runs: {reason[:120]}; "
                "RE2 has no look-ahead, look-behind or back-references in a pattern"
            ) from error


@dataclass(frozen=True)
class Preparation:
    """Steps in order, all of them before the vectorizer's own standardization."""

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if len(self.steps) > MAX_STEPS:
            raise UnsupportedModel(f"{len(self.steps)} replacements, at most {MAX_STEPS}")

    def then(self, *steps: Step) -> Preparation:
        """These steps and further ones."""
        return Preparation((*self.steps, *steps))

    def __call__(self, texts: pa.Array) -> pa.Array:
        """The changed texts. Raises InputError where they outgrow what a window may take."""
        for step in self.steps:
            texts = step(texts)
            if texts.nbytes > MAX_GROWN:
                raise InputError(
                    f"the model's replacements make texts of {texts.nbytes >> 20} MiB at once: "
                    "give it fewer rows (--batch-size) or mend its replacements"
                )
        return texts


def standardized(name: str | None, *, unicode: bool) -> tuple[Step, ...]:
    """The steps of a standardization that TextVectorization knows by name."""
    steps: tuple[Step, ...] = ()
    if name in ("lower", "lower_and_strip_punctuation"):
        steps = (Lower(unicode),)
    if name in ("strip_punctuation", "lower_and_strip_punctuation"):
        steps = (*steps, Replace(f"[{re.escape(string.punctuation)}]", ""))
    return steps


def parse_replacement(text: str, *, python: bool) -> Replace:
    """`REGEX=>TEXT`, cut at its last `=>`. Raises UsageError where it has none."""
    pattern, arrow, replacement = text.rpartition("=>")
    if not arrow or not pattern:
        raise UsageError(f"--replace {text!r}: write REGEX=>TEXT, for example '<br />=> '")
    return Replace(pattern, replacement, python)


def as_re2(pattern: str) -> str:
    """A pattern of Python's `re` as RE2 reads it: classes of Unicode, \\uXXXX, \\Z.

    Raises UnsupportedModel for \\S or \\W inside brackets, which RE2 has for ASCII alone.
    """
    parts: list[str] = []
    inside = False
    i = 0
    while i < len(pattern):
        char = pattern[i]
        if char == "\\" and i + 1 < len(pattern):
            taken, length = _escape(pattern, i, inside)
            parts.append(taken)
            i += length
            continue
        if char == "[":
            # Inside brackets Python takes "[" for itself; RE2 looks for "[:name:]".
            parts.append("\\[" if inside else "[")
            if not inside:
                inside, i = True, i + _head(pattern, i + 1, parts)
        else:
            inside = inside and char != "]"
            parts.append(char)
        i += 1
    return "".join(parts)


def _head(pattern: str, start: int, parts: list[str]) -> int:
    """Take in `^` and a `]` that stands for itself at the head of brackets; how many were taken."""
    taken = 0
    if pattern[start : start + 1] == "^":
        parts.append("^")
        taken = 1
    if pattern[start + taken : start + taken + 1] == "]":
        parts.append("\\]")
        taken += 1
    return taken


def _escape(pattern: str, start: int, inside: bool) -> tuple[str, int]:
    """What stands for an escape at `start`, and how many characters it has."""
    letter = pattern[start + 1]
    if letter in "uU":
        digits = 4 if letter == "u" else 8
        code = pattern[start + 2 : start + 2 + digits]
        return f"\\x{{{code}}}", 2 + digits
    if letter in _PYTHON_CLASSES:
        alone, among = _PYTHON_CLASSES[letter]
        if not inside:
            return alone, 2
        if among is None:
            raise UnsupportedModel(
                f"the pattern {pattern[:80]!r} has \\{letter} inside brackets, which RE2 knows for "
                "ASCII alone: write the characters out"
            )
        return among, 2
    if not letter.isascii() or letter in " '\"":
        return letter if letter not in "]\\^-[" else f"\\{letter}", 2
    return f"\\{letter}", 2
