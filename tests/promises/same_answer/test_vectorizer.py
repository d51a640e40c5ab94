"""The vectorizer against a plain-Python reference: every setting, any Unicode, any Arrow layout.

`test_vectorizer_keras.py` holds the same reference and the vectorizer against Keras.
"""

from __future__ import annotations

import os
import re
import string
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer import TokenBatch, Vectorizer, VectorizerSpec, spec_from_config

STANDARDIZE = (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")
SPLIT = (None, "whitespace", "character")
LENGTHS = (None, 1, 3)

# Words of every length around the 8-byte words of the table, some that can never match.
VOCABULARY = (
    "the", "a", "film", "dont", "don't", "The", "[UNK]", "unk", "br", "br br", "été", "ÉTÉ",
    "e", "sevenxx", "eightxxx", "ninexxxxx", "sixteenxsixteenx", "seventeenxseventee", "日本", "日",
    "😀", "\u0301", "a\0b", "\0a", "\ufeff", "...", "-", " ", "\u0085", "\u00a0", "x\u3000y",
    "\x1c", "abcdefghijklmnopqrstuvwxyz",
)  # fmt: skip

PIECES = (
    *VOCABULARY, "", "!", "<br />", "don't", "A", "I", "\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d",
    "\x1e", "\x1f", "\u0085", "\u00a0", "\u2028", "\u3000", "\ufeff", "\0", "a\0", "İ", "ß", "K",
    "e\u0301", "x" * 70, "the" * 50, "\U0010ffff", "\ue000", "\ufffe", "'", "\\", "^", "`", "~",
    string.ascii_uppercase,
)  # fmt: skip

texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join),
    st.text(st.characters(max_codepoint=127), max_size=40),
)


def spec(
    vocabulary: tuple[str, ...] = VOCABULARY,
    standardize: str | None = "lower_and_strip_punctuation",
    split: str | None = "whitespace",
    length: int | None = None,
) -> VectorizerSpec:
    return VectorizerSpec(standardize, split, "int", length, vocabulary)


def reference_tokens(text: str, standardize: str | None, split: str | None) -> list[str]:
    """What TextVectorization makes of one text, from its documentation."""
    if standardize in ("lower", "lower_and_strip_punctuation"):
        text = re.sub("[A-Z]", lambda m: m[0].lower(), text)
    if standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
        text = "".join(c for c in text if c not in string.punctuation)
    if split == "whitespace":
        return [t for t in re.split("[ \t\n\v\f\r]+", text) if t]
    if split == "character":
        return list(text)
    return [text] if text else []


def reference(text: str | None, spec: VectorizerSpec) -> list[int]:
    """Ids before the cut to output_sequence_length."""
    if text is None:
        return []
    ids = {word: i for i, word in enumerate(spec.vocabulary, start=2)}
    return [ids.get(t, 1) for t in reference_tokens(text, spec.standardize, spec.split)]


def rows_of(batch: TokenBatch) -> list[list[int]]:
    return [ids.tolist() for ids in np.split(batch.ids, batch.offsets[1:-1])][: len(batch.n_tokens)]


def assert_equals_reference(
    batch: TokenBatch, rows: list[str | None], spec: VectorizerSpec
) -> None:
    whole = [reference(text, spec) for text in rows]
    assert rows_of(batch) == [ids[: spec.output_sequence_length] for ids in whole]
    assert batch.n_tokens.tolist() == [len(ids) for ids in whole]
    assert batch.n_oov.tolist() == [ids.count(1) for ids in whole]
    assert batch.offsets[-1] == len(batch.ids)
    assert [a.dtype for a in (batch.ids, batch.offsets, batch.n_tokens, batch.n_oov)] == [
        np.int32,
        np.int64,
        np.int32,
        np.int32,
    ]


