"""StringLookup, IntegerLookup and Hashing at an input: ids and columns are those of Keras."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.bundle import Pieces, read_bundle
from scorer.card import Card
from scorer.card.vectorizer import InputCard
from scorer.engines import load_engine
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.errors import BundleError, UnsupportedModel
from scorer.feeding import feeding
from scorer.vectorizer import Categories, of_values, spec_from_lookup
from scorer.vectorizer.hashing import fingerprint64, siphash
from scripts.hostile import lookups as hostile
from tests.support.parrot import parrot

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WORDS = ("good", "bad", "", "Good", "a b", "naïve", "日本語", "film ", "[UNK]")
TEXTS = st.one_of(st.sampled_from(WORDS), st.text("ab é", max_size=4))
NUMBERS = st.one_of(st.sampled_from((0, 1, -1, 7, 8)), st.integers(-(2**52), 2**52))
KEYS = st.tuples(st.integers(0, 2**62), st.integers(0, 2**62))
SALTS = st.one_of(st.none(), st.integers(0, 99), st.tuples(st.integers(0, 9), st.integers(0, 9)))
MODES = st.sampled_from(("int", "one_hot", "multi_hot", "count"))


@settings(max_examples=5)
@given(st.integers(0, 2**32), KEYS)
def test_hashes_are_those_of_tensorflow(seed: int, key: tuple[int, int]) -> None:
    """Of every length, as the functions work by another rule for each of some."""
    import tensorflow as tf

    rng, buckets = np.random.default_rng(seed), (1 << 63) - 25
    texts = [rng.bytes(size) for size in range(300)]
    fast = tf.strings.to_hash_bucket_fast(texts, buckets).numpy().tolist()
    strong = tf.strings.to_hash_bucket_strong(texts, buckets, key=list(key)).numpy().tolist()
    assert [fingerprint64(text) % buckets for text in texts] == fast
    assert [siphash(text, key) % buckets for text in texts] == strong


def found(kind: str, layer: Any, rows: list[list[Any]], words: Any, *, numeric: bool) -> np.ndarray:
    """What our lookup of a layer's settings gives for rows of values."""
    config = {**layer.get_config(), "salt": _listed(layer.get_config()["salt"])}
    spec = of_values(spec_from_lookup(kind, config, words, numeric=numeric), len(rows[0]))
    kind_of = pa.int64() if numeric else pa.string()
    columns = [pa.array(list(column), kind_of) for column in zip(*rows, strict=True)]
    tokens, good = Categories(spec)(columns)
    assert good.all()
    if spec.output_mode == "int":
        return padded_ids(tokens, len(rows[0]))
    return bag_of_words(spec, tokens)


def _listed(salt: Any) -> Any:
    return list(salt) if isinstance(salt, tuple) else salt


@settings(max_examples=25)
@given(st.data(), MODES, st.integers(1, 3), SALTS)
def test_a_string_lookup_gives_what_keras_gives(
    data: st.DataObject, mode: str, unknown: int, salt: Any
) -> None:
    import keras
    import tensorflow as tf

    words = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, unique=True))
    mask = data.draw(st.sampled_from((None, "", "film ")))
    words = [word for word in words if word != mask]
    if words in ([], ["[UNK]"]):  # Keras takes no table without a word of its own
        words.append("x")
    width = data.draw(st.integers(1, 1 if mode == "one_hot" else 3))
    rows = data.draw(st.lists(st.lists(TEXTS, min_size=width, max_size=width), min_size=1))
    layer = keras.layers.StringLookup(
        vocabulary=words,
        output_mode=mode,
        num_oov_indices=unknown,
        mask_token=mask,
        salt=_listed(salt),
        oov_method="farmhash",
    )
    expected = np.asarray(layer(tf.constant(rows)))
    for given_words in (words, layer.get_vocabulary()):
        ours = found("StringLookup", layer, rows, given_words, numeric=False)
        np.testing.assert_array_equal(ours, expected)


