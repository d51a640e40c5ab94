"""Layers that move, join, scale and norm what comes in, and operations, as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.export.graph import Graph, Writer, refuse
from scorer.layers.operations import parts


def _same(graph: Graph, node: Node, value: str) -> str:
    """Layers that do nothing here."""
    return value


def _cast(graph: Graph, node: Node, value: str) -> str:
    """Ids become floats, which all other numbers are already."""
    if node.given[0].dtype == "ids":
        return graph.node("Cast", value, to=graph.onnx.TensorProto.FLOAT)
    return value


def _rescaled(graph: Graph, node: Node, value: str) -> str:
    scale, offset = (float(node.layer.settings[key]) for key in ("scale", "offset"))
    if scale != 1:
        value = graph.node("Mul", value, graph.number(scale))
    return graph.node("Add", value, graph.number(offset)) if offset else value


def _unit(graph: Graph, node: Node, value: str) -> str:
    return graph.node("LpNormalization", value, axis=-1, p=2)


def _along(axes: Sequence[int], numbers: np.ndarray, rank: int) -> np.ndarray:
    """Numbers for each place along some axes, so that they meet a tensor's."""
    places = sorted(axis % (rank + 1) for axis in axes)
    sizes = iter(np.shape(numbers))
    shape = [next(sizes, 1) if place in places else 1 for place in range(1, rank + 1)]
    return np.asarray(numbers, np.float32).reshape(shape)


def _batch_normalization(graph: Graph, node: Node, value: str) -> str:
    settings, weights = node.layer.settings, list(node.layer.weights)
    gamma = weights.pop(0) if settings["scale"] else np.float32(1)
    beta = weights.pop(0) if settings["center"] else None
    mean, variance = weights
    scale = gamma / np.sqrt(variance.astype(np.float64) + settings["epsilon"])
    axes, rank = [settings["axis"]], len(node.given[0].shape)
    out = graph.node("Sub", value, graph.constant(_along(axes, mean, rank)))
    out = graph.node("Mul", out, graph.constant(_along(axes, scale, rank)))
    return out if beta is None else graph.node("Add", out, graph.constant(_along(axes, beta, rank)))


def _layer_normalization(graph: Graph, node: Node, value: str) -> str:
    settings, weights = node.layer.settings, list(node.layer.weights)
    rank, axes = len(node.given[0].shape), settings["axis"]
    places = [axis % (rank + 1) for axis in (axes if isinstance(axes, list) else [axes])]
    if places != list(range(places[0], rank + 1)):
        raise refuse(node, "a norm over other than the last dimensions is not written to ONNX")
    shape = [node.given[0].shape[place - 1] or 0 for place in places]
    gamma = weights.pop(0) if settings["scale"] else np.ones(shape, np.float32)
    beta = weights.pop(0) if settings["center"] else np.zeros(shape, np.float32)
    ends = graph.constant(gamma), graph.constant(beta)
    epsilon = float(settings["epsilon"])
    return graph.node("LayerNormalization", value, *ends, axis=places[0], epsilon=epsilon)


def _rms_normalization(graph: Graph, node: Node, value: str) -> str:
    if node.layer.settings["axis"] not in (-1, [-1], len(node.given[0].shape)):
        raise refuse(node, "a norm over other than the last dimension is not written to ONNX")
    square = graph.node("Mul", value, value)
    square = graph.node("ReduceMean", square, graph.whole(-1), keepdims=1)
    square = graph.node("Add", square, graph.number(float(node.layer.settings["epsilon"])))
    out = graph.node("Div", value, graph.node("Sqrt", square))
    return graph.node("Mul", out, graph.constant(node.layer.weights[0]))


