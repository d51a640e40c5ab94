"""What Keras writes is what the bundle reader reads; what engines lack is refused by name."""

from __future__ import annotations

import hashlib
import itertools
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scorer.bundle import read_bundle
from scorer.bundle.explain import explain
from scorer.errors import BundleError, UnsupportedModel
from tests.support.tiny import TEXTS, WORDS, spread_weights

Stack = Callable[[Any, int], list[Any]]


def lstm(layers: Any, ids: int) -> list[Any]:
    return [layers.Embedding(ids, 6, mask_zero=True), layers.LSTM(5), layers.Dense(1, "sigmoid")]


def stacked(layers: Any, ids: int) -> list[Any]:
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.SpatialDropout1D(0.1),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True, recurrent_dropout=0.1)),
        layers.Dropout(0.1),
        layers.Bidirectional(layers.GRU(4, reset_after=False), merge_mode="sum"),
        layers.Dense(3, activation="softmax"),
    ]


def convolution(layers: Any, ids: int) -> list[Any]:
    return [
        layers.Embedding(ids, 6),
        layers.Conv1D(4, 3, activation="relu", padding="same", kernel_regularizer="l2"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(5, "relu"),
        layers.Dense(1),
    ]


def average(layers: Any, ids: int) -> list[Any]:
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2, "softmax"),
    ]


def gru(layers: Any, ids: int) -> list[Any]:
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.GaussianNoise(0.1),
        layers.GRU(4, use_bias=False),
        layers.Dense(1, use_bias=False),
    ]


def pretrained(layers: Any, ids: int) -> list[Any]:
    """An Embedding that starts from given vectors, which Keras writes into config.json."""
    import keras

    vectors = keras.initializers.Constant(np.ones((ids, 4), np.float32))
    embedding = layers.Embedding(ids, 4, embeddings_initializer=vectors, mask_zero=True)
    return [embedding, layers.LSTM(3), layers.Dense(1)]


def linear(layers: Any, ids: int) -> list[Any]:
    return [layers.Dense(1, activation="sigmoid")]


def deep(layers: Any, ids: int) -> list[Any]:
    return [layers.Dense(4, "relu"), layers.Dropout(0.3), layers.Dense(2, "softmax")]


MODES = {
    "int": (lstm, stacked, convolution, average, gru, pretrained),
    "count": (linear, deep),
    "multi_hot": (deep,),
    "tf_idf": (linear, deep),
}
#: (vocabulary in the settings, compiled), each once with each form of model over all the stacks
FLAGS = list(itertools.product((False, True), repeat=2))
CASES = [
    (form, mode, stack, *FLAGS[(i + j) % 4])
    for j, form in enumerate(("sequential", "functional"))
    for i, (mode, stack) in enumerate((m, s) for m, stacks in MODES.items() for s in stacks)
]


def vectorizer(mode: str, in_config: bool, **settings: Any) -> Any:
    import keras

    if in_config:
        idf = {"idf_weights": [0.5 + 0.25 * i for i in range(len(WORDS))]}
        settings |= {"vocabulary": list(WORDS), **(idf if mode == "tf_idf" else {})}
    layer = keras.layers.TextVectorization(output_mode=mode, **settings)
    if not in_config:
        layer.adapt(list(TEXTS))
    return layer


def join(form: str, layers: Sequence[Any]) -> Any:
    import keras

    first = keras.Input((1,), dtype="string", name="text in")
    if form == "sequential":
        return keras.Sequential([first, *layers])
    output = first
    for layer in layers:
        output = layer(output)
    return keras.Model(first, output)


def build(form: str, mode: str, stack: Stack, in_config: bool = False, **settings: Any) -> Any:
    import keras

    first = vectorizer(mode, in_config, **settings)
    model = join(form, [first, *stack(keras.layers, first.vocabulary_size())])
    if model.weights:
        spread_weights(model, 5)
    return model


def compile_for_training(model: Any) -> None:
    """Compile with a schedule and metrics; the optimiser's variables go into the weights file."""
    import keras

    rate = keras.optimizers.schedules.ExponentialDecay(1e-3, 10, 0.9)
    metrics = ["mae", keras.metrics.MeanSquaredError(name="mse")]
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="mse", metrics=metrics)
    model.optimizer.build(model.trainable_variables)


