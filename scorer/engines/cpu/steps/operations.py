"""The functions of keras.ops that `x + y`, `x[:, -1]` and calls of them leave in a network.

Keras carries no mask through them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops.products import batch_products
from scorer.engines.cpu.loops.simd import padded, zeros
from scorer.engines.cpu.signals import FOLD_BYTES, Built, Signal, Tile, positionwise, refuse
from scorer.engines.cpu.steps.activations import Activation, activation_named
from scorer.engines.cpu.steps.blocks import everywhere, on_blocks
from scorer.engines.cpu.steps.embedding import LookUp
from scorer.engines.cpu.steps.merging import merge
from scorer.engines.cpu.steps.reshaping import softmax
from scorer.layers.operations import constant_of, parts

_OF_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "true_divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
}
_OF_ONE: dict[str, Callable[[np.ndarray], Any]] = {
    "negative": np.negative,
    "absolute": np.abs,
    "sqrt": np.sqrt,
    "square": np.square,
}
#: activations that are called by other names here
_NAMES = {"exp": "exponential"}
_ACTIVATIONS = (
    "exp tanh sigmoid relu silu softplus selu relu6 softsign log_sigmoid hard_sigmoid hard_silu "
    "softmax elu gelu"
).split()
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": lambda x, **over: x.mean(dtype=np.float64, **over),
    "sum": lambda x, **over: x.sum(dtype=np.float64, **over),
    "max": lambda x, **over: x.max(**over),
    "min": lambda x, **over: x.min(**over),
}
ELEMENTWISE = (*_OF_ONE, *_ACTIVATIONS)
OF_TWO, REDUCTIONS = tuple(_OF_TWO), tuple(_REDUCTIONS)


@dataclass(frozen=True, eq=False)
class Elementwise:
    """A function of every vector or every position, in place."""

    columns: int
    function: Callable[[np.ndarray, int], None]
    in_place = True

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        self.function(tile.values, self.columns)
        return tile


def _written(function: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray, int], None]:
    """`function` of the first columns, written over them."""

    def write(values: np.ndarray, columns: int) -> None:
        with np.errstate(all="ignore"):
            values[:, :columns] = function(np.ascontiguousarray(values[:, :columns]))

    return write


def _each(node: Node, signal: Signal, function: Callable[[np.ndarray, int], None]) -> Built:
    def build(node: Node, signal: Signal) -> Built:
        steps, signal = positionwise(node, signal)
        return [*steps, Elementwise(signal.width, function)], signal

    return unmasked(*everywhere(build)(node, signal))


def unmasked(steps: Any, signal: Signal) -> Built:
    return steps, replace(signal, masked=False)


def elementwise(node: Node, signal: Signal) -> Built:
    kind, settings = node.layer.kind, node.layer.settings
    if settings.get("axis", -1) not in (-1, len(node.spec.shape)):
        return softmax(node, signal)
    if kind in _OF_ONE:
        return _each(node, signal, _written(_OF_ONE[kind]))
    if kind == "softmax" and settings["axis"] not in (-1, len(node.given[0].shape)):
        return unmasked(*softmax(node, signal))
    names = ("alpha", "approximate")
    extra: dict[str, Any] = {key: settings[key] for key in names if key in settings}
    if not extra:
        return _each(node, signal, activation_named(_NAMES.get(kind, kind)))
    return _each(node, signal, Activation(kind, extra=extra))


def of_two(node: Node, *signals: Signal) -> Built:
    """Of two tensors, or of a tensor and a constant on its left or its right."""
    function, kind = _OF_TWO[node.layer.kind], node.layer.kind
    if len(signals) == 2:
        if kind in ("add", "subtract", "multiply", "maximum", "minimum"):
            return merge(node, *signals)
        return on_blocks(node, _quietly(function), *signals)
    left, right = node.layer.settings["left"], node.layer.settings["right"]
    if isinstance(constant_of(node.layer.settings), list):
        return _with_tensor(node, signals[0], _quietly(function))
    if left is not None:
        number = np.float32(left)
        return _each(node, signals[0], _written(lambda x: function(number, x)))
    number = np.float32(right)
    return _each(node, signals[0], _written(lambda x: function(x, number)))


def _with_tensor(node: Node, signal: Signal, function: Callable[..., Any]) -> Built:
    """Of a row and a tensor that is the same for all rows."""
    left = node.layer.settings["left"] is not None
    constant = np.array(constant_of(node.layer.settings), np.float32)
    constant = constant.reshape((1, *constant.shape[constant.ndim - len(node.spec.shape) :]))
    run = (lambda x: function(constant, x)) if left else (lambda x: function(x, constant))
    return on_blocks(node, run, signal)


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*given: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            return function(*given)

    return run


def reduction(node: Node, signal: Signal) -> Built:
    axis, keep = node.layer.settings["axis"], node.layer.settings["keepdims"]
    rank = len(node.given[0].shape) + 1
    axes = tuple(a % rank for a in (axis if isinstance(axis, list) else [axis]))
    function = _REDUCTIONS[node.layer.kind]
    return on_blocks(node, lambda x: function(x, axis=axes, keepdims=keep), signal)


@dataclass(frozen=True, eq=False)
class Numbers:
    """Token ids to vectors of so many numbers, zeros after a row's last id."""

    length: int

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        values = zeros(len(tile.starts), padded(self.length))
        position = np.arange(self.length)
        there = position < tile.stored[:, None]
        if there.any():
            at = np.where(there, tile.starts[:, None] + position, 0)
            values[:, : self.length] = np.where(there, tile.ids[at], 0)
        one = np.ones(len(values), dtype=np.int64)
        return replace(tile, values=values, starts=np.arange(len(values)), stored=one)