def _normalization(graph: Graph, node: Node, value: str) -> str:
    settings, weights = node.layer.settings, node.layer.weights
    mean, variance = weights[:2] or (settings["mean"], settings["variance"])
    axes, rank = settings["axis"], len(node.given[0].shape)
    axes = [] if axes is None else axes if isinstance(axes, list) else [axes]
    deviation = np.maximum(np.sqrt(np.asarray(variance, np.float64)), 1e-7)
    middle, wide = (graph.constant(_along(axes, part, rank)) for part in (mean, deviation))
    if settings["invert"]:
        return graph.node("Add", graph.node("Mul", value, wide), middle)
    return graph.node("Div", graph.node("Sub", value, middle), wide)


def _shaped(graph: Graph, node: Node, value: str) -> str:
    """Flatten, Reshape and operations that name dimensions anew. 0 stands for what is there."""
    shape = [-1 if n is None else n for n in node.spec.shape]
    return graph.node("Reshape", value, graph.whole(0, *shape))


def _moved(key: str) -> Writer:
    """Permute, and transpose, which counts the batch too."""

    def write(graph: Graph, node: Node, value: str) -> str:
        order = node.layer.settings[key]
        return graph.node("Transpose", value, perm=order if order[0] == 0 else [0, *order])

    return write


def _repeat_vector(graph: Graph, node: Node, value: str) -> str:
    one = graph.node("Unsqueeze", value, graph.whole(1))
    return graph.node("Tile", one, graph.whole(1, node.layer.settings["n"], 1))


def _zero_padding(graph: Graph, node: Node, value: str) -> str:
    left, right = node.layer.settings["padding"]
    return graph.node("Pad", value, graph.whole(0, left, 0, 0, right, 0))


def _cropping(graph: Graph, node: Node, value: str) -> str:
    left, right = node.layer.settings["cropping"]
    length = node.given[0].shape[1 - 1] or 0
    ends = graph.whole(left), graph.whole(length - right), graph.whole(1)
    return graph.node("Slice", value, *ends)


def _upsampling(graph: Graph, node: Node, value: str) -> str:
    length, width = node.given[0].shape
    count = node.layer.settings["size"]
    apart = graph.node("Unsqueeze", value, graph.whole(2))
    apart = graph.node("Tile", apart, graph.whole(1, 1, count, 1))
    return graph.node("Reshape", apart, graph.whole(0, (length or 0) * count, width or 0))


def _concatenate(graph: Graph, node: Node, *values: str) -> str:
    return graph.node("Concat", *values, axis=node.layer.settings["axis"])


def _combined(op: str) -> Writer:
    """An operator of two values, or of as many as there are; missing dimensions come first."""

    def write(graph: Graph, node: Node, *values: str) -> str:
        _refuse_masks(node)
        rank = max(len(given.shape) for given in node.given)
        missing = [range(1, rank - len(given.shape) + 1) for given in node.given]
        wide = [
            graph.node("Unsqueeze", value, graph.whole(*axes)) if len(axes) else value
            for value, axes in zip(values, missing, strict=True)
        ]
        if op not in ("Sub", "Mul"):
            return graph.node(op, *wide)
        first, *others = wide
        for other in others:
            first = graph.node(op, first, other)
        return first

    return write


def _refuse_masks(node: Node) -> None:
    """Keras looks at the masks of products and extremes, which nothing else in the graph reads."""
    fixed = any(given.masked and None not in given.shape for given in node.given)
    if fixed and node.layer.kind in ("Multiply", "Maximum", "Minimum"):
        raise refuse(node, "of masked sequences of fixed length it is not written to ONNX")


_OF_TWO = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "true_divide": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "power": "Pow",
}


def _of_two(graph: Graph, node: Node, *values: str) -> str:
    """Of two tensors, or of a tensor and a constant."""
    left, right = node.layer.settings["left"], node.layer.settings["right"]
    given = list(values)
    if left is not None:
        given.insert(0, _constant(graph, left))
    elif right is not None:
        given.append(_constant(graph, right))
    return graph.node(_OF_TWO[node.layer.kind], *given)