@settings(max_examples=25)
@given(st.data(), MODES, st.integers(1, 3), st.sampled_from(("floormod", "farmhash")))
def test_an_integer_lookup_gives_what_keras_gives(
    data: st.DataObject, mode: str, unknown: int, method: str
) -> None:
    import keras
    import tensorflow as tf

    mask = data.draw(st.sampled_from((None, 0, -5)))
    words = data.draw(st.lists(NUMBERS, min_size=1, unique=True))
    words = [word for word in words if word not in (mask, -1)] or [3]
    width = data.draw(st.integers(1, 1 if mode == "one_hot" else 3))
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1))
    layer = keras.layers.IntegerLookup(
        vocabulary=words,
        output_mode=mode,
        num_oov_indices=unknown,
        mask_token=mask,
        oov_method=method,
    )
    expected = np.asarray(layer(tf.constant(rows, tf.int64)))
    lines = [str(word) for word in layer.get_vocabulary()]  # as vocabulary.txt has them
    for given_words in (words, lines):
        ours = found("IntegerLookup", layer, rows, given_words, numeric=True)
        np.testing.assert_array_equal(ours, expected)


@settings(max_examples=25)
@given(st.data(), MODES, st.integers(1, 9), SALTS, st.booleans())
def test_hashing_gives_what_keras_gives(
    data: st.DataObject, mode: str, bins: int, salt: Any, numeric: bool
) -> None:
    import keras
    import tensorflow as tf

    values, masks = (NUMBERS, (None, 7)) if numeric else (TEXTS, (None, "", "good"))
    rows = data.draw(st.lists(st.lists(values, min_size=1, max_size=1), min_size=2))
    layer = keras.layers.Hashing(
        bins,
        mask_value=data.draw(st.sampled_from(masks)),
        salt=_listed(salt),
        output_mode=mode,
    )
    expected = np.asarray(layer(tf.constant(rows, tf.int64 if numeric else tf.string)))
    ours = found("Hashing", layer, rows, None, numeric=numeric)
    np.testing.assert_array_equal(ours.reshape(expected.shape), expected)


def test_the_good_archive_of_the_hostile_ones_is_read(tmp_path: Path) -> None:
    hostile.looked_up(words=hostile.GOOD)(tmp_path / "model.keras", tmp_path)
    (only,) = read_bundle(tmp_path / "model.keras").inputs
    assert only.vectorizer is not None
    assert only.vectorizer.vocabulary == ("good", "bad", "film", "wine")


def _save(build: Any, folder: Path) -> tuple[Any, Path]:
    """A model of a text and of what `build(layers)` gives, (input, vector)."""
    import keras

    keras.utils.set_random_seed(4)
    layers = keras.layers
    text = keras.Input((), dtype="string", name="words")
    vectorize = layers.TextVectorization(output_mode="count")
    vectorize.adapt(["good film", "bad film"])
    beside, vector = build(layers, keras.Input)
    joined = layers.Concatenate()([vectorize(text), vector])
    model = keras.Model([text, beside], layers.Dense(2)(joined))
    model.save(folder / "model.keras")
    return model, folder / "model.keras"


def _embedded(lookup: Any, shape: tuple[int, ...], dtype: str = "string") -> Any:
    def build(layers: Any, new_input: Any) -> Any:
        given_input = new_input(shape, dtype=dtype, name="kind")
        ids = lookup(layers)(given_input)
        vectors = layers.Embedding(9, 3)(ids)
        return given_input, layers.Flatten()(vectors) if shape else vectors

    return build


def _marked(lookup: Any, shape: tuple[int, ...], dtype: str = "string") -> Any:
    def build(layers: Any, new_input: Any) -> Any:
        given_input = new_input(shape, dtype=dtype, name="kind")
        return given_input, lookup(layers)(given_input)

    return build


def _adapted(layer: Any) -> Any:
    layer.adapt(np.array([["x"], ["y"], ["y"], ["good"], ["film"]]))
    return layer