def cast(node: Node, signal: Signal) -> Built:
    """To float32, which everything but token ids is here."""
    if signal.kind != "tokens" or signal.look_up is not None:
        return unmasked([], signal)
    if signal.length is None:
        raise refuse(node.layer, "makes numbers of ids only where their number is fixed")
    return [Numbers(signal.length)], Signal("vector", width=signal.length)


def transpose(node: Node, signal: Signal) -> Built:
    axes = node.layer.settings["axes"]
    return on_blocks(node, lambda x: x.transpose(axes), signal)


def flip(node: Node, signal: Signal) -> Built:
    axis, rank = node.layer.settings["axis"], len(node.given[0].shape) + 1
    axes = tuple(a % rank for a in (axis if isinstance(axis, list) else [axis]))
    return on_blocks(node, lambda x: np.flip(x, axes), signal)


def get_item(node: Node, signal: Signal) -> Built:
    key = tuple(parts(node.layer.settings["key"]))
    return on_blocks(node, lambda x: x[key], signal)


def matmul(node: Node, *signals: Signal) -> Built:
    turned = node.layer.settings["transpose_a"], node.layer.settings["transpose_b"]

    def product(*blocks: np.ndarray) -> np.ndarray:
        pairs = zip(blocks, turned, strict=True)
        return batch_products(
            *(np.ascontiguousarray(x.transpose(0, 2, 1)) if turn else x for x, turn in pairs)
        )

    return on_blocks(node, product, *signals)


def one_hot(node: Node, signal: Signal) -> Built:
    """An Embedding whose vectors are 1 at the id and 0 elsewhere; zeros for an id beyond."""
    classes = node.layer.settings["num_classes"]
    if 4 * signal.ids * classes > FOLD_BYTES:
        raise refuse(node.layer, f"makes no vectors of {classes:,} numbers of {signal.ids:,} ids")
    matrix = np.eye(signal.ids, classes, dtype=np.float32)
    look_up = LookUp(matrix, signal.length)
    return [], replace(signal, embedding=matrix, look_up=look_up, width=classes, masked=False)
