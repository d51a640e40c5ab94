"""Dense, on vectors, on every position of a sequence, or on a bag of words; and activations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Layer, LayerSpec, Node
from scorer.engines.cpu.loops import general, sequences
from scorer.engines.cpu.loops.products import multiply, widen
from scorer.engines.cpu.loops.rows import Rows
from scorer.engines.cpu.loops.simd import empty, pack_columns, padded
from scorer.engines.cpu.signals import Built, Signal, Tile, positionwise
from scorer.engines.cpu.steps.activations import Activation, activation_of, relu_of
from scorer.engines.cpu.steps.blocks import everywhere
from scorer.layers.core import zero_of_nothing


@dataclass(frozen=True, eq=False)
class Dense:
    """activation(x W + b) for every vector or every position.

    numbers  what is not a number is 0 before the activation, see `zero_of_nothing`
    """

    packed: np.ndarray
    bias: np.ndarray
    columns: int
    activation: Activation
    numbers: bool = False

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        values = multiply(tile.values, self.packed, self.bias)
        if self.numbers:
            values[np.isnan(values)] = 0
        self.activation(values, self.columns)
        return replace(tile, values=values)


@dataclass(frozen=True, eq=False)
class Activate:
    """activation(x) for every vector or every position, in place."""

    columns: int
    activation: Activation
    in_place = True

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        self.activation(tile.values, self.columns)
        return tile


def activation(node: Node, signal: Signal) -> Built:
    """Activation."""
    return _activated(node, signal, activation_of(node.layer))


def leaky_relu(node: Node, signal: Signal) -> Built:
    slope = {"negative_slope": node.layer.settings["negative_slope"]}
    return _activated(node, signal, Activation("leaky_relu", extra=slope))


def elu(node: Node, signal: Signal) -> Built:
    return _activated(
        node, signal, Activation("elu", extra={"alpha": node.layer.settings["alpha"]})
    )


def relu(node: Node, signal: Signal) -> Built:
    return _activated(node, signal, relu_of(node.layer.settings))


def _activated(node: Node, signal: Signal, activation: Activation) -> Built:
    if activation.name == "linear":
        return [], signal
    return everywhere(lambda node, signal: _in_place(node, signal, activation))(node, signal)


def _in_place(node: Node, signal: Signal, activation: Activation) -> Built:
    steps, signal = positionwise(node, signal)
    return [*steps, Activate(signal.width, activation)], signal


@dataclass(frozen=True, eq=False)
class DenseOnBag:
    """activation(x W + b) where x counts a row's words: a sum of rows of W, one a token.

    weights    float32 (words, columns), what the mode multiplies counts with included
    mode       the vectorizer's, which says how often a word counts
    scale      float32 (words,), what the mode multiplies counts with
    unit       x is brought to length 1
    """

    weights: np.ndarray
    bias: np.ndarray
    mode: str
    scale: np.ndarray
    unit: bool
    activation: Activation

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        words, columns = self.weights.shape
        out = empty(len(tile.starts), padded(columns))
        rows = Rows(True, tile.ids, tile.starts, tile.stored, tile.stored)
        total, counts = np.empty(columns), np.zeros(words, dtype=np.int32)
        if self.mode == "log_tf_idf":
            general.sum_logarithms(
                rows, self.weights, self.scale, self.unit, self.bias, counts, total, out
            )
        else:
            distinct = self.mode == "multi_hot"
            seen = np.full(words if distinct else 0, -1, dtype=np.int32)
            lengths = np.ones(len(out))
            if self.unit:
                sequences.bag_lengths(rows, self.scale, distinct, counts, lengths)
            elif self.mode == "freq":
                lengths = np.maximum(tile.stored, 1).astype(np.float64)
            sequences.sum_rows(rows, self.weights, self.bias, lengths, seen, total, out)
        self.activation(out, columns)
        return replace(tile, values=out)


def dense(node: Node, signal: Signal) -> Built:
    if signal.spec is None:
        return everywhere(_at_positions)(node, signal)
    kernel, bias = _kernel_and_bias(node)
    scale = signal.spec.idf_weights
    if scale is None:
        scale = np.ones(len(kernel), dtype=np.float32)
    weights = np.ascontiguousarray(kernel * scale[:, None])
    mode, activation = signal.spec.output_mode, activation_of(node.layer)
    step = DenseOnBag(weights, bias, mode, scale, signal.unit, activation)
    return [step], Signal("vector", width=len(bias))


def _at_positions(node: Node, signal: Signal) -> Built:
    kernel, bias = _kernel_and_bias(node)
    steps, signal = positionwise(node, signal)
    packed = pack_columns(kernel)
    wide = widen(bias, packed.size // len(kernel))
    numbers = signal.kind == "vector" and zero_of_nothing(node.layer)
    step = Dense(packed, wide, len(bias), activation_of(node.layer), numbers)
    return [*steps, step], replace(signal, width=len(bias))


def _kernel_and_bias(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """float32 (width, columns) and (columns,)."""
    kernel, *rest = node.layer.weights
    return kernel, rest[0] if rest else np.zeros(kernel.shape[1], dtype=np.float32)


def at_each_position(node: Node, signal: Signal) -> Built:
    """TimeDistributed: of layers that work on the last dimension anyway."""
    inner: LayerSpec = node.layer.settings["layer"]
    if inner.kind not in ("Dense", "Activation"):
        return [], signal
    layer = Layer(inner.kind, node.layer.name, inner.settings, node.layer.weights)
    builder = dense if inner.kind == "Dense" else activation
    return builder(replace(node, layer=layer), signal)
