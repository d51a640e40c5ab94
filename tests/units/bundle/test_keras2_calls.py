"""TensorFlow's functions in models of Keras 2, held to NumPy's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest

from scorer.bundle import Bundle, Pieces, read_bundle
from scorer.bundle.config.normal import normalised
from scorer.bundle.config.settings import checked
from scorer.card.vectorizer import VectorizerCard
from scorer.engines import load_engine
from scorer.engines.encode import padded_ids
from scorer.errors import UnsupportedModel
from scorer.vectorizer import Vectorizer

IDS, LENGTH, WIDTH = 9, 6, 4
TEXTS = ["good film", "bad film good plot", "plot", "bad bad bad film film plot good"]
INDEX = {"good": 1, "film": 2, "bad": 3, "plot": 4}
ALL = {"start": None, "stop": None, "step": None}
TABLE = np.random.default_rng(0).normal(size=(IDS, WIDTH)).astype(np.float32)
Expected = Callable[[np.ndarray], np.ndarray]


def relu(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(x, 0))


def softmax(x: np.ndarray) -> np.ndarray:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def tensor(**keywords: Any) -> list[Any]:
    """The call of a function on the embedded words, as Keras 2 writes it."""
    return ["words", 0, 0, keywords]


WORDS = ["words", 0, 0]
#: function -> how Keras 2 writes its call, and what it gives for the embedded words
FUNCTIONS: list[tuple[str, Any, Expected]] = [
    ("math.abs", tensor(), np.abs),
    ("math.square", tensor(name=None), np.square),
    ("math.negative", tensor(name=None), np.negative),
    ("math.tanh", tensor(name=None), np.tanh),
    ("nn.relu", tensor(name=None), relu),
    ("nn.softmax", tensor(), softmax),
    ("math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": WORDS, "name": None}], lambda x: 1 - x),
    ("math.truediv", tensor(y=2, name=None), lambda x: x / 2),
    ("__operators__.add", tensor(y=1.5, name=None), lambda x: x + 1.5),
    ("math.maximum", tensor(y=WORDS), lambda x: x),
    ("math.reduce_mean", tensor(axis=1, keepdims=False), lambda x: x.mean(1)),
    ("math.reduce_sum", tensor(axis=[1]), lambda x: x.sum(1)),
    ("math.reduce_max", tensor(axis=-1, keepdims=True), lambda x: x.max(-1)),
    ("expand_dims", tensor(axis=-1), lambda x: x),
    ("reshape", tensor(shape=[-1, LENGTH * WIDTH]), lambda x: x),
    (
        "compat.v1.transpose",
        tensor(perm=[0, 2, 1], name="transpose", conjugate=False),
        lambda x: x.transpose(0, 2, 1),
    ),
    ("concat", [tensor(axis=1), tensor(axis=1)], lambda x: np.concatenate([x, x], 1)),
    ("__operators__.getitem", tensor(slice_spec=[ALL, -1]), lambda x: x[:, -1]),
    (
        "__operators__.getitem",
        tensor(slice_spec=[ALL, ALL, {"start": 1, "stop": 3, "step": None}]),
        lambda x: x[:, :, 1:3],
    ),
    ("__operators__.getitem", tensor(slice_spec=[ALL, 0]), lambda x: x[:, 0]),
    ("linalg.matmul", tensor(b=WORDS, transpose_b=True), lambda x: x @ x.transpose(0, 2, 1)),
    ("linalg.matmul", tensor(b=WORDS, transpose_a=True), lambda x: x.transpose(0, 2, 1) @ x),
    ("reverse", tensor(axis=[1]), lambda x: x[:, ::-1]),
]


def entry(kind: str, name: str, nodes: list[Any], **settings: Any) -> dict[str, Any]:
    config = {"name": name, **settings}
    return {"class_name": kind, "config": config, "name": name, "inbound_nodes": nodes}


def called(path: Path, function: str, node: Any) -> Bundle:
    """A model that flattens what a function gives for embedded words, or for the ids."""
    kind = "SlicingOpLambda" if function.endswith("getitem") else "TFOpLambda"
    layers = [
        entry("InputLayer", "ids", [], batch_input_shape=[None, LENGTH]),
        entry(kind, "function", [node], function=function),
        entry("Flatten", "flat", [[["function", 0, 0, {}]]], data_format="channels_last"),
    ]
    settings = {"input_dim": IDS, "output_dim": WIDTH, "mask_zero": False, "input_length": 6}
    layers.insert(1, entry("Embedding", "words", [[["ids", 0, 0, {}]]], **settings))
    if node[0] == "ids":  # what it gives stands before the words
        both = [[["function", 0, 0, {}], ["words", 0, 0, {}]]]
        layers[3:] = [
            entry("Concatenate", "both", both, axis=-1),
            entry("Flatten", "flat", [[["both", 0, 0, {}]]], data_format="channels_last"),
        ]
    config = {"name": "m", "layers": layers, "input_layers": [["ids", 0, 0]]}
    config["output_layers"] = [["flat", 0, 0]]
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        file["model_weights/words/words/embeddings:0"] = TABLE
        file["model_weights/words"].attrs["weight_names"] = [b"words/embeddings:0"]
    described = VectorizerCard(kind="word_index", sequence_length=LENGTH)
    index = path.with_name("index.json")
    index.write_text(json.dumps(INDEX), encoding="utf-8")
    return read_bundle(path, pieces=Pieces(described, index))


def ran(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    """The ids of the texts, and what the keras engine gives for them."""
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    given = load_engine(bundle, engine="keras").run(tokens)
    ours = load_engine(bundle, engine="cpu").run(tokens)
    np.testing.assert_allclose(ours, given, rtol=0, atol=1e-5)
    return padded_ids(tokens, LENGTH), given


@pytest.mark.parametrize(
    ("function", "node", "expected"), FUNCTIONS, ids=[each[0] for each in FUNCTIONS]
)
def test_a_function_is_the_operation_that_does_the_same(
    tmp_path: Path, function: str, node: Any, expected: Expected
) -> None:
    ids, given = ran(called(tmp_path / "model.h5", function, node))
    want = expected(TABLE[ids]).reshape(len(ids), -1)
    np.testing.assert_allclose(given, want, rtol=1e-5, atol=1e-6)


def test_one_hot_words(tmp_path: Path) -> None:
    """`tf.one_hot(ids, depth=9)`, beside an Embedding of the same ids."""
    ids, given = ran(called(tmp_path / "model.h5", "one_hot", ["ids", 0, 0, {"depth": IDS}]))
    both = np.concatenate([np.eye(IDS)[ids], TABLE[ids]], -1)
    np.testing.assert_allclose(given, both.reshape(len(ids), -1), rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "node", "said"),
    [
        ("nn.dropout", tensor(), "the TensorFlow function 'nn.dropout', which is not supported"),
        ("linalg.matmul", tensor(b=WORDS, a_is_sparse=True), "the setting 'a_is_sparse' is not"),
        ("math.reduce_sum", tensor(), "it reduces the rows of a batch to one number"),
        ("__operators__.getitem", tensor(slice_spec=None), "how it calls a TensorFlow function"),
        ("math.abs", ["words", 0], "how it calls a TensorFlow function is not read"),
        (
            "math.multiply",
            tensor(y={"class_name": "x"}),
            "right={'class_name': 'x'} is not supported",
        ),
    ],
)
def test_other_functions_are_refused_by_name(
    tmp_path: Path, function: str, node: Any, said: str
) -> None:
    with pytest.raises(UnsupportedModel, match=said):
        called(tmp_path / "model.h5", function, node)


@pytest.mark.parametrize(("groups", "is_read"), [(1, True), (2, False)])
def test_a_separable_convolution_has_no_groups(groups: int, is_read: bool) -> None:
    """Keras 2 writes `groups` for it, which only a plain convolution has."""
    layer = entry("SeparableConv1D", "conv", [], filters=3, groups=groups)
    assert ("groups" not in normalised(layer)["config"]) is is_read


def test_a_constant_tensor_is_refused_in_the_user_s_words() -> None:
    """`x + position_embedding(positions)`, of which only numbers are left."""
    constant = {"class_name": "__tensor__", "config": {"dtype": "float32", "value": [[0.5]]}}
    with pytest.raises(UnsupportedModel, match="right=a constant tensor, which the program"):
        checked("add", {"name": "add", "right": constant}, "add")


def test_a_class_of_a_program_is_refused_with_the_way_out() -> None:
    """An .h5 file does not say that a class is not Keras' own."""
    with pytest.raises(
        UnsupportedModel, match=r"of your program.*build a functional model that calls the layers"
    ):
        checked("AttentionWithContext", {"name": "attention"}, "attention")
