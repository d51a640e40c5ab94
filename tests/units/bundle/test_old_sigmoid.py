"""Keras 2's hard_sigmoid is another function than Keras 3's; its models keep their answers."""

from __future__ import annotations

import warnings
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
from scorer.engines.encode import padded_ids
from scorer.errors import UnsupportedModel
from scorer.vectorizer import Vectorizer
from tests.support.tiny import spread_weights

TEXTS = ["good film", "bad bad wine good", "unheard", "good " * 9]
LENGTH = 6


def keras_2_sigmoid(x: Any) -> Any:
    from keras import ops

    return ops.clip(0.2 * x + 0.5, 0, 1)


NETWORKS: dict[str, Callable[[Any, Any], list[Any]]] = {
    "gates of an LSTM": lambda k, f: [k.LSTM(3, recurrent_activation=f)],
    "gates of a GRU": lambda k, f: [k.GRU(3, recurrent_activation=f)],
    "gates of an old GRU": lambda k, f: [k.GRU(3, recurrent_activation=f, reset_after=False)],
    "all of a GRU": lambda k, f: [k.GRU(3, activation=f, recurrent_activation=f)],
    "both ways": lambda k, f: [k.Bidirectional(k.LSTM(3, recurrent_activation=f))],
    "SimpleRNN": lambda k, f: [k.SimpleRNN(3, activation=f)],
    "Dense": lambda k, f: [k.GlobalMaxPooling1D(), k.Dense(4, activation=f)],
    "Conv1D": lambda k, f: [k.Conv1D(4, 2, activation=f), k.GlobalMaxPooling1D()],
}


def model(network: Callable[[Any, Any], list[Any]], function: Any) -> Any:
    import keras

    k = keras.layers
    with keras.saving.custom_object_scope({"keras_2_sigmoid": keras_2_sigmoid}):
        layers = network(k, function)
    made = keras.Sequential([keras.Input((LENGTH,)), k.Embedding(7, 5), *layers, k.Dense(1)])
    spread_weights(made, seed=6)
    return made


def saved(network: Callable[[Any, Any], list[Any]], path: Path, version: str) -> Bundle:
    """The model with `hard_sigmoid` in an `.h5` file of that version of Keras."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(network, "hard_sigmoid").save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = version
    words = path.with_name("vocabulary.txt")
    words.write_text("\n[UNK]\ngood\nbad\nfilm\nwine", encoding="utf-8")
    return read_bundle(path, pieces=Pieces(VectorizerCard(kind="vocabulary"), words))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
@pytest.mark.parametrize("engine", [None, "keras"])
def test_a_model_of_keras_2_keeps_its_answers(
    network: Callable[[Any, Any], list[Any]], engine: str | None, tmp_path: Path
) -> None:
    bundle = saved(network, tmp_path / "model.h5", "2.2.4")
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    expected = np.asarray(model(network, keras_2_sigmoid)(padded_ids(tokens, LENGTH)))
    outputs = load_engine(bundle, engine=engine).run(tokens)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)
    newer = saved(network, tmp_path / "model.h5", "3.15.1")
    assert np.abs(load_engine(newer, engine=engine).run(tokens) - expected).max() > 1e-3


@pytest.mark.parametrize(
    "network",
    [
        lambda k, f: [k.LSTM(3, activation=f)],
        lambda k, f: [k.GlobalMaxPooling1D(), k.Activation(f)],
    ],
)
def test_where_no_weights_feed_it_the_function_is_refused(
    network: Callable[[Any, Any], list[Any]], tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModel, match=r"load the model in Keras 3 and save it again"):
        saved(network, tmp_path / "model.h5", "2.15.0")
