"""Models of Keras 2 and of `.h5` files are the same models as Keras 3's archives of them."""

from __future__ import annotations

import copy
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest

from scorer.bundle import Bundle, Pieces, read_bundle
from scorer.card.vectorizer import VectorizerCard
from scorer.engines import load_engine
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers import LayerSpec
from scorer.vectorizer import Vectorizer
from tests.support.tiny import spread_weights

WORDS = ["good", "bad", "film", "wine"]
TEXTS = ["good film", "bad bad wine good", "unheard", "good " * 9]
IDS = 7


def ids_of(k: Any, ids: Any) -> Any:
    return k.Embedding(IDS, 5)(ids)


def plain(k: Any, ids: Any) -> Any:
    words = k.Conv1D(4, 2, activation="relu")(ids_of(k, ids))
    return k.Dense(1)(k.Dense(4, "tanh")(k.Dense(3)(k.GlobalMaxPooling1D()(words))))


def both_ways(k: Any, ids: Any) -> Any:
    words = k.Bidirectional(k.LSTM(3, return_sequences=True))(ids_of(k, ids))
    return k.Dense(2)(k.Dropout(0.1)(k.LSTM(4)(words)))


def nested_and_frozen(k: Any, ids: Any) -> Any:
    """Weights that training may change stand first in the group of a nested model."""
    import keras

    inner = keras.Sequential(
        [k.Embedding(IDS, 5), k.LSTM(4), k.Dense(4, "relu"), k.Dense(4)], name="encoder"
    )
    inner.build((None, 6))
    inner.layers[0].trainable = False
    inner.layers[2].trainable = False
    return k.Dense(1)(inner(ids))


def nested_twice(k: Any, ids: Any) -> Any:
    """A model in a model in a model, of which one is called twice."""
    import keras

    wide = keras.Input((6, 5))
    pool = keras.Model(wide, k.GlobalMaxPooling1D()(k.Conv1D(4, 2)(wide)), name="pool")
    outer = keras.Sequential([keras.Input((6, 5)), pool, k.Dense(3)], name="outer")
    words = ids_of(k, ids)
    return k.Dense(1)(k.Concatenate()([outer(words), outer(k.Dense(5)(words))]))


def normalized(k: Any, ids: Any) -> Any:
    words = k.BatchNormalization()(k.GlobalMaxPooling1D()(ids_of(k, ids)))
    return k.Dense(1)(k.BatchNormalization(trainable=False)(words))


def operations(k: Any, ids: Any) -> Any:
    """An .h5 file does not say of operations that they are none of Keras' layers."""
    from keras import ops

    words = k.SpatialDropout1D(0.1)(ids_of(k, ids))
    weights = ops.softmax(k.Dense(1)(words), axis=1)
    return k.Dense(1)(ops.concatenate([ops.sum(weights * words, axis=1), words[:, -1] + 1], -1))


def masked_attention(k: Any, ids: Any) -> Any:
    """Keras writes how the masks of a concatenation are made of its parts' as operations."""
    words = k.LSTM(3, return_sequences=True)(k.Embedding(IDS, 5, mask_zero=True)(ids))
    both = k.Concatenate()([words, k.Attention()([words, words])])
    return k.Dense(1)(k.GlobalAveragePooling1D()(both))


def several_cells(k: Any, ids: Any) -> Any:
    cells = [k.LSTMCell(4, name="lower"), k.LSTMCell(4, name="upper"), k.GRUCell(3)]
    return k.Dense(1)(k.RNN(cells)(ids_of(k, ids)))


GRAPHS: dict[str, Callable[[Any, Any], Any]] = {
    graph.__name__: graph
    for graph in (plain, both_ways, nested_and_frozen, nested_twice, normalized)
}
#: graphs that Keras 2 writes in another way
OF_KERAS_3 = {graph.__name__: graph for graph in (operations, masked_attention, several_cells)}


def saved(name: str, path: Path, suffix: str = ".keras") -> Any:
    import keras

    ids = keras.Input((6,), name="ids")
    model = keras.Model(ids, (GRAPHS | OF_KERAS_3)[name](keras.layers, ids))
    spread_weights(model, seed=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path.with_suffix(suffix))
    return model


