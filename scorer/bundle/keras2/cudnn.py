"""CuDNNLSTM and CuDNNGRU of Keras 2 as LSTM and GRU, which compute the same of other weights.

An `.h5` file keeps their kernels as NVIDIA's library wants them: each gate's transposed, and with a
bias for the input and one for the state. The rules are those by which Keras 2 itself loads such a
file into an LSTM or a GRU (keras/saving/hdf5_format.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scorer.layers.spec import Shape

#: class -> the layer that computes the same, and the settings that it then has
LAYERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "CuDNNLSTM": (
        "LSTM",
        {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True},
    ),
    "CuDNNGRU": (
        "GRU",
        {
            "activation": "tanh",
            "recurrent_activation": "sigmoid",
            "use_bias": True,
            "reset_after": True,
        },
    ),
}


def stored_bias(shape: Shape) -> Shape:
    """The shape of the bias that such a layer keeps for one of `shape`."""
    return (2 * shape[0],) if len(shape) == 1 else (shape[0] * shape[1],)


def converted(cell: Sequence[np.ndarray], bias: Shape) -> tuple[np.ndarray, ...]:
    """Kernel, recurrent kernel and bias of an LSTM or a GRU, whose bias has the shape `bias`."""
    kernel, recurrent, both = cell
    gates = recurrent.shape[1] // recurrent.shape[0]
    return (
        _by_gate(kernel, gates, lambda gate: gate.T.reshape(gate.shape, order="F")),
        _by_gate(recurrent, gates, lambda gate: gate.T),
        both.reshape(2, -1) if len(bias) == 2 else both.reshape(2, -1).sum(axis=0),
    )


def _by_gate(
    kernel: np.ndarray, gates: int, change: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    return np.ascontiguousarray(np.hstack([change(gate) for gate in np.hsplit(kernel, gates)]))
