"""Every declared layer: each engine's table has it, and its declaration says what Keras does."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from scorer.bundle import Bundle, input_of
from scorer.bundle.annotate import annotate
from scorer.bundle.config.read import read_model
from scorer.bundle.config.settings import checked
from scorer.bundle.dangers import tree_faults
from scorer.bundle.hdf5.reader import opened
from scorer.bundle.network import Call, Layer, Node
from scorer.bundle.weights import Stored, with_weights
from scorer.engines import keras as keras_engine
from scorer.engines.cpu.table import BUILDERS, LACKS, TAKE_PENDING
from scorer.errors import UnsupportedModel
from scorer.export.table import UNWRITTEN, WRITERS
from scorer.layers import KINDS, LAYERS, TRAINING_ONLY, LayerKind
from scorer.layers.spec import FIX_LENGTH, Arity, Settings, TensorSpec, always, floats
from tests.support.layer_cases import CASES, LENGTH, WIDTH
from tests.support.networks import spec
from tests.support.tiny import spread_weights

WORDS = 9


def test_each_layer_is_declared_once() -> None:
    assert len(KINDS) == len(LAYERS)


def test_the_cpu_engine_runs_every_layer_or_says_that_it_lacks_it() -> None:
    assert BUILDERS.keys() | LACKS.keys() == KINDS.keys()
    assert not BUILDERS.keys() & LACKS.keys()
    assert BUILDERS.keys() >= TAKE_PENDING


def test_every_layer_is_written_to_onnx_or_it_is_said_why_not() -> None:
    assert WRITERS.keys() | UNWRITTEN.keys() == KINDS.keys()
    assert not WRITERS.keys() & UNWRITTEN.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_has_a_case(kind: str) -> None:
    assert kind in CASES


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("mask", [True, False], ids=["masked", "unmasked"])
@pytest.mark.parametrize("length", [None, LENGTH])
@pytest.mark.parametrize("kind", KINDS)
def test_a_declaration_says_what_keras_does(
    kind: str, length: int | None, mask: bool, tmp_path: Path
) -> None:
    """Of a layer with random settings, saved by Keras and read by us: its shape, mask and weights,
    what the keras engine makes of it, and whether a longer neighbour changes a row."""
    import keras

    random = Random(f"{kind} {length} {mask}")
    ids = keras.Input((length,), dtype="int32")
    words = keras.layers.Embedding(WORDS + 2, WIDTH, mask_zero=mask)(ids)
    model = keras.Model(ids, CASES[kind](keras.layers, words, random))
    _spread_weights(model, random.randrange(100))
    try:
        nodes = _read(model, length, tmp_path / "model.keras")
    except UnsupportedModel as error:
        if length is not None or FIX_LENGTH not in str(error):
            raise
        return
    _check_annotations(model, nodes)
    _check_engine(model, nodes, length)
    if length is None:
        _check_neighbours(model, any(node.reads_padding for node in nodes))


def _spread_weights(model: Any, seed: int) -> None:
    if any(layer.name.startswith("normalization") for layer in model.layers):
        return  # what it learnt by adapt() is no weight that is set
    spread_weights(model, seed)
    for weight in model.weights:
        if weight.name.endswith("variance"):
            weight.assign(np.abs(weight))


def _read(model: Any, length: int | None, path: Path) -> tuple[Node, ...]:
    """The calls in a Keras model on ids, as they are read from its archive."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        config, weights = archive.read("config.json"), archive.read("model.weights.h5")
    entry = json.loads(config)
    assert list(tree_faults(entry)) == []
    read = read_model(entry)
    (name,) = read.inputs
    nodes = annotate((input_of(name, spec(WORDS, length=length)),), read.calls)
    with opened(weights, "model.weights.h5") as file:
        return with_weights(nodes, Stored(file))


def _check_annotations(model: Any, nodes: tuple[Node, ...]) -> None:
    by_name = {node.name: node for node in nodes}
    for layer in model.layers:
        if layer.name in by_name:
            node = by_name[layer.name]
            assert node.spec.shape == tuple(layer.output.shape[1:])
            assert node.spec.masked == (getattr(layer.output, "_keras_mask", None) is not None)
            weights = layer.get_weights()
            if KINDS[node.layer.kind].as_settings:  # Keras counts beside them
                weights = weights[:-1]
            assert list(node.shapes.values()) == [w.shape for w in weights]
            for ours, theirs in zip(node.layer.weights, weights, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def _rows(length: int | None, count: int = 4) -> np.ndarray:
    """Rows of ids, each followed by more zeros than the one before."""
    positions = np.arange(length or LENGTH)
    ids = np.random.default_rng(5).integers(1, WORDS + 2, (count, len(positions)))
    return np.where(positions < len(positions) - 2 * np.arange(count)[:, None], ids, 0)


def _check_engine(model: Any, nodes: tuple[Node, ...], length: int | None) -> None:
    """All rows together, and one alone, are to 1e-5 what the original model makes of them."""
    import keras

    name = nodes[0].inputs[0]
    bundle = Bundle(Path("m"), "0", (input_of(name, spec(WORDS, length=length)),), nodes)
    ours = keras_engine.build(keras, bundle, "float32")
    rows = _rows(length).astype(np.int32)
    expected = np.asarray(model(rows))
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(np.asarray(ours([rows])), expected, rtol=1e-5, atol=1e-5)
    alone = np.asarray(ours([rows[2:3]]))
    np.testing.assert_allclose(alone, expected[2:3], rtol=1e-5, atol=1e-5)


def _check_neighbours(model: Any, reads_padding: bool) -> None:
    """Where no layer is said to read padding, more of it changes no position that is a token."""
    row = np.array([[3, 4, 5, 2, 7, 8]], np.int32)
    longer = np.concatenate([row, np.zeros_like(row)], axis=1)
    short, long = (np.asarray(model(x)) for x in (row, longer))
    kept = long[tuple(slice(size) for size in short.shape)]
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
