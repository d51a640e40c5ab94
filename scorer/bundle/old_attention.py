"""Keras 2's MultiHeadAttention where a mask leaves a query nothing: the same answers from Keras 3.

Keras 2 then takes the mean of all values. So does Keras 3 without dropout; with it, another softmax
gives zeros. So a layer of Keras 2 keeps its answers without its dropout, which training alone uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from scorer.bundle.network import Layer, Node


def without_dropout(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes of a model of Keras 2, their attention as Keras 3 computes it without dropout."""
    changed: dict[int, Layer] = {}
    result = []
    for node in nodes:
        layer = changed.setdefault(id(node.layer), _changed(node.layer))
        result.append(replace(node, layer=layer))
    return tuple(result)


def _changed(layer: Layer) -> Layer:
    if layer.kind != "MultiHeadAttention":
        return layer
    return replace(layer, settings={**layer.settings, "dropout": 0.0})
