"""How each Keras layer is written as ONNX nodes; and why some are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scorer.bundle import LayerSpec, Node
from scorer.errors import UnsupportedModel
from scorer.layers import KINDS, TRAINING_ONLY
from scorer.layers.spec import Content

_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softmax": "Softmax"}


@dataclass
class Graph:
    """Nodes and weights while the network is walked.

    lengths, ids  for each of the network's inputs, the names of the graph's that hold them
    """

    onnx: Any
    lengths: dict[str, str]
    ids: dict[str, str]
    used: set[str] = field(default_factory=set)
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Append a node; returns its last output, which is the one wanted everywhere here."""
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), names, **attributes))
        return names[-1]

    def activated(self, node: Node, value: str) -> str:
        kind = node.layer.settings["activation"]
        if kind != "linear" and kind not in _ACTIVATIONS:
            raise refuse(node, f"the activation {kind!r} is not written to ONNX yet")
        return value if kind == "linear" else self.node(_ACTIVATIONS[kind], value)

    def tokens_of(self, node: Node) -> str | None:
        """Where a node's first input is masked, the name of how many tokens each row has."""
        padding = node.given[0].padding
        if padding is None or not padding.masked:
            return None
        self.used.add(self.lengths[padding.source])
        return self.lengths[padding.source]


#: the graph, the annotated node and the values that it reads, to the value that it makes
Writer = Callable[..., str]


def refuse(node: Node, why: str) -> UnsupportedModel:
    """The error for a layer that is not written; raise it."""
    return UnsupportedModel(f"layer {node.layer.name} ({node.layer.kind}): {why}")


def _embedding(graph: Graph, node: Node, value: str) -> str:
    return graph.node("Gather", graph.constant(node.layer.weights[0]), value)


def _dense(graph: Graph, node: Node, value: str) -> str:
    kernel, *bias = node.layer.weights
    value = graph.node("MatMul", value, graph.constant(kernel))
    if bias:
        value = graph.node("Add", value, graph.constant(bias[0]))
    return graph.activated(node, value)


def _activation(graph: Graph, node: Node, value: str) -> str:
    return graph.activated(node, value)


def _relu(graph: Graph, node: Node, value: str) -> str:
    settings = node.layer.settings
    if settings["max_value"] is not None or settings["negative_slope"] or settings["threshold"]:
        raise refuse(node, "only max(x, 0) is written to ONNX yet")
    return graph.node("Relu", value)


@dataclass(frozen=True)
class _Operator:
    """ONNX' own for a recurrent layer.

    name    of the operator
    order   where its gates stand among Keras'
    """

    name: str
    order: tuple[int, ...]


_OPERATORS = {
    "LSTM": _Operator("LSTM", (0, 3, 1, 2)),  # i f g o, as i o f g
    "GRU": _Operator("GRU", (0, 1, 2)),
    "SimpleRNN": _Operator("RNN", (0,)),
}
_RECURRENT_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


