"""Convolutions and pooling as ONNX nodes, which have their channels before the positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scorer.bundle import Node
from scorer.export.activations import activated
from scorer.export.graph import Graph, Writer, refuse
from scorer.layers.spec import Content


def _edges(
    node: Node, taps: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """How many positions are added before each dimension, then after each."""
    padding, before, after = node.layer.settings["padding"], [], []
    for n, (tap, stride, dilation) in enumerate(zip(taps, strides, dilations, strict=True)):
        length, reach = node.given[0].shape[n] or 0, (tap - 1) * dilation
        missing = 0
        if padding == "same":
            missing = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
        before.append(reach if padding == "causal" else missing // 2)
        after.append(missing - missing // 2)
    return [*before, *after]


def _channels_first(graph: Graph, rank: int, value: str) -> str:
    return graph.node("Transpose", value, perm=[0, rank + 1, *range(1, rank + 1)])


def _channels_last(graph: Graph, rank: int, value: str) -> str:
    return graph.node("Transpose", value, perm=[0, *range(2, rank + 2), 1])


def _convolved(
    graph: Graph,
    node: Node,
    value: str,
    kernel: np.ndarray,
    bias: Sequence[np.ndarray],
    groups: int,
) -> str:
    """kernel: its taps, what a group reads, filters."""
    settings, rank = node.layer.settings, kernel.ndim - 2
    strides, dilations = settings["strides"], settings["dilation_rate"]
    out = graph.node(
        "Conv",
        _channels_first(graph, rank, value),
        graph.constant(np.moveaxis(kernel, (-1, -2), (0, 1))),
        *(graph.constant(b) for b in bias),
        pads=_edges(node, kernel.shape[:rank], strides, dilations),
        strides=strides,
        dilations=dilations,
        group=groups,
    )
    return _channels_last(graph, rank, out)


def _convolution(graph: Graph, node: Node, value: str) -> str:
    kernel, *bias = node.layer.weights
    groups = node.layer.settings.get("groups", 1)
    return activated(graph, node, _convolved(graph, node, value, kernel, bias, groups))


def _depthwise(graph: Graph, node: Node, value: str) -> str:
    kernel, *bias = node.layer.weights
    return activated(graph, node, _by_column(graph, node, value, kernel, bias))


def _by_column(
    graph: Graph, node: Node, value: str, kernel: np.ndarray, bias: Sequence[np.ndarray]
) -> str:
    taps, width, depth = kernel.shape
    alone = kernel.reshape(taps, 1, width * depth)
    return _convolved(graph, node, value, alone, bias, width)


def _separable(graph: Graph, node: Node, value: str) -> str:
    depthwise, pointwise, *bias = node.layer.weights
    out = _by_column(graph, node, value, depthwise, ())
    out = graph.node("MatMul", out, graph.constant(pointwise[0]))
    for each in bias:
        out = graph.node("Add", out, graph.constant(each))
    return activated(graph, node, out)


def _pool(operator: str) -> Writer:
    def write(graph: Graph, node: Node, value: str) -> str:
        taps, strides = node.layer.settings["pool_size"], node.layer.settings["strides"]
        rank = len(taps)
        more = {"count_include_pad": 0} if operator == "AveragePool" else {}
        out = graph.node(
            operator,
            _channels_first(graph, rank, value),
            kernel_shape=taps,
            strides=strides,
            pads=_edges(node, taps, strides, [1] * rank),
            **more,
        )
        return _channels_last(graph, rank, out)

    return write


def _global_max(graph: Graph, node: Node, value: str) -> str:
    """ONNX' LSTM gives zeros at the padding, which change no maximum of rectified states."""
    given, rank = node.given[0], len(node.given[0].shape) - 1
    rectified = given.padding is not None and given.padding.content is Content.RECTIFIED
    if given.masked and given.open and not rectified:
        raise refuse(node, "max pooling over masked rows is not written to ONNX")
    return graph.node("ReduceMax", value, graph.whole(*range(1, rank + 1)), keepdims=_keeps(node))


def _keeps(node: Node) -> int:
    return int(node.layer.settings.get("keepdims", False))


def _global_average(graph: Graph, node: Node, value: str) -> str:
    mask, rank = graph.mask(node.given[0]), len(node.given[0].shape) - 1
    if mask is None:
        axes = graph.whole(*range(1, rank + 1))
        return graph.node("ReduceMean", value, axes, keepdims=_keeps(node))
    kept = graph.node("Cast", mask, to=graph.onnx.TensorProto.FLOAT)
    kept = graph.node("Unsqueeze", kept, graph.whole(2))
    axis, keep = graph.whole(1), _keeps(node)
    total = graph.node("ReduceSum", graph.node("Mul", value, kept), axis, keepdims=keep)
    return graph.node("Div", total, graph.node("ReduceSum", kept, axis, keepdims=keep))


WINDOWS: dict[str, Writer] = {
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "DepthwiseConv1D": _depthwise,
    "SeparableConv1D": _separable,
    "MaxPooling1D": _pool("MaxPool"),
    "MaxPooling2D": _pool("MaxPool"),
    "AveragePooling1D": _pool("AveragePool"),
    "AveragePooling2D": _pool("AveragePool"),
    "GlobalMaxPooling1D": _global_max,
    "GlobalMaxPooling2D": _global_max,
    "GlobalAveragePooling1D": _global_average,
    "GlobalAveragePooling2D": _global_average,
}