@pytest.mark.parametrize(("form", "mode", "stack", "in_config", "compiled"), CASES)
def test_what_keras_writes_is_read(
    form: str, mode: str, stack: Stack, in_config: bool, compiled: bool, tmp_path: Path
) -> None:
    model = build(form, mode, stack, in_config)
    if compiled:
        compile_for_training(model)
    path = tmp_path / "model.keras"
    model.save(path)
    bundle = read_bundle(path)
    first, *rest = (layer for layer in model.layers if type(layer).__name__ != "InputLayer")
    rest = [layer for layer in rest if type(layer).__name__ != "NotEqual"]
    assert [(x.kind, x.name) for x in bundle.layers] == [(type(x).__name__, x.name) for x in rest]
    for layer, keras_layer in zip(bundle.layers, rest, strict=True):
        expected = keras_layer.get_weights()
        assert [w.shape for w in layer.weights] == [w.shape for w in expected]
        assert all(np.array_equal(a, b) for a, b in zip(layer.weights, expected, strict=True))
        assert all(w.dtype == np.float32 for w in layer.weights)
    assert bundle.parameters == sum(w.size for layer in rest for w in layer.get_weights()) > 0
    assert bundle.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    specials = 2 if mode == "int" else 1
    assert list(bundle.vectorizer.vocabulary) == first.get_vocabulary()[specials:]
    if mode == "tf_idf":
        idf = np.asarray(first._lookup_layer.idf_weights)
        assert np.array_equal(bundle.vectorizer.idf_weights, idf)
    assert explain(path) == []


def test_a_compressed_archive_is_read_alike(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.keras"
    with (
        zipfile.ZipFile(tiny_bundle / "model.keras") as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    plain, packed = read_bundle(tiny_bundle / "model.keras"), read_bundle(path)
    assert packed.digest != plain.digest
    assert packed.vectorizer.vocabulary == plain.vectorizer.vocabulary
    pairs = zip(plain.layers, packed.layers, strict=True)
    assert all(
        np.array_equal(a, b) for x, y in pairs for a, b in zip(x.weights, y.weights, strict=True)
    )


def _two_outputs(keras: Any) -> Any:
    model = build("functional", "int", convolution)
    return keras.Model(model.inputs, [model.layers[-2].output, model.output])


def _dropout_that_trains(keras: Any) -> Any:
    text = keras.Input((1,), dtype="string")
    hidden = keras.layers.Embedding(30, 4)(vectorizer("int", False)(text))
    hidden = keras.layers.Dropout(0.5)(hidden, training=True)
    return keras.Model(text, keras.layers.Dense(1)(keras.layers.GlobalMaxPooling1D()(hidden)))


def _own_mask(keras: Any) -> Any:
    """The mask is the model's own, not the Embedding's."""
    text = keras.Input((1,), dtype="string")
    ids = vectorizer("int", False)(text)
    mask = keras.ops.not_equal(ids, 1)
    hidden = keras.layers.LSTM(3)(keras.layers.Embedding(30, 4)(ids), mask=mask)
    return keras.Model(text, keras.layers.Dense(1)(hidden))


def _without_text(keras: Any) -> Any:
    return keras.Sequential([keras.Input((None,)), *lstm(keras.layers, 30)])


def _with(layer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def model(keras: Any) -> Any:
        def stack(layers: Any, ids: int) -> list[Any]:
            pooled = [layers.GlobalMaxPooling1D(), layers.Dense(1)]
            return [layers.Embedding(ids, 4), layer(keras), *pooled]

        return build("sequential", "int", stack)

    return model


def _both_ways(keras: Any, **settings: Any) -> Any:
    return keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True), **settings)


def _unmerged(keras: Any) -> Any:
    text = keras.Input((1,), dtype="string")
    hidden = keras.layers.Embedding(30, 4)(vectorizer("int", False)(text))
    return keras.Model(text, _both_ways(keras, merge_mode=None)(hidden))


def _unlike_directions(keras: Any) -> Any:
    backward = keras.layers.LSTM(2, return_sequences=True, go_backwards=True, activation="relu")
    return _both_ways(keras, backward_layer=backward)


def wide_and_deep(merge: str = "Concatenate") -> Any:
    """Two vectorizers with a vocabulary file each, the second with IDF weights."""
    import keras

    layers, text = keras.layers, keras.Input((), dtype="string")
    pairs = [f"{a} {b}" for a, b in itertools.pairwise("the film was very good so good".split())]
    words = [*WORDS, *dict.fromkeys(pairs)]
    wide = layers.TextVectorization(output_mode="tf_idf", ngrams=2)
    wide.set_vocabulary(words, idf_weights=[0.5 + i / 9 for i in range(len(words))])
    deep = layers.TextVectorization()
    deep.set_vocabulary(list(WORDS))
    x = layers.Embedding(len(WORDS) + 2, 6, mask_zero=True)(deep(text))
    x = layers.Dropout(0.2)(x)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dense(4, activation="tanh")(x)
    y = layers.Dense(4)(wide(text))
    out = layers.ReLU()(getattr(layers, merge)()([x, y]))
    out = layers.Activation("sigmoid")(layers.Dense(1)(out))
    model = keras.Model(text, out)
    spread_weights(model, 6)
    return model


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("merge", ["Concatenate", "Add"])
def test_two_branches_that_keras_writes_are_read(merge: str, tmp_path: Path) -> None:
    model, path = wide_and_deep(merge), tmp_path / "model.keras"
    model.save(path)
    bundle = read_bundle(path)
    deep, wide = bundle.branches
    assert [layer.kind for layer in deep.layers] == [
        *("Embedding", "Dropout", "Bidirectional", "Activation", "GlobalMaxPooling1D", "Dense")
    ]
    assert [layer.kind for layer in wide.layers] == ["Dense"]
    assert [layer.kind for layer in bundle.head] == [merge, "ReLU", "Dense", "Activation"]
    assert (deep.vectorizer.output_mode, deep.vectorizer.ngrams) == ("int", (1,))
    assert (wide.vectorizer.output_mode, wide.vectorizer.ngrams) == ("tf_idf", (1, 2))
    assert deep.vectorizer.vocabulary == tuple(WORDS)
    assert "very good" in wide.vectorizer.vocabulary
    assert wide.vectorizer.idf_weights is not None
    for layer in bundle.layers:
        theirs = model.get_layer(layer.name).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(layer.weights, theirs, strict=True))
    assert bundle.parameters == model.count_params()
    assert explain(path) == []


