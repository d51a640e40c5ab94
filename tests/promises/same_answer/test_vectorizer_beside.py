"""Vectorizers beside a model give the ids of Keras' own Tokenizer, pad_sequences and programs."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.engines.encode import bag_of_words, padded_ids
from scorer.errors import BundleError, InputError, UnsupportedModel, UsageError
from scorer.vectorizer import Padding, TokenBatch, Vectorizer, VectorizerSpec, spec_from_config
from scorer.vectorizer.keras_tokenizer import MATRIX_MODES, spec_from_tokenizer
from scorer.vectorizer.preparation import (
    Lower,
    Preparation,
    Replace,
    as_re2,
    parse_replacement,
    standardized,
)
from scorer.vectorizer.word_index import Numbering, spec_from_word_index

CORPUS = (
    "The film was good, the film was GOOD!",
    "Don't see it: dull\tand\nlong; über-dull",
    "Ça va? ΣΟΦΟΣ İstanbul straße ﬁne «quoted»",
    "the the the film",
)
PIECES = (
    *("the", "The", "film", "GOOD", "don't", "dull", "ÜBER", "ΣΟΦΟΣ", "σοφος", "İstanbul", "ﬁne"),
    *(" ", "  ", "\t", "\n", "\r\n", "\x0b", "\x1c", "\x85", "\xa0", "\u2003", "\u3000", "\ufeff"),
    *("!", "'", "-", "—", "«", "»", "<br />", "\\", "^", "🎬", "e\u0301", "\0", "unknown"),
)
texts = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
        st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
    ),
    min_size=1,
    max_size=5,
)


def rows_of(batch: TokenBatch) -> list[list[int]]:
    return [batch.ids[a:b].tolist() for a, b in zip(batch.offsets, batch.offsets[1:], strict=False)]


def tokenizer(**options: Any) -> Any:
    """Keras' own Tokenizer, fitted to the corpus."""
    from keras.src.legacy.preprocessing.text import Tokenizer

    made = Tokenizer(**options)
    made.fit_on_texts(CORPUS)
    return made


TOKENIZERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "few words": {"num_words": 6},
    "unknown words": {"num_words": 6, "oov_token": "<OOV>"},
    "as written": {"lower": False},
    "own filters": {"filters": "!?«»—", "oov_token": "unk"},
    "no filters": {"filters": ""},
    "split at commas": {"split": ",", "filters": "!."},
    "characters": {"char_level": True, "oov_token": "*"},
    "characters as written": {"char_level": True, "lower": False, "num_words": 12},
}


@pytest.mark.parametrize("options", TOKENIZERS.values(), ids=list(TOKENIZERS))
@given(rows=texts)
@settings(max_examples=30)
def test_ids_are_those_of_keras_tokenizer(options: dict[str, Any], rows: list[str]) -> None:
    theirs = tokenizer(**options)
    spec = spec_from_tokenizer(json.loads(theirs.to_json()))
    assert rows_of(Vectorizer(spec)(pa.array(rows))) == theirs.texts_to_sequences(rows)


@pytest.mark.parametrize("mode", MATRIX_MODES)
@pytest.mark.parametrize("options", list(TOKENIZERS.values())[:3], ids=list(TOKENIZERS)[:3])
def test_matrices_are_those_of_keras_tokenizer(options: dict[str, Any], mode: str) -> None:
    theirs = tokenizer(**options)
    rows = [*CORPUS, "", "nothing known", "good good good film"]
    spec = spec_from_tokenizer(json.loads(theirs.to_json()), output_mode=MATRIX_MODES[mode])
    ours = bag_of_words(spec, Vectorizer(spec)(pa.array(rows)))
    np.testing.assert_allclose(ours, theirs.texts_to_matrix(rows, mode=mode), rtol=1e-6)


