"""Words in one piece of memory are the same words as Python's own strings."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scorer.vectorizer import words as words_module
from scorer.vectorizer.words import Words, as_array, lines_of

PIECES = [
    "a",
    "é",
    "日",
    "😀",
    " ",
    "\n",
    "\n",
    "\r\n",
    "\x0b",
    "\x1c",
    "\0",
    "\t",
    "\x85",
    "\u2028",
]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
plain = st.lists(st.sampled_from(["a", "é", "\n", "\n"]), max_size=12).map("".join)


@given(texts | plain)
@example("")
@example("\n\n")
@example("a\n\nb")
def test_lines_end_where_python_ends_them(text: str) -> None:
    expected = text.splitlines()
    while expected and not expected[-1]:
        expected.pop()
    found = lines_of(text.encode())
    assert list(found) == expected
    assert as_array(found).to_pylist() == expected
    assert found.has_empty == ("" in expected)


def test_what_is_not_utf8_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError, match="position 2"):
        lines_of(b"a\n\xff\n")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=9))
def test_words_are_a_sequence_of_them(given_words: list[str]) -> None:
    found = Words.of(given_words)
    assert (len(found), list(found)) == (len(given_words), given_words)
    assert found == tuple(given_words)
    assert hash(found) == hash(tuple(given_words))
    assert [found[i] for i in range(-len(found), len(found))] == given_words * 2
    for cut in (slice(1, None), slice(None, 2), slice(3, 1), slice(-2, None), slice(None, None, 2)):
        assert found[cut] == tuple(given_words[cut]), cut
    assert as_array(found[1:]).to_pylist() == given_words[1:]
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(IndexError):
        found[len(given_words)]


@pytest.mark.parametrize("many", [0, 1000])
def test_words_that_differ_are_told(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words_module, "_MANY", many)
    assert Words.of(["a", "b", ""]).are_distinct
    assert not Words.of(["a", "b", "a"]).are_distinct