def _constant(graph: Graph, value: Any) -> str:
    """A number, or a tensor that nested lists hold."""
    return graph.constant(np.array(value, np.float32))


_REDUCED = {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "sum": "ReduceSum"}


def _reduced(graph: Graph, node: Node, value: str) -> str:
    axis, keep = node.layer.settings["axis"], int(node.layer.settings["keepdims"])
    axes = axis if isinstance(axis, list) else [axis]
    return graph.node(_REDUCED[node.layer.kind], value, graph.whole(*axes), keepdims=keep)


def _taken(graph: Graph, node: Node, value: str) -> str:
    """One step for each dimension, the last first, so that earlier ones keep their numbers."""
    for axis, part in reversed(list(enumerate(parts(node.layer.settings["key"])))):
        if isinstance(part, int):
            number = graph.constant(np.array(part, np.int64))
            value = graph.node("Gather", value, number, axis=axis)
        elif part != slice(None):
            start, stop, step = part.indices(node.given[0].shape[axis - 1] or 0)
            stop = stop if stop >= 0 else -(1 << 62)
            bounds = (graph.whole(each) for each in (start, stop, axis, step))
            value = graph.node("Slice", value, *bounds)
    return value


def _dot(graph: Graph, node: Node, first: str, second: str) -> str:
    """One of two axes is the last of the first tensor, the other the one before of the second."""
    axes, ranks = node.layer.settings["axes"], [len(given.shape) for given in node.given]
    pairs = zip(axes if isinstance(axes, list) else [axes, axes], ranks, strict=True)
    places = [axis % (rank + 1) for axis, rank in pairs]
    values = []
    for value, place, rank, last in zip((first, second), places, ranks, (True, False), strict=True):
        if node.layer.settings["normalize"]:
            value = graph.node("LpNormalization", value, axis=place, p=2)
        if rank == 1:
            value = graph.node("Unsqueeze", value, graph.whole(1 if last else 2))
        elif place != (2 if last else 1):
            value = graph.node("Transpose", value, perm=[0, 2, 1])
        values.append(value)
    return _shaped(graph, node, graph.node("MatMul", *values))


def _matmul(graph: Graph, node: Node, first: str, second: str) -> str:
    settings = node.layer.settings
    first, second = (
        graph.node("Transpose", value, perm=[0, 2, 1]) if turn else value
        for value, turn in ((first, settings["transpose_a"]), (second, settings["transpose_b"]))
    )
    return graph.node("MatMul", first, second)


def _one_hot(graph: Graph, node: Node, value: str) -> str:
    table = graph.constant(np.array([0, 1], np.float32))
    depth = graph.constant(np.array(node.layer.settings["num_classes"], np.int64))
    return graph.node("OneHot", value, depth, table)


SHAPES: dict[str, Writer] = {
    "Identity": _same,
    "cast": _cast,
    "Rescaling": _rescaled,
    "UnitNormalization": _unit,
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _rms_normalization,
    "Normalization": _normalization,
    **dict.fromkeys(("Flatten", "Reshape", "reshape", "expand_dims", "squeeze"), _shaped),
    "Permute": _moved("dims"),
    "transpose": _moved("axes"),
    "RepeatVector": _repeat_vector,
    "ZeroPadding1D": _zero_padding,
    "Cropping1D": _cropping,
    "UpSampling1D": _upsampling,
    "Concatenate": _concatenate,
    "concatenate": _concatenate,
    "Add": _combined("Sum"),
    "Subtract": _combined("Sub"),
    "Multiply": _combined("Mul"),
    "Average": _combined("Mean"),
    "Maximum": _combined("Max"),
    "Minimum": _combined("Min"),
    "Dot": _dot,
    **dict.fromkeys(_OF_TWO, _of_two),
    **dict.fromkeys(("mean", "max", "min", "sum"), _reduced),
    "get_item": _taken,
    "matmul": _matmul,
    "one_hot": _one_hot,
}
