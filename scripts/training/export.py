"""The trained arrays as an ordinary Keras archive: raw text in, score out, nothing to run twice.

The same arrays give the same bytes (with the same zlib): members in a fixed order, no date.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from scripts.training.learner import Trained
from scripts.training.network import keras_layer
from scripts.training.recipe import Recipe
from scripts.training.scorers import MixedScorer
from scripts.training.types import Floats
from scripts.training.vocabulary import Vocabulary, keras_vectorizer
from scripts.training.wide import Bag

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip file can hold


def build_keras(
    recipe: Recipe, vocabularies: Sequence[Vocabulary], bags: Sequence[Bag] = ()
) -> Any:
    """An uncompiled model of the recipe's layers behind its TextVectorization; with `bags` of
    n-grams, the sum of its networks and of those, before the head's activation."""
    import keras

    keras.utils.clear_session()  # else names count on from what the process built before
    inputs = keras.Input(shape=(), dtype="string", name="text")
    if not bags:
        layers = [_vectorizer(recipe, vocabularies[0]), *_layers(recipe, vocabularies[0])]
        return keras.Sequential([inputs, *layers], name=recipe.name)
    head = recipe.layers[-1]
    branches: list[Any] = []
    for network, vocabulary in zip(recipe.networks, vocabularies, strict=True):
        end = keras.layers.Dense(recipe.outputs, use_bias=not branches)
        branch = inputs
        for layer in [_vectorizer(network, vocabulary), *_layers(network, vocabulary)[:-1], end]:
            branch = layer(branch)
        branches.append(branch)
    for number, bag in enumerate(bags, start=1):
        branches.append(
            _bag_logits(inputs, bag, recipe.outputs, "" if number == 1 else f"_{number}")
        )
    both = keras.layers.Add()(branches)
    outputs = keras.layers.Activation(head.arguments.get("activation", "linear"))(both)
    return keras.Model(inputs, outputs, name=recipe.name)


def _bag_logits(text: Any, bag: Bag, units: int, suffix: str) -> Any:
    import keras

    grams = bag.grams
    vectorizer = keras_vectorizer(grams.settings.vectorizer, f"n_grams{suffix}")
    vectorizer.set_vocabulary(list(grams.grams))
    counts = vectorizer(text)
    if grams.settings.unit:
        counts = keras.layers.Rescaling(1.0, name=f"floats{suffix}")(counts)
        counts = keras.layers.UnitNormalization(name=f"unit{suffix}")(counts)
    return keras.layers.Dense(units, use_bias=False, name=f"wide{suffix}")(counts)


def _vectorizer(recipe: Recipe, vocabulary: Vocabulary) -> Any:
    vectorizer = keras_vectorizer(recipe.vectorizer)
    # Keras works out the unknown word's weight itself: it is the mean of the others.
    idf = None if vocabulary.idf is None else vocabulary.idf[1:]
    vectorizer.set_vocabulary(list(vocabulary.words), idf)
    return vectorizer


def _layers(recipe: Recipe, vocabulary: Vocabulary) -> list[Any]:
    return [keras_layer(spec, vocabulary.ids) for spec in recipe.layers]


def save_model(trained: Trained, path: Path) -> Any:
    """Writes the archive and returns the model that plain Keras loads from it."""
    import keras

    parts = trained.parts
    vocabularies = [learnt.vocabulary for learnt in trained.learnt]
    bags = trained.scorer.bags if isinstance(trained.scorer, MixedScorer) else ()
    model = build_keras(parts.recipe, vocabularies, bags)
    arrays = trained.scorer.arrays()
    for variable, array in zip(_layer_variables(model), arrays, strict=True):
        variable.assign(array)
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "model.keras"
        model.save(raw)
        _write_reproducibly(raw, path)
    return keras.saving.load_model(path, compile=False)


def _layer_variables(model: Any) -> list[Any]:
    """The variables branch after branch, those of the bags of n-grams last."""
    merge = next((x for x in model.layers if type(x).__name__ == "Add"), None)
    if merge is None:
        return [variable for layer in model.layers for variable in _own_weights(layer)]
    return [variable for end in merge.input for variable in _chain_variables(end)]


def _chain_variables(end: Any) -> list[Any]:
    """Those of the layers that lead from the text to the tensor `end`."""
    layer = end._keras_history.operation
    if layer.name == "text":
        return []
    inputs = layer.input[0] if isinstance(layer.input, list) else layer.input  # without the mask
    return [*_chain_variables(inputs), *_own_weights(layer)]


def _own_weights(layer: Any) -> list[Any]:
    """Those that training finds; a TextVectorization keeps its idf apart."""
    return [] if type(layer).__name__ == "TextVectorization" else layer.weights


def _write_reproducibly(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            if name.endswith(".json"):
                data = json.dumps(_lasting(json.loads(data))).encode()
            # Vocabularies shrink to a third; weights would by a twentieth and load more slowly.
            packed = zipfile.ZIP_STORED if name.endswith(".h5") else zipfile.ZIP_DEFLATED
            new.writestr(zipfile.ZipInfo(name, _EPOCH), data, compress_type=packed)


def _lasting(value: Any) -> Any:
    """The configuration without what differs between runs: the date, and memory addresses."""
    if isinstance(value, list):
        return [_lasting(v) for v in value]
    if not isinstance(value, dict):
        return value
    kept = {k: _lasting(v) for k, v in value.items() if k != "shared_object_id"}
    if "date_saved" in kept:
        kept["date_saved"] = "1980-01-01@00:00:00"
    return kept


def predict_alone(model: Any, texts: Sequence[str]) -> Floats:
    """Keras' outputs (rows, outputs), each text in a batch of its own."""
    import tensorflow as tf

    rows = [np.asarray(model(tf.constant([text]), training=False)) for text in texts]
    return np.concatenate(rows).astype(np.float32)
