"""Layers that move, repeat or leave out what comes in, and compute nothing; and masks of values."""

from __future__ import annotations

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.signals import Built, Signal
from scorer.engines.cpu.steps.blocks import on_blocks


def shaped(node: Node, signal: Signal) -> Built:
    """Flatten, Reshape, and the operations that only name dimensions anew."""
    if signal.kind == "vector" and node.spec.shape == (signal.width,):
        return [], signal
    if signal.kind == "sequence" and signal.length == 1 and node.spec.shape == (signal.width,):
        return [], Signal("vector", width=signal.width)  # one position is stored of each row
    shape = node.spec.shape

    def function(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), *(x.shape[1] if n is None else n for n in shape))

    return on_blocks(node, function, signal)


def permute(node: Node, signal: Signal) -> Built:
    order = 0, *node.layer.settings["dims"]
    return on_blocks(node, lambda x: x.transpose(order), signal)


def repeat_vector(node: Node, signal: Signal) -> Built:
    count = node.layer.settings["n"]
    return on_blocks(node, lambda x: np.repeat(x[:, None], count, axis=1), signal)


def zero_padding(node: Node, signal: Signal) -> Built:
    edges = (0, 0), tuple(node.layer.settings["padding"]), (0, 0)
    return on_blocks(node, lambda x: np.pad(x, edges), signal)


def cropping(node: Node, signal: Signal) -> Built:
    left, right = node.layer.settings["cropping"]
    return on_blocks(node, lambda x: x[:, left : x.shape[1] - right], signal)


def upsampling(node: Node, signal: Signal) -> Built:
    count = node.layer.settings["size"]
    return on_blocks(node, lambda x: np.repeat(x, count, axis=1), signal)


def softmax(node: Node, signal: Signal) -> Built:
    """Softmax over any dimensions of a row."""
    axis, rank = node.layer.settings["axis"], len(node.given[0].shape)
    axes = axis if isinstance(axis, list) else [axis]
    places = tuple(a if a > 0 else a + rank + 1 for a in axes)

    def function(x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(axis=places, keepdims=True))
        out: np.ndarray = e / e.sum(axis=places, keepdims=True)
        return out

    return on_blocks(node, function, signal)


def prelu(node: Node, signal: Signal) -> Built:
    """Slopes that training found for what is below 0."""
    slopes = node.layer.weights[0]

    def function(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, x * slopes)

    return on_blocks(node, function, signal)