def read(path: Path) -> Bundle:
    words = path.with_name("vocabulary.txt")
    words.write_text("\n".join(["", "[UNK]", *WORDS]), encoding="utf-8")
    return read_bundle(path, pieces=Pieces(VectorizerCard(kind="vocabulary"), words))


def same(one: Bundle, other: Bundle) -> None:
    """The same calls of the same layers with the same weights."""
    assert [node.name for node in one.nodes] == [node.name for node in other.nodes]
    for mine, theirs in zip(one.nodes, other.nodes, strict=True):
        assert (mine.inputs, mine.layer.kind) == (theirs.inputs, theirs.layer.kind)
        assert _settings(mine.layer) == _settings(theirs.layer)
        pairs = zip(mine.layer.weights, theirs.layer.weights, strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs), mine.name


def _settings(layer: LayerSpec) -> dict[str, Any]:
    """Without the names of layers in it. Keras 2 counts an axis from the front."""
    settings: dict[str, Any] = {
        key: _settings(value) if isinstance(value, LayerSpec) else value
        for key, value in layer.settings.items()
    }
    if layer.kind == "BatchNormalization" and settings["axis"] == 1:
        settings["axis"] = -1
    return settings


@pytest.mark.parametrize("name", GRAPHS | OF_KERAS_3)
def test_an_h5_file_of_keras_3(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = saved(name, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path.with_suffix(".h5"))
    bundle = read(path.with_suffix(".h5"))
    same(bundle, read(path))
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    from scorer.engines.encode import padded_ids

    outputs = load_engine(bundle, engine="keras").run(tokens)
    expected = np.asarray(model(padded_ids(tokens, 6)))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


#: Keras 3's module -> Keras 2's
_OLD_MODULES = {
    "2.12": {"keras.src.models.functional": "keras.engine.functional"},
    "2.15": {"keras.src.models.functional": "keras.src.engine.functional"},
}


def keras2_config(config: dict[str, Any], version: str) -> dict[str, Any]:
    """A configuration of Keras 3 in the spelling of Keras 2."""

    def old(entry: dict[str, Any]) -> None:
        settings = entry["config"]
        entry["module"] = _OLD_MODULES[version].get(entry["module"], entry["module"])
        _old_settings(entry["class_name"], settings)
        if entry["class_name"] == "Bidirectional":
            settings.pop("backward_layer", None)
            old(settings["layer"])
        for inner in settings.get("layers", []):
            old(inner)
        if "inbound_nodes" in entry:
            entry["inbound_nodes"] = [_old_call(node) for node in entry["inbound_nodes"]]

    config = copy.deepcopy(config)
    old(config)
    return config


def _old_settings(kind: str, settings: dict[str, Any]) -> None:
    if isinstance(settings.get("dtype"), dict):
        settings["dtype"] = settings["dtype"]["config"]["name"]
    if "batch_shape" in settings:
        settings["batch_input_shape"] = settings.pop("batch_shape")
    if kind == "LSTM":
        settings.update(time_major=False, implementation=2)
    if kind == "BatchNormalization":
        settings["axis"] = [1]
    for key in ("optional", "quantization_config", "zero_output_for_mask", "synchronized"):
        settings.pop(key, None)


def _old_call(node: dict[str, Any]) -> list[Any]:
    given = node["args"][0] if isinstance(node["args"][0], list) else node["args"]
    return [[*tensor["config"]["keras_history"], {}] for tensor in given]


def counted_twice(weights: bytes) -> bytes:
    """The weights as Keras 2.12 keeps them: another folder, a number for each weighted layer."""
    image = io.BytesIO()
    with h5py.File(io.BytesIO(weights)) as old, h5py.File(image, "w") as new:

        def copied(source: h5py.Group, target: h5py.Group) -> None:
            for name, item in source.items():
                if isinstance(item, h5py.Dataset):
                    target[name] = item[()]
                elif name == "layers":
                    _folder(item, target.create_group("_layer_checkpoint_dependencies"))
                else:
                    copied(item, target.require_group(name))

        def _folder(source: h5py.Group, target: h5py.Group) -> None:
            used: dict[str, int] = {}
            for name in sorted(source, key=_number):
                kind = re.sub(r"_\d+$", "", name)
                number = used.get(kind, 0)
                weighted: list[str] = []
                source[name].visit(lambda p, found=weighted: found.append(p))
                arrays = [p for p in weighted if isinstance(source[name][p], h5py.Dataset)]
                used[kind] = number + (2 if arrays else 1)
                copied(source[name], target.create_group(f"{kind}_{number}" if number else kind))

        copied(old, new)
    return image.getvalue()


def _number(name: str) -> int:
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("version", ["2.12", "2.15"])
@pytest.mark.parametrize("name", GRAPHS)
def test_an_archive_of_keras_2(name: str, version: str, tmp_path: Path) -> None:
    path, other = tmp_path / "model.keras", tmp_path / "old.keras"
    saved(name, path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as written:
        config = keras2_config(json.loads(archive.read("config.json")), version)
        weights = archive.read("model.weights.h5")
        written.writestr("metadata.json", json.dumps({"keras_version": f"{version}.0"}))
        written.writestr("config.json", json.dumps(config))
        if version == "2.12":
            weights = counted_twice(weights)
        written.writestr("model.weights.h5", weights)
    same(read(other), read(path))


def test_names_that_windows_wrote(tmp_path: Path) -> None:
    path, other = tmp_path / "model.keras", tmp_path / "windows.keras"
    saved("plain", path)
    image = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as written:
        written.writestr("config.json", archive.read("config.json"))
        with (
            h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as old,
            h5py.File(image, "w") as new,
        ):
            for layer in old["layers"]:
                group = new.create_group(f"layers\\{layer}").create_group("vars")
                for name, item in old[f"layers/{layer}/vars"].items():
                    group[name] = item[()]
        written.writestr("model.weights.h5", image.getvalue())
    same(read(other), read(path))


def test_operations_of_tensorflow_are_keras_own(tmp_path: Path) -> None:
    """`x + y` is a layer TFOpLambda in Keras 2."""

    def entry(kind: str, name: str, nodes: list[Any], **settings: Any) -> dict[str, Any]:
        config = {"name": name, **settings}
        return {"class_name": kind, "config": config, "name": name, "inbound_nodes": nodes}

    def op(name: str, function: str, x: str, y: str) -> dict[str, Any]:
        node = [x, 0, 0, {"y": [y, 0, 0], "name": None}]
        return entry("TFOpLambda", name, [node], function=function)

    layers = [
        entry("InputLayer", "ids", [], batch_input_shape=[None, 6]),
        entry(
            "Embedding",
            "words",
            [[["ids", 0, 0, {}]]],
            input_dim=IDS,
            output_dim=3,
            mask_zero=False,
            input_length=6,
        ),
        op("tf.__operators__.add", "__operators__.add", "words", "words"),
        op("tf.math.multiply", "math.multiply", "tf.__operators__.add", "words"),
        entry("GlobalMaxPooling1D", "pool", [[["tf.math.multiply", 0, 0, {}]]]),
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["ids", 0, 0]]}
    config["output_layers"] = [["pool", 0, 0]]
    weights = np.random.default_rng(0).normal(size=(IDS, 3)).astype(np.float32)
    with h5py.File(tmp_path / "model.h5", "w") as file:
        model = {"class_name": "Functional", "config": config}
        file.attrs["model_config"] = json.dumps(model).encode()
        file["model_weights/words/words/embeddings:0"] = weights
        file["model_weights/words"].attrs["weight_names"] = [b"words/embeddings:0"]
    bundle = read(tmp_path / "model.h5")
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    from scorer.engines.encode import padded_ids

    expected = (2 * weights[padded_ids(tokens, 6)] ** 2).max(axis=1)
    outputs = load_engine(bundle, engine="cpu").run(tokens)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_weights_of_another_name_are_not_guessed(tmp_path: Path) -> None:
    """Two layers of one shape in a nested model, whose arrays are named in the other order."""
    model = saved("nested_and_frozen", tmp_path / "model", ".h5")
    assert model is not None
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        group = file["model_weights/encoder"]
        names = list(group.attrs["weight_names"])
        dense = [i for i, name in enumerate(names) if "dense" in str(name)]
        names[dense[0]], names[dense[2]] = names[dense[2]], names[dense[0]]
        group.attrs["weight_names"] = names
    with pytest.raises((UnsupportedModel, BundleError), match="does not say whose it is"):
        read(tmp_path / "model.h5")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_other_precisions_are_computed_in_float32(policy: str, tmp_path: Path) -> None:
    import keras

    k = keras.layers
    stack = [k.Embedding(IDS, 4, dtype=policy), k.LSTM(3, dtype=policy), k.Dense(1, dtype=policy)]
    model = keras.Sequential([keras.Input((6,)), *stack])
    model.save(tmp_path / "model.keras")
    bundle = read(tmp_path / "model.keras")
    assert bundle.policies == (policy,)
    assert {w.dtype.name for layer in bundle.layers for w in layer.weights} == {"float32"}
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    from scorer.engines.encode import padded_ids

    expected = np.asarray(keras.ops.cast(model(padded_ids(tokens, 6)), "float32"))
    outputs = load_engine(bundle, engine="cpu").run(tokens)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-2)


