"""Both engines against plain Keras on the same strings, and the keras engine's own rules."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer import engines
from scorer.bundle import Bundle, Input, input_of, read_bundle
from scorer.engines import backends, load_engine
from scorer.engines import keras as keras_engine
from scorer.engines.keras import KerasEngine
from scorer.errors import EngineError, UnsupportedModel
from scorer.vectorizer import Vectorizer, VectorizerSpec
from tests.support import tiny
from tests.support.networks import batch, bundle, dense, embedding, lstm, random_rows, spec

Layers = Callable[[Any], list[Any]]  # of keras.layers
Network = tuple[
    Callable[[Any, int], list[Any]], dict[str, Any]
]  # of keras.layers and ids, settings

TEXTS = [
    *(text for text in tiny.GOLDEN if len(text) < 400),
    "slow " * 40,
    "the plot of the film and the story of the wine " * 3,
    "warm",
]


def _masked(rest: Layers, **settings: Any) -> Network:
    return lambda k, ids: [k.Embedding(ids, 6, mask_zero=True), *rest(k)], settings


def _padded(rest: Layers) -> Network:
    return lambda k, ids: [k.Embedding(ids, 6), *rest(k)], {"output_sequence_length": 23}


def _bag(mode: str, layers: Layers, **settings: Any) -> Network:
    return lambda k, ids: layers(k), {"output_mode": mode, **settings}


def _both(k: Any) -> Any:
    return k.Bidirectional(k.LSTM(5, return_sequences=True))


NETWORKS: dict[str, Network] = {
    "bilstm": _masked(lambda k: [k.Bidirectional(k.LSTM(5)), k.Dense(1, activation="sigmoid")]),
    "bilstm, fixed length": _masked(
        lambda k: [k.Bidirectional(k.LSTM(5)), k.Dense(1)], output_sequence_length=9
    ),
    "lstm": _masked(lambda k: [k.LSTM(17), k.Dense(2, activation="tanh")]),
    "lstm without bias": _masked(lambda k: [k.LSTM(3, use_bias=False), k.Dense(2, use_bias=False)]),
    "lstm backwards": _masked(lambda k: [k.LSTM(4, go_backwards=True), k.Dense(2)]),
    "sum": _masked(lambda k: [k.Bidirectional(k.LSTM(5), merge_mode="sum"), k.Dense(1)]),
    "mul": _masked(lambda k: [k.Bidirectional(k.LSTM(5), merge_mode="mul"), k.Dense(1)]),
    "ave": _masked(lambda k: [k.Bidirectional(k.LSTM(5), merge_mode="ave"), k.Dense(1)]),
    "stacked": _masked(
        lambda k: [_both(k), k.Dropout(0.3), k.Bidirectional(k.LSTM(4)), k.Dense(3)]
    ),
    "stacked, merged": _masked(
        lambda k: [
            k.Bidirectional(k.LSTM(5, return_sequences=True), merge_mode="ave"),
            k.LSTM(4),
            k.Dense(3),
        ]
    ),
    "stacked one way": _masked(lambda k: [k.LSTM(5, return_sequences=True), k.LSTM(4), k.Dense(3)]),
    "dense between": _masked(
        lambda k: [_both(k), k.Dense(7, activation="relu"), k.LSTM(3), k.Dense(1)]
    ),
    "dense on embeddings": _masked(
        lambda k: [k.Dense(7, activation="tanh"), k.LSTM(3), k.Dense(1)]
    ),
    "gru": _masked(lambda k: [k.GRU(17), k.Dense(2)]),
    "gru that resets before": _masked(lambda k: [k.GRU(5, reset_after=False), k.Dense(2)]),
    "gru without bias, backwards": _masked(
        lambda k: [k.GRU(5, use_bias=False, go_backwards=True), k.Dense(2)]
    ),
    "bigru, stacked": _masked(
        lambda k: [
            k.Bidirectional(k.GRU(5, return_sequences=True), merge_mode="mul"),
            k.Bidirectional(k.GRU(4, reset_after=False)),
            k.Dense(3),
        ]
    ),
    "lstm of sigmoids": _masked(lambda k: [k.LSTM(5, activation="sigmoid"), k.Dense(2)]),
    "simple rnn of relu, stacked": _masked(
        lambda k: [
            k.Bidirectional(k.SimpleRNN(5, return_sequences=True), merge_mode="ave"),
            k.SimpleRNN(4, activation="relu"),
            k.Dense(3),
        ]
    ),
    "padded states, backwards": _padded(
        lambda k: [k.GRU(5, go_backwards=True, return_sequences=True), k.GRU(3), k.Dense(1)]
    ),
    "masked states of fixed length, backwards": _masked(
        lambda k: [k.GRU(5, go_backwards=True, return_sequences=True), k.LSTM(3), k.Dense(1)],
        output_sequence_length=23,
    ),
    "training layers": _masked(
        lambda k: [
            k.SpatialDropout1D(0.2),
            k.GaussianNoise(0.1),
            k.LSTM(5, dropout=0.2, recurrent_dropout=0.2),
            k.GaussianDropout(0.1),
            k.ActivityRegularization(l2=0.1),
            k.Dense(3, activation="softmax"),
        ]
    ),
    "max of states": _masked(
        lambda k: [k.LSTM(5, return_sequences=True), k.GlobalMaxPooling1D(), k.Dense(1)],
        output_sequence_length=23,
    ),
    "max of states, masked ones zero": _masked(
        lambda k: [
            k.LSTM(5, return_sequences=True, zero_output_for_mask=True),
            k.GlobalMaxPooling1D(),
            k.Dense(1),
        ],
        output_sequence_length=23,
    ),
    "max of rectified states": _masked(
        lambda k: [_both(k), k.ReLU(), k.GlobalMaxPooling1D(), k.Dense(1)]
    ),
    "max of rectified states, one way": _masked(
        lambda k: [
            k.LSTM(5, return_sequences=True),
            k.Dropout(0.1),
            k.Activation("relu"),
            k.GlobalMaxPooling1D(),
            k.Dense(1),
        ]
    ),
    "activations": _masked(
        lambda k: [k.Activation("tanh"), k.LSTM(5), k.Activation("softmax"), k.Dense(2), k.ReLU()]
    ),
    "mean of states": _masked(lambda k: [_both(k), k.GlobalAveragePooling1D(), k.Dense(1)]),
    "max with masked zeros": _masked(
        lambda k: [_both(k), k.GlobalMaxPooling1D(), k.Dense(1)], output_sequence_length=23
    ),
    "conv over masked states": _masked(
        lambda k: [_both(k), k.Conv1D(4, 3), k.GlobalAveragePooling1D(), k.Dense(1)],
        output_sequence_length=23,
    ),
    "conv over masked embeddings": _masked(
        lambda k: [k.Conv1D(4, 3), k.GlobalMaxPooling1D(), k.Dense(1)], output_sequence_length=23
    ),
    "mean of embeddings": _masked(
        lambda k: [k.GlobalAveragePooling1D(), k.Dense(1, activation="sigmoid")]
    ),
    "mean with padding": _padded(lambda k: [k.GlobalAveragePooling1D(), k.Dense(1)]),
    "max with padding": _padded(lambda k: [k.GlobalMaxPooling1D(), k.Dense(1)]),
    "padded lstm": _padded(lambda k: [k.LSTM(5), k.Dense(1)]),
    "padded bilstm": _padded(lambda k: [_both(k), k.Bidirectional(k.LSTM(4)), k.Dense(1)]),
    "padded lstm, pooled": _padded(lambda k: [_both(k), k.GlobalAveragePooling1D(), k.Dense(1)]),
    "cnn": _padded(
        lambda k: [
            k.Conv1D(9, 3, activation="relu"),
            k.GlobalMaxPooling1D(),
            k.Dense(7, activation="relu"),
            k.Dense(1, activation="sigmoid"),
        ]
    ),
    "same": _padded(
        lambda k: [k.Conv1D(9, 4, padding="same"), k.GlobalAveragePooling1D(), k.Dense(1)]
    ),
    "same, stride": _padded(
        lambda k: [
            k.Conv1D(9, 4, padding="same", strides=3),
            k.GlobalAveragePooling1D(),
            k.Dense(1),
        ]
    ),
    "causal": _padded(
        lambda k: [k.Conv1D(9, 4, padding="causal"), k.GlobalAveragePooling1D(), k.Dense(1)]
    ),
    "causal, stride": _padded(
        lambda k: [
            k.Conv1D(9, 4, padding="causal", strides=2),
            k.GlobalAveragePooling1D(),
            k.Dense(1),
        ]
    ),
    "valid, stride": _padded(
        lambda k: [k.Conv1D(9, 3, strides=2), k.GlobalAveragePooling1D(), k.Dense(1)]
    ),
    "dilation": _padded(
        lambda k: [k.Conv1D(9, 3, dilation_rate=4), k.GlobalAveragePooling1D(), k.Dense(1)]
    ),
    "two convolutions": _padded(
        lambda k: [
            k.Conv1D(9, 3, activation="tanh"),
            k.Conv1D(8, 2, padding="same", activation="relu", use_bias=False),
            k.GlobalMaxPooling1D(),
            k.Dense(1),
        ]
    ),
    "conv and lstm": _padded(lambda k: [k.Conv1D(9, 3, activation="relu"), k.LSTM(4), k.Dense(1)]),
    "count": _bag("count", lambda k: [k.Dense(1, activation="sigmoid")]),
    "count, padded": _bag("count", lambda k: [k.Dense(2)], max_tokens=99, pad_to_max_tokens=True),
    "multi-hot": _bag(
        "multi_hot", lambda k: [k.Dense(5, activation="relu"), k.Dense(3, activation="softmax")]
    ),
    "tf-idf": _bag("tf_idf", lambda k: [k.Dropout(0.5), k.Dense(1, activation="sigmoid")]),
    "count, length 1": _bag("count", lambda k: [k.Rescaling(1), k.UnitNormalization(), k.Dense(1)]),
    "multi-hot, length 1": _bag(
        "multi_hot", lambda k: [k.Rescaling(1.0), k.UnitNormalization(), k.Dense(3, use_bias=False)]
    ),
    "tf-idf, length 1": _bag("tf_idf", lambda k: [k.UnitNormalization(axis=-1), k.Dense(2)]),
    "states of length 1": _masked(
        lambda k: [k.UnitNormalization(), _both(k), k.UnitNormalization(), k.LSTM(4), k.Dense(1)]
    ),
    "vectors of length 1": _masked(
        lambda k: [
            k.LSTM(4),
            k.UnitNormalization(),
            k.Dense(5, activation="relu"),
            k.UnitNormalization(),
            k.Dense(1),
        ]
    ),
    "max of rectified states of length 1": _masked(
        lambda k: [_both(k), k.ReLU(), k.UnitNormalization(), k.GlobalMaxPooling1D(), k.Dense(1)]
    ),
    "tf-idf, hidden": _bag("tf_idf", lambda k: [k.Dense(40, activation="tanh"), k.Dense(2)]),
}


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built")
@pytest.mark.parametrize("name", NETWORKS)
def test_engines_equal_plain_keras(name: str, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    layers, settings = NETWORKS[name]
    vectorize = keras.layers.TextVectorization(**settings)
    idf = np.linspace(0.3, 3, len(tiny.WORDS)) if settings.get("output_mode") == "tf_idf" else None
    vectorize.set_vocabulary(list(tiny.WORDS), idf_weights=idf)
    network = keras.Sequential(layers(keras.layers, vectorize.vocabulary_size()))
    texts = tf.constant(TEXTS)
    network(vectorize(texts))
    tiny.spread_weights(network, seed=3)
    # Only TensorFlow knows an input of strings.
    strings = [keras.Input((), dtype="string")] if keras.backend.backend() == "tensorflow" else []
    keras.Sequential([*strings, vectorize, *network.layers]).save(tmp_path / "model.keras")
    expected = keras.ops.convert_to_numpy(network(vectorize(texts)))

    loaded = read_bundle(tmp_path / "model.keras")
    tokens = Vectorizer(loaded.vectorizer)(pa.array(TEXTS))
    for engine in ("cpu", "keras"):
        outputs = load_engine(loaded, engine=engine).run(tokens)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5, err_msg=engine)


def _two_branches(merge: str, head: Layers) -> Callable[[Any], Any]:
    """Of keras; the deep branch reads words, the wide one words and pairs of words."""

    def model(keras: Any) -> Any:
        k, text = keras.layers, keras.Input((), dtype="string")
        words = [
            *tiny.WORDS,
            "the film",
            "film was",
            "very good",
            "the the",
            "poor poor",
            "slow slow",
        ]
        deep, wide = k.TextVectorization(), k.TextVectorization(ngrams=2, output_mode="tf_idf")
        deep.set_vocabulary(list(tiny.WORDS))
        wide.set_vocabulary(words, idf_weights=np.linspace(0.3, 3, len(words)))
        x = k.Embedding(len(tiny.WORDS) + 2, 6, mask_zero=True)(deep(text))
        x = k.ReLU()(_both(k)(k.Dropout(0.2)(x)))
        x = k.Dense(3, activation="tanh")(k.GlobalMaxPooling1D()(x))
        out = getattr(k, merge)()([x, k.Dense(3)(wide(text))])
        for layer in head(k):
            out = layer(out)
        built = keras.Model(text, out)
        tiny.spread_weights(built, seed=3)
        return built

    return model


MERGED = {
    "concatenated": _two_branches("Concatenate", lambda k: [k.Dense(1, activation="sigmoid")]),
    "added, length 1": _two_branches("Add", lambda k: [k.UnitNormalization(), k.Dense(3)]),
    "added": _two_branches("Add", lambda k: [k.Activation("softmax")]),
    "added, hidden": _two_branches("Add", lambda k: [k.ReLU(), k.Dropout(0.1), k.Dense(2)]),
}


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("name", MERGED)
def test_engines_equal_plain_keras_on_two_branches(name: str, tmp_path: Path) -> None:
    """Also that plain Keras itself gives a row the same score beside any neighbours."""
    import keras

    model = MERGED[name](keras)
    model.save(tmp_path / "model.keras")
    expected, few = tiny.traced(model)(TEXTS), tiny.predict(model, TEXTS)
    np.testing.assert_allclose(few, expected, rtol=0, atol=1e-6)

    loaded = read_bundle(tmp_path / "model.keras")
    tokens = [Vectorizer(branch.vectorizer)(pa.array(TEXTS)) for branch in loaded.branches]
    for engine in ("cpu", "keras"):
        outputs = load_engine(loaded, engine=engine).run(*tokens)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5, err_msg=engine)


def _simple() -> Bundle:
    rng = np.random.default_rng(0)
    return bundle(spec(9), embedding(rng, 9, 4), lstm(rng, 4, 4), dense(rng, 4, 2))


def test_keras_engine_in_any_batch() -> None:
    rng = np.random.default_rng(1)
    engine = load_engine(_simple(), engine="keras")
    rows = random_rows(rng, rng.integers(0, 70, 600), 9)
    together = engine.run(batch(rows))
    order = rng.permutation(len(rows))
    moved = engine.run(batch([rows[i] for i in order]))
    np.testing.assert_allclose(moved, together[order], rtol=0, atol=1e-6)
    assert engine.run(batch([])).shape == (0, 2)


def _fed(vectorizer: VectorizerSpec) -> Input:
    return input_of("text", vectorizer)


def _fitting(cells: int) -> Callable[[keras_engine.Widths], int]:
    return lambda widths: max(1, min(256, cells // sum(widths)))


@pytest.mark.parametrize("mode", ["int", "count"])
def test_batches_hold_every_row_once_in_few_shapes(mode: str) -> None:
    kept = np.random.default_rng(0).integers(0, 3000, 5000)
    batches = list(keras_engine._batches([_fed(spec(9, mode=mode))], [kept], _fitting(1 << 17)))
    assert sorted(np.concatenate([b.rows for b in batches]).tolist()) == list(range(5000))
    assert len({(b.widths, b.padded) for b in batches}) < 40
    assert all(len(b.rows) <= b.padded <= 256 for b in batches)
    for b in batches if mode == "int" else ():
        assert b.wordless == (kept[b.rows].max() == 0) == (kept[b.rows].min() == 0)
        (width,) = b.widths
        assert width * b.padded <= 1 << 17
        assert kept[b.rows].max() <= width <= max(16, 1.5 * kept[b.rows].max())


def test_batches_of_two_branches_hold_rows_of_equal_widths() -> None:
    rng = np.random.default_rng(0)
    kept = [rng.integers(0, 200, 3000), rng.integers(0, 40, 3000), rng.integers(0, 9, 3000)]
    specs = [spec(9), spec(9), spec(30_000, mode="count")]
    batches = list(keras_engine._batches(list(map(_fed, specs)), kept, _fitting(1 << 20)))
    assert sorted(np.concatenate([b.rows for b in batches]).tolist()) == list(range(3000))
    for b in batches:
        assert b.widths[2] == 30_001
        assert all(k[b.rows].max() <= width for k, width in zip(kept[:2], b.widths, strict=False))
        assert all(b.wordless == any(k[row] == 0 for k in kept[:2]) for row in b.rows)


def test_bags_of_a_large_vocabulary_are_encoded_a_few_rows_at_a_time() -> None:
    ones = np.ones(100, dtype=np.int64)
    for specs in ([spec(500_000, mode="count")], [spec(9), spec(500_000, mode="count")]):
        batches = list(
            keras_engine._batches(list(map(_fed, specs)), [ones] * len(specs), _fitting(1 << 40))
        )
        assert max(b.padded for b in batches) * 500_001 <= keras_engine._BAG_CELLS


def _rows(count: int) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return random_rows(rng, rng.integers(0, 70, count), 9)


def _watched(
    engine: KerasEngine, watch: Callable[[int, np.ndarray], None]
) -> tuple[KerasEngine, list[str]]:
    """The engine with `watch` called on each replica's number and inputs; what it does."""
    events: list[str] = []

    def watching(number: int, forward: backends.Forward) -> backends.Forward:
        def call(inputs: list[np.ndarray]) -> Any:
            events.append(f"send {number}")
            watch(number, inputs[0])
            return forward(inputs)

        return call

    fetch = engine._fetch

    def fetching(result: Any) -> np.ndarray:
        events.append("fetch")
        return fetch(result)

    replicas = enumerate(engine._replicas)
    engine._replicas = [replace(r, forward=watching(i, r.forward)) for i, r in replicas]
    engine._fetch = fetching  # type: ignore[method-assign]
    return engine, events


