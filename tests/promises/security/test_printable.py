"""What strangers wrote is shown so that it cannot act on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.printable import printable, printable_lines

ANY_TEXT = st.text(st.characters())  # surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain text, naïve and 日本語 🎬", "a plain text, naïve and 日本語 🎬"),
        ("red \x1b[31m\x07", r"red \x1b[31m\x07"),
        ("C1 \x9b2J", r"C1 \x9b2J"),
        ("two\nlines\r\n\ttab", r"two\nlines\r\n\ttab"),
        ("turned \u202etxt.exe", r"turned \u202etxt.exe"),
        ("hidden\u200b\ufeff\u2028", r"hidden\u200b\ufeff\u2028"),
        ("half \ud83d", r"half \ud83d"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("family 👨\u200d👩", "family 👨\u200d👩"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_what_acts_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_keep_their_layout() -> None:
    assert printable_lines("a\n\tb\x1b[2J\x0b\r\n") == "a\n\tb\\x1b[2J\\x0b\\r\n"


@given(ANY_TEXT)
def test_nothing_that_acts_is_left(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    shown.encode("utf-8")
    assert printable(shown) == shown
    assert "\n".join(printable(line) for line in shown.split("\n")) == printable_lines(shown)
