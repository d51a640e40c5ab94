"""Writes a bundle's network as ONNX, for people who serve elsewhere, and checks it there.

The graph begins where the vectorizer ends. Its inputs:

    ids      int64 (rows, tokens)   token ids, rows padded with 0 at their end
    lengths  int32 (rows,)          tokens of each row (only where the network masks its padding)
    bag      float32 (rows, words)  instead of both, for a bag-of-words model

and its output `scores` float32 (rows, outputs). The vectorizer's settings and its vocabulary, which
ONNX has no operator for, go into the model's metadata as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.bundle import Bundle, Layer, LayerSpec
from scorer.card import Card
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.errors import EngineError, ScorerError, UnsupportedModel
from scorer.vectorizer import TokenBatch, Vectorizer
from scorer.verify import TOLERANCE

OPSET = 17
_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softmax": "Softmax"}


@dataclass
class _Graph:
    """Nodes and weights while the chain of layers is walked. `value` names the current tensor."""

    onnx: Any
    value: str
    masked: bool = False
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


def to_onnx(bundle: Bundle) -> Any:
    """The network as an `onnx.ModelProto`. Raises UnsupportedModel naming the layer."""
    if bundle.head:
        merge = bundle.head[0]
        raise UnsupportedModel(
            f"layer {merge.name} ({merge.kind}): models of several branches are not written to ONNX"
        )
    onnx = _import("onnx")
    bag = bundle.vectorizer.output_mode != "int"
    graph = _Graph(onnx, value="bag" if bag else "ids")
    for layer in bundle.layers:
        writer = _WRITERS.get(layer.kind)
        if writer is not None:
            writer(graph, layer)
        elif not _is_identity(layer):
            raise UnsupportedModel(f"layer {layer.name} ({layer.kind}): not written to ONNX yet")
    graph.nodes[-1].output[0] = "scores"
    return _model(graph, bundle, bag)


def _model(graph: _Graph, bundle: Bundle, bag: bool) -> Any:
    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    inputs = [helper.make_tensor_value_info("ids", types.INT64, ["rows", "tokens"])]
    if bag:
        inputs = [helper.make_tensor_value_info("bag", types.FLOAT, ["rows", None])]
    elif graph.masked:
        inputs.append(helper.make_tensor_value_info("lengths", types.INT32, ["rows"]))
    outputs = [helper.make_tensor_value_info("scores", types.FLOAT, ["rows", None])]
    body = helper.make_graph(graph.nodes, "network", inputs, outputs, graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    spec = bundle.vectorizer
    settings = {
        "standardize": spec.standardize,
        "split": spec.split,
        "ngrams": list(spec.ngrams),
        "output_mode": spec.output_mode,
        "output_sequence_length": spec.output_sequence_length,
        "vocabulary": list(spec.vocabulary),
    }
    helper.set_model_props(model, {"vectorizer": json.dumps(settings), "digest": bundle.digest})
    graph.onnx.checker.check_model(model)
    return model


def write_onnx(card: Card, bundle: Bundle, target: Path) -> float:
    """Write the network to `target` once ONNX Runtime replays the card's golden rows with it.

    Returns the largest difference from the card. Raises ScorerError where it is over 1e-5.
    """
    model = to_onnx(bundle)
    raw = model.SerializeToString()
    rows = [row for row in card.scorer.golden if row.output is not None]
    tokens = Vectorizer(bundle.vectorizer)(pa.array([row.text for row in rows], pa.string()))
    scores = run_onnx(raw, bundle, tokens)
    gap = float(np.abs(scores - np.asarray([row.output for row in rows])).max())
    if gap > TOLERANCE * max(1.0, float(np.abs(scores).max())):
        raise ScorerError(f"{target}: not written: ONNX Runtime is {gap:.1e} from the golden rows")
    target.write_bytes(raw)
    return gap


def run_onnx(raw: bytes, bundle: Bundle, tokens: TokenBatch) -> np.ndarray:
    """ONNX Runtime's scores for a batch, float32 (rows, outputs)."""
    runtime = _import("onnxruntime")
    session = runtime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    feeds = onnx_inputs(bundle, tokens)
    wanted = {node.name for node in session.get_inputs()}
    scores: np.ndarray = session.run(None, {k: v for k, v in feeds.items() if k in wanted})[0]
    return scores


