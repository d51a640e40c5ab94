"""How embeddings, dense and recurrent layers are written as ONNX nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Layer, LayerSpec, Node
from scorer.export.activations import activated
from scorer.export.graph import Graph, Writer, refuse


def _embedding(graph: Graph, node: Node, value: str) -> str:
    return graph.node("Gather", graph.constant(node.layer.weights[0]), value)


def _dense(graph: Graph, node: Node, value: str) -> str:
    kernel, *bias = node.layer.weights
    value = graph.node("MatMul", value, graph.constant(kernel))
    if bias:
        value = graph.node("Add", value, graph.constant(bias[0]))
    return activated(graph, node, value)


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


def _recurrent(graph: Graph, node: Node, value: str, *begun: str) -> str:
    """LSTM, GRU and SimpleRNN."""
    if begun:
        raise refuse(node, "the states that a layer begins with are not written to ONNX")
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
    operator = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}[merge]
    return graph.node(operator, states, graph.whole(axis), keepdims=0)


def _states(
    graph: Graph,
    node: Node,
    spec: LayerSpec,
    directions: list[tuple[np.ndarray, ...]],
    direction: str,
    value: str,
) -> tuple[str, str]:
    """All states, (tokens, directions, rows, units), and the last ones of each direction: of its
    outputs, or of its cell where `return_state` is set."""
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
    which = ("steps", "last", "cell") if spec.kind == "LSTM" else ("steps", "last")
    outputs = [f"recurrent{len(graph.nodes)}_{name}" for name in which]
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
    ends = outputs[2 if settings.get("return_state") else 1]
    return _padded_as_keras(graph, node, spec, outputs, len(directions)), ends


def _padded_as_keras(
    graph: Graph, node: Node, spec: LayerSpec, states: list[str], directions: int
) -> str:
    """All states, with what Keras gives at the padding, where a layer may read it.

    A forward layer repeats its last state there, a backward one begins there with zeros; ONNX has
    zeros in both.
    """
    given = node.given[0]
    mask = graph.mask(given)
    read = spec.settings["return_sequences"] and None not in given.shape
    if mask is None or not read or spec.settings.get("zero_output_for_mask"):
        return states[0]
    kept = graph.node("Transpose", mask, perm=[1, 0])
    kept = graph.node("Unsqueeze", kept, graph.whole(1, 3))
    forward = np.array([1, 0][:directions], np.float32).reshape(1, -1, 1, 1)
    last = graph.node("Unsqueeze", states[1], graph.whole(0))
    last = graph.node("Mul", last, graph.constant(forward))
    return graph.node("Where", kept, states[0], last)


def _at_each_position(graph: Graph, node: Node, value: str) -> str:
    """TimeDistributed: of layers that work on the last dimension anyway."""
    inner: LayerSpec = node.layer.settings["layer"]
    layer = Layer(inner.kind, node.layer.name, inner.settings, node.layer.weights)
    if inner.kind == "Dense":
        return _dense(graph, replace(node, layer=layer), value)
    return activated(graph, replace(node, layer=layer), value) if inner.settings else value


NODES: dict[str, Writer] = {
    "Embedding": _embedding,
    "Dense": _dense,
    "TimeDistributed": _at_each_position,
    **dict.fromkeys(_OPERATORS, _recurrent),
    "Bidirectional": _bidirectional,
}
