"""CuDNNLSTM and CuDNNGRU in `.h5` files of Keras 2: an LSTM and a GRU of other weights."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest

from scorer.bundle import Pieces, read_bundle
from scorer.card.vectorizer import VectorizerCard
from scorer.engines import load_engine
from scorer.engines.encode import padded_ids
from scorer.vectorizer import Vectorizer
from tests.support.tiny import spread_weights

LENGTH, TEXTS = 6, ["good film", "bad bad wine good", "unheard", "good " * 9]


def _model(kind: str, both_ways: bool) -> Any:
    import keras

    k = keras.layers
    cell = getattr(k, kind)(3)
    layers = [k.Embedding(7, 5), k.Bidirectional(cell) if both_ways else cell, k.Dense(1)]
    model = keras.Sequential([keras.Input((LENGTH,)), *layers])
    spread_weights(model, seed=6)
    return model


def _as_cudnn(array: np.ndarray, gates: int, rng: np.random.Generator) -> np.ndarray:
    """What CuDNN keeps for a kernel or a bias: the inverse of Keras 2's rule."""
    if array.shape == (2, 9):  # a GRU's biases
        return array.reshape(-1)
    if array.ndim == 1:
        first = rng.normal(0, 1, array.shape).astype(np.float32)
        return np.concatenate([first, array - first])
    split = np.hsplit(array, gates)
    if array.shape[0] == 3:
        return np.hstack([gate.T for gate in split])
    return np.hstack([gate.T.reshape(gate.shape) for gate in split])


def _rewrite(path: Path, kind: str) -> None:
    """The file as Keras 2 would have written it with CuDNN's layer."""
    rng, unknown = np.random.default_rng(3), ("activation", "recurrent_activation", "use_bias")
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"].replace(f'"{kind}"', f'"CuDNN{kind}"')
        config = json.loads(text)
        cell = config["config"]["layers"][2]
        inner = [cell, cell["config"].get("layer"), cell["config"].get("backward_layer")]
        for each in filter(None, inner):
            for name in (*unknown, "reset_after"):
                if str(each["class_name"]).startswith("CuDNN"):
                    each["config"].pop(name, None)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.2.4"
        group = file["model_weights"][cell["config"]["name"]]
        for name in group.attrs["weight_names"]:
            values = _as_cudnn(group[name][...], 4 if kind == "LSTM" else 3, rng)
            del group[name]
            group[name] = values


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_layer_of_cudnn_gives_what_its_like_gives(
    kind: str, both_ways: bool, tmp_path: Path
) -> None:
    model, path = _model(kind, both_ways), tmp_path / "model.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    _rewrite(path, kind)
    words = tmp_path / "vocabulary.txt"
    words.write_text("\n[UNK]\ngood\nbad\nfilm\nwine", encoding="utf-8")
    bundle = read_bundle(path, pieces=Pieces(VectorizerCard(kind="vocabulary"), words))
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    expected = np.asarray(model(padded_ids(tokens, LENGTH)))
    for engine in ("cpu", "keras"):
        found = load_engine(bundle, engine=engine, device="cpu").run(tokens)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