def _out_of_memory() -> Exception:
    """The error of the backend at hand."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
    if backend == "torch":
        import torch

        return torch.OutOfMemoryError("CUDA out of memory.")
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.mark.parametrize("most", [8, 1])
def test_a_batch_that_the_device_cannot_hold_is_halved(most: int) -> None:
    rows = batch(_rows(300))
    engine = KerasEngine(_simple(), device="cpu")
    expected = engine.run(rows)
    sizes: list[int] = []

    def watch(_: int, inputs: np.ndarray) -> None:
        sizes.append(len(inputs))
        if inputs.size > most * 96:
            raise _out_of_memory()

    engine, _ = _watched(engine, watch)
    np.testing.assert_allclose(engine.run(rows), expected, rtol=0, atol=1e-6)
    assert max(sizes) > most
    del sizes[:]
    engine.run(rows)
    assert sizes, "the second run meets no batch that is too large"


def test_memory_that_runs_out_when_results_are_fetched() -> None:
    rows = batch(_rows(300))
    engine = KerasEngine(_simple(), device="cpu")
    expected = engine.run(rows)
    fetch, failures = engine._fetch, [_out_of_memory(), _out_of_memory()]

    def failing(result: Any) -> np.ndarray:
        if failures:
            raise failures.pop()
        return fetch(result)

    engine._fetch = failing  # type: ignore[method-assign]
    np.testing.assert_allclose(engine.run(rows), expected, rtol=0, atol=1e-6)
    assert not failures


def test_a_row_that_the_device_cannot_hold() -> None:
    def watch(number: int, inputs: np.ndarray) -> None:
        raise _out_of_memory()

    engine, _ = _watched(KerasEngine(_simple(), device="cpu"), watch)
    with pytest.raises(EngineError, match=r"a row of 16 positions does not fit .* --device cpu"):
        engine.run(batch([[1, 2, 3]] * 5))


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def watch(number: int, inputs: np.ndarray) -> None:
        raise ValueError("broken")

    engine, _ = _watched(KerasEngine(_simple(), device="cpu"), watch)
    with pytest.raises(ValueError, match="broken"):
        engine.run(batch([[1, 2, 3]]))


def test_devices_take_whole_batches_in_turn_and_are_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = batch([row for row in _rows(600) if row])
    one = KerasEngine(_simple(), device="cpu")
    expected = one.run(rows)
    twice = [one._replicas[0].device] * 2
    monkeypatch.setattr(backends, "choose_devices", lambda keras, device: twice)
    engine, events = _watched(KerasEngine(_simple()), lambda number, inputs: None)
    result = engine.run(rows)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)
    sends = [event for event in events if event != "fetch"]
    assert sends == [f"send {i % 2}" for i in range(len(sends))]
    assert events[: len(sends[:4]) + 1] == ["send 0", "send 1", "send 0", "send 1", "fetch"]
    assert events.count("fetch") == len(sends)


def test_batches_follow_the_memory_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    floats = []
    for size in (1 << 30, 80 << 30):
        monkeypatch.setattr(keras_engine, "gpu_bytes", lambda there=size: there)
        monkeypatch.setattr(backends, "choose_devices", lambda keras, device: ["gpu:0"])
        monkeypatch.setattr(KerasEngine, "_on", lambda self, device: nullcontext())
        engine = KerasEngine(_simple())
        assert engine._costs == [16 * (4 + 4 + 2)]
        floats.append(engine._floats)
    assert floats[0] * 4 <= 1 << 29
    assert floats[1] == pytest.approx(80 * floats[0], rel=1e-3)
    assert engine._fitting_rows((1 << 20,)) * engine._costs[0] << 20 <= floats[1]


def test_mixed_precision_moves_scores_a_little() -> None:
    rows = batch(_rows(100))
    outputs = [
        load_engine(_simple(), engine="keras", precision=precision).run(rows)
        for precision in ("float32", "mixed")
    ]
    assert 1e-6 < np.abs(outputs[0] - outputs[1]).max() < 5e-3


def test_without_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(EngineError, match=r"pip install 'text-scorer\[keras\]'"):
        load_engine(_simple(), engine="keras")


@pytest.mark.parametrize("version", ["3.15.0", "2.20.3", "unknown"])
def test_old_keras_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(__version__=version))
    with pytest.raises(EngineError, match=r"security holes: pip install 'keras>=3\.15\.1'"):
        load_engine(_simple(), engine="keras")


def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(EngineError, match="sees no GPU"):
        load_engine(_simple(), device="gpu")


def test_choice_of_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[tuple[str, str]] = []
    monkeypatch.setattr(engines, "_cpu", lambda bundle: chosen.append(("cpu", "")))
    monkeypatch.setattr(engines, "_keras", lambda _, device, __: chosen.append(("keras", device)))
    for gpu in (False, True):
        monkeypatch.setattr(engines, "has_gpu", lambda there=gpu: there)
        for device in ("auto", "cpu", "gpu"):
            load_engine(_simple(), device=device)
    assert chosen == [
        *(("cpu", ""), ("cpu", ""), ("keras", "gpu")),
        *(("keras", "gpu"), ("cpu", ""), ("keras", "gpu")),
    ]


def test_a_gpu_that_keras_cannot_use(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with tensorflow-cpu: the cpu engine is many times faster than Keras on the CPU."""
    monkeypatch.setattr(engines, "has_gpu", lambda: True)
    with caplog.at_level(logging.WARNING):
        assert load_engine(_simple()).name == "cpu"
    assert "there is a GPU, but Keras'" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"engine": "onnx"}, "unknown engine 'onnx'"),
        ({"engine": "cpu", "device": "gpu"}, "does not run on a GPU"),
        ({"precision": "int8"}, "unknown precision 'int8'"),
        ({"engine": "cpu", "precision": "mixed"}, "does not support mixed precision"),
        ({"device": "cpu", "precision": "mixed"}, "does not support mixed precision"),
    ],
)
def test_choices_that_are_not_there(options: dict[str, str], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        load_engine(_simple(), **options)


def test_layers_that_the_cpu_engine_lacks_go_to_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    soft = lstm(rng, 4, 4, activation="softmax")
    model = bundle(spec(9), embedding(rng, 9, 4), soft, dense(rng, 4, 2))
    assert load_engine(model).name == "keras"
    monkeypatch.setattr(engines, "_has_keras", lambda: False)
    with pytest.raises(UnsupportedModel, match=r"pip install 'text-scorer\[keras\]'"):
        load_engine(model)
