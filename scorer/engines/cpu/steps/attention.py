"""Attention, AdditiveAttention and MultiHeadAttention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops import general
from scorer.engines.cpu.loops.products import batch_products, multiply, widen
from scorer.engines.cpu.loops.simd import pack_columns, padded, zeros
from scorer.engines.cpu.signals import Built, Signal, Step, Tile, refuse
from scorer.engines.cpu.steps.blocks import expanded, leaving, there, through

#: the most bytes of scores that are there at one time
_SCORES_BYTES = 16 << 20

#: query, value and key, float32 (rows, positions, width), and kept pairs, to the result
Function = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Attend:
    """`function` of query, value and key, for some rows at a time.

    before   for each the steps that make a block of it
    masked   whether the query's, the value's and the key's mask count
    causal   a position sees none after it
    window   how far to both sides it sees; None: as far as there is
    blank    masked positions of the query give zeros
    heads    scores for each pair of positions
    """

    function: Function
    before: tuple[tuple[Step, ...], ...]
    masked: tuple[bool, ...]
    causal: bool
    window: int | None
    query_counts: bool
    blank: bool
    heads: int

    def run(self, *tiles: Tile) -> Tile:
        blocks = [through(steps, tile) for steps, tile in zip(self.before, tiles, strict=True)]
        query, value, key = blocks[0], blocks[1], blocks[-1 if len(blocks) > 2 else 1]
        kept = self._kept(query, value, key)
        pairs = query.values.shape[1] * key.values.shape[1] * self.heads
        some, parts = max(_SCORES_BYTES // (4 * pairs), 1), []
        for first in range(0, len(query.values), some):
            rows = slice(first, first + some)
            pairs_kept = kept[rows] if len(kept) else kept
            parts.append(
                self.function(query.values[rows], value.values[rows], key.values[rows], pairs_kept)
            )
        values = np.concatenate(parts) if parts else query.values
        if self.blank and self.masked[0]:
            values *= there(query)[:, :, None]
        return replace(query, values=values)

    def _kept(self, query: Tile, value: Tile, key: Tile) -> np.ndarray:
        """bool (rows, query's positions or 1, key's positions); of no rows where all pairs are."""
        rows, many, count = len(query.values), query.values.shape[1], key.values.shape[1]
        kept = np.ones((rows, 1, count), dtype=np.bool_)
        if self.masked[1]:
            kept = kept & there(value)[:, None]
        if len(self.masked) > 2 and self.masked[2]:
            kept = kept & there(key)[:, None]
        if self.query_counts and self.masked[0]:
            kept = kept & there(query)[:, :, None]
        at, other = np.arange(many)[:, None], np.arange(count)
        if self.causal:
            kept = kept & (at >= other)
        if self.window is not None:
            kept = kept & (np.abs(at - other) < self.window)
        return kept[:0, :1] if kept.all() else np.ascontiguousarray(kept)


def attention(node: Node, *signals: Signal) -> Built:
    """Attention and AdditiveAttention: [query, value], or [query, value, key]."""
    settings, weights = node.layer.settings, list(node.layer.weights)
    one = np.ones(1, np.float32)
    scale = weights.pop(0) if settings["use_scale"] else one
    inner, outer = scale, weights.pop(0) if weights else one
    if node.layer.kind == "AdditiveAttention":
        inner, outer = one, scale
    dot = node.layer.kind == "Attention" and settings.get("score_mode", "dot") == "dot"

    def function(
        query: np.ndarray, value: np.ndarray, key: np.ndarray, kept: np.ndarray
    ) -> np.ndarray:
        if dot:
            scores = batch_products(query, key.transpose(0, 2, 1))
            scores *= scale
        else:
            scores = _tanh_scores(query, key, inner, outer)
        _softmax(scores, 1, kept, -1e9, added=True)
        return batch_products(scores, value)

    causal = bool(settings.get("use_causal_mask", False))
    masked = tuple(signal.masked for signal in signals[:2])
    before = tuple(tuple(expanded(node, signal)[0]) for signal in signals)
    step = Attend(function, before, masked, causal, None, False, True, 1)
    return leaving(node, [step])


def _tanh_scores(
    query: np.ndarray, key: np.ndarray, inner: np.ndarray, outer: np.ndarray
) -> np.ndarray:
    """float32 (rows, query's positions, key's positions)."""
    width = query.shape[2]
    ones = np.ones(width, np.float32)
    out = np.empty((len(query), query.shape[1], key.shape[1]), np.float32)
    scratch = zeros(padded(width))
    query, key = np.ascontiguousarray(query), np.ascontiguousarray(key)
    general.tanh_scores(query, key, ones * inner, ones * outer, scratch, out)
    return out


def _softmax(
    scores: np.ndarray, heads: int, kept: np.ndarray, masked: float, *, added: bool
) -> None:
    general.attend(scores, heads, kept, masked, added, zeros(padded(scores.shape[2])))


def multi_head(node: Node, *signals: Signal) -> Built:
    """MultiHeadAttention and GroupQueryAttention of sequences: (query, value), or with a key."""
    settings, ranks = node.layer.settings, {len(given.shape) for given in node.given}
    if ranks != {2} or settings.get("attention_axes") not in (None, [1], 1):
        raise refuse(node.layer, "attends along the positions of sequences alone")
    heads = _Heads(node)
    before = tuple(tuple(expanded(node, signal)[0]) for signal in signals)
    causal, window = bool(settings.get("use_causal_mask", False)), settings.get("sliding_window")
    masked = tuple(signal.masked for signal in signals)
    # Keras' own softmax, which dropout makes it take, gives zeros where a mask leaves nothing.
    step = Attend(heads.run, before, masked, causal, window, True, False, heads.count)
    return leaving(node, [step])


class _Heads:
    """The projections of MultiHeadAttention around its scores, each a product over positions."""

    def __init__(self, node: Node) -> None:
        settings, weights = node.layer.settings, list(node.layer.weights)
        self.count = settings.get("num_heads") or settings["num_query_heads"]
        self._fewer = settings.get("num_key_value_heads") or self.count
        self._size = settings.get("key_dim") or settings["head_dim"]
        self._value_size = settings.get("value_dim") or self._size
        self._scale = np.float32(1 / np.sqrt(self._size))
        self._zeros = bool(settings.get("dropout", 0))
        bias, names = settings["use_bias"], ["query", "key", "value", "output"]
        if settings.get("use_gate"):
            names.insert(2, "gate")
        self._projections: dict[str, tuple[np.ndarray, np.ndarray, int]] = {}
        for name in names:
            kernel = weights.pop(0)
            reads = kernel.shape[0] if name != "output" else kernel.shape[0] * kernel.shape[1]
            matrix = kernel.reshape(reads, -1)
            offset = weights.pop(0).reshape(-1) if bias else matrix[0, :0]
            packed = pack_columns(matrix)
            wide = widen(offset, packed.size // reads)
            self._projections[name] = packed, wide, matrix.shape[1]

    def _projected(self, name: str, x: np.ndarray) -> np.ndarray:
        packed, bias, columns = self._projections[name]
        flat = np.ascontiguousarray(x.reshape(-1, x.shape[-1]))
        return multiply(flat, packed, bias)[:, :columns].reshape(*x.shape[:-1], columns)

    def _by_head(self, name: str, x: np.ndarray, size: int) -> np.ndarray:
        """float32 (rows * heads, positions, size)."""
        heads = self.count if name == "query" else self._fewer
        split = self._projected(name, x).reshape(*x.shape[:2], heads, size)
        split = np.repeat(split, self.count // heads, axis=2)
        return split.transpose(0, 2, 1, 3).reshape(-1, x.shape[1], size)

    def run(
        self, query: np.ndarray, value: np.ndarray, key: np.ndarray, kept: np.ndarray
    ) -> np.ndarray:
        rows, positions = query.shape[:2]
        scores = batch_products(
            self._by_head("query", query, self._size),
            self._by_head("key", key, self._size).transpose(0, 2, 1),
        )
        scores *= self._scale
        _softmax(scores, self.count, kept, -3e38, added=False)
        if self._zeros and len(kept):
            by_head = scores.reshape(rows, self.count, positions, -1)
            by_head *= np.any(kept, axis=2, keepdims=True)[:, None]
        made = batch_products(scores, self._by_head("value", value, self._value_size))
        by_position = made.reshape(rows, self.count, positions, -1).transpose(0, 2, 1, 3)
        joined = by_position.reshape(rows, positions, -1)
        if "gate" in self._projections:
            joined = joined / (1 + np.exp(-self._projected("gate", query)))
        return self._projected("output", joined)
