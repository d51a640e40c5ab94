"""The compiled split of a vocabulary against the same in plain Python."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.vectorizer import VectorizerSpec, building
from scorer.vectorizer.building import Built
from scorer.vectorizer.vectorizer import _built

PIECES = ["a", "b", " ", "  ", "é", "\0", "日", "😀", "sevenxx", "eightxxx", "x" * 17]
vocabularies = st.lists(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=9).map("".join), unique=True, min_size=1
)
SIZES = [(1,), (1, 2), (2,), (2, 3, 1), (5,), (16, 2)]


def spec(words: list[str], split: str | None, sizes: tuple[int, ...]) -> VectorizerSpec:
    return VectorizerSpec(None, split, "int", None, tuple(words), ngrams=sizes)


def plain(words: list[str], split: str | None, sizes: tuple[int, ...]) -> Built:
    """What `building.build` says of its results, word for word."""

    def tokens(word: str) -> tuple[str, ...]:
        if sizes == (1,):
            return (word,)
        if split != "character":
            return tuple(word.split(" "))
        return tuple(word[::2]) if len(word) % 2 and not word[1::2].strip(" ") else ()

    parts = {tokens(word): index for index, word in enumerate(words, start=2)}
    grams = {p: index for p, index in parts.items() if len(p) > 1 and len(p) in sizes}
    ids = {p[0]: index for p, index in parts.items() if len(p) == 1}
    for token in chain.from_iterable(grams):
        ids.setdefault(token, 1)
    place, entries = {}, [0]
    for token, index in ids.items():
        data = token.encode()
        place[token] = len(entries)
        entries.append(len(data) << 32 | index)
        entries += [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
    return Built(
        np.array([*place.values(), len(entries)]),
        np.array(entries, np.uint64),
        np.zeros(0, np.uint64),  # which `found` reads
        np.array([place[token] for token in chain.from_iterable(grams)], np.int64),
        np.cumsum([len(gram) for gram in grams]).astype(np.int64),
        np.array([*grams.values()], np.int64),
    )


def found(built: Built) -> list[int]:
    """Where the entries begin that the slots name."""
    return sorted(int(slot) & 0xFFFFFFFF for slot in built.slots if slot)


def check(words: list[str], split: str | None, sizes: tuple[int, ...]) -> None:
    built, wanted = _built(spec(words, split, sizes)), plain(words, split, sizes)
    for name in ("starts", "entries", "places", "ends", "ids"):
        case = (name, words, split, sizes)
        assert np.array_equal(getattr(built, name), getattr(wanted, name)), case
    assert found(built) == built.starts[:-1].tolist()
    assert 2 * len(found(built)) <= len(built.slots)


@settings(max_examples=150)
@given(vocabularies, st.sampled_from(["whitespace", "character", None]), st.sampled_from(SIZES))
@example(["a ", " a", " ", "a a"], "whitespace", (1, 2))
@example(["a ", "a  ", " ", "a é"], "character", (1, 2))
def test_every_vocabulary_is_split_as_in_python(
    words: list[str], split: str | None, sizes: tuple[int, ...]
) -> None:
    check(words, split, sizes)


@pytest.mark.parametrize("per_token", [8, 1000])
def test_slots_grow_until_all_tokens_fit(monkeypatch: pytest.MonkeyPatch, per_token: int) -> None:
    monkeypatch.setattr(building, "_WORDS_A_TOKEN", per_token)
    words = [f"w{i}" for i in range(300)] + [f"x{i} w{i} y{i % 7}" for i in range(500)]
    check(words, "whitespace", (1, 3))
