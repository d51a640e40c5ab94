"""The trained network: a recipe's layers, its losses, and batch gradients over two threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from scripts.training.batches import Packed, pack, sorted_by_length
from scripts.training.conv import ConvMaxPool
from scripts.training.heads import head_of
from scripts.training.layers import (
    LSTM,
    Bidirectional,
    Context,
    Dense,
    Dropout,
    Embedding,
    Layer,
)
from scripts.training.pooling import MaxPool, Relu
from scripts.training.recipe import LayerSpec, Recipe
from scripts.training.types import Floats, Ints, Weights

# Fixed, whatever the machine: the sum of two shards' gradients is part of the recipe.
_SHARDS = 2


@dataclass(frozen=True)
class Tokens:
    """A data set ready to train on: ids of each row, and targets (rows,) or (rows, classes)."""

    rows: list[Ints]
    targets: Floats
    lengths: Ints

    def take(self, rows: Ints) -> Tokens:
        kept = [self.rows[k] for k in rows]
        return Tokens(kept, self.targets[rows], self.lengths[rows])


def build_layers(recipe: Recipe, table: Floats, rng: np.random.Generator) -> list[Layer]:
    """Initialised as Keras initialises them, from a given embedding table."""
    layers: list[Layer] = []
    features = table.shape[1]
    for n, spec in enumerate(recipe.layers):
        if spec.kind == "GlobalMaxPooling1D" and recipe.layers[n - 1].kind == "Conv1D":
            continue  # part of the convolution
        layers.append(_build(spec, features, table, rng))
        if spec.kind == "Bidirectional":
            features = 2 * spec.units
        elif spec.units:
            features = spec.units
    return layers


def _build(spec: LayerSpec, features: int, table: Floats, rng: np.random.Generator) -> Layer:
    def lstm(backwards: bool = False) -> LSTM:
        many = spec.return_sequences
        return LSTM(features, spec.units, rng, return_sequences=many, go_backwards=backwards)

    match spec.kind:
        case "Embedding":
            return Embedding(table, trainable=spec.trainable, masked=spec.mask_zero)
        case "SpatialDropout1D" | "Dropout":
            return Dropout(spec.rate, per_row=spec.kind == "SpatialDropout1D")
        case "LSTM":
            return lstm()
        case "Bidirectional":
            return Bidirectional(lstm(), lstm(backwards=True))
        case "Dense":
            return Dense(features, spec.units, rng, relu=spec.activation == "relu")
        case "ReLU":
            return Relu()
        case "GlobalMaxPooling1D":
            return MaxPool()
        case "Conv1D":
            return ConvMaxPool(features, spec.units, spec.width, rng)
        case _:
            raise ValueError(f"no layer of kind {spec.kind}")


class Network:
    """Layers in a row. `gradients` and `logits` run shards of a batch side by side.

    A regression is learnt in standard deviations from the mean; `scale` and `shift` undo that.
    """

    def __init__(
        self, task: str, layers: list[Layer], *, scale: float = 1.0, shift: float = 0.0
    ) -> None:
        self.task, self.layers = task, layers
        self.scale, self.shift = scale, shift
        self._pool = ThreadPoolExecutor(_SHARDS)

    @property
    def weights(self) -> Weights:
        """All arrays by layer number and name; the arrays themselves, not copies."""
        return {
            f"{n}/{name}": array
            for n, layer in enumerate(self.layers)
            for name, array in layer.weights.items()
        }

    def gradients(
        self, tokens: list[Ints], targets: Floats, rng: np.random.Generator
    ) -> tuple[float, Weights]:
        """Mean loss of a batch and its gradient by weight name."""
        order = np.argsort([-t.size for t in tokens], kind="stable")
        shards = [order[k::_SHARDS] for k in range(_SHARDS) if order[k::_SHARDS].size]
        rngs = rng.spawn(len(shards))
        parts = self._pool.map(
            lambda s, r: self._shard_gradients(pack(s, [tokens[k] for k in s]), targets, r),
            shards,
            rngs,
        )
        total, grads = 0.0, Weights()
        for loss, own in parts:
            total += loss
            for name, g in own.items():
                if name in grads:
                    grads[name] += g
                else:
                    grads[name] = g
        for g in grads.values():
            g *= np.float32(1 / len(tokens))
        return total / len(tokens), grads

    def _shard_gradients(
        self, batch: Packed, targets: Floats, rng: np.random.Generator
    ) -> tuple[float, Weights]:
        context = Context(batch, rng)
        x = np.empty((0, 0), np.float32)
        kept = []
        for layer in self.layers:
            x, saved = layer.forward(x, context)
            kept.append(saved)
        loss, dy = head_of(self.task).loss(x, targets[batch.rows])
        grads: Weights = {}
        for n in range(len(self.layers) - 1, -1, -1):
            dy, own = self.layers[n].backward(dy, kept[n], context)
            grads |= {f"{n}/{name}": g for name, g in own.items()}
        return loss, grads

    def logits(self, data: Tokens, batch_size: int = 256) -> Floats:
        """(rows, outputs), in the order of the rows, without dropout."""

        def run(rows: Ints) -> tuple[Ints, Floats]:
            batch = pack(rows, [data.rows[k] for k in rows])
            x = np.empty((0, 0), np.float32)
            for layer in self.layers:
                x, _ = layer.forward(x, Context(batch))
            return batch.rows, x

        out = np.empty((len(data.rows), data.targets.shape[1]), np.float32)
        for rows, part in self._pool.map(run, sorted_by_length(data.lengths, batch_size)):
            out[rows] = part
        return out
