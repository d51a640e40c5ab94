"""Writes a bundle's network as ONNX, for people who serve elsewhere, and checks it there.

The graph begins where the vectorizers end. Its inputs, for a network of one input:

    ids      int64 (rows, tokens)   token ids, rows padded with 0 at their end
    lengths  int32 (rows,)          tokens of each row (only where the network masks its padding)
    bag      float32 (rows, words)  instead of both, for a bag-of-words model
    numbers  float32 (rows, width)  instead of them, where the network takes numbers

With several inputs each name ends in the input's number: `ids_0`, `lengths_0`, `bag_1`. The output
`scores` is float32 (rows, outputs). The vectorizers' settings and vocabularies, which ONNX has no
operator for, go into the model's metadata as JSON: `vectorizer`, or `vectorizers`, a list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.bundle import Bundle, Input
from scorer.card import Card
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.errors import EngineError, ScorerError, pip_install
from scorer.export.graph import Graph, refuse
from scorer.export.table import UNWRITTEN, WRITERS
from scorer.files import write_whole
from scorer.vectorizer import TokenBatch, Vectorizer, VectorizerSpec
from scorer.verify import TOLERANCE

__all__ = ["onnx_inputs", "run_onnx", "to_onnx", "write_onnx"]

OPSET = 17


def to_onnx(bundle: Bundle) -> Any:
    """The network as an `onnx.ModelProto`. Raises UnsupportedModel naming the layer."""
    onnx = _import("onnx")
    names = {given.name: _name(bundle, number) for number, given in enumerate(bundle.inputs)}
    lengths = {given.name: _lengths(bundle, number) for number, given in enumerate(bundle.inputs)}
    graph = Graph(onnx, lengths, names)
    values = dict(names)
    for node in bundle.nodes:
        kind = node.layer.kind
        if kind not in WRITERS:
            raise refuse(node, UNWRITTEN[kind])
        values[node.name] = WRITERS[kind](graph, node, *(values[name] for name in node.inputs))
    graph.nodes.append(
        onnx.helper.make_node("Identity", [values[bundle.nodes[-1].name]], ["scores"])
    )
    return _model(graph, bundle)


def _name(bundle: Bundle, number: int) -> str:
    """The name of one of the network's inputs in the graph."""
    spec = bundle.inputs[number].spec
    return {"ids": "ids", "bag": "bag"}.get(spec.dtype, "numbers") + _suffix(bundle, number)


def _lengths(bundle: Bundle, number: int) -> str:
    return "lengths" + _suffix(bundle, number)


def _suffix(bundle: Bundle, number: int) -> str:
    return f"_{number}" if len(bundle.inputs) > 1 else ""


def _model(graph: Graph, bundle: Bundle) -> Any:
    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    inputs = []
    for number, given in enumerate(bundle.inputs):
        ids, name = given.spec.dtype == "ids", _name(bundle, number)
        shape = ["rows", f"tokens{_suffix(bundle, number)}" if ids else None]
        kind = types.INT64 if ids else types.FLOAT
        inputs.append(helper.make_tensor_value_info(name, kind, shape))
        if (lengths := _lengths(bundle, number)) in graph.used:
            inputs.append(helper.make_tensor_value_info(lengths, types.INT32, ["rows"]))
    outputs = [helper.make_tensor_value_info("scores", types.FLOAT, ["rows", None])]
    body = helper.make_graph(graph.nodes, "network", inputs, outputs, graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    settings = [_settings(given) for given in bundle.inputs]
    stated = {"vectorizers": settings} if len(settings) > 1 else {"vectorizer": settings[0]}
    properties = {key: json.dumps(value) for key, value in stated.items()}
    helper.set_model_props(model, {**properties, "digest": bundle.digest})
    graph.onnx.checker.check_model(model)
    return model


def _settings(given: Input) -> dict[str, Any] | None:
    """A vectorizer's settings for the metadata; None for an input of numbers."""
    spec = given.vectorizer
    if not isinstance(spec, VectorizerSpec):
        return None
    return {
        "standardize": spec.standardize,
        "split": spec.split,
        "ngrams": list(spec.ngrams),
        "output_mode": spec.output_mode,
        "output_sequence_length": spec.output_sequence_length,
        "vocabulary": list(spec.vocabulary),
    }


def write_onnx(card: Card, bundle: Bundle, target: Path) -> float:
    """Write the network to `target` once ONNX Runtime replays the card's golden rows with it.

    Returns the largest difference from the card. Raises ScorerError where it is over 1e-5.
    """
    model = to_onnx(bundle)
    raw = model.SerializeToString()
    rows = [row for row in card.scorer.golden if row.output is not None]
    texts = pa.array([row.text for row in rows], pa.string())
    tokens = [Vectorizer(vectorizer)(texts) for vectorizer in bundle.vectorizers]
    scores = run_onnx(raw, bundle, *tokens)
    gap = float(np.abs(scores - np.asarray([row.output for row in rows])).max())
    if gap > TOLERANCE * max(1.0, float(np.abs(scores).max())):
        raise ScorerError(f"{target}: not written: ONNX Runtime is {gap:.1e} from the golden rows")
    with write_whole(target) as file:
        file.write(raw)
    return gap


def run_onnx(raw: bytes, bundle: Bundle, *inputs: TokenBatch | np.ndarray) -> np.ndarray:
    """ONNX Runtime's scores for a batch, float32 (rows, outputs)."""
    runtime = _import("onnxruntime")
    session = runtime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    feeds = onnx_inputs(bundle, *inputs)
    wanted = {node.name for node in session.get_inputs()}
    scores: np.ndarray = session.run(None, {k: v for k, v in feeds.items() if k in wanted})[0]
    return scores


def onnx_inputs(bundle: Bundle, *inputs: TokenBatch | np.ndarray) -> dict[str, np.ndarray]:
    """The graph's inputs for what is given to each input of the network, as to an engine."""
    feeds = {}
    for number, (to, given) in enumerate(zip(bundle.inputs, inputs, strict=True)):
        name = _name(bundle, number)
        if isinstance(given, np.ndarray):
            feeds[name] = given.astype(np.float32)
        elif to.vectorizer is not None and to.spec.dtype == "bag":
            feeds[name] = bag_of_words(to.vectorizer, given)
        else:
            feeds[name] = padded_ids(given, to.spec.shape[0]).astype(np.int64)
            feeds[_lengths(bundle, number)] = np.diff(given.offsets).astype(np.int32)
    return feeds


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(f"{name} is not installed: {pip_install('onnx')}") from error
