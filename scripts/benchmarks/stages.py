"""Stages inside one process: vectorizer and network, ours and ONNX Runtime's, on the same rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.bundle import Bundle
from scorer.export import onnx_inputs, to_onnx
from scorer.tables import WINDOW_ROWS
from scorer.vectorizer import TokenBatch

ONNX_BATCHES = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Rate:
    """Median rows per second, and the median of the rounds' ratios to the first contestant."""

    name: str
    rows_per_second: float
    ratio: float


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def side_by_side(
    contestants: Mapping[str, Callable[[], object]], rows: int, repeats: int
) -> list[Rate]:
    """Run every contestant once a round, after one round that is not counted."""
    for function in contestants.values():
        function()
    rounds = [[seconds(f) for f in contestants.values()] for _ in range(repeats)]
    return [
        Rate(
            name,
            rows / statistics.median(r[i] for r in rounds),
            statistics.median(r[0] / r[i] for r in rounds),
        )
        for i, name in enumerate(contestants)
    ]


def windows(texts: pa.Array) -> list[pa.Array]:
    return [texts.slice(i, WINDOW_ROWS) for i in range(0, len(texts), WINDOW_ROWS)]


def over_threads(function: Callable[[Any], Any], items: Sequence[Any], threads: int) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


class OnnxRunner:
    """ONNX Runtime on the same network: rows sorted by length, batches padded to their longest."""

    def __init__(self, bundle: Bundle, tokens: TokenBatch, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        raw = to_onnx(bundle).SerializeToString()
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(raw, options, providers=providers)
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._bundle, self._tokens = bundle, tokens
        self._order = np.argsort(np.diff(tokens.offsets), kind="stable")

    def feeds(self, batch: int, rows: int | None = None) -> list[dict[str, np.ndarray]]:
        """Inputs prepared beforehand: only ONNX Runtime's own work is timed."""
        order = self._order if rows is None else self._order[:: len(self._order) // rows]
        parts = [order[i : i + batch] for i in range(0, len(order), batch)]
        feeds = [onnx_inputs(self._bundle, select(self._tokens, part)) for part in parts]
        return [{name: feed[name] for name in self._inputs} for feed in feeds]

    def run(self, feeds: Sequence[dict[str, np.ndarray]]) -> np.ndarray:
        return np.concatenate([self._session.run(None, feed)[0] for feed in feeds])

    def in_order(self, scores: np.ndarray) -> np.ndarray:
        """Scores of a whole run, back in the rows' own order."""
        back = np.empty_like(scores)
        back[self._order] = scores
        return back

    def best_batch(self, rows: int) -> int:
        """The batch size with the most rows per second on a sample of all lengths."""

        def cost(batch: int) -> float:
            feeds = self.feeds(batch, rows)
            self.run(feeds[:2])
            return min(seconds(lambda: self.run(feeds)) for _ in range(2))

        return min(ONNX_BATCHES, key=cost)


def select(tokens: TokenBatch, rows: np.ndarray) -> TokenBatch:
    """Some rows of a batch, in the order given."""
    parts = [tokens.ids[tokens.offsets[r] : tokens.offsets[r + 1]] for r in rows]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    ids = np.concatenate(parts) if parts else tokens.ids[:0]
    return TokenBatch(ids, offsets, tokens.n_tokens[rows], tokens.n_oov[rows])


def product_gflops(threads: int) -> float:
    """This machine's own limit: GFLOP/s of a large float32 product.

    NumPy's BLAS or the engine's own, whichever is faster: OpenBLAS does not use the widest vectors
    of every processor.
    """
    from threadpoolctl import threadpool_limits

    from scorer.engines.cpu.loops.products import multiply
    from scorer.engines.cpu.loops.simd import pack_columns

    n = 2048
    a = np.random.default_rng(0).random((n, n), dtype=np.float32)
    packed, bias = pack_columns(a), np.zeros(n, dtype=np.float32)
    parts = np.array_split(a, threads)
    with threadpool_limits(threads):
        blas = min(seconds(lambda: a @ a) for _ in range(7))
    with ThreadPoolExecutor(threads) as pool:
        own = min(
            seconds(lambda: list(pool.map(lambda part: multiply(part, packed, bias), parts)))
            for _ in range(7)
        )
    return float(2 * n**3 / min(blas, own) / 1e9)


def recurrent_flops_per_token(bundle: Bundle) -> int:
    """Operations of the products that cannot be looked up: states, and inputs after layer one."""
    total = 0
    for i, layer in enumerate(_recurrent_weights(bundle)):
        for kernel, recurrent in layer:
            total += 2 * recurrent.size + (0 if i == 0 else 2 * kernel.size)
    return total


def recurrent_units(bundle: Bundle) -> list[int]:
    """The units of each recurrent layer, for each of its directions."""
    return [len(recurrent) for layer in _recurrent_weights(bundle) for _, recurrent in layer]


def _recurrent_weights(bundle: Bundle) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """For each LSTM, each direction's weights (inputs, 4 units) and (units, 4 units)."""
    found = []
    for layer in bundle.layers:
        if layer.kind in ("LSTM", "Bidirectional"):
            step = len(layer.weights) // (2 if layer.kind == "Bidirectional" else 1)
            starts = range(0, len(layer.weights), step)
            found.append([(layer.weights[i], layer.weights[i + 1]) for i in starts])
    return found