def test_a_thresholded_relu_of_keras_2_is_a_relu(tmp_path: Path) -> None:
    import keras

    k = keras.layers
    stack = [keras.Input((6,)), k.Embedding(IDS, 5), k.Flatten(), k.ReLU(threshold=0.2), k.Dense(1)]
    model = keras.Sequential(stack)
    spread_weights(model, seed=4)
    for name in ("new.h5", "old.h5"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(tmp_path / name)
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        relu = next(each for each in config["config"]["layers"] if each["class_name"] == "ReLU")
        relu["class_name"] = "ThresholdedReLU"
        relu["config"] = {"name": relu["config"]["name"], "theta": 0.2}
        file.attrs["model_config"] = json.dumps(config)
    same(read(tmp_path / "old.h5"), read(tmp_path / "new.h5"))


def test_how_a_model_was_compiled_keeps_it_not_away(tmp_path: Path) -> None:
    """A program's own loss or metric is named in config.json, and nobody reads it."""
    import keras

    def own_loss(truth: Any, scores: Any) -> Any:
        return keras.ops.mean(truth - scores)

    model = saved("plain", tmp_path / "model.keras")
    model.compile(loss=own_loss, metrics=[own_loss])
    model.save(tmp_path / "compiled.keras")
    same(read(tmp_path / "compiled.keras"), read(tmp_path / "model.keras"))


def test_attention_as_keras_2_calls_and_keeps_it(tmp_path: Path) -> None:
    """`attention(query, value=value)`, whose parts have private names in Keras 2."""
    import keras

    k = keras.layers
    path, other = tmp_path / "model.keras", tmp_path / "old.keras"
    ids = keras.Input((6,), name="ids")
    words = ids_of(k, ids)
    seen = k.GlobalAveragePooling1D()(k.MultiHeadAttention(2, 3)(words, words))
    model = keras.Model(ids, k.Dense(1)(seen))
    spread_weights(model, seed=7)
    model.save(path)
    image = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as written:
        config = json.loads(archive.read("config.json"))
        attention = next(
            entry
            for entry in config["config"]["layers"]
            if entry["class_name"] == "MultiHeadAttention"
        )
        name = attention["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0]
        attention["inbound_nodes"] = [[[name, 0, 0, {"value": [name, 0, 0]}]]]
        attention["config"].update(query_shape=[None, 6, 5], value_shape=[None, 6, 5])
        written.writestr("config.json", json.dumps(config))
        image.write(archive.read("model.weights.h5"))
        with h5py.File(image, "r+") as file:
            group = file["layers/multi_head_attention"]
            for part in [part for part in group if part.endswith("_dense")]:
                group.move(part, f"_{part.lstrip('_')}")
        written.writestr("model.weights.h5", image.getvalue())
    same(read(other), read(path))