@pytest.mark.parametrize("split", SPLIT)
@pytest.mark.parametrize("standardize", STANDARDIZE)
@settings(max_examples=80, derandomize=True)
@given(rows=st.lists(st.none() | texts, max_size=8), length=st.sampled_from(LENGTHS))
@example(rows=["", " ", "!!!", "[UNK]", "a\0b a\0 a", "The the THE"], length=None)
@example(rows=[string.ascii_uppercase], length=None)
def test_equals_reference(
    standardize: str | None, split: str | None, rows: list[str | None], length: int | None
) -> None:
    given_spec = spec(standardize=standardize, split=split, length=length)
    assert_equals_reference(Vectorizer(given_spec)(pa.array(rows, pa.string())), rows, given_spec)


@settings(max_examples=150, derandomize=True)
@given(
    words=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
        min_size=1,
        max_size=60,
        unique=True,
    ),
    data=st.data(),
)
def test_any_vocabulary_is_found_and_nothing_else(words: list[str], data: st.DataObject) -> None:
    near = [w[:-1] for w in words] + [w + "\0" for w in words] + [w + "a" for w in words]
    rows = words + data.draw(st.permutations(near))
    given_spec = spec(tuple(words), standardize=None, split=None)
    assert_equals_reference(
        Vectorizer(given_spec)(pa.array(rows, pa.string())), list(rows), given_spec
    )


@pytest.mark.parametrize("size", [1, 7, 8, 9, 31_000])
def test_every_word_of_a_vocabulary_has_its_id(size: int) -> None:
    words = tuple(f"w{i:x}" for i in range(size))
    batch = Vectorizer(spec(words, standardize=None))(pa.array([" ".join(words), "w"]))
    np.testing.assert_array_equal(batch.ids, [*range(2, size + 2), 1])


ROWS: list[str | None] = [None, "the film", "", "A e\u0301 日本 the", None, "a", "!?", "été film"]


def layouts() -> list[tuple[str, pa.Array]]:
    plain = pa.array(ROWS, pa.string())
    padded = ["the", "a b c", *ROWS, "film", None]
    bytes_in_nulls = pa.StringArray.from_buffers(
        len(ROWS),
        pa.array([t or "film" for t in ROWS], pa.string()).buffers()[1],
        pa.array([t or "film" for t in ROWS], pa.string()).buffers()[2],
        pa.array([t is not None for t in ROWS]).buffers()[1],
    )
    chunks = pa.chunked_array([plain.slice(0, 3), plain.slice(3)])
    return [
        ("string", plain),
        ("large_string", plain.cast(pa.large_string())),
        ("string_view", plain.cast(pa.string_view())),
        ("dictionary", plain.dictionary_encode()),
        ("large dictionary", plain.cast(pa.large_string()).dictionary_encode()),
        ("sliced", pa.array(padded, pa.string()).slice(2, len(ROWS))),
        ("sliced large", pa.array(padded, pa.large_string()).slice(2, len(ROWS))),
        ("sliced view", pa.array(padded, pa.string_view()).slice(2, len(ROWS))),
        ("sliced dictionary", pa.array(padded).dictionary_encode().slice(2, len(ROWS))),
        ("combined chunks", chunks.combine_chunks()),
        ("bytes under nulls", bytes_in_nulls),
    ]


@pytest.mark.parametrize(("name", "array"), layouts())
def test_every_arrow_layout(name: str, array: pa.Array) -> None:
    rows: list[str | None] = list(ROWS)
    if name == "bytes under nulls":  # the empty row is no null there
        rows[2] = "film"
    assert array.to_pylist() == rows
    assert_equals_reference(Vectorizer(spec())(array), rows, spec())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.null()])
@pytest.mark.parametrize("rows", [0, 3])
def test_no_rows_and_only_nulls(kind: pa.DataType, rows: int) -> None:
    for array in (pa.nulls(rows, kind), pa.nulls(rows + 2, kind).slice(1, rows)):
        assert_equals_reference(Vectorizer(spec())(array), [None] * rows, spec())


