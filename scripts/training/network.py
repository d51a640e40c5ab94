"""The network of a recipe as a Keras model that takes token ids and gives logits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from scorer.tasks import REGRESSION
from scripts.training.batches import Tokens, WholeTexts
from scripts.training.recipe import LayerSpec, Recipe
from scripts.training.types import Floats


def keras_layer(spec: LayerSpec, ids: int) -> Any:
    """The Keras layer of that class and those arguments. `ids` is the number of token ids."""
    arguments = dict(spec.arguments)
    if spec.layer is not None:
        arguments["layer"] = keras_layer(spec.layer, ids)
    if spec.kind == "Embedding":
        arguments["input_dim"] = ids
    return getattr(keras.layers, spec.kind)(**arguments)


def build_logits(recipe: Recipe, table: Floats, seed: int) -> Any:
    """An uncompiled model of a recipe's layers: int32 ids (batch, positions) to logits (batch,
    outputs). `table` is the embedding at the start; `seed` draws all other weights."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((None,), dtype="int32")
    x = inputs
    for spec in (*recipe.layers[:-1], recipe.layers[-1].with_arguments(activation="linear")):
        x = keras_layer(spec, len(table))(x)
    model = keras.Model(inputs, x)
    model.layers[1].set_weights([table])
    return model


class Network:
    """A model of logits. A regression is trained in standard deviations from the mean; `scale` and
    `shift` undo that."""

    def __init__(self, task: str, model: Any, *, scale: float = 1.0, shift: float = 0.0) -> None:
        if task != REGRESSION.name and (scale, shift) != (1.0, 0.0):
            raise ValueError("only the targets of a regression are standardized")
        self.task, self.model = task, model
        self.scale, self.shift = scale, shift

    def arrays(self) -> list[Floats]:
        """Copies of all weights, layer after layer, in Keras' order."""
        return [
            keras.ops.convert_to_numpy(variable).copy()
            for layer in self.model.layers
            for variable in layer.weights
        ]

    def logits(self, data: Tokens) -> Floats:
        """float32 (rows, outputs), in the order of the rows, without dropout."""
        out = np.zeros((len(data.rows), data.targets.shape[1]), np.float32)
        if data.rows:
            batches = WholeTexts(data)
            out[batches.order] = self.model.predict(batches.dataset(), verbose=0)
        return out