def onnx_inputs(bundle: Bundle, tokens: TokenBatch) -> dict[str, np.ndarray]:
    """The graph's inputs for a batch of tokens."""
    if bundle.vectorizer.output_mode != "int":
        return {"bag": bag_of_words(bundle.vectorizer, tokens)}
    ids = padded_ids(tokens, bundle.vectorizer.output_sequence_length)
    return {"ids": ids.astype(np.int64), "lengths": np.diff(tokens.offsets).astype(np.int32)}


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(f"{name} is not installed: pip install 'scorer[onnx]'") from error


def _is_identity(layer: Layer) -> bool:
    return not layer.weights and not layer.settings


def _activate(graph: _Graph, kind: str) -> None:
    if kind != "linear":
        graph.value = graph.node(_ACTIVATIONS[kind], graph.value)


def _embedding(graph: _Graph, layer: Layer) -> None:
    graph.masked = layer.settings["mask_zero"]
    graph.value = graph.node("Gather", graph.constant(layer.weights[0]), graph.value)


def _dense(graph: _Graph, layer: Layer) -> None:
    graph.value = graph.node("MatMul", graph.value, graph.constant(layer.weights[0]))
    if layer.settings["use_bias"]:
        graph.value = graph.node("Add", graph.value, graph.constant(layer.weights[1]))
    _activate(graph, layer.settings["activation"])


def _activation(graph: _Graph, layer: Layer) -> None:
    _activate(graph, layer.settings.get("activation", "relu"))


def _lstm_weights(weights: tuple[np.ndarray, ...], units: int) -> list[np.ndarray]:
    """Keras' (kernel, recurrent, bias), gates i f c o in columns, as ONNX' rows i o f c."""

    def reorder(matrix: np.ndarray) -> np.ndarray:
        i, f, c, o = np.split(matrix.T, 4)
        return np.concatenate([i, o, f, c])

    bias = weights[2] if len(weights) > 2 else np.zeros(4 * units, np.float32)
    both = np.concatenate([reorder(bias), np.zeros(4 * units, np.float32)])
    return [reorder(weights[0]), reorder(weights[1]), both]


def _lstm(graph: _Graph, layer: Layer) -> None:
    _recurrent(graph, layer.settings, [layer.weights], "concat")


def _bidirectional(graph: _Graph, layer: Layer) -> None:
    inner: LayerSpec = layer.settings["layer"]
    if inner.kind != "LSTM":
        raise UnsupportedModel(f"layer {layer.name} ({inner.kind}): not written to ONNX yet")
    half = len(layer.weights) // 2
    both = [layer.weights[:half], layer.weights[half:]]
    _recurrent(graph, inner.settings, both, layer.settings["merge_mode"])