def test_zero_length_offsets_buffer() -> None:
    array = pa.StringArray.from_buffers(0, pa.py_buffer(b""), pa.py_buffer(b""))
    assert_equals_reference(Vectorizer(spec())(array), [], spec())


@pytest.mark.parametrize("bad", [["a"], pa.array([1]), pa.array([b"a"]), pa.chunked_array([["a"]])])
def test_refuses_what_is_no_string_array(bad: object) -> None:
    with pytest.raises(TypeError, match="expected an Arrow Array of strings"):
        Vectorizer(spec())(bad)


def test_rows_of_very_different_size() -> None:
    """Room for ids grows by row, from an estimate that short tokens exceed."""
    rows: list[str | None] = ["", "a " * 50_000, None, "x" * 300_000, "a", "the film " * 20_000]
    for length in (None, 10):
        given_spec = spec(length=length)
        assert_equals_reference(
            Vectorizer(given_spec)(pa.array(rows, pa.string())), rows, given_spec
        )


def test_ngrams_leave_the_counts_of_words_alone() -> None:
    """ "good" is known as a part of an n-gram alone, so it is an unknown word."""
    made = VectorizerSpec(None, "whitespace", "int", 4, ("not", "not good"), ngrams=(1, 2))
    batch = Vectorizer(made)(pa.array(["not good", "good not good", "", None, "not"]))
    assert rows_of(batch) == [[2, 1, 3], [1, 2, 1, 1], [], [], [2]]
    assert batch.n_tokens.tolist() == [2, 3, 0, 0, 1]
    assert batch.n_oov.tolist() == [1, 2, 0, 0, 0]
    assert made.ids_of(batch.n_tokens).tolist() == [3, 5, 0, 0, 1]


def test_a_large_vocabulary_of_ngrams() -> None:
    """Every pair of 300 words but one: each is found, the one is not."""
    words = [f"w{i}" for i in range(300)]
    pairs = [f"{a} {b}" for a in words for b in words if (a, b) != ("w7", "w9")]
    made = VectorizerSpec(None, "whitespace", "int", None, (*pairs, *words), ngrams=(2,))
    batch = Vectorizer(made)(pa.array([*pairs, "w7 w9", "w7 x", "x w7"]))
    assert batch.ids.tolist() == [*range(2, len(pairs) + 2), 1, 1, 1]


def test_ngrams_whose_parts_are_none() -> None:
    """Each of 500 n-grams of four tokens needs places for its three parts, at first one for all."""
    grams = [f"a{i} b{i % 7} c{i % 300} d{i}" for i in range(500)]
    made = VectorizerSpec(None, "whitespace", "int", None, tuple(grams), ngrams=(4,))
    vectorizer = Vectorizer(made)
    batch = vectorizer(pa.array([*grams, "a1 b1 c1 d2", "a1 b2 c1 d1"]))
    assert batch.ids.tolist() == [*range(2, len(grams) + 2), 1, 1]
    paths = vectorizer._tables[2]
    assert np.count_nonzero(paths[:, 0]) == 3 * len(grams) <= len(paths) // 2


def test_ngrams_whose_parts_are_known_take_no_more_room() -> None:
    """A path for each n-gram, and as many free ones at least; not one for each token."""
    words = [str(i) for i in range(40)]
    parts = [" ".join(words[:size]) for size in range(2, 17)]
    sizes = tuple(range(1, 17))
    made = VectorizerSpec(None, "whitespace", "int", None, (*words, *parts), ngrams=sizes)
    vectorizer = Vectorizer(made)
    assert vectorizer._tables[2].shape == (32, 2)
    assert vectorizer(pa.array([parts[-1]])).ids[-1] == len(words) + 16