@given(
    rows=texts,
    length=st.integers(1, 9),
    side=st.sampled_from(["pre", "post"]),
    cut=st.sampled_from(["pre", "post"]),
    value=st.sampled_from([0, 7]),
)
@settings(max_examples=60)
def test_rows_are_padded_and_cut_as_by_pad_sequences(
    rows: list[str], length: int, side: Any, cut: Any, value: int
) -> None:
    from keras.utils import pad_sequences

    spec = spec_from_tokenizer(json.loads(tokenizer().to_json()))
    ids = rows_of(Vectorizer(spec)(pa.array(rows)))
    wanted = pad_sequences(ids, length, padding=side, truncating=cut, value=value)
    fixed = replace(spec, output_sequence_length=length, padding=Padding(side, cut, value))
    batch = Vectorizer(fixed)(pa.array(rows))
    np.testing.assert_array_equal(padded_ids(batch, length), wanted)
    assert batch.truncated is not None
    assert batch.truncated.tolist() == [len(row) > length for row in ids]
    masked = replace(fixed, padding=Padding(side, cut, 0, masked=True))
    cut_rows = pad_sequences(ids, length, padding=side, truncating=cut)
    assert rows_of(Vectorizer(masked)(pa.array(rows))) == [
        row[row != 0].tolist() for row in cut_rows
    ]


INDEX = {"the": 1, "film": 2, "good": 3, "dull": 4, "über": 5, "don't": 9}


@pytest.mark.parametrize(
    "numbering",
    [
        Numbering(),
        Numbering(index_from=3, start_id=1, oov_id=2),
        Numbering(index_from=3, start_id=1, oov_id=2, num_words=6),
        Numbering(oov_id=0, num_words=4),
    ],
)
@given(rows=texts)
@settings(max_examples=30)
def test_ids_are_those_of_a_program_with_a_word_index(
    numbering: Numbering, rows: list[str]
) -> None:
    def program(text: str) -> list[int]:
        ids = [] if numbering.start_id is None else [numbering.start_id]
        for word in re.sub(r"[!?]", " ", text.lower()).split():
            rank = INDEX.get(word)
            found = None if rank is None else rank + numbering.index_from
            if found is None or (numbering.num_words and found >= numbering.num_words):
                found = numbering.oov_id
            ids += [] if found is None else [found]
        return ids

    steps = (*standardized("lower", unicode=True), Replace("[!?]", " ", python=True))
    spec = spec_from_word_index(INDEX, numbering, Preparation(steps))
    batch = Vectorizer(spec)(pa.array(rows))
    assert rows_of(batch) == [program(row) for row in rows]
    assert batch.n_tokens.tolist() == [
        len(re.sub(r"[!?]", " ", row.lower()).split()) for row in rows
    ]


def test_a_bag_of_a_word_index_marks_every_id() -> None:
    numbering = Numbering(index_from=3, start_id=1, oov_id=2, num_words=10)
    spec = spec_from_word_index(INDEX, numbering, output_mode="multi_hot")
    bag = bag_of_words(spec, Vectorizer(spec)(pa.array(["the the xx", None])))
    assert bag.shape == (2, 10)
    assert [np.flatnonzero(row).tolist() for row in bag] == [[1, 2, 4], [1]]


PATTERNS = (
    r"<br\s*/?>", r"[^a-zA-Z0-9\s]", r"\s+", r"\S+@\S+", r"[!\"\#\$%\&'\(\)\*\+,\-\./]",
    r"(\w)!", r"http\S+", r"[\w']+-", r"\d+", r"[^\w\s]", r"[]a]", r"[[(]",
    r"\u00e9|\xe8", r"[\u0300-\u036f]", r"[^A-Za-z]+", r"(?i)THE", r"\D", r"\W", r"a\Z",
)  # fmt: skip


def assigned(rows: list[str]) -> list[str]:
    """The rows without what Python's Unicode does not know yet: RE2's may be newer."""
    return ["".join(c for c in row if unicodedata.category(c) != "Cn") for row in rows]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(rows=texts.map(assigned))
@settings(max_examples=20)
def test_a_pattern_means_what_python_means(pattern: str, rows: list[str]) -> None:
    step = Replace(pattern, " ", python=True)
    assert step(pa.array(rows)).to_pylist() == [re.sub(pattern, " ", row) for row in rows]


def test_a_pattern_of_tensorflow_is_left_as_it_is() -> None:
    import tensorflow as tf

    for pattern in (r"[^a-z\s]", r"\w", r"(.)"):
        rows = ["añb\u2003c d", "x"]
        wanted = tf.strings.regex_replace(rows, pattern, r"<\0>").numpy()
        ours = Replace(pattern, r"<\0>")(pa.array(rows)).to_pylist()
        assert ours == [row.decode() for row in wanted]


