"""Activations: functions of every number, or of every vector, by the names that Keras gives them.

Those of the hot paths are compiled (kernels.activate); the others are NumPy's, element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scorer.bundle import Layer
from scorer.engines.cpu.loops import general, kernels
from scorer.engines.cpu.signals import refuse

#: float32 (rows, columns) to the same shape; the settings by keyword
Function = Callable[..., Any]

#: those of kernels.activate, and no activation at all, by their numbers there
_COMPILED = {
    "linear": 0,
    "relu": kernels.RELU,
    "sigmoid": kernels.SIGMOID,
    "tanh": kernels.TANH,
    "softmax": kernels.SOFTMAX,
    "hard_sigmoid": kernels.HARD_SIGMOID,
}


def _elu(x: np.ndarray, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, np.float32(alpha) * np.expm1(np.minimum(x, 0)))


def _selu(x: np.ndarray) -> Any:
    return np.float32(1.0507009873554805) * _elu(x, 1.6732632423543772)


def _celu(x: np.ndarray, alpha: float = 1.0) -> Any:
    return np.maximum(x, 0) + np.float32(alpha) * np.expm1(np.minimum(x, 0) / np.float32(alpha))


def _softplus(x: np.ndarray) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _sigmoid(x: np.ndarray) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, np.float32(1), e) / (1 + e)


def _gelu(x: np.ndarray, approximate: bool = False) -> Any:
    if approximate:
        inner = np.float32(np.sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)
        return np.float32(0.5) * x * (1 + np.tanh(inner))
    out = np.ascontiguousarray(x)
    general.gelu(out.reshape(-1))
    return out


def _hard_sigmoid(x: np.ndarray) -> Any:
    return np.clip(x / np.float32(6) + np.float32(0.5), 0, 1)


def _log_softmax(x: np.ndarray) -> Any:
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def _relu(
    x: np.ndarray,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Any:
    """Keras': x above the threshold, slope * (x - threshold) below, at most max_value."""
    slope, edge = np.float32(negative_slope), np.float32(threshold)
    out = np.where(x >= edge if edge else x > 0, x, slope * (x - edge))
    return out if max_value is None else np.minimum(out, np.float32(max_value))


def _leaky(x: np.ndarray, negative_slope: float = 0.2) -> Any:
    return np.where(x > 0, x, np.float32(negative_slope) * x)


def _squareplus(x: np.ndarray) -> Any:
    return (x + np.sqrt(x * x + 4)) / 2


def _sparse_plus(x: np.ndarray) -> Any:
    return np.where(x <= -1, 0, np.where(x < 1, np.square(x + 1) / 4, x))


def _shrunk(x: np.ndarray) -> Any:
    half = np.float32(0.5)
    return np.where(x > half, x - half, np.where(x < -half, x + half, 0))


def _sparsemax(x: np.ndarray) -> Any:
    """As Keras computes it: its threshold adds up all running sums, not the last one alone."""
    ordered = -np.sort(-x, axis=-1)
    total = np.cumsum(ordered, axis=-1)
    place = np.arange(1, x.shape[-1] + 1, dtype=np.float32)
    kept = ordered - (total - 1) / place > 0
    count = kept.sum(axis=-1, keepdims=True, dtype=np.float32)
    edge = (np.where(kept, total, 0).sum(axis=-1, keepdims=True) - 1) / count
    return np.maximum(x - edge, 0)


_FUNCTIONS: Mapping[str, Function] = {
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "silu": lambda x: x * _sigmoid(x),
    "swish": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "exponential": np.exp,
    "relu": _relu,
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": _leaky,
    "hard_silu": lambda x: x * _hard_sigmoid(x),
    "hard_swish": lambda x: x * _hard_sigmoid(x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x: np.where(np.abs(x) > np.float32(0.5), x, 0),
    "soft_shrink": _shrunk,
    "tanh_shrink": lambda x: x - np.tanh(x),
    "log_sigmoid": lambda x: -_softplus(-x),
    "log_softmax": _log_softmax,
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "sparse_plus": _sparse_plus,
    "squareplus": _squareplus,
    "sparsemax": _sparsemax,
}
_RELU = {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}


@dataclass(frozen=True)
class Activation:
    """An activation ready to run.

    name    Keras' own
    kind    its number among the compiled ones; 0 for linear and for those of NumPy
    extra   the settings of a NumPy one
    """

    name: str
    kind: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keeps_order(self) -> bool:
        """A greater number never gives a smaller one, and it is compiled or nothing at all."""
        return self.name in ("linear", "relu") and not self.extra

    def __call__(self, values: np.ndarray, columns: int) -> None:
        """Change the first `columns` of float32 (rows, ld) in place."""
        if self.kind:
            kernels.activate(values, columns, self.kind)
        elif self.name != "linear" or self.extra:
            with np.errstate(all="ignore"):
                # A contiguous copy, so that all rows go through one and the same loop.
                x = np.ascontiguousarray(values[:, :columns])
                values[:, :columns] = _FUNCTIONS[self.name](x, **self.extra)


def activation_of(layer: Layer) -> Activation:
    """What a layer ends with. Raises UnsupportedModel where this engine lacks it."""
    name = layer.settings["activation"]
    if name not in _FUNCTIONS and name not in _COMPILED:
        raise refuse(layer, f"lacks the activation {name!r}")
    return activation_named(name)


def activation_named(name: str) -> Activation:
    """The activation that Keras has under a known name."""
    return Activation(name, _COMPILED.get(name, 0))


def relu_of(settings: Mapping[str, Any]) -> Activation:
    """The ReLU layer's, whose settings are mostly Keras' defaults."""
    extra = {name: settings[name] for name in _RELU}
    return Activation("relu", _COMPILED["relu"]) if extra == _RELU else Activation("relu", 0, extra)
