"""Dense, on vectors, on every position of a sequence, or on a bag of words; and activations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu import kernels, sequences
from scorer.engines.cpu.compiled import Rows
from scorer.engines.cpu.products import ACTIVATIONS, activation_of, multiply, widen
from scorer.engines.cpu.signals import Built, Signal, Tile, positionwise, refuse
from scorer.engines.cpu.simd import empty, pack_columns, padded
from scorer.vectorizer import VectorizerSpec


@dataclass(frozen=True, eq=False)
class Dense:
    """activation(x W + b) for every vector or every position."""

    packed: np.ndarray
    bias: np.ndarray
    columns: int
    activation: int

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        values = multiply(tile.values, self.packed, self.bias)
        if self.activation:
            kernels.activate(values, self.columns, self.activation)
        return replace(tile, values=values)


@dataclass(frozen=True, eq=False)
class Activate:
    """activation(x) for every vector or every position, in place."""

    columns: int
    activation: int
    in_place = True

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        kernels.activate(tile.values, self.columns, self.activation)
        return tile


def activation(node: Node, signal: Signal) -> Built:
    """Activation."""
    return _activated(node, signal, activation_of(node.layer))


def relu(node: Node, signal: Signal) -> Built:
    settings = node.layer.settings
    if settings["max_value"] is not None or settings["negative_slope"] or settings["threshold"]:
        raise refuse(node.layer, "runs max(x, 0) alone")
    return _activated(node, signal, ACTIVATIONS["relu"])


def _activated(node: Node, signal: Signal, kind: int) -> Built:
    if not kind:
        return [], signal
    steps, signal = positionwise(node, signal)
    return [*steps, Activate(signal.width, kind)], signal


@dataclass(frozen=True, eq=False)
class DenseOnBag:
    """activation(x W + b) where x counts a row's words: a sum of rows of W, one a token.

    weights    float32 (words, columns), what the mode multiplies counts with included
    distinct   a word counts once a row, however often it comes
    scale      float32 (words,), what the mode multiplies counts with; None where x keeps its length
    """

    weights: np.ndarray
    bias: np.ndarray
    distinct: bool
    scale: np.ndarray | None
    activation: int

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        words, columns = self.weights.shape
        seen = np.full(words if self.distinct else 0, -1, dtype=np.int32)
        out = empty(len(tile.starts), padded(columns))
        rows = Rows(True, tile.ids, tile.starts, tile.stored, tile.stored)
        total, lengths = np.empty(columns), np.ones(len(out))
        if self.scale is not None:
            counts = np.zeros(words, dtype=np.int32)
            sequences.bag_lengths(rows, self.scale, self.distinct, counts, lengths)
        sequences.sum_rows(rows, self.weights, self.bias, lengths, seen, total, out)
        if self.activation:
            kernels.activate(out, columns, self.activation)
        return replace(tile, values=out)


def dense(node: Node, signal: Signal) -> Built:
    kernel, *rest = node.layer.weights
    columns = kernel.shape[1]
    bias = rest[0] if rest else np.zeros(columns, dtype=np.float32)
    activation = activation_of(node.layer)
    if signal.spec is not None:
        if signal.spec.output_mode in ("freq", "log_tf_idf"):
            raise refuse(node.layer, f"has no bag of words of the mode {signal.spec.output_mode!r}")
        on_bag = _on_bag(signal.spec, kernel, bias, activation, unit=signal.unit)
        return [on_bag], Signal("vector", width=columns)
    steps, signal = positionwise(node, signal)
    packed = pack_columns(kernel)
    step = Dense(packed, widen(bias, packed.size // len(kernel)), columns, activation)
    return [*steps, step], replace(signal, width=columns)


def _on_bag(
    spec: VectorizerSpec, kernel: np.ndarray, bias: np.ndarray, activation: int, *, unit: bool
) -> DenseOnBag:
    scale = np.ones(len(kernel), dtype=np.float32)
    if spec.output_mode == "tf_idf" and spec.idf_weights is not None:
        scale = spec.idf_weights
    return DenseOnBag(
        weights=np.ascontiguousarray(kernel * scale[:, None]),
        bias=bias,
        distinct=spec.output_mode == "multi_hot",
        scale=scale if unit else None,
        activation=activation,
    )
