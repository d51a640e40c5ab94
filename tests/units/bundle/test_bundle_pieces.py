"""What lies beside an archive, and what is refused with a way out."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.bundle import Pieces, read_bundle
from scorer.card.vectorizer import InputCard, VectorizerCard
from scorer.engines import load_engine
from scorer.errors import BundleError, ScorerError, UnsupportedModel
from scorer.vectorizer import Vectorizer
from tests.support.tiny import spread_weights

TEXTS = ["good film", "bad bad wine, GOOD", "", "unheard of", "good " * 9]
INDEX = {"good": 1, "bad": 2, "film": 3, "wine": 4}
IDS = 8
WORD_INDEX = VectorizerCard(kind="word_index", index_from=3, start_id=1, oov_id=2)


def save(path: Path, mask: bool, length: int | None, *layers: Any) -> Any:
    """A model of token ids, saved at `path`."""
    import keras

    k = keras.layers
    stack = layers or (k.LSTM(4), k.Dense(1, "sigmoid"))
    model = keras.Sequential([keras.Input((length,)), k.Embedding(IDS, 5, mask_zero=mask), *stack])
    spread_weights(model, seed=4)
    model.save(path)
    return model


def pieces(tmp_path: Path, card: VectorizerCard, content: Any = INDEX) -> Pieces:
    path = tmp_path / "vectorizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return Pieces(card, path)


def padded(texts: list[str], length: int, *, before: bool) -> np.ndarray:
    """What a program makes of texts: start 1, unknown 2, word + 3, `pad_sequences`."""
    import keras

    rows = [[1, *(INDEX.get(word, -1) + 3 for word in text.lower().split())] for text in texts]
    side: Any = "pre" if before else "post"
    return np.asarray(keras.utils.pad_sequences(rows, length, padding=side, truncating=side))


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("side", ["pre", "post"])
def test_a_word_index_beside_the_archive(mask: bool, side: Any, tmp_path: Path) -> None:
    """The scores of the user's own program, padded on either side, masked or not."""
    texts = [text.replace(",", "") for text in TEXTS]
    model = save(tmp_path / "model.keras", mask, 6)
    expected = np.asarray(model(padded(texts, 6, before=side == "pre")))
    card = WORD_INDEX.model_copy(
        update={
            "standardize": "lower",
            "sequence_length": 6,
            "padding": side,
            "truncating": side,
        }
    )
    bundle = read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, card))
    assert bundle.vectorizer.padding.masked == (mask and side == "pre")
    tokens = Vectorizer(bundle.vectorizer)(pa.array(texts))
    for engine in ("cpu", "keras"):
        outputs = load_engine(bundle, engine=engine).run(tokens)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5, err_msg=engine)


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.filterwarnings("ignore:Layer.*was passed an input with a mask")
def test_a_mask_that_not_every_layer_heeds(tmp_path: Path) -> None:
    """GlobalMaxPooling1D reads what an LSTM gives at masked positions: zeros before the words."""
    import keras

    k = keras.layers
    stack = (k.LSTM(4, return_sequences=True), k.GlobalMaxPooling1D(), k.Dense(1))
    model = save(tmp_path / "model.keras", True, 6, *stack)
    card = WORD_INDEX.model_copy(update={"sequence_length": 6})
    bundle = read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, card))
    assert not bundle.vectorizer.padding.masked
    with pytest.raises(UnsupportedModel, match="no masks for padding that stands before"):
        load_engine(bundle, engine="cpu")
    texts = ["good film", "bad", "good " * 9]
    tokens = Vectorizer(bundle.vectorizer)(pa.array(texts))
    outputs = load_engine(bundle).run(tokens)
    expected = np.asarray(model(padded(texts, 6, before=True)))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


def test_the_length_that_the_archive_states_is_taken(tmp_path: Path) -> None:
    save(tmp_path / "model.keras", False, 6)
    bundle = read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, WORD_INDEX))
    assert bundle.vectorizer.output_sequence_length == 6
    assert bundle.vectorizer.padding.side == "pre"


def test_another_length_than_the_archives_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "model.keras", False, 6)
    card = WORD_INDEX.model_copy(update={"sequence_length": 7})
    with pytest.raises(BundleError, match="takes 6 ids, the vectorizer gives 7: look at --seq"):
        read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, card))


def test_more_ids_than_rows_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "model.keras", True, None)
    card = WORD_INDEX.model_copy(update={"index_from": 4})
    with pytest.raises(BundleError, match="8 rows of weights, the vocabulary needs 9"):
        read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, card))


def test_a_bag_of_another_width_is_refused(tmp_path: Path) -> None:
    import keras

    keras.Sequential([keras.Input((9,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    card = VectorizerCard(kind="word_index", matrix="binary", num_words=8)
    with pytest.raises(BundleError, match="takes 9 columns, the vectorizer gives 8"):
        read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, card))
    card = VectorizerCard(kind="word_index", matrix="binary", num_words=9)
    bundle = read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, card))
    assert bundle.inputs[0].spec.dtype == "bag"


