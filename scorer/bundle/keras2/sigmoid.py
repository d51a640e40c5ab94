"""Keras 2's hard_sigmoid, which is not Keras 3's: the same answers from other weights.

Keras 2 computes clip(0.2 x + 0.5, 0, 1), Keras 3 clip(x / 6 + 0.5, 0, 1). So Keras 3's function of
1.2 x is Keras 2's of x, and a layer of Keras 2 keeps its answers where all that feeds the function
is 1.2 times as large: kernels and biases of a Dense, the columns of an LSTM's gates. Keras before
2.3 took this function for the gates of every LSTM and GRU that named none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from scorer.bundle.network import Layer, Node, with_layers
from scorer.errors import UnsupportedModel
from scorer.layers.spec import LayerSpec

NAME = "hard_sigmoid"
_FACTOR = np.float32(1.2)
#: which of a cell's gates, side by side in its weights, go through `recurrent_activation`, and
#: which through `activation` alone; None: `activation` is used elsewhere too
_GATES: dict[str, tuple[tuple[bool, ...], tuple[bool, ...] | None]] = {
    "LSTM": ((True, True, False, True), None),
    "GRU": ((True, True, False), (False, False, True)),
    "SimpleRNN": ((False,), (True,)),
}
#: layers whose weights all feed their activation, by their last dimension
_WHOLE = ("Dense", "Conv1D", "Conv2D")


def of_keras_2(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes of a model of Keras 2, with the weights that keep its answers.

    Raises UnsupportedModel for a layer that uses the function where no weights feed it.
    """
    return with_layers(nodes, _changed)


def _changed(layer: Layer) -> Layer:
    inner: LayerSpec = layer.settings.get("layer", layer)
    uses = [
        key for key in ("activation", "recurrent_activation") if inner.settings.get(key) == NAME
    ]
    if not uses:
        return layer
    if inner.kind in _WHOLE:
        return replace(layer, weights=tuple(w * _FACTOR for w in layer.weights))
    gates = _gates(inner, uses)
    if gates is None:
        raise UnsupportedModel(
            f"layer {layer.name} ({layer.kind}): hard_sigmoid of Keras 2 is another function than "
            "hard_sigmoid of Keras 3: load the model in Keras 3 and save it again"
        )
    return replace(layer, weights=tuple(_scaled(w, gates) for w in layer.weights))


def _gates(inner: LayerSpec, uses: list[str]) -> np.ndarray | None:
    """bool (gates,), those that go through the function; None where something else does too."""
    if inner.kind not in _GATES:
        return None
    recurrent, own = _GATES[inner.kind]
    gates = np.zeros(len(recurrent), np.bool_)
    if "recurrent_activation" in uses:
        gates |= np.array(recurrent)
    if "activation" in uses:
        if own is None:
            return None
        gates |= np.array(own)
    return gates


def _scaled(weight: np.ndarray, gates: np.ndarray) -> np.ndarray:
    """A cell's weight, (..., gates * units), with the columns of those gates 1.2 times as large."""
    units = weight.shape[-1] // len(gates)
    factors = np.where(np.repeat(gates, units), _FACTOR, np.float32(1))
    return weight * factors
