"""The cpu engine's layers beyond its fast paths: Keras' answers, the same bits in any company."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from scorer.bundle import Bundle, input_of
from scorer.bundle.annotate import annotate
from scorer.bundle.config.read import read_model
from scorer.bundle.network import Layer
from scorer.engines import refuse_padding_readers
from scorer.engines.cpu import CpuEngine
from scorer.engines.cpu.steps.full_width import over_sequences
from scorer.engines.cpu.table import BUILDERS
from scorer.engines.encode import bag_of_words
from scorer.errors import UnsupportedModel
from scorer.export import run_onnx, to_onnx
from scorer.export.table import WRITERS
from scorer.layers import TRAINING_ONLY
from tests.support.layer_cases import CASES, LENGTH, WIDTH
from tests.support.networks import batch, bundle, dense, spec
from tests.support.networks import unit as unit_layer
from tests.support.tiny import spread_weights

WORDS = 9
#: their activations are tested in test_engine_recurrent
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "Bidirectional")
Build = Callable[[Any, Any], Any]


def bundle_of(model: Any, lengths: Sequence[int | None]) -> Bundle:
    """A Keras model on inputs of ids, as we read it, with its weights."""
    read = read_model(json.loads(model.to_json()))
    layers: dict[int, Layer] = {}
    stored = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    calls = []
    for call in read.calls:
        weights = tuple(stored.get(call.layer.name, ()))
        layer = layers.setdefault(id(call.layer), replace(call.layer, weights=weights))
        calls.append(replace(call, layer=layer))
    inputs = tuple(
        input_of(name, spec(WORDS, length=length))
        for name, length in zip(read.inputs, lengths, strict=True)
    )
    return Bundle(Path("m"), "0", inputs, annotate(inputs, calls))


def model_of(build: Build, length: int | None, *, mask: bool, seed: int = 3) -> Any:
    import keras

    ids = keras.Input((length,), dtype="int32")
    words = keras.layers.Embedding(WORDS + 2, WIDTH, mask_zero=mask)(ids)
    model = keras.Model(ids, build(keras.layers, words))
    spread_weights(model, seed)
    for weight in model.weights:
        if weight.name.endswith("variance"):
            weight.assign(np.abs(weight))
    for layer in model.layers:
        if layer.__class__.__name__ == "Normalization":
            layer.finalize_state()
    return model


def ends_in_vector(k: Any, x: Any) -> Any:
    """The cpu engine gives one vector a row."""
    from keras import ops

    if len(x.shape) == 1:
        x = ops.expand_dims(x, -1)
    if len(x.shape) == 3 and x.shape[1] is None and getattr(x, "_keras_mask", None) is not None:
        return k.GlobalAveragePooling1D()(x)
    if None in x.shape[2:]:
        return ops.max(x, axis=2)
    if x.shape[1] is None:
        x = x[:, 0] if len(x.shape) > 2 else x[:, :1]
    return x if len(x.shape) == 2 else k.Flatten()(x)


def rows_of(lengths: Sequence[int]) -> list[list[int]]:
    rng = np.random.default_rng(7)
    return [rng.integers(1, WORDS + 2, n).tolist() for n in lengths]


def expected_of(model: Any, rows: Sequence[Sequence[int]], length: int | None) -> np.ndarray:
    """Each row padded to the fixed length, or where there is none beside rows of its own length."""
    widths = np.array([length or max(len(row), 1) for row in rows])
    found: dict[int, np.ndarray] = {}
    for width in set(widths.tolist()):
        alike = np.flatnonzero(widths == width)
        ids = np.zeros((len(alike), width), np.int32)
        for into, row in zip(ids, alike, strict=True):
            into[: len(rows[row])] = rows[row]
        found.update(zip(alike.tolist(), np.asarray(model(ids)), strict=True))
    return np.stack([found[row] for row in range(len(rows))])


def check_bits(engine: CpuEngine, rows: Sequence[Sequence[int]], together: np.ndarray) -> None:
    """A row gets the same bits alone, in another order, and among many others."""
    backwards = engine.run(batch(rows[::-1]))[::-1]
    many = engine.run(batch([*rows, *rows_of(range(1, LENGTH)), *rows]))
    alone = np.concatenate([engine.run(batch([row])) for row in rows])
    for other in (backwards, many[: len(rows)], many[-len(rows) :], alone):
        np.testing.assert_array_equal(together, other)


def _case(kind: str, random: Random, k: Any, x: Any) -> Any:
    return CASES[kind](k, x, random)


def check(build: Build, length: int | None, *, mask: bool, seed: int = 3) -> None:
    """Equal to Keras to 1e-5, bit for bit the same in any company."""
    model = model_of(lambda k, x: ends_in_vector(k, build(k, x)), length, mask=mask, seed=seed)
    bundle = bundle_of(model, [length])
    try:
        refuse_padding_readers(bundle)
    except UnsupportedModel:
        return
    engine = CpuEngine(bundle)
    rows = rows_of([LENGTH, 3, 1, 5, LENGTH, 2, 7] + ([0] if length else []))
    found = engine.run(batch(rows))
    expected = expected_of(model, rows, length)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    check_bits(engine, rows, found)
    check_onnx(bundle, [row for row in rows if row], expected)


def check_onnx(bundle: Bundle, rows: Sequence[Sequence[int]], expected: np.ndarray) -> None:
    """ONNX Runtime answers as Keras does, where the layers can be written."""
    kinds = {node.layer.kind for node in bundle.nodes}
    if kinds <= WRITERS.keys() - set(RECURRENT):  # they have tests of their own
        try:
            raw = to_onnx(bundle).SerializeToString()
        except UnsupportedModel:
            return
        found = run_onnx(raw, bundle, batch(rows))
        np.testing.assert_allclose(found, expected[: len(rows)], rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.filterwarnings("ignore:(?s).*using a softmax over axis")
@pytest.mark.parametrize("mask", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("length", [None, LENGTH])
@pytest.mark.parametrize("kind", sorted(BUILDERS.keys() & CASES.keys() - TRAINING_ONLY))
def test_every_layer_gives_what_keras_gives(kind: str, length: int | None, mask: bool) -> None:
    for seed in range(2):
        random = Random(f"{kind} {length} {mask} {seed}")
        try:
            check(partial(_case, kind, random), length, mask=mask, seed=seed)
        except UnsupportedModel as error:
            lacking = "the cpu engine" in str(error) and kind not in RECURRENT
            if lacking or (length is not None and "the cpu engine" not in str(error)):
                raise


def _two_texts(k: Any, first: Any, second: Any) -> Any:
    """Cross attention of one text on another, and both merged in several shapes."""
    crossed = k.MultiHeadAttention(2, 3)(first, second)
    parts = [k.Add()([first, crossed]), k.Concatenate(axis=1)([first, second])]
    pooled = [k.GlobalMaxPooling1D()(k.LayerNormalization()(part)) for part in parts]
    similar = k.Flatten()(k.Dot(axes=(2, 2), normalize=True)([first, second]))
    return k.Concatenate()([*pooled, similar])


def test_texts_of_fixed_length_meet_position_by_position() -> None:
    import keras

    k = keras.layers
    ids = [keras.Input((LENGTH,), dtype="int32") for _ in range(2)]
    words = [k.Embedding(WORDS + 2, WIDTH)(each) for each in ids]
    model = keras.Model(ids, k.Dense(3)(_two_texts(k, *words)))
    spread_weights(model, 5)
    engine = CpuEngine(bundle_of(model, [LENGTH, LENGTH]))
    first, second = rows_of([3, 8, 0, 5, 1]), rows_of([7, 2, 4, 0, 8])
    padded = [
        np.array([row + [0] * (LENGTH - len(row)) for row in rows], np.int32)
        for rows in (first, second)
    ]
    together = engine.run(batch(first), batch(second))
    np.testing.assert_allclose(together, np.asarray(model(padded)), rtol=1e-5, atol=1e-5)
    alone = [engine.run(batch([a]), batch([b]))[0] for a, b in zip(first, second, strict=True)]
    np.testing.assert_array_equal(together, np.stack(alone))


@pytest.mark.parametrize("mode", ["count", "multi_hot", "freq", "tf_idf", "log_tf_idf"])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("other", [False, True], ids=["dense", "laid out"])
def test_a_bag_of_words_of_every_mode(mode: str, unit: bool, other: bool) -> None:
    """Added up word by word before a Dense layer, laid out before any other."""
    vectorizer = spec(WORDS, mode=mode)
    if mode == "log_tf_idf":
        vectorizer = replace(vectorizer, idf_weights=spec(WORDS, mode="tf_idf").idf_weights)
    rng = np.random.default_rng(3)
    layer = dense(rng, vectorizer.columns, 3, "linear")
    between = [unit_layer()] if unit else []
    softsign = [Layer("Activation", "between", {"activation": "softsign"})] if other else []
    engine = CpuEngine(bundle(vectorizer, *between, *softsign, layer))
    rows = [[2, 2, 2, 5], [], [3], [1, 1, 9, 9, 4, 2, 2]]
    x = bag_of_words(vectorizer, batch(rows)).astype(np.float64)
    if unit:
        x /= np.maximum(np.sqrt((x * x).sum(axis=1, keepdims=True)), 1e-30)
    if other:
        x = x / (1 + np.abs(x))
    kernel, bias = layer.weights
    found = engine.run(batch(rows))
    np.testing.assert_allclose(found, x @ kernel + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[2:], engine.run(batch(rows[2:])))


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.filterwarnings("ignore:(?s).*using a softmax over axis")
@pytest.mark.parametrize("length", [None, LENGTH])
def test_threads_and_tiles_change_no_bit(length: int | None) -> None:
    """A transformer block, in small and large calls on several threads at once."""

    def block(k: Any, x: Any) -> Any:
        y = k.LayerNormalization()(x + k.MultiHeadAttention(2, 4)(x, x))
        return k.Dense(WIDTH, "gelu")(k.Dense(9, "mish")(y))

    model = model_of(lambda k, x: ends_in_vector(k, block(k, x)), length, mask=length is None)
    engine = CpuEngine(bundle_of(model, [length]))
    rows = rows_of([n % LENGTH + 1 for n in range(300)])
    together = engine.run(batch(rows))
    cuts = [rows[i : i + n] for i, n in ((0, 7), (7, 93), (100, 1), (101, 199))]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(engine.run, map(batch, cuts)))
    np.testing.assert_array_equal(together, np.concatenate(parts))


def test_one_window_over_all_positions_is_the_global_maximum_to_the_bit() -> None:
    def pooled(k: Any, x: Any, *, windows: bool) -> Any:
        ends = []
        for taps in (2, 3, 4):
            y = k.Conv1D(5, taps, activation="relu")(x)
            whole = k.MaxPooling1D(LENGTH - taps + 1)
            ends.append(k.Flatten()(whole(y)) if windows else k.GlobalMaxPooling1D()(y))
        return k.Dense(3)(k.Concatenate()(ends))

    rows = rows_of([1, 5, 8, 0])
    found = []
    for windows in (True, False):
        model = model_of(partial(pooled, windows=windows), LENGTH, mask=False)
        found.append(CpuEngine(bundle_of(model, [LENGTH])).run(batch(rows)))
    np.testing.assert_array_equal(*found)


def _picture(k: Any, x: Any, random: Random) -> Any:
    """Kim's CNN over a picture of the words, with one reader of the picture itself at times."""
    picture = k.Reshape((LENGTH, WIDTH, 1))(x)
    ends = []
    for taps in (2, 3):
        step = random.choice((1, 2))
        made = k.Conv2D(4, (taps, WIDTH), strides=(step, 1), activation="relu")(picture)
        if random.random() < 0.4:
            made = k.Conv2D(3, (2, 1), padding=random.choice(("same", "valid")))(made)
        made = k.Dropout(0.1)(k.Activation("tanh")(made) if random.random() < 0.3 else made)
        end = random.choice(("greatest", "mean", "window", "flat", "column"))
        if end == "window":
            made = k.MaxPooling2D((made.shape[1], 1), strides=(1, 1))(made)
        pools = {"greatest": k.GlobalMaxPooling2D, "mean": k.GlobalAveragePooling2D}
        made = pools.get(end, k.Flatten)()(k.Permute((2, 1, 3))(made) if end == "column" else made)
        ends.append(made)
    if random.random() < 0.3:
        ends.append(k.GlobalMaxPooling2D()(k.Conv2D(2, (2, WIDTH - 1))(picture)))
    return k.Concatenate()(ends)


