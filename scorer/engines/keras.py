"""The keras engine: the same layers in Keras, on whichever backend and device are there.

The reference that the cpu engine is held to, the way to a GPU, and the home of layers that the cpu
engine lacks. Ids come from our vectorizer, so no backend needs strings. Layers are built from the
settings that `scorer.bundle` let through, never from the archive's own configuration.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from threading import Lock
from typing import Any

import numpy as np

from scorer.bundle import TRAINING_ONLY, Branch, Bundle, Layer, LayerSpec
from scorer.engines import backends
from scorer.engines.devices import gpu_bytes
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.errors import EngineError
from scorer.vectorizer import TokenBatch, VectorizerSpec

_OLDEST = (3, 15, 1)  # earlier releases have known holes
# Keras compiles a function for each shape it meets, so it meets few: these numbers of rows and the
# most that fits, and the widths of `_round_up`.
_FEW_ROWS = (32, 256)
_MOST_ROWS = {"cpu": 256, "gpu": 4096}
_WINDOW_ROWS = {"cpu": 1024, "gpu": 16384}  # many rows make few and full batches
_SHORT_ROWS = {"cpu": 8192, "gpu": 16384}
_BAG_CELLS = 1 << 24  # of a dense bag of words
_NO_LIMIT = 1 << 62
# What a layer may hold of a position for each of its outputs: four gates, a state and the copies
# that frameworks make. Where it is too low, the batch is halved.
_FLOATS_PER_OUTPUT = 16
_IN_FLIGHT = 2  # batches on each device

Policies = {"float32": "float32", "mixed": "mixed_float16"}


@dataclass(frozen=True)
class _Replica:
    """The network on one device."""

    device: str
    model: Any
    forward: backends.Forward


class KerasEngine:
    """A bundle's layers in Keras. Thread-safe: one call works at a time, others wait."""

    name = "keras"

    def __init__(self, bundle: Bundle, *, device: str = "auto", precision: str = "float32") -> None:
        """device is "auto" (every GPU that Keras sees, else the CPU), "cpu" or "gpu".

        precision: "float32", or "mixed": float16 but for the weights and the last layer.
        Raises EngineError.
        """
        self._keras = _import_keras()
        self.precision = precision
        devices = backends.choose_devices(self._keras, device)
        kind = devices[0].partition(":")[0]
        self.window_rows, self.short_rows = _WINDOW_ROWS[kind], _SHORT_ROWS[kind]
        self._most_rows = _MOST_ROWS[kind]
        self._specs = [branch.vectorizer for branch in bundle.branches]
        self._lock = Lock()
        self._replicas = [self._place(bundle, name) for name in devices]
        self._outputs = self._replicas[0].model.output_shape[-1]
        self._costs = [_cost(self._replicas[0].model, branch) for branch in bundle.branches]
        self._floats = gpu_bytes() // 2 // 4 if kind == "gpu" else _NO_LIMIT

    def _place(self, bundle: Bundle, device: str) -> _Replica:
        with self._on(device):
            model = _build(self._keras, bundle, Policies[self.precision])
            return _Replica(device, model, backends.forward(self._keras, model))

    def _on(self, device: str) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self._keras.device(device)
        return scope

    def run(self, *tokens: TokenBatch) -> np.ndarray:
        """float32 (rows, outputs), rows in their order; `tokens` has a batch for each branch.

        Raises EngineError: one row is too much.
        """
        outputs = np.empty((len(tokens[0].n_tokens), self._outputs), dtype=np.float32)
        kept = [np.diff(batch.offsets) for batch in tokens]
        with self._lock, _unmasked_pooling():
            waiting = deque(_batches(self._specs, kept, self._fitting_rows))
            self._run_batches(tokens, waiting, outputs)
        return outputs

    def _run_batches(
        self, tokens: Sequence[TokenBatch], waiting: deque[_Batch], outputs: np.ndarray
    ) -> None:
        """Fill `outputs`, some batches being sent before the first one's results are fetched."""
        turns = cycle(self._replicas)
        sent: deque[tuple[_Batch, Any]] = deque()
        while waiting or sent:
            try:
                if waiting and len(sent) < _IN_FLIGHT * len(self._replicas):
                    batch = waiting.popleft()
                    sent.append((batch, self._send(tokens, batch, next(turns))))
                else:
                    batch, result = sent.popleft()
                    outputs[batch.rows] = self._fetch(result)[: len(batch.rows)]
            except Exception as error:
                if not backends.out_of_memory(error):
                    raise
                waiting.extendleft(self._halved(batch, error))

    def _send(self, tokens: Sequence[TokenBatch], batch: _Batch, replica: _Replica) -> Any:
        parts = zip(self._specs, tokens, batch.widths, strict=True)
        inputs = [
            _encode(spec, _take(each, batch.rows), width, batch.padded)
            for spec, each, width in parts
        ]
        with self._on(replica.device):
            return replica.model(inputs) if batch.wordless else replica.forward(inputs)

    def _fetch(self, result: Any) -> np.ndarray:
        return np.asarray(self._keras.ops.convert_to_numpy(result), dtype=np.float32)

    def _fitting_rows(self, widths: Widths) -> int:
        """The largest power of two of rows that a device holds."""
        rows = max(1, min(self._floats // self._row_floats(widths), self._most_rows))
        return 1 << (rows.bit_length() - 1)

    def _row_floats(self, widths: Widths) -> int:
        return sum(width * cost for width, cost in zip(widths, self._costs, strict=True))

    def _halved(self, batch: _Batch, error: Exception) -> list[_Batch]:
        """The same rows in two batches, and smaller batches from now on."""
        half = batch.padded // 2
        if half == 0:
            raise EngineError(
                f"a row of {max(batch.widths)} positions does not fit in the device's memory: "
                "use --device cpu"
            ) from error
        self._floats = min(self._floats, half * self._row_floats(batch.widths))
        return list(_cut(batch.rows, batch.widths, half, batch.wordless))


def _cost(model: Any, branch: Branch) -> int:
    """How many floats a device holds for a position of a row, or for a cell of its bag."""
    if branch.vectorizer.output_mode != "int":
        return 2
    kept = [layer.name for layer in branch.layers if layer.kind not in TRAINING_ONLY]
    outputs = sum(int(model.get_layer(name).output.shape[-1]) for name in kept)
    return _FLOATS_PER_OUTPUT * outputs


def _import_keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of every new shape
    try:
        import keras
    except ImportError as error:
        raise EngineError(
            f"the keras engine needs Keras and a backend ({error}): pip install 'scorer[keras]'"
        ) from error
    release = re.match(r"(\d+)\.(\d+)\.(\d+)", keras.__version__)
    if release is None or tuple(int(part) for part in release.groups()) < _OLDEST:
        raise EngineError(
            f"Keras {keras.__version__} has known security holes: pip install 'keras>=3.15.1'"
        )
    return keras


@contextmanager
def _unmasked_pooling() -> Iterator[None]:
    """Keep Keras from warning of a mask that pooling drops: `load_engine` let it through."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not support masking.*")
        yield


def _build(keras: Any, bundle: Bundle, policy: str) -> Any:
    """A model from each branch's ids (or bags of words) to outputs, with the bundle's weights."""
    kept = [layer for layer in bundle.layers if layer.kind not in TRAINING_ONLY]
    # The last layer's outputs are the scores: they keep all digits.
    policies = [*[policy] * (len(kept) - 1), "float32"]
    built = {x.name: _layer(keras, x, each) for x, each in zip(kept, policies, strict=True)}
    inputs = [_input(keras, branch.vectorizer) for branch in bundle.branches]
    with _unmasked_pooling():
        pairs = zip(inputs, bundle.branches, strict=True)
        ends = [_applied(built, branch.layers, tensor) for tensor, branch in pairs]
        output = _applied(built, bundle.head, ends) if bundle.head else ends[0]
    model = keras.Model(inputs, output)
    for layer in kept:
        built[layer.name].set_weights(list(layer.weights))
    return model


def _input(keras: Any, spec: VectorizerSpec) -> Any:
    if spec.output_mode == "int":
        return keras.Input((spec.output_sequence_length,), dtype="int32")
    return keras.Input((spec.columns,), dtype="float32")


def _applied(built: Mapping[str, Any], layers: Sequence[Layer], tensor: Any) -> Any:
    """What layers make of a tensor, one after another; the first of a head takes a list."""
    for layer in layers:
        if layer.name in built:
            tensor = built[layer.name](tensor)
    return tensor


def _layer(keras: Any, layer: Layer | LayerSpec, policy: str) -> Any:
    settings = dict(layer.config)
    inner = settings.pop("layer", None)
    if inner is not None:
        settings["layer"] = _layer(keras, inner, policy)
    return getattr(keras.layers, layer.kind)(**settings, name=layer.name, dtype=policy)


Widths = tuple[int, ...]  # of each branch: positions, or columns of a bag


@dataclass(frozen=True)
class _Batch:
    """Rows of one batch, int64 (rows,), how wide they are encoded, and filled up to how many.

    wordless: a branch has no token in these rows. They are not compiled: cuDNN refuses rows all
    masked.
    """

    rows: np.ndarray
    widths: Widths
    padded: int
    wordless: bool = False


def _batches(
    specs: Sequence[VectorizerSpec],
    kept: Sequence[np.ndarray],
    fitting: Callable[[Widths], int],
) -> Iterator[_Batch]:
    """Every row in one batch of its widths.

    kept: for each branch int64 (rows,), the ids of each row; fitting: the most rows of a width.
    """
    widths = np.stack([_widths(s, k) for s, k in zip(specs, kept, strict=True)], axis=1)
    ids = [k for s, k in zip(specs, kept, strict=True) if s.output_mode == "int"]
    wordless = np.any([k == 0 for k in ids], axis=0) if ids else np.zeros(len(widths), np.bool_)
    bags = [s.columns for s in specs if s.output_mode != "int"]
    keys = np.column_stack([wordless, widths])
    groups, places = np.unique(keys, axis=0, return_inverse=True)
    for number, (empty, *wide) in enumerate(groups.tolist()):
        size = min([fitting(tuple(wide)), *(max(1, _BAG_CELLS // columns) for columns in bags)])
        yield from _cut(np.flatnonzero(places == number), tuple(wide), size, bool(empty))


def _widths(spec: VectorizerSpec, kept: np.ndarray) -> np.ndarray:
    """How wide a branch encodes each row, int64 (rows,)."""
    if spec.output_mode != "int":
        return np.full(len(kept), spec.columns)
    if spec.output_sequence_length is not None:
        return np.full(len(kept), spec.output_sequence_length)
    return np.where(kept == 0, 1, _round_up(kept))


def _cut(rows: np.ndarray, widths: Widths, size: int, wordless: bool) -> Iterator[_Batch]:
    """Batches of at most `size` rows, of few different sizes."""
    sizes = [few for few in _FEW_ROWS if few < size] + [size]
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        yield _Batch(part, widths, next(few for few in sizes if few >= len(part)), wordless)


def _round_up(kept: np.ndarray) -> np.ndarray:
    """The next of 16, 24, 32, 48, 64, 96 ... for each number."""
    powers = 1 << np.arange(4, 40, dtype=np.int64)
    ladder = np.sort(np.concatenate([powers, powers + powers // 2]))
    rungs: np.ndarray = ladder[np.searchsorted(ladder, kept)]
    return rungs


def _take(tokens: TokenBatch, rows: np.ndarray) -> TokenBatch:
    """Those rows of a batch."""
    kept = np.diff(tokens.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(kept)])
    shift = np.repeat(tokens.offsets[rows] - offsets[:-1], kept)
    ids = tokens.ids[np.arange(offsets[-1]) + shift]
    return TokenBatch(ids, offsets, tokens.n_tokens[rows], tokens.n_oov[rows])


def _encode(spec: VectorizerSpec, tokens: TokenBatch, width: int, rows: int) -> np.ndarray:
    """What a branch reads, int32 ids or float32 bags; the last row again up to a full batch."""
    inputs = padded_ids(tokens, width) if spec.output_mode == "int" else bag_of_words(spec, tokens)
    return np.concatenate([inputs, np.repeat(inputs[-1:], rows - len(inputs), axis=0)])