def test_inputs_that_nothing_feeds_are_asked_for(tmp_path: Path) -> None:
    import keras

    k = keras.layers
    words, numbers = keras.Input((6,), name="words"), keras.Input((2,), name="numbers")
    hidden = k.Concatenate()([k.LSTM(3)(k.Embedding(IDS, 5)(words)), numbers])
    keras.Model([words, numbers], k.Dense(1)(hidden)).save(tmp_path / "model.keras")
    beside = pieces(tmp_path, WORD_INDEX)

    def read(**columns: tuple[str, ...]) -> Any:
        inputs = tuple(InputCard(name=name, columns=names) for name, names in columns.items())
        given = Pieces(beside.described, beside.vectorizer, None, inputs)
        return read_bundle(tmp_path / "model.keras", pieces=given)

    with pytest.raises(UnsupportedModel, match=r"say which column feeds words \(--input words="):
        read()
    with pytest.raises(BundleError, match="no input 'title'; its inputs are words, numbers"):
        read(title=("a",))
    with pytest.raises(BundleError, match="it takes 2 numbers, 3 are given"):
        read(words=("text",), numbers=("a", "b", "c"))
    bundle = read(words=("text",), numbers=("a", "b"))
    assert [given.vectorizer is not None for given in bundle.inputs] == [True, False]
    assert bundle.inputs[1].spec.shape == (2,)


def test_a_digest_is_checked_before_the_file_is_parsed(tmp_path: Path) -> None:
    save(tmp_path / "model.keras", False, 6)
    path = tmp_path / "vectorizer.json"
    path.write_bytes(b"not json")
    wrong = Pieces(WORD_INDEX, path, "0" * 64)
    with pytest.raises(BundleError, match="the zoo's index says 000000000000"):
        read_bundle(tmp_path / "model.keras", pieces=wrong)
    right = Pieces(WORD_INDEX, path, hashlib.sha256(b"not json").hexdigest())
    with pytest.raises(BundleError, match=r"vectorizer\.json: the file: not readable JSON"):
        read_bundle(tmp_path / "model.keras", pieces=right)


def _vectorizer(tmp_path: Path, **settings: Any) -> Path:
    import keras

    layer = keras.layers.TextVectorization(vocabulary=list(INDEX), **settings)
    keras.Sequential([keras.Input((1,), dtype="string"), layer]).save(tmp_path / "words.keras")
    return tmp_path / "words.keras"


def test_a_vectorization_alone_in_an_archive(tmp_path: Path) -> None:
    import tensorflow as tf

    model = save(tmp_path / "model.keras", False, 7)
    path = _vectorizer(tmp_path, output_sequence_length=7)
    card = VectorizerCard(kind="textvectorization")
    bundle = read_bundle(tmp_path / "model.keras", pieces=Pieces(card, path))
    import keras

    vectorizer = keras.models.load_model(path)
    expected = np.asarray(model(vectorizer(tf.constant([[text] for text in TEXTS]))))
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    outputs = load_engine(bundle, engine="cpu").run(tokens)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


def test_a_whole_model_is_no_vectorizer(tmp_path: Path) -> None:
    save(tmp_path / "model.keras", False, 7)
    card = VectorizerCard(kind="textvectorization")
    given = Pieces(card, tmp_path / "model.keras")
    with pytest.raises(UnsupportedModel, match="one TextVectorization and no other layer"):
        read_bundle(tmp_path / "model.keras", pieces=given)


def test_a_vectorizer_alone_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="holds a vectorizer and no network"):
        read_bundle(_vectorizer(tmp_path))


def _whole(path: Path, **settings: Any) -> Any:
    """A model with its vectorizer inside."""
    import keras

    k = keras.layers
    words = k.TextVectorization(vocabulary=list(INDEX), **settings)
    stack = [words, k.Embedding(IDS, 5), k.LSTM(4), k.Dense(1)]
    model = keras.Sequential([keras.Input((1,), dtype="string"), *stack])
    spread_weights(model, seed=5)
    model.save(path)
    return model


def test_a_function_that_standardizes_needs_its_steps(tmp_path: Path) -> None:
    """`standardize=clean` is a name of which the archive holds nothing else."""
    import tensorflow as tf

    def clean(texts: Any) -> Any:
        return tf.strings.regex_replace(tf.strings.lower(texts), "o+", " ")

    path = tmp_path / "model.keras"
    model = _whole(path, standardize=clean, output_sequence_length=5)
    with pytest.raises(UnsupportedModel, match=r"a Python function, 'clean'.*--replace"):
        read_bundle(path)
    card = VectorizerCard(standardize="lower", replace=("o+=> ",))
    bundle = read_bundle(path, pieces=Pieces(card))
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    expected = np.asarray(model(tf.constant([[text] for text in TEXTS])))
    np.testing.assert_allclose(load_engine(bundle, engine="cpu").run(tokens), expected, atol=1e-5)


