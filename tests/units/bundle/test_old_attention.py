"""Attention of Keras 2, which dropout changes nothing of, as Keras 3 computes it."""

from __future__ import annotations

import functools
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.bundle import read_bundle
from scorer.engines import load_engine
from scorer.vectorizer import Vectorizer
from tests.support import tiny

TEXTS = ("good film", "bad", "a slow film and a good story of wine")


@functools.cache
def _model(dropout: float) -> Any:
    """Masked queries are read: Flatten heeds no mask."""
    import keras

    k = keras.layers
    text = keras.Input((), dtype="string")
    vectorize = k.TextVectorization(output_sequence_length=6)
    vectorize.set_vocabulary(list(tiny.WORDS))
    words = k.Embedding(vectorize.vocabulary_size(), 4, mask_zero=True)(vectorize(text))
    attended = k.MultiHeadAttention(2, 3, dropout=dropout)(words, words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = keras.Model(text, k.Dense(1)(k.Flatten()(attended)))
    tiny.spread_weights(model, 5)
    return model


def _answers(dropout: float) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tiny.predict(_model(dropout), TEXTS)


def _as_written_by(version: str, source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as other:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "metadata.json":
                data = json.dumps({"keras_version": version}).encode()
            other.writestr(name, data)


@pytest.mark.parametrize(("version", "like"), [("2.15.0", 0.0), ("3.15.1", 0.4)])
def test_dropout_changes_masked_queries_in_keras_3_alone(
    version: str, like: float, tmp_path: Path
) -> None:
    _model(0.4).save(tmp_path / "saved.keras")
    _as_written_by(version, tmp_path / "saved.keras", tmp_path / "model.keras")
    expected = _answers(like)
    bundle = read_bundle(tmp_path / "model.keras")
    tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
    for engine in ("cpu", "keras"):
        found = load_engine(bundle, engine=engine, device="cpu").run(tokens)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_two_answers_differ() -> None:
    assert np.abs(_answers(0.0) - _answers(0.4)).max() > 0.01