def test_invalid_utf8_stays_inside_its_row() -> None:
    """Readers reject such a row; here it must only do no harm."""
    raw = [b"\xff\xfe a", b"\x80", b"\xe2\x82", b"a \xc3"]
    array = pa.array(raw, pa.binary()).view(pa.string())
    assert rows_of(Vectorizer(spec())(array)) == [[1, 3], [1], [1], [3, 1]]
    assert rows_of(Vectorizer(spec(split="character"))(array))[2] == [1]


def test_words_of_equal_hash_are_told_apart() -> None:
    """Two words of 16 bytes can be made to collide: the second half undoes what the first did."""

    def halves_to(first: int) -> np.ndarray:
        state = mixed(first)
        return np.array([first, state ^ np.uint64(0x6D6C6966)], np.uint64)

    one, two, three = halves_to(1), halves_to(2), halves_to(3)
    slots, entries = tables_of([one, two])
    assert len(set(slots[slots > 0] >> np.uint64(32))) == 1
    assert token_ids(np.concatenate([one, two, three]), [0, 16, 32, 48], slots, entries) == [
        2,
        3,
        1,
    ]


def mixed(word: int) -> np.uint64:
    """The hash of one word, by the loop's own function, uncompiled."""
    from scorer.vectorizer import kernels

    with np.errstate(over="ignore"):
        state: np.uint64 = kernels._mix.py_func(np.uint64(0), np.uint64(word))  # type: ignore[attr-defined]
    return state


