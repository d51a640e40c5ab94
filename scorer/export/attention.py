"""Attention as ONNX nodes."""

from __future__ import annotations

import numpy as np

from scorer.bundle import Node
from scorer.export.graph import Graph, Writer, refuse


def _kept(graph: Graph, node: Node, scores: str, *, query: bool, heads: bool) -> str | None:
    """bool, in a shape that meets `scores`: which of them the masks keep; None for all.

    query  the query's mask counts; heads: scores have a dimension of heads after the rows
    """
    kept = []
    for number, given in enumerate(node.given):
        mask = graph.mask(given)
        if mask is not None and (number or query):
            axes = (2 if number == 0 else 1,) if not heads else (1, 3 if number == 0 else 2)
            kept.append(graph.node("Unsqueeze", mask, graph.whole(*axes)))
    if node.layer.settings["use_causal_mask"]:
        ones = graph.node("Add", graph.node("Mul", scores, graph.number(0)), graph.number(1))
        kept.append(graph.node("Greater", graph.node("Trilu", ones, upper=0), graph.number(0)))
    if not kept:
        return None
    both, *others = kept
    for other in others:
        both = graph.node("And", both, other)
    return both


def _attention(graph: Graph, node: Node, query: str, value: str, *key: str) -> str:
    settings = node.layer.settings
    if settings.get("score_mode", "dot") != "dot" or node.layer.kind != "Attention":
        raise refuse(node, "only attention by products is written to ONNX")
    other = graph.node("Transpose", key[0] if key else value, perm=[0, 2, 1])
    scores = graph.node("MatMul", query, other)
    if settings["use_scale"]:
        scores = graph.node("Mul", scores, graph.constant(node.layer.weights[0]))
    kept = _kept(graph, node, scores, query=False, heads=False)
    if kept is not None:
        far = graph.node("Sub", scores, graph.number(1e9))
        scores = graph.node("Where", kept, scores, far)
    out = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    mask = graph.mask(node.given[0])
    if mask is None:
        return out
    return graph.node("Where", graph.node("Unsqueeze", mask, graph.whole(2)), out, graph.number(0))


def _heads(graph: Graph, node: Node, *values: str) -> str:
    """MultiHeadAttention, heads before positions: (rows, heads, positions, size)."""
    settings, weights = node.layer.settings, list(node.layer.weights)
    query, value, key = values[0], values[1], values[-1 if len(values) > 2 else 1]

    def projected(given: str, perm: list[int]) -> str:
        kernel = weights.pop(0)
        width, heads, size = kernel.shape
        out = graph.node("MatMul", given, graph.constant(kernel.reshape(width, -1)))
        if settings["use_bias"]:
            out = graph.node("Add", out, graph.constant(weights.pop(0).reshape(-1)))
        out = graph.node("Reshape", out, graph.whole(0, 0, heads, size))
        return graph.node("Transpose", out, perm=perm)

    q = projected(query, [0, 2, 1, 3])
    k = projected(key, [0, 2, 3, 1])
    v = projected(value, [0, 2, 1, 3])
    scale = graph.number(float(1 / np.sqrt(settings["key_dim"])))
    scores = graph.node("Mul", graph.node("MatMul", q, k), scale)
    kept = _kept(graph, node, scores, query=True, heads=True)
    if kept is not None:
        scores = graph.node("Where", kept, scores, graph.number(-3e38))
    shares = graph.node("Softmax", scores, axis=-1)
    if kept is not None and settings["dropout"]:  # Keras then gives a query without a value zeros
        shares = graph.node("Where", kept, shares, graph.number(0))
    made = graph.node("MatMul", shares, v)
    made = graph.node("Transpose", made, perm=[0, 2, 1, 3])
    heads, size, width = weights[0].shape
    joined = graph.node("Reshape", made, graph.whole(0, 0, heads * size))
    out = graph.node("MatMul", joined, graph.constant(weights[0].reshape(-1, width)))
    if settings["use_bias"]:
        out = graph.node("Add", out, graph.constant(weights[1]))
    return out


ATTENTION: dict[str, Writer] = {"Attention": _attention, "MultiHeadAttention": _heads}