def test_a_length_that_the_archive_leaves_open_comes_from_the_card(tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "model.keras"
    model = _whole(path)
    with pytest.raises(UnsupportedModel, match="reads padding"):
        load_engine(read_bundle(path), engine="cpu")
    bundle = read_bundle(path, pieces=Pieces(VectorizerCard(sequence_length=9)))
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    expected = np.asarray(model(tf.constant([[text] for text in TEXTS])))  # the longest has 9
    np.testing.assert_allclose(load_engine(bundle, engine="cpu").run(tokens), expected, atol=1e-5)


def test_a_file_that_would_never_be_used_is_refused(tmp_path: Path) -> None:
    _whole(tmp_path / "model.keras")
    with pytest.raises(BundleError, match="holds its own vectorizer"):
        read_bundle(tmp_path / "model.keras", pieces=pieces(tmp_path, WORD_INDEX))


def _saved_model(path: Path) -> Path:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\x08\x01")
    return path


def _file(name: str, data: bytes) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


FOREIGN: list[tuple[Callable[[Path], Path], str]] = [
    (lambda f: _saved_model(f / "m"), r"a SavedModel, which holds a TensorFlow program.*save\("),
    (_file("saved_model.pb", b"\x08\x01"), r"a part of a SavedModel.*model\.save\('model\.keras'"),
    (_file("t.pickle", pickle.dumps({})), r"a pickle.*tokenizer\.to_json\(\)"),
    (_file("t.pkl", pickle.dumps({}, 0)), r"a pickle.*tokenizer\.to_json\(\)"),
    (_file("m.joblib", b"x"), "a joblib file, which is a pickle"),
    (_file("m.pt", b"PK\x03\x04archive/data.pkl"), "a PyTorch model"),
    (_file("m.onnx", b"\x08\x07"), "an ONNX model"),
    (_file("m.tflite", b"\x1c\0\0\0TFL3"), "a TensorFlow Lite model"),
    (_file("m.keras", b"\x1f\x8b\x08"), "compressed by gzip"),
    (_file("m.keras", b"version https://git-lfs.github.com/spec/v1"), "run git lfs pull"),
    (_file("m.ipynb", b"{}"), "a notebook, which is never run"),
    (_file("m.npy", b"\x93NUMPY"), "a NumPy array"),
]


@pytest.mark.parametrize(("build", "says"), FOREIGN, ids=[says[:25] for _, says in FOREIGN])
def test_other_files_are_refused_with_a_way_out(
    build: Callable[[Path], Path], says: str, tmp_path: Path
) -> None:
    path = build(tmp_path)
    with pytest.raises(BundleError, match=says) as caught:
        read_bundle(path)
    assert "\n" not in str(caught.value)


TOKENIZER = VectorizerCard(kind="tokenizer")
VOCABULARY = VectorizerCard(kind="vocabulary")
HOSTILE: list[tuple[VectorizerCard, bytes, str]] = [
    (TOKENIZER, pickle.dumps({"a": 1}), r"a pickle.*to_json\(\)"),
    (TOKENIZER, b"[" * 100_000, "nested too deep|not readable"),
    (TOKENIZER, b'{"class_name": "Tokenizer", "config": {}}', "word_index"),
    (TOKENIZER, b'{"class_name": "Tokenizer", "class_name": "x"}', "a key is given twice"),
    (
        TOKENIZER,
        json.dumps(
            {"class_name": "Tokenizer", "config": {"word_index": '{"a": 1, "a": 2}'}}
        ).encode(),
        "word_index: a key is given twice",
    ),
    (
        TOKENIZER,
        json.dumps({"class_name": "Tokenizer", "config": {"word_index": "[" * 9999}}).encode(),
        "word_index: nested too deep|word_index: not readable",
    ),
    (
        TOKENIZER,
        json.dumps(
            {"class_name": "Tokenizer", "config": {"word_index": '{"a": 1}', "oov_token": {}}}
        ).encode(),
        "oov_token is .*, not a word",
    ),
    (WORD_INDEX, b'{"a": 1e9}', "not to a whole number"),
    (WORD_INDEX, b'{"a": 99999999999}', "not to a whole number"),
    (WORD_INDEX, b"[1, 2]", "does not map words"),
    (WORD_INDEX, b'{"a": ' + b"9" * 5000 + b"}", "not readable JSON"),
    (VOCABULARY, b"\xff\xfe", "not UTF-8"),
    (VOCABULARY, b"", "empty"),
    (VOCABULARY, b"a\na", "more than once"),
    (VectorizerCard(kind="textvectorization"), b"PK\x03\x04junk", "not a readable"),
    (VectorizerCard(kind="textvectorization"), b"\x89HDF\r\n\x1a\n", "does not keep a vocabulary"),
]


@pytest.mark.parametrize(("card", "data", "says"), HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(
    card: VectorizerCard, data: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "vectorizer"
    path.write_bytes(data)
    with pytest.raises(ScorerError, match=says) as caught:
        Pieces(card, path).beside(None)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_pipe_is_no_vectorizer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="not a regular file"):
        Pieces(WORD_INDEX, tmp_path / "pipe").beside(None)