def tables_of(words: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The slots and entries of these words of 16 bytes."""
    from scorer.vectorizer import building

    data = np.concatenate(words).astype("<u8").view(np.uint8)
    built = building.build(data, 16 * np.arange(len(words) + 1), building.NOWHERE, (1,))
    return built.slots, built.entries


def token_ids(
    words: np.ndarray, offsets: list[int], slots: np.ndarray, entries: np.ndarray
) -> list[int]:
    """Ids of rows that are one token each, of `words` as bytes."""
    from scorer.vectorizer import kernels

    keep = np.arange(256, dtype=np.uint16) | np.uint16(kernels.KEEP)
    nothing = np.zeros(0, np.int64)
    tables = (slots, entries, kernels.build_paths(nothing, nothing, nothing, len(entries)))
    data = words.astype("<u8").view(np.uint8)
    ids, *_ = kernels.tokenize(data, np.array(offsets), keep, 9, 2, np.array([1]), tables)
    return list(ids)


def test_a_word_does_not_match_a_longer_one_of_equal_hash() -> None:
    """Its second half may still lie in the scratch from the token before: the length tells."""
    from scorer.vectorizer import kernels

    def mix(state: int, word: int) -> int:
        product = (state ^ word) * int(kernels._MULTIPLIER) % 2**64
        return product ^ (product >> 32)

    first, state = 12345, mix(0, 12345)
    wanted = state ^ 8 ^ 16  # the state after both halves that makes the two hashes equal
    product = wanted ^ (wanted >> 32)
    second = product * pow(int(kernels._MULTIPLIER), -1, 2**64) % 2**64 ^ state
    assert mix(mix(state, second), 16) == mix(state, 8)
    words = np.array([first, second], np.uint64)
    slots, entries = tables_of([words])
    assert token_ids(words[[0, 1, 0]], [0, 16, 24], slots, entries) == [2, 1]


def test_the_loop_stays_in_bounds() -> None:
    """Uncompiled, in a process of its own, NumPy checks every index."""
    code = (
        "import pyarrow as pa; from scorer.vectorizer import Vectorizer, VectorizerSpec; "
        "spec = VectorizerSpec(None, 'whitespace', 'int', None, ('sixteenxsixteenx', 'a')); "
        "texts = pa.array(['', 'x' * 90, 'sixteenxsixteenx', 'a ' * 200 + 'x' * 17]); "
        "grams = VectorizerSpec(None, 'whitespace', 'int', 9, ('a a a', 'a'), ngrams=(3, 1)); "
        "Vectorizer(grams)(texts); "
        "print(Vectorizer(spec)(texts).ids.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore:overflow", "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str([1, 2, *[3] * 200, 1])


def test_threads_share_one_vectorizer() -> None:
    vectorizer = Vectorizer(spec())
    arrays = [pa.array([f"the film {i} a été " * (i + 1)] * 50) for i in range(8)]
    expected = [vectorizer(a).ids for a in arrays]
    failures: list[int] = []

    def work(i: int) -> None:
        for _ in range(100):
            if not np.array_equal(vectorizer(arrays[i]).ids, expected[i]):
                failures.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_call_releases_the_gil() -> None:
    """Another thread goes on while one long call runs; a call with the GIL would stop it."""
    vectorizer = Vectorizer(spec())
    texts = pa.array(["the film was a film " * 100_000] * 20)  # 40 MB, some 0.2 s
    beats = 0
    done = threading.Event()

    def beat() -> None:
        nonlocal beats
        while not done.wait(0.001):
            beats += 1

    thread = threading.Thread(target=beat)
    thread.start()
    while beats == 0:
        time.sleep(0.001)
    before = beats
    vectorizer(texts)
    during = beats - before
    done.set()
    thread.join()
    assert during >= 5


def test_a_spec_needs_neither_numba_nor_keras_nor_pyarrow() -> None:
    code = (
        "import sys, scorer.vectorizer as v; v.spec_from_config({}, ['a'], None); "
        "heavy = {'numba', 'keras', 'tensorflow', 'pyarrow', 'scipy'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def config(**changes: Any) -> dict[str, Any]:
    """A config as Keras 3.15 writes it."""
    return {
        "name": "text_vectorization",
        "trainable": True,
        "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
        "max_tokens": 10,
        "standardize": "lower_and_strip_punctuation",
        "split": "whitespace",
        "ngrams": None,
        "output_mode": "int",
        "output_sequence_length": None,
        "pad_to_max_tokens": False,
        "sparse": False,
        "ragged": False,
        "vocabulary": None,
        "idf_weights": None,
        "encoding": "utf-8",
        "vocabulary_size": 4,
        **changes,
    }


@pytest.mark.parametrize(
    ("vocabulary", "mode", "words"),
    [
        (["", "[UNK]", "a", "b"], "int", ("a", "b")),
        (["a", "b"], "int", ("a", "b")),
        (["[UNK]", "a"], "int", ("[UNK]", "a")),
        (["", "[UNK]", "[UNK]"], "int", ("[UNK]",)),
        (["[UNK]", "a"], "count", ("a",)),
        (["a", "[UNK]"], "multi_hot", ("a", "[UNK]")),
        (["a\0", "b\0c"], "int", ("a", "b\0c")),
    ],
)
def test_specials_of_a_vocabulary(vocabulary: list[str], mode: str, words: tuple[str, ...]) -> None:
    assert spec_from_config(config(output_mode=mode), vocabulary, None).vocabulary == words


@pytest.mark.parametrize(
    ("ngrams", "sizes"), [(None, (1,)), (1, (1,)), (3, (1, 2, 3)), ([2], (2,)), ((2, 1), (2, 1))]
)
def test_sizes_of_ngrams(ngrams: object, sizes: tuple[int, ...]) -> None:
    assert spec_from_config(config(ngrams=ngrams), ["a"], None).ngrams == sizes


def test_ngrams_of_whole_texts_are_refused() -> None:
    """Keras takes the rows of a batch for the tokens of one text."""
    with pytest.raises(UnsupportedModel, match="split=None is not supported"):
        spec_from_config(config(ngrams=2, split=None), ["a"], None)


def test_settings_arrive_in_the_spec() -> None:
    changed = config(standardize=None, split="character", output_sequence_length=7)
    made = spec_from_config(changed, ["a"], None)
    assert (made.standardize, made.split, made.output_mode) == (None, "character", "int")
    assert (made.output_sequence_length, made.max_tokens, made.pad_to_max_tokens) == (7, 10, False)
    assert made.idf_weights is None


def test_columns_and_weights_of_a_bag() -> None:
    weights = np.array([1.5, 1, 2])
    made = spec_from_config(config(output_mode="tf_idf"), ["a", "b"], weights)
    assert made.columns == 3
    assert made.idf_weights is not None
    assert made.idf_weights.dtype == np.float32
    np.testing.assert_array_equal(made.idf_weights, weights)
    padded = spec_from_config(config(output_mode="count", pad_to_max_tokens=True), ["a"], None)
    assert padded.columns == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ngrams", 0),
        ("ngrams", 10**9),
        ("ngrams", True),
        ("ngrams", "2"),
        ("ngrams", []),
        ("ngrams", [1, 0]),
        ("ngrams", [[1], 2]),
        ("sparse", "yes"),
        ("ragged", True),
        ("ragged", 0),
        ("encoding", "latin-1"),
        ("standardize", {"class_name": "function", "config": "strip"}),
        ("standardize", "upper"),
        ("split", {"class_name": "function", "config": "split"}),
        ("split", ["whitespace"]),
        ("output_mode", "one_hot"),
        ("output_mode", None),
        ("output_sequence_length", 0),
        ("output_sequence_length", True),
        ("output_sequence_length", "3"),
        ("max_tokens", 1),
        ("max_tokens", 2.5),
        ("pad_to_max_tokens", 1),
        ("vocabulary", "/etc/passwd"),
        ("oov_token", "<unk>"),
    ],
)
def test_refuses_unsupported_settings_by_name(name: str, value: object) -> None:
    with pytest.raises(UnsupportedModel, match=name):
        spec_from_config(config(**{name: value}), ["a"], None)


IDF = np.ones(2)


@pytest.mark.parametrize(
    ("changes", "vocabulary", "idf", "message"),
    [
        ({}, "a b", None, "not a list"),
        ({}, [], None, "empty"),
        ({}, ["", "[UNK]"], None, "empty"),
        ({}, ["a", ""], None, "empty word"),
        ({}, ["a", "\0"], None, "empty word"),
        ({}, ["[UNK]", "", "a"], None, "empty word"),
        ({}, ["a", "b", "a"], None, "'a' more than once"),
        ({}, ["a", "a\0"], None, "'a' more than once"),
        ({}, ["a", 3], None, "3, which is not a string"),
        ({}, ["a", "b\ud800"], None, "not valid Unicode"),
        ({"max_tokens": 3}, ["a", "b"], None, "max_tokens is 3"),
        ({"max_tokens": None, "pad_to_max_tokens": True}, ["a"], None, "no max_tokens"),
        ({"output_mode": "count", "output_sequence_length": 3}, ["a"], None, "mode other than"),
        ({"output_mode": "tf_idf"}, ["a"], None, "without idf_weights"),
        ({"output_mode": "count"}, ["a"], IDF, "with idf_weights"),
        ({"output_mode": "tf_idf"}, ["a", "b"], IDF, r"shape \(2,\), not \(3,\)"),
        ({"output_mode": "tf_idf"}, ["a"], np.array([1, np.nan]), "not finite"),
    ],
)
def test_refuses_a_broken_vocabulary_or_weights(
    changes: dict[str, Any], vocabulary: Any, idf: np.ndarray | None, message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        spec_from_config(config(**changes), vocabulary, idf)


@pytest.mark.slow
def test_more_than_two_gigabytes_of_text() -> None:
    """Offsets beyond 2^31 bytes reach the right text."""
    filler = pa.array(["x" * 2**20] * 2080, pa.large_string())
    texts = pa.concat_arrays([filler, pa.array(["the film"], pa.large_string())])
    batch = Vectorizer(spec())(texts)
    assert texts.nbytes > 2**31
    assert batch.ids[-2:].tolist() == [2, 4]
    assert batch.n_tokens.tolist() == [1] * 2080 + [2]
    assert int(batch.n_oov.sum()) == 2080