def _recurrent(
    graph: _Graph, config: dict[str, Any], directions: list[tuple[np.ndarray, ...]], merge: str
) -> None:
    if (config["activation"], config["recurrent_activation"]) != ("tanh", "sigmoid"):
        raise UnsupportedModel("an LSTM with other activations is not written to ONNX")
    if config["go_backwards"]:
        raise UnsupportedModel("an LSTM with go_backwards is not written to ONNX")
    if merge != "concat":
        raise UnsupportedModel(f"Bidirectional with merge_mode={merge!r} is not written to ONNX")
    units = int(config["units"])
    stacked = [
        np.stack(w) for w in zip(*(_lstm_weights(d, units) for d in directions), strict=True)
    ]
    time_major = graph.node("Transpose", graph.value, perm=[1, 0, 2])
    lengths = ["lengths"] if graph.masked else []
    inputs = [time_major, *(graph.constant(w) for w in stacked), *lengths]
    direction = "bidirectional" if len(directions) == 2 else "forward"
    name = f"lstm{len(graph.nodes)}"
    # All steps: (tokens, directions, rows, units). The last states: (directions, rows, units).
    outputs = [f"{name}_steps", f"{name}_last"]
    graph.nodes.append(
        graph.onnx.helper.make_node("LSTM", inputs, outputs, hidden_size=units, direction=direction)
    )
    if config["return_sequences"]:
        moved = graph.node("Transpose", outputs[0], perm=[2, 0, 1, 3])
        shape = np.array([0, 0, len(directions) * units], np.int64)
    else:
        moved = graph.node("Transpose", outputs[1], perm=[1, 0, 2])
        shape = np.array([0, len(directions) * units], np.int64)
    graph.value = graph.node("Reshape", moved, graph.constant(shape))


def _conv1d(graph: _Graph, layer: Layer) -> None:
    config = layer.settings
    size, dilation = config["kernel_size"][0], config["dilation_rate"][0]
    reach = (size - 1) * dilation
    if config["padding"] == "same" and config["strides"] != [1]:
        raise UnsupportedModel(f"layer {layer.name}: padding 'same' with strides is not written")
    before = {"valid": 0, "same": reach // 2, "causal": reach}[config["padding"]]
    after = reach - before if config["padding"] == "same" else 0
    inputs = [graph.node("Transpose", graph.value, perm=[0, 2, 1])]
    inputs.append(graph.constant(layer.weights[0].transpose(2, 1, 0)))
    if config["use_bias"]:
        inputs.append(graph.constant(layer.weights[1]))
    out = graph.node(
        "Conv", *inputs, pads=[before, after], strides=config["strides"], dilations=[dilation]
    )
    graph.value = graph.node("Transpose", out, perm=[0, 2, 1])
    _activate(graph, config["activation"])


def _rescaling(graph: _Graph, layer: Layer) -> None:
    """By 1: the graph's numbers are floats from the beginning."""


def _unit_normalization(graph: _Graph, layer: Layer) -> None:
    graph.value = graph.node("LpNormalization", graph.value, axis=-1, p=2)


def _max_pool(graph: _Graph, layer: Layer) -> None:
    if graph.masked:
        raise UnsupportedModel(f"layer {layer.name}: max pooling over masked rows is not written")
    graph.value = graph.node("ReduceMax", graph.value, axes=[1], keepdims=0)


def _average_pool(graph: _Graph, layer: Layer) -> None:
    if not graph.masked:
        graph.value = graph.node("ReduceMean", graph.value, axes=[1], keepdims=0)
        return
    zero = graph.constant(np.zeros(1, np.int64))
    kept = graph.node("Cast", graph.node("Greater", "ids", zero), to=graph.onnx.TensorProto.FLOAT)
    mask = graph.node("Unsqueeze", kept, graph.constant(np.array([2], np.int64)))
    axis = graph.constant(np.array([1], np.int64))
    total = graph.node("ReduceSum", graph.node("Mul", graph.value, mask), axis, keepdims=0)
    graph.value = graph.node("Div", total, graph.node("ReduceSum", mask, axis, keepdims=0))


_WRITERS: dict[str, Callable[[_Graph, Layer], None]] = {
    "Embedding": _embedding,
    "Dense": _dense,
    "Activation": _activation,
    "ReLU": _activation,
    "LSTM": _lstm,
    "Bidirectional": _bidirectional,
    "Conv1D": _conv1d,
    "Rescaling": _rescaling,
    "UnitNormalization": _unit_normalization,
    "GlobalMaxPooling1D": _max_pool,
    "GlobalAveragePooling1D": _average_pool,
}