NAMES = ["x", "y", "good", "z z", ""]
KINDS = ["3", "5.0", "77", "-4", "0"]
CASES: dict[str, tuple[Any, list[list[str]]]] = {
    "embedded": (_embedded(lambda k: _adapted(k.StringLookup()), (1,)), [NAMES]),
    "without a dimension": (_embedded(lambda k: _adapted(k.StringLookup()), ()), [NAMES]),
    "three values": (
        _embedded(lambda k: k.StringLookup(vocabulary=["x", "y"], mask_token=""), (3,)),
        [NAMES, NAMES[::-1], NAMES],
    ),
    "one-hot": (
        _marked(lambda k: _adapted(k.StringLookup(output_mode="one_hot")), ()),
        [NAMES],
    ),
    "many-hot of two": (
        _marked(lambda k: k.StringLookup(vocabulary=["x", "y"], output_mode="multi_hot"), (2,)),
        [NAMES, NAMES[::-1]],
    ),
    "numbers": (
        _embedded(lambda k: k.IntegerLookup(vocabulary=[3, 5], mask_token=0), (1,), "int64"),
        [KINDS],
    ),
    "hashed": (_embedded(lambda k: k.Hashing(9), (1,)), [NAMES]),
    "hashed numbers": (
        _marked(lambda k: k.Hashing(5, output_mode="one_hot", salt=3), (1,), "int64"),
        [KINDS],
    ),
    "words": (
        _marked(
            lambda k: k.StringLookup(vocabulary=["x", "y"], output_mode="count", mask_token=""),
            (None,),
        ),
        [["x y", "y zz y", "zz", "x  x", "y"]],
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_saved_lookup_gives_the_outputs_of_keras(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    build, columns = CASES[name]
    model, path = _save(build, tmp_path)
    kind = model.inputs[1].dtype
    beside: Any = [list(row) for row in zip(*columns, strict=True)]
    if name == "words":
        split = [row[0].split() for row in beside]
        beside = [row + [""] * (3 - len(row)) for row in split]
    tensor = tf.constant(beside) if kind == "string" else tf.constant(beside, tf.string)
    if kind != "string":
        tensor = tf.cast(tf.strings.to_number(tensor), tf.int64)
    tensor = tensor[:, 0] if len(model.inputs[1].shape) == 1 else tensor
    texts = ["good film", "bad", "good good bad", "film", "none"]
    expected = np.asarray(model([tf.constant(texts), tensor]))

    names = tuple(f"c{i}" for i in range(len(columns)))
    cards = (InputCard(name="words", columns=("text",)), InputCard(name="kind", columns=names))
    bundle = read_bundle(path, pieces=Pieces(inputs=cards))
    fields = parrot("regression").card.model_dump(by_alias=True)
    fields["scorer"] |= {"inputs": cards, "text_columns": ["text"]}
    table = pa.table({"text": texts, **dict(zip(names, columns, strict=True))})
    fed = feeding(Card.model_validate(fields).scorer, bundle)(table["text"].combine_chunks(), table)
    assert fed.readable.all()
    for engine in ("cpu", "keras"):
        outputs = load_engine(bundle, engine=engine, device="cpu").run(*fed.given)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


def test_a_value_without_an_id_is_not_scored() -> None:
    spec = spec_from_lookup(
        "StringLookup", {"name": "kind", "num_oov_indices": 0}, ["x", "y"], numeric=False
    )
    tokens, good = Categories(spec)([pa.array(["x", "z", None, "y"])])
    assert good.tolist() == [True, False, False, True]
    assert padded_ids(tokens)[:, 0].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("build", "columns", "error", "message"),
    [
        (CASES["three values"][0], ("a", "b"), BundleError, "it takes 3 values, 2 columns are"),
        (
            _marked(
                lambda k: k.StringLookup(vocabulary=["x"], num_oov_indices=2, output_mode="count"),
                (None,),
            ),
            ("a",),
            UnsupportedModel,
            "runs with num_oov_indices=1 alone",
        ),
        (CASES["embedded"][0], (), UnsupportedModel, r"say which column feeds kind \(--input kind"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    build: Any, columns: tuple[str, ...], error: type[Exception], message: str, tmp_path: Path
) -> None:
    _, path = _save(build, tmp_path)
    cards = [InputCard(name="words", columns=("text",))]
    cards += [InputCard(name="kind", columns=columns)] if columns else []
    with pytest.raises(error, match=message):
        read_bundle(path, pieces=Pieces(inputs=tuple(cards)))
