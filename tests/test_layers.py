"""Every declared layer: each engine's table has it, and its declaration says what Keras does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scorer.bundle import input_of
from scorer.bundle.annotate import annotate
from scorer.bundle.config import read_model
from scorer.bundle.network import Call, Layer, Node
from scorer.bundle.settings import checked
from scorer.engines.cpu.table import BUILDERS, LACKS, TAKE_PENDING
from scorer.export.nodes import UNWRITTEN, WRITERS
from scorer.layers import KINDS, LAYERS, TRAINING_ONLY, LayerKind
from scorer.layers.spec import Arity, Settings, TensorSpec, always, floats
from tests.networks import spec

WORDS, LENGTH = 9, 12


def test_each_layer_is_declared_once() -> None:
    assert len(KINDS) == len(LAYERS)


def test_the_cpu_engine_runs_every_layer_or_says_that_it_lacks_it() -> None:
    assert BUILDERS.keys() | LACKS.keys() == KINDS.keys()
    assert not BUILDERS.keys() & LACKS.keys()
    assert BUILDERS.keys() >= TAKE_PENDING


def test_every_layer_is_written_to_onnx_or_it_is_said_why_not() -> None:
    assert WRITERS.keys() | UNWRITTEN.keys() == KINDS.keys()
    assert not WRITERS.keys() & UNWRITTEN.keys()


def _embedded(k: Any, ids: Any, mask: bool) -> Any:
    return k.Embedding(WORDS + 2, 6, mask_zero=mask)(ids)


#: layer -> what it makes, with keras.layers, of a sequence (rows, positions, 6)
NETWORKS: dict[str, Callable[[Any, Any], Any]] = {
    "Embedding": lambda k, x: x,
    "Dense": lambda k, x: k.Dense(4, "relu", use_bias=False)(x),
    "Activation": lambda k, x: k.Activation("tanh")(x),
    "ReLU": lambda k, x: k.ReLU()(x),
    "Rescaling": lambda k, x: k.Rescaling(1.0)(x),
    "LSTM": lambda k, x: k.LSTM(4, return_sequences=True)(x),
    "GRU": lambda k, x: k.GRU(4, return_sequences=True)(x),
    "Bidirectional": lambda k, x: k.Bidirectional(k.LSTM(4, return_sequences=True))(x),
    "Conv1D": lambda k, x: k.Conv1D(5, 3, strides=2)(x),
    "GlobalMaxPooling1D": lambda k, x: k.GlobalMaxPooling1D()(x),
    "GlobalAveragePooling1D": lambda k, x: k.GlobalAveragePooling1D()(x),
    "UnitNormalization": lambda k, x: k.UnitNormalization()(x),
    "Concatenate": lambda k, x: k.Concatenate()([x, k.Dense(3)(x)]),
    **{
        name: lambda k, x, name=name: getattr(k, name)()([x, k.Dense(6)(x)])  # type: ignore[misc]
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    },
    "Dropout": lambda k, x: k.Dropout(0.2)(x),
    "SpatialDropout1D": lambda k, x: k.SpatialDropout1D(0.2)(x),
    "GaussianDropout": lambda k, x: k.GaussianDropout(0.2)(x),
    "GaussianNoise": lambda k, x: k.GaussianNoise(0.2)(x),
    "ActivityRegularization": lambda k, x: k.ActivityRegularization(0.2)(x),
}


def annotated(model: Any, length: int | None) -> dict[str, Node]:
    """The calls in a Keras model on ids, as our walk sees them, by name."""
    read = read_model(json.loads(model.to_json()))
    (name,) = read.inputs
    return {
        node.name: node
        for node in annotate((input_of(name, spec(WORDS, length=length)),), read.calls)
    }


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("mask", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("length", [None, LENGTH])
@pytest.mark.parametrize("kind", KINDS)
def test_a_declaration_says_what_keras_does(kind: str, length: int | None, mask: bool) -> None:
    """Shape, mask and weights of every layer; and whether a longer neighbour changes a row."""
    import keras

    ids = keras.Input((length,), dtype="int32")
    model = keras.Model(ids, NETWORKS[kind](keras.layers, _embedded(keras.layers, ids, mask)))
    nodes = annotated(model, length)
    for layer in model.layers:
        if layer.name in nodes:
            node = nodes[layer.name]
            assert node.spec.shape == tuple(layer.output.shape[1:])
            assert list(node.shapes.values()) == [w.shape for w in layer.get_weights()]
            assert node.spec.masked == (getattr(layer.output, "_keras_mask", None) is not None)
    if length is None:
        _check_neighbours(model, any(node.reads_padding for node in nodes.values()))


def _check_neighbours(model: Any, reads_padding: bool) -> None:
    """Where no layer is said to read padding, more of it changes no position that is a token."""
    row = np.array([[3, 4, 5, 2, 7, 8]], np.int32)
    longer = np.concatenate([row, np.zeros_like(row)], axis=1)
    short, long = (np.asarray(model(x)) for x in (row, longer))
    kept = long[:, : short.shape[1]] if short.ndim == 3 else long
    same = bool(np.allclose(kept, short, rtol=0, atol=1e-6))
    assert same or reads_padding


def _halved(settings: Settings, inputs: Any) -> TensorSpec:
    given = floats(inputs[0])
    return replace(given, shape=(*given.shape[:-1], given.width // settings["parts"]))


def test_a_new_layer_is_one_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotated, checked and refused like all others: no other module is told of it."""
    from scorer.layers.spec import Setting, one_of

    maxout = LayerKind(
        "Maxout", _halved, {"parts": Setting(one_of(2), default=2)}, reads_padding=always
    )
    monkeypatch.setitem(KINDS, "Maxout", maxout)
    given = input_of("text", spec(WORDS))
    settings = {"input_dim": WORDS + 2, "output_dim": 6, "mask_zero": True}
    calls = [
        Call("embedding", Layer("Embedding", "embedding", settings), ("text",)),
        Call("maxout", Layer(**vars(checked("Maxout", {"name": "m"}, "m"))), ("embedding",)),
    ]
    _, node = annotate((given,), calls)
    assert node.spec.shape == (None, 3)
    assert node.spec.masked
    assert node.reads_padding
    assert maxout.arity is Arity.ONE


def test_layers_that_act_in_training_alone_change_nothing() -> None:
    given = TensorSpec((None, 4))
    assert all(KINDS[name].output({}, [given]) is given for name in TRAINING_ONLY)
