"""Text for a terminal: escapes what is untrusted, counts in words."""

from __future__ import annotations

import re

# C0, DEL and C1 controls (terminal escapes), soft hyphen and other invisible signs, marks that turn
# the direction of text, line separators, tags, and lone surrogates (which cannot be encoded).
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_HIDDEN_BUT_LAYOUT = re.compile(_HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def printable(text: str) -> str:
    r"""`text` on one line, safe to print: "a\x1b[2J\n" becomes r"a\x1b[2J\n"."""
    return _HIDDEN.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """`text` safe to print, its line breaks and tabs kept."""
    return _HIDDEN_BUT_LAYOUT.sub(_escaped, text)


def counted(count: int, noun: str) -> str:
    """`1 row`, `12 rows`, `1,200 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")