def test_flattened_sequences_are_joined_with_pooled_ones() -> None:
    """Each is one vector a row, whatever its sequence stored of a row."""

    def network(k: Any, x: Any) -> Any:
        ends = [k.Flatten()(k.Conv1D(3, 2)(x)), k.GlobalMaxPooling1D()(k.Conv1D(4, 3)(x))]
        return k.Concatenate()([*ends, k.Flatten()(k.Conv1D(2, 2, strides=3)(x))])

    check(network, LENGTH, mask=False)


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("seed", range(5))
def test_kernels_as_wide_as_the_picture_are_run_over_the_words(seed: int) -> None:
    """They give what Keras gives, and no step of theirs reads a picture."""
    check(lambda k, x: _picture(k, x, Random(seed)), LENGTH, mask=seed % 2 == 1, seed=seed)


def test_a_cnn_over_a_picture_costs_what_one_over_the_words_costs() -> None:
    """Its plan is made of the same layers."""

    def network(k: Any, x: Any) -> Any:
        picture = k.Reshape((LENGTH, WIDTH, 1))(x)
        made = [k.Conv2D(4, (taps, WIDTH), activation="relu")(picture) for taps in (2, 3)]
        pooled = [k.MaxPooling2D((m.shape[1], 1), strides=1)(m) for m in made]
        return k.Dense(1)(k.Flatten()(k.Concatenate(axis=1)(pooled)))

    bundle = bundle_of(model_of(network, LENGTH, mask=False), [LENGTH])
    kinds = [node.layer.kind for node in over_sequences(bundle.nodes)]
    assert "Conv2D" not in kinds
    assert "MaxPooling2D" not in kinds
    assert kinds.count("Conv1D") == kinds.count("MaxPooling1D") == 2
