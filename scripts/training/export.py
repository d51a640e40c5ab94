"""The trained arrays as an ordinary Keras archive: raw text in, score out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scripts.training.archive import save_archive
from scripts.training.learner import Trained
from scripts.training.network import keras_layer
from scripts.training.recipe import Recipe
from scripts.training.scorers import MixedScorer
from scripts.training.types import Floats
from scripts.training.vocabulary import Vocabulary, keras_vectorizer
from scripts.training.wide import Bag


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


def save_model(trained: Trained, path: Path, texts: Sequence[str]) -> Any:
    """Writes the archive, its weights rounded, and returns what plain Keras loads from it.

    Raises ValueError where Keras, before the rounding, differs from the trained networks on the
    texts.
    """
    import keras

    parts = trained.parts
    vocabularies = [learnt.vocabulary for learnt in trained.learnt]
    bags = trained.scorer.bags if isinstance(trained.scorer, MixedScorer) else ()
    model = build_keras(parts.recipe, vocabularies, bags)
    arrays = trained.scorer.arrays()
    for variable, array in zip(_layer_variables(model), arrays, strict=True):
        variable.assign(array)
    _compare(trained, model, texts)
    save_archive(model, path)
    return keras.saving.load_model(path, compile=False)


def _compare(trained: Trained, model: Any, texts: Sequence[str]) -> None:
    ours, tokens = trained.outputs(pa.array(texts, pa.large_string()))
    scored = tokens.n_tokens > 0  # Keras' own LSTM fails on a text without tokens
    known = [text for text, has in zip(texts, scored, strict=True) if has]
    expected = predict_alone(model, known)
    gap = float(np.abs(ours[scored] - expected).max())
    if gap > 1e-5 * max(1.0, float(np.abs(expected).max())):
        raise ValueError(f"Keras and the trained networks differ by {gap:.1e}")


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


def predict_alone(model: Any, texts: Sequence[str]) -> Floats:
    """Keras' outputs (rows, outputs), each text in a batch of its own.

    One traced graph for all: eagerly, a recurrent layer takes a millisecond or more a token.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec([None], tf.string)]
    call = tf.function(lambda text: model(text, training=False), input_signature=signature)
    rows = [np.asarray(call(tf.constant([text]))) for text in texts]
    return np.concatenate(rows).astype(np.float32)
