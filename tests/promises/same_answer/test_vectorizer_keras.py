"""The vectorizer against Keras' own TextVectorization: every setting, any Unicode."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from scorer.errors import BundleError
from scorer.vectorizer import OOV_TOKEN, TokenBatch, Vectorizer, spec_from_config
from tests.promises.same_answer.test_vectorizer import (
    LENGTHS,
    PIECES,
    SPLIT,
    STANDARDIZE,
    VOCABULARY,
    reference,
    rows_of,
    texts,
)

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

SENTENCES = [
    "I wasn't expecting much -- but the film's 2nd half (of 3!) is... GREAT.<br /><br />10/10",
    "Don't. Just don't: the plot\u2019s thin, the cast \u201ctalented\u201d, the café\u2026",
    "\u65e5\u672c\u306e\u6620\u753b\u3001 the film \U0001f600\U0001f600 naïve e\u0301t\u00c9",
    "a+b=c @home #1 $5 50% a_b A&B ~x~ ^_^ {a} [b] a|b \\ `tick`",
    "tab\tnew\nline\vvertical\fform\rcarriage\x1cfile\x1dgroup\x1erecord\x1funit\x85next\xa0nbsp",
    "",
    " ",
    "!?.",
    OOV_TOKEN,
    "\0",
    "x" * 5000,
]  # fmt: skip


def layer(**changes: Any) -> Any:
    return keras.layers.TextVectorization(**{"vocabulary": list(VOCABULARY), **changes})


@functools.cache
def shared_layer(standardize: str | None, split: str | None, length: int | None) -> Any:
    return layer(standardize=standardize, split=split, output_sequence_length=length)


def ours(layer: Any, rows: list[str]) -> TokenBatch:
    """The batch of a vectorizer that was made from the layer as an archive stores it."""
    config = layer.get_config()
    idf = layer._lookup_layer.idf_weights.numpy() if config["output_mode"] == "tf_idf" else None
    spec = spec_from_config(config, layer.get_vocabulary(), idf)
    return Vectorizer(spec)(pa.array(rows, pa.string()))


def keras_output(layer: Any, rows: list[str]) -> np.ndarray:
    # A column, as a model's Input(shape=(1,)) gives it: with split=None, Keras takes a flat batch
    # for one row of tokens.
    return np.asarray(layer(tf.constant([[t] for t in rows])))


def padded(batch: TokenBatch, width: int) -> np.ndarray:
    ids = np.zeros((len(batch.n_tokens), width), np.int64)
    for row, kept in zip(ids, rows_of(batch), strict=True):
        row[: len(kept)] = kept
    return ids


def assert_same_ids(layer: Any, rows: list[str]) -> None:
    expected = keras_output(layer, rows)
    batch = ours(layer, rows)
    assert np.diff(batch.offsets).max(initial=0) <= expected.shape[1]
    np.testing.assert_array_equal(padded(batch, expected.shape[1]), expected)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("split", SPLIT)
@pytest.mark.parametrize("standardize", STANDARDIZE)
@settings(max_examples=30, derandomize=True)
@given(rows=st.lists(texts, min_size=1, max_size=8))
@example(rows=SENTENCES)
@example(rows=list(PIECES))
@example(rows=[f"a{chr(c)}film{chr(c)}" for c in range(256)])
def test_same_ids(
    standardize: str | None, split: str | None, length: int | None, rows: list[str]
) -> None:
    assert_same_ids(shared_layer(standardize, split, length), rows)


@pytest.mark.parametrize("standardize", STANDARDIZE)
@pytest.mark.parametrize("split", SPLIT)
def test_code_points_of_every_plane(standardize: str | None, split: str | None) -> None:
    """All to U+3100 and every 257th above, alone and between letters; from U+0100, every other one
    is a word."""
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    sampled = points[:0x3100] + points[0x3100::257]
    words = sampled[1:256] + sampled[256::2]
    every = layer(standardize=standardize, split=split, vocabulary=words)
    assert_same_ids(every, [f"{c} x{c}x {c}{c}" for c in sampled] + sampled)


@settings(max_examples=60, derandomize=True)
@given(
    words=st.lists(
        st.one_of(
            st.sampled_from(["", OOV_TOKEN, "a", "a\0", "A", "b.", "a b"]),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        ),
        max_size=8,
    ),
    specials=st.sampled_from([[], ["", OOV_TOKEN], [OOV_TOKEN], [""]]),
    mode=st.sampled_from(["int", "count"]),
    max_tokens=st.sampled_from([None, 4, 8]),
)
def test_a_vocabulary_is_taken_as_keras_takes_it_or_refused_by_both(
    words: list[str], specials: list[str], mode: str, max_tokens: int | None
) -> None:
    vocabulary = specials + words
    config = layer(output_mode=mode, max_tokens=max_tokens, vocabulary=None).get_config()
    try:
        theirs = layer(
            output_mode=mode, max_tokens=max_tokens, standardize=None, vocabulary=vocabulary
        )
    except (ValueError, tf.errors.InvalidArgumentError):
        with pytest.raises(BundleError):
            spec_from_config(config, vocabulary, None)
        return
    spec = spec_from_config(config, vocabulary, None)
    assert list(spec.vocabulary) == theirs.get_vocabulary(include_special_tokens=False)
    assert spec.columns == len(theirs.get_vocabulary()) - (mode == "int")


def bag(batch: TokenBatch, columns: int) -> np.ndarray:
    counts = np.zeros((len(batch.n_tokens), columns), np.float32)
    for row, ids in zip(counts, rows_of(batch), strict=True):
        np.add.at(row, np.array(ids, int) - 1, 1)  # id 1, unknown, is column 0
    return counts


@pytest.mark.parametrize("mode", ["count", "multi_hot", "tf_idf"])
@pytest.mark.parametrize("max_tokens", [None, 50])
@pytest.mark.parametrize("split", SPLIT)
@settings(max_examples=15, derandomize=True)
@given(rows=st.lists(texts, min_size=1, max_size=6))
@example(rows=SENTENCES)
def test_bags_follow_from_the_ids(
    mode: str, max_tokens: int | None, split: str | None, rows: list[str]
) -> None:
    """Column = id - 1, unknown words count in column 0, an empty token nowhere."""
    theirs = bag_layer(mode, max_tokens, split)
    expected = keras_output(theirs, rows)
    counts = bag(ours(theirs, rows), expected.shape[1])
    spec_idf = theirs._lookup_layer.idf_weights.numpy() if mode == "tf_idf" else None
    if mode == "multi_hot":
        counts = np.minimum(counts, 1)
    elif spec_idf is not None:
        counts *= spec_idf
    np.testing.assert_array_equal(counts, expected)


@functools.cache
def bag_layer(mode: str, max_tokens: int | None, split: str | None) -> Any:
    idf = {"idf_weights": [1 + i / 7 for i in range(len(VOCABULARY))]} if mode == "tf_idf" else {}
    pad = {"max_tokens": max_tokens, "pad_to_max_tokens": max_tokens is not None}
    return layer(output_mode=mode, split=split, **pad, **idf)


#: n-grams of words and of characters (spaces among them), some that no text can have
NGRAMS = (
    "the film", "a film", "the the", "the the the", "film a", "the film a the", "é té", "日 本",
    "the  film", " the", "the ", "br br br", "[UNK] the", "unk unk", "a   b", "a b", "a b a", "b",
    "t h", "t h e", "e   f", "  ", "    ", "\0 a", "😀 😀", "\u0301 e",
    "don't the", "nine ninexxxxx",
)  # fmt: skip
few_words = st.lists(
    st.sampled_from(["the", "film", "a", "b", "br", "é", "té", "日", "[UNK]", "x", "😀", "don't"]),
    max_size=9,
)
ngram_texts = texts | few_words.map(" ".join) | few_words.map("".join) | st.sampled_from(NGRAMS)


@functools.cache
def ngram_layer(
    ngrams: Any, standardize: str | None, split: str, length: int | None, mode: str = "int"
) -> Any:
    words = [*dict.fromkeys([*VOCABULARY, *NGRAMS])]
    return layer(
        ngrams=ngrams,
        standardize=standardize,
        split=split,
        output_sequence_length=length,
        output_mode=mode,
        vocabulary=words,
    )


@pytest.mark.parametrize("ngrams", [1, 2, 3, (2,), (3, 1), (2, 2)])
@pytest.mark.parametrize("split", ["whitespace", "character"])
@settings(max_examples=40, derandomize=True)
@given(
    rows=st.lists(ngram_texts, min_size=1, max_size=8),
    standardize=st.sampled_from(STANDARDIZE),
    length=st.sampled_from([None, 1, 4]),
)
@example(rows=SENTENCES, standardize=None, length=None)
@example(rows=list(NGRAMS), standardize=None, length=None)
@example(rows=list(NGRAMS), standardize="lower_and_strip_punctuation", length=4)
def test_ngrams(
    ngrams: Any, split: str, rows: list[str], standardize: str | None, length: int | None
) -> None:
    theirs = ngram_layer(ngrams, standardize, split, length)
    assert_same_ids(theirs, rows)
    spec = spec_from_config(theirs.get_config(), theirs.get_vocabulary(), None)
    batch = ours(theirs, rows)
    whole = spec.ids_of(batch.n_tokens)
    assert np.minimum(whole, length or whole).tolist() == np.diff(batch.offsets).tolist()


@pytest.mark.parametrize("mode", ["count", "multi_hot"])
@settings(max_examples=30, derandomize=True)
@given(rows=st.lists(ngram_texts, min_size=1, max_size=8))
def test_bags_of_ngrams(mode: str, rows: list[str]) -> None:
    theirs = ngram_layer(2, None, "whitespace", None, mode)
    expected = keras_output(theirs, rows)
    counts = bag(ours(theirs, rows), expected.shape[1])
    np.testing.assert_array_equal(
        np.minimum(counts, 1) if mode == "multi_hot" else counts, expected
    )


def test_an_adapted_layer() -> None:
    adapted = keras.layers.TextVectorization(max_tokens=40)
    adapted.adapt(SENTENCES)
    assert_same_ids(adapted, SENTENCES)


@settings(max_examples=100, derandomize=True)
@given(rows=st.lists(texts, min_size=1, max_size=8))
def test_the_reference_of_the_other_tests_is_keras(rows: list[str]) -> None:
    assume(any(rows))
    for standardize in STANDARDIZE:
        theirs = shared_layer(standardize, "whitespace", None)
        spec = spec_from_config(theirs.get_config(), theirs.get_vocabulary(), None)
        for row, ids in zip(rows, keras_output(theirs, rows), strict=True):
            assert reference(row, spec) == ids[ids > 0].tolist()