def test_replacements_come_in_order_and_before_the_vectorizer() -> None:
    steps = (parse_replacement("<br />=> ", python=False), parse_replacement("=>=>b", python=False))
    spec = replace(
        spec_from_config({}, ["a", "b"], None), preparation=Preparation((Lower(False), *steps))
    )
    assert rows_of(Vectorizer(spec)(pa.array(["A<BR />=>", None]))) == [[2, 3], []]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: parse_replacement("a", python=True), UsageError, "REGEX=>TEXT"),
        (lambda: parse_replacement("=>b", python=True), UsageError, "REGEX=>TEXT"),
        (lambda: Replace("x" * 2000, ""), UnsupportedModel, "at most 1024"),
        (lambda: Replace("x", "y" * 17), UnsupportedModel, "longer than 16 bytes"),
        (lambda: Preparation((Replace("x", ""),) * 65), UnsupportedModel, "at most 64"),
        (lambda: as_re2(r"[\W]"), UnsupportedModel, "inside brackets"),
        (lambda: Replace(r"(?=a)", "")(pa.array(["a"])), UnsupportedModel, "look-ahead"),
        (lambda: Replace(r"a(", "")(pa.array(["a"])), UnsupportedModel, "not one that RE2 runs"),
    ],
)
def test_bad_replacements_are_refused(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_replacements_cannot_grow_texts_without_end() -> None:
    bomb = Preparation((Replace("", "x" * 16),) * 60)
    with pytest.raises(InputError, match="replacements make texts of"):
        bomb(pa.array(["x" * 60_000]))


def changed(**changes: Any) -> dict[str, Any]:
    """A Tokenizer's JSON with other settings; None takes one away."""
    document: dict[str, Any] = json.loads(tokenizer(num_words=6).to_json())
    document["config"] |= changes
    return document


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        ([], BundleError, "does not hold what Tokenizer"),
        ({"class_name": "Tokenizer"}, BundleError, "has no config"),
        (changed(word_index="{"), BundleError, "word_index is not JSON"),
        (changed(word_index="[1]"), BundleError, "does not map words"),
        (changed(word_index='{"a": "b"}'), BundleError, "not to a whole number"),
        (changed(word_index='{"a": -1}'), BundleError, "not to a whole number"),
        (changed(word_index='{"a": 99999999999}'), BundleError, "not to a whole number"),
        (changed(word_index='{"\\ud800": 1}'), BundleError, "not valid Unicode"),
        (changed(word_index='{"a": 1}', num_words=1), BundleError, "no word has an id below 1"),
        (changed(num_words="6"), BundleError, "num_words is '6'"),
        (changed(oov_token="nowhere"), BundleError, "lacks its oov_token"),
        (changed(filters=3), BundleError, "filters and lower"),
        (changed(split="--"), UnsupportedModel, "splits at '--'"),
    ],
)
def test_a_hostile_tokenizer_is_refused(
    document: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        spec_from_tokenizer(document)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"document_count": 0}, "counted no documents"),
        ({"index_docs": "[]"}, "index_docs is not a mapping"),
        ({"index_docs": '{"a": 1}'}, "index_docs does not map ids"),
        ({"index_docs": '{"1": -1}'}, "index_docs does not map ids"),
        ({"num_words": None, "word_index": '{"a": 7}'}, "has the id 7, its matrix 2 columns"),
    ],
)
def test_a_hostile_tokenizer_makes_no_matrix(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        spec_from_tokenizer(changed(**changes), output_mode="log_tf_idf")


@pytest.mark.parametrize("index", [[], {}, {"a": 1.5}, {"a": True}, "a"])
def test_what_is_not_a_word_index_is_refused(index: Any) -> None:
    with pytest.raises(BundleError, match="whole number"):
        spec_from_word_index(index)


def counts(specs: Sequence[VectorizerSpec]) -> list[int]:
    return [spec.id_count for spec in specs]


def test_a_spec_says_how_many_ids_there_are_and_whether_a_zero_is_a_word() -> None:
    plain = spec_from_config({}, ["a", "b"], None)
    index = spec_from_word_index(INDEX, Numbering(index_from=3, start_id=1, oov_id=2))
    padded = replace(index, padding=Padding(value=40))
    zero = spec_from_word_index(INDEX, Numbering(oov_id=0))
    assert counts([plain, index, padded, zero]) == [4, 13, 41, 10]
    assert [spec.has_zero_words for spec in (plain, index, zero)] == [False, False, True]