def _recurrent_weights(operator: _Operator, weights: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Keras' (kernel, recurrent, bias), gates in columns, as ONNX' rows; its bias has two parts."""

    def reorder(matrix: np.ndarray) -> np.ndarray:
        gates = np.split(matrix.T, len(operator.order))
        return np.concatenate([gates[i] for i in operator.order])

    kernel, recurrent, *rest = weights
    bias = np.zeros((2, kernel.shape[1]), np.float32)
    if rest:
        bias[: rest[0].ndim] = rest[0]
    return [reorder(kernel), reorder(recurrent), np.concatenate([reorder(b) for b in bias])]


def _recurrent(graph: Graph, node: Node, value: str) -> str:
    """LSTM, GRU and SimpleRNN."""
    direction = "reverse" if node.layer.settings["go_backwards"] else "forward"
    all_states, last = _states(graph, node, node.layer, [node.layer.weights], direction, value)
    if not node.layer.settings["return_sequences"]:
        return graph.node("Squeeze", last, graph.constant(np.zeros(1, np.int64)))
    if direction == "reverse":
        raise refuse(node, "go_backwards with return_sequences is not written to ONNX")
    one = graph.node("Squeeze", all_states, graph.constant(np.ones(1, np.int64)))
    return graph.node("Transpose", one, perm=[1, 0, 2])


def _bidirectional(graph: Graph, node: Node, value: str) -> str:
    inner, merge = node.layer.settings["layer"], node.layer.settings["merge_mode"]
    if inner.settings["go_backwards"]:
        raise refuse(node, "a forward layer that goes backwards is not written to ONNX")
    half = len(node.layer.weights) // 2
    both = [node.layer.weights[:half], node.layer.weights[half:]]
    all_states, last = _states(graph, node, inner, both, "bidirectional", value)
    sequences = inner.settings["return_sequences"]
    states = all_states if sequences else last
    # All steps: (tokens, 2, rows, units). The last states: (2, rows, units).
    if merge == "concat":
        perm, shape = ([2, 0, 1, 3], [0, 0, -1]) if sequences else ([1, 0, 2], [0, -1])
        moved = graph.node("Transpose", states, perm=perm)
        return graph.node("Reshape", moved, graph.constant(np.array(shape, np.int64)))
    merged = _merged(graph, merge, states, axis=int(sequences))
    return graph.node("Transpose", merged, perm=[1, 0, 2]) if sequences else merged


def _merged(graph: Graph, merge: str, states: str, axis: int) -> str:
    """The two directions, along `axis`, made one."""
    if merge == "sum":
        axes = graph.constant(np.array([axis], np.int64))
        return graph.node("ReduceSum", states, axes, keepdims=0)
    operator = {"ave": "ReduceMean", "mul": "ReduceProd"}[merge]
    return graph.node(operator, states, axes=[axis], keepdims=0)


def _states(
    graph: Graph,
    node: Node,
    spec: LayerSpec,
    directions: list[tuple[np.ndarray, ...]],
    direction: str,
    value: str,
) -> tuple[str, str]:
    """All states, (tokens, directions, rows, units), and the last ones of each direction."""
    settings, operator = spec.settings, _OPERATORS[spec.kind]
    wanted = [settings.get("recurrent_activation"), settings["activation"], settings["activation"]]
    kinds = [kind for kind in wanted[: {"LSTM": 3, "GRU": 2}.get(spec.kind, 2)] if kind]
    for kind in kinds:
        if kind not in _RECURRENT_ACTIVATIONS:
            raise refuse(node, f"the activation {kind!r} of a {spec.kind} is not written to ONNX")
    more = {"linear_before_reset": int(settings["reset_after"])} if spec.kind == "GRU" else {}
    stacked = [
        np.stack(w)
        for w in zip(*(_recurrent_weights(operator, d) for d in directions), strict=True)
    ]
    lengths = graph.tokens_of(node)
    inputs = [graph.node("Transpose", value, perm=[1, 0, 2])]
    inputs += [*(graph.constant(w) for w in stacked), *([lengths] if lengths else [])]
    outputs = [f"recurrent{len(graph.nodes)}_{which}" for which in ("steps", "last")]
    made = graph.onnx.helper.make_node(
        operator.name,
        inputs,
        outputs,
        hidden_size=settings["units"],
        direction=direction,
        activations=[_RECURRENT_ACTIVATIONS[kind] for kind in kinds] * len(directions),
        **more,
    )
    graph.nodes.append(made)
    return outputs[0], outputs[1]


def _conv1d(graph: Graph, node: Node, value: str) -> str:
    settings, (kernel, *bias) = node.layer.settings, node.layer.weights
    size, dilation = settings["kernel_size"][0], settings["dilation_rate"][0]
    reach = (size - 1) * dilation
    if settings.get("groups", 1) != 1:
        raise refuse(node, "several groups are not written to ONNX yet")
    if settings["padding"] == "same" and settings["strides"] != [1]:
        raise refuse(node, "padding 'same' with strides is not written to ONNX")
    before = {"valid": 0, "same": reach // 2, "causal": reach}[settings["padding"]]
    after = reach - before if settings["padding"] == "same" else 0
    inputs = [graph.node("Transpose", value, perm=[0, 2, 1])]
    inputs += [graph.constant(kernel.transpose(2, 1, 0)), *(graph.constant(b) for b in bias)]
    out = graph.node(
        "Conv", *inputs, pads=[before, after], strides=settings["strides"], dilations=[dilation]
    )
    out = graph.node("Transpose", out, perm=[0, 2, 1])
    return graph.activated(node, out)


def _same(graph: Graph, node: Node, value: str) -> str:
    """Layers that act in training alone, and Identity."""
    return value


def _rescaled(graph: Graph, node: Node, value: str) -> str:
    """The graph's numbers are floats already."""
    scale, offset = (np.array([node.layer.settings[k]], np.float32) for k in ("scale", "offset"))
    if scale != 1:
        value = graph.node("Mul", value, graph.constant(scale))
    return graph.node("Add", value, graph.constant(offset)) if offset != 0 else value


def _unit_normalization(graph: Graph, node: Node, value: str) -> str:
    return graph.node("LpNormalization", value, axis=-1, p=2)


def _max_pool(graph: Graph, node: Node, value: str) -> str:
    """ONNX' LSTM gives zeros at the padding, which change no maximum of rectified states."""
    padding = node.given[0].padding
    if padding and padding.masked and padding.content is not Content.RECTIFIED:
        raise refuse(node, "max pooling over masked rows is not written to ONNX")
    _refuse_keepdims(node)
    return graph.node("ReduceMax", value, axes=[1], keepdims=0)


def _refuse_keepdims(node: Node) -> None:
    if node.layer.settings.get("keepdims"):
        raise refuse(node, "keepdims is not written to ONNX yet")


def _average_pool(graph: Graph, node: Node, value: str) -> str:
    _refuse_keepdims(node)
    padding = node.given[0].padding
    if padding is None or not padding.masked:
        return graph.node("ReduceMean", value, axes=[1], keepdims=0)
    zero = graph.constant(np.zeros(1, np.int64))
    ids = graph.ids[padding.source]
    kept = graph.node("Cast", graph.node("Greater", ids, zero), to=graph.onnx.TensorProto.FLOAT)
    mask = graph.node("Unsqueeze", kept, graph.constant(np.array([2], np.int64)))
    axis = graph.constant(np.array([1], np.int64))
    total = graph.node("ReduceSum", graph.node("Mul", value, mask), axis, keepdims=0)
    return graph.node("Div", total, graph.node("ReduceSum", mask, axis, keepdims=0))


def _concatenate(graph: Graph, node: Node, *values: str) -> str:
    if node.layer.settings["axis"] not in (-1, len(node.given[0].shape)):
        raise refuse(node, "only joining along the last dimension is written to ONNX yet")
    return graph.node("Concat", *values, axis=-1)


def _combined(op: str) -> Writer:
    """An operator of two values, or of as many as there are."""

    def write(graph: Graph, node: Node, *values: str) -> str:
        if len(values) == 1 or len({given.shape for given in node.given}) > 1:
            raise refuse(node, "only equal shapes are combined in ONNX yet")
        if op not in ("Sub", "Mul"):
            return graph.node(op, *values)
        first, *others = values
        for other in others:
            first = graph.node(op, first, other)
        return first

    return write


WRITERS: dict[str, Writer] = {
    "Embedding": _embedding,
    "Dense": _dense,
    "Activation": _activation,
    "ReLU": _relu,
    **dict.fromkeys(_OPERATORS, _recurrent),
    "Bidirectional": _bidirectional,
    "Conv1D": _conv1d,
    "UnitNormalization": _unit_normalization,
    "GlobalMaxPooling1D": _max_pool,
    "GlobalAveragePooling1D": _average_pool,
    "Concatenate": _concatenate,
    "Add": _combined("Sum"),
    "Subtract": _combined("Sub"),
    "Multiply": _combined("Mul"),
    "Average": _combined("Mean"),
    "Maximum": _combined("Max"),
    "Minimum": _combined("Min"),
    "add": _combined("Sum"),
    "subtract": _combined("Sub"),
    "multiply": _combined("Mul"),
    "maximum": _combined("Max"),
    "minimum": _combined("Min"),
    "concatenate": _concatenate,
    "Identity": _same,
    "Rescaling": _rescaled,
    **dict.fromkeys(TRAINING_ONLY, _same),
}
#: layers that are not written, and how that is said
UNWRITTEN: dict[str, str] = {
    name: "not written to ONNX yet" for name in KINDS if name not in WRITERS
}
