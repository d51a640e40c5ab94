"""Keras 2's MultiHeadAttention where a mask leaves a query nothing: the same answers from Keras 3.

Keras 2 then takes the mean of all values. So does Keras 3 without dropout; with it, another softmax
gives zeros. So a layer of Keras 2 keeps its answers without its dropout, which training alone uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from scorer.bundle.network import Layer, Node, with_layers


def without_dropout(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes of a model of Keras 2, their attention as Keras 3 computes it without dropout."""
    return with_layers(nodes, _changed)


def _changed(layer: Layer) -> Layer:
    if layer.kind != "MultiHeadAttention":
        return layer
    return replace(layer, settings={**layer.settings, "dropout": 0.0})