REFUSED: list[tuple[Callable[[Any], Any], str]] = [
    (_two_outputs, "the model has 2 outputs"),
    (_dropout_that_trains, "layer dropout.*: it is called with 'training'"),
    (_own_mask, "operation not_equal.*: only an Embedding's own mask"),
    (_without_text, "the model takes token ids, and nothing in the archive makes them"),
    (_unmerged, "the model has 2 outputs"),
    (_with(_unlike_directions), "two directions differ"),
    (_with(lambda k: k.layers.LSTM(4, return_sequences=True, activation="glu")), "'glu'"),
    (_with(lambda k: k.layers.Activation("glu")), "activation='glu'"),
    (_with(lambda k: k.layers.BatchNormalization(renorm=True)), "renorm=True"),
    (_with(lambda k: k.layers.Conv1DTranspose(4, 2)), "Conv1DTranspose is not run: use UpSampling"),
    (_with(lambda k: k.layers.Dense(4, dtype="bfloat16")), "dtype='bfloat16'"),
    (lambda k: build("sequential", "int", lstm, ngrams=(1, 99)), r"ngrams=\[1, 99\]"),
    (lambda k: build("sequential", "int", lstm, encoding="latin-1"), "encoding='latin-1'"),
]


@pytest.mark.parametrize(("model", "says"), REFUSED, ids=[says[:30] for _, says in REFUSED])
def test_what_is_not_supported_is_refused_by_name(
    model: Callable[[Any], Any], says: str, tmp_path: Path
) -> None:
    import keras

    path = tmp_path / "model.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are odd to Keras too
        model(keras).save(path)
    with pytest.raises(UnsupportedModel, match=says):
        read_bundle(path)


def test_a_lambda_that_keras_wrote_is_refused(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "model.keras"
    _with(lambda k: k.layers.Lambda(lambda x: x * 2, output_shape=(None, 4)))(keras).save(path)
    with pytest.raises(BundleError, match="a Lambda layer, which runs Python code"):
        read_bundle(path)
