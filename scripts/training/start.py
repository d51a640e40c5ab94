"""A network that starts from the weights of a bundle's network of the same layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from scripts.training.recipe import Recipe
from scripts.training.types import Floats
from scripts.training.vocabulary import Vocabulary


def start_from(
    archive: Path, recipe: Recipe, vocabulary: Vocabulary, model: Any, seed: int
) -> float:
    """Copies all weights but the head's into `model`; returns the share of words that had a vector.

    Embeddings are matched by word; those of other words are drawn from a normal distribution of the
    same mean and spread. Raises ValueError where the bundle has no network of the recipe's layers.
    """
    kinds = [spec.kind for spec in recipe.layers[:-1]]
    for chain in chains(keras.saving.load_model(archive, compile=False)):
        found = [layer for layer in chain if type(layer).__name__ in kinds]
        if [type(layer).__name__ for layer in found] == kinds:
            words = chain[0].get_vocabulary(include_special_tokens=False)
            return _copy(found, words, vocabulary, model.layers[1:-1], seed)
    raise ValueError(f"{archive}: no network of the layers {', '.join(kinds)}")


def chains(model: Any) -> list[list[Any]]:
    """The layers from each TextVectorization to the head, or to where networks are added."""
    merge = next((x for x in model.layers if type(x).__name__ == "Add"), None)
    if merge is None:
        return [list(model.layers)]
    return [_chain(end) for end in merge.input]


def _chain(end: Any) -> list[Any]:
    layer = end._keras_history.operation
    if type(layer).__name__ == "InputLayer":
        return []
    inputs = layer.input[0] if isinstance(layer.input, list) else layer.input  # without the mask
    return [*_chain(inputs), layer]


def _copy(
    found: list[Any], words: list[str], vocabulary: Vocabulary, layers: list[Any], seed: int
) -> float:
    (vectors,) = found[0].get_weights()
    table, share = _table(vectors, words, vocabulary, seed)
    layers[0].set_weights([table])
    for own, other in zip(layers[1:], found[1:], strict=True):
        if other.weights:
            own.set_weights(other.get_weights())
    return share


def _table(
    vectors: Floats, words: list[str], vocabulary: Vocabulary, seed: int
) -> tuple[Floats, float]:
    rng = np.random.default_rng([seed, 4])
    mean, spread = vectors[2:].mean(axis=0), vectors[2:].std(axis=0)
    table = rng.normal(mean, spread, (vocabulary.ids, vectors.shape[1])).astype(np.float32)
    table[:2] = vectors[:2]
    row_of = {word: row for row, word in enumerate(words, start=2)}
    known = [(k, row_of[w]) for k, w in enumerate(vocabulary.words, start=2) if w in row_of]
    here, there = np.array(known, np.int64).T
    table[here] = vectors[there]
    return table, len(known) / len(vocabulary.words)
