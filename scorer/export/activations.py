"""Activations and functions of single numbers as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.export.graph import Graph, Writer, refuse

#: functions that are one operator, with its attributes
_ONE: Mapping[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "celu": ("Celu", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.0}),
    "soft_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}),
    "exponential": ("Exp", {}),
    "exp": ("Exp", {}),
    "negative": ("Neg", {}),
    "absolute": ("Abs", {}),
    "sqrt": ("Sqrt", {}),
}


def _gelu(graph: Graph, x: str, approximate: bool = False) -> str:
    if approximate:
        cube = graph.node("Mul", graph.node("Mul", x, x), x)
        inner = graph.node("Add", x, graph.node("Mul", cube, graph.number(0.044715)))
        inner = graph.node("Mul", inner, graph.number(float(np.sqrt(2 / np.pi))))
        bent = graph.node("Tanh", inner)
    else:
        bent = graph.node("Erf", graph.node("Mul", x, graph.number(float(np.sqrt(0.5)))))
    half = graph.node("Mul", x, graph.number(0.5))
    return graph.node("Mul", half, graph.node("Add", bent, graph.number(1)))


def clipped(graph: Graph, x: str, low: float, high: float) -> str:
    return graph.node("Clip", x, graph.number(low), graph.number(high))


def _times(function: str) -> Callable[[Graph, str], str]:
    return lambda graph, x: graph.node("Mul", x, written(graph, function, x))


def _squareplus(graph: Graph, x: str) -> str:
    root = graph.node("Sqrt", graph.node("Add", graph.node("Mul", x, x), graph.number(4)))
    return graph.node("Mul", graph.node("Add", x, root), graph.number(0.5))


def _sparse_sigmoid(graph: Graph, x: str) -> str:
    half = graph.node("Mul", graph.node("Add", x, graph.number(1)), graph.number(0.5))
    return clipped(graph, half, 0, 1)


def _sparse_plus(graph: Graph, x: str) -> str:
    """(c + 1)^2 / 4 of x held within -1 and 1, and all of x that is above 1."""
    near = graph.node("Add", clipped(graph, x, -1, 1), graph.number(1))
    bent = graph.node("Mul", graph.node("Mul", near, near), graph.number(0.25))
    above = graph.node("Relu", graph.node("Sub", x, graph.number(1)))
    return graph.node("Add", bent, above)


_MANY: Mapping[str, Callable[[Graph, str], str]] = {
    "gelu": _gelu,
    "silu": _times("sigmoid"),
    "swish": _times("sigmoid"),
    "hard_silu": _times("hard_sigmoid"),
    "hard_swish": _times("hard_sigmoid"),
    "mish": lambda g, x: g.node("Mul", x, g.node("Tanh", g.node("Softplus", x))),
    "relu6": lambda g, x: clipped(g, x, 0, 6),
    "hard_tanh": lambda g, x: clipped(g, x, -1, 1),
    "tanh_shrink": lambda g, x: g.node("Sub", x, g.node("Tanh", x)),
    "log_sigmoid": lambda g, x: g.node("Neg", g.node("Softplus", g.node("Neg", x))),
    "square": lambda g, x: g.node("Mul", x, x),
    "squareplus": _squareplus,
    "sparse_sigmoid": _sparse_sigmoid,
    "sparse_plus": _sparse_plus,
}


def written(graph: Graph, name: str, value: str) -> str:
    """A function that is known by name."""
    if name in _MANY:
        return _MANY[name](graph, value)
    operator, attributes = _ONE[name]
    return graph.node(operator, value, **attributes)


def activated(graph: Graph, node: Node, value: str) -> str:
    """What a layer ends with."""
    name = node.layer.settings["activation"]
    if name == "linear":
        return value
    if name not in _MANY and name not in _ONE:
        raise refuse(node, f"the activation {name!r} is not written to ONNX")
    return written(graph, name, value)


def _elementwise(graph: Graph, node: Node, value: str) -> str:
    kind, settings = node.layer.kind, node.layer.settings
    if kind == "gelu":
        return _gelu(graph, value, settings["approximate"])
    if kind == "elu":
        return graph.node("Elu", value, alpha=float(settings["alpha"]))
    return written(graph, kind, value)


def _relu(graph: Graph, node: Node, value: str) -> str:
    """x above the threshold, slope * (x - threshold) below, at most max_value."""
    settings = node.layer.settings
    slope, edge = float(settings["negative_slope"]), float(settings["threshold"])
    if not slope and not edge:
        out = graph.node("Relu", value)
    elif not edge:
        out = graph.node("LeakyRelu", value, alpha=slope)
    else:
        below = graph.node("Sub", value, graph.number(edge))
        below = graph.node("Mul", below, graph.number(slope))
        above = graph.node("GreaterOrEqual", value, graph.number(edge))
        out = graph.node("Where", above, value, below)
    most = settings["max_value"]
    return out if most is None else graph.node("Min", out, graph.number(float(most)))


def _leaky(graph: Graph, node: Node, value: str) -> str:
    return graph.node("LeakyRelu", value, alpha=float(node.layer.settings["negative_slope"]))


def _elu(graph: Graph, node: Node, value: str) -> str:
    return graph.node("Elu", value, alpha=float(node.layer.settings["alpha"]))


def _prelu(graph: Graph, node: Node, value: str) -> str:
    return graph.node("PRelu", value, graph.constant(node.layer.weights[0][None]))


def _softmax(graph: Graph, node: Node, value: str) -> str:
    axis = node.layer.settings.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if isinstance(axis, list):
        raise refuse(node, "a softmax over several dimensions is not written to ONNX")
    return graph.node("Softmax", value, axis=axis)


def _activation(graph: Graph, node: Node, value: str) -> str:
    return activated(graph, node, value)


ACTIVATIONS: dict[str, Writer] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky,
    "ELU": _elu,
    "PReLU": _prelu,
    "Softmax": _softmax,
    **dict.fromkeys(
        (
            "negative absolute exp sqrt square tanh sigmoid relu silu softplus selu relu6 softsign "
            "log_sigmoid hard_sigmoid hard_silu elu gelu"
        ).split(),
        _elementwise,
    ),
    "softmax": _softmax,
}
