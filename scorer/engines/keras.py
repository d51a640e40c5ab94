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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from threading import Lock
from typing import Any

import numpy as np

from scorer.bundle import Bundle, Layer, LayerSpec
from scorer.engines import backends
from scorer.engines.devices import gpu_bytes
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.errors import EngineError
from scorer.vectorizer import TokenBatch, VectorizerSpec

_OLDEST = (3, 15, 1)  # earlier releases have known holes
#: layers that do nothing outside training
_TRAINING_ONLY = frozenset(
    ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "ActivityRegularization")
)
# Keras compiles a function for each shape it meets, so it meets few: these numbers of rows and the
# most that fits, and the widths of `_round_up`.
_FEW_ROWS = (32, 256)
_MOST_ROWS = {"cpu": 256, "gpu": 4096}
_WINDOW_ROWS = {"cpu": 1024, "gpu": 16384}  # many rows make few and full batches
_BAG_CELLS = 1 << 24  # of a dense bag of words
_NO_LIMIT = 1 << 40
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
        self.window_rows = _WINDOW_ROWS[kind]
        self._most_rows = _MOST_ROWS[kind]
        self._spec = bundle.vectorizer
        self._lock = Lock()
        self._replicas = [self._place(bundle, name) for name in devices]
        self._outputs = self._replicas[0].model.output_shape[-1]
        self._cells = _fitting_cells(self._replicas[0].model) if kind == "gpu" else _NO_LIMIT
        self._empty: np.ndarray | None = None

    def _place(self, bundle: Bundle, device: str) -> _Replica:
        with self._on(device):
            model = _build(self._keras, bundle, Policies[self.precision])
            return _Replica(device, model, backends.forward(self._keras, model))

    def _on(self, device: str) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self._keras.device(device)
        return scope

    def run(self, tokens: TokenBatch) -> np.ndarray:
        """float32 (rows, outputs), rows in their order. Raises EngineError: one row is too much."""
        outputs = np.empty((len(tokens.n_tokens), self._outputs), dtype=np.float32)
        kept = np.diff(tokens.offsets)
        with self._lock:
            if self._spec.output_mode == "int" and np.any(kept == 0):
                outputs[kept == 0] = self._without_tokens()
            waiting = deque(_batches(kept, self._spec, self._fitting_rows))
            self._run_batches(tokens, waiting, outputs)
        return outputs

    def _run_batches(self, tokens: TokenBatch, waiting: deque[_Batch], outputs: np.ndarray) -> None:
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

    def _send(self, tokens: TokenBatch, batch: _Batch, replica: _Replica) -> Any:
        inputs = _encode(self._spec, _take(tokens, batch.rows), batch)
        with self._on(replica.device):
            return replica.forward(inputs)

    def _fetch(self, result: Any) -> np.ndarray:
        return np.asarray(self._keras.ops.convert_to_numpy(result), dtype=np.float32)

    def _fitting_rows(self, width: int) -> int:
        """The largest power of two of rows that a device holds."""
        rows = max(1, min(self._cells // width, self._most_rows))
        return 1 << (rows.bit_length() - 1)

    def _halved(self, batch: _Batch, error: Exception) -> list[_Batch]:
        """The same rows in two batches, and smaller batches from now on."""
        half = batch.padded // 2
        if half == 0:
            raise EngineError(
                f"a row of {batch.width} positions does not fit in the device's memory: "
                "use --device cpu"
            ) from error
        self._cells = min(self._cells, half * batch.width)
        return list(_cut(batch.rows, batch.width, half))

    def _without_tokens(self) -> np.ndarray:
        """Outputs (1, outputs) of padding alone. Not compiled: cuDNN refuses rows all masked."""
        if self._empty is None:
            width = self._spec.output_sequence_length or 1
            first = self._replicas[0]
            with self._on(first.device):
                self._empty = self._fetch(first.model(np.zeros((1, width), dtype=np.int32)))
        return self._empty


def _fitting_cells(model: Any) -> int:
    """How many positions, or cells of a bag, half a GPU's memory holds."""
    floats = _FLOATS_PER_OUTPUT * sum(layer.output.shape[-1] for layer in model.layers)
    bag = len(model.input_shape) == 2 and model.inputs[0].dtype == "float32"
    return gpu_bytes() // 2 // (4 * (2 if bag else floats))


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


def _build(keras: Any, bundle: Bundle, policy: str) -> Any:
    """A Sequential model from ids (or bags of words) to outputs, with the bundle's weights."""
    spec = bundle.vectorizer
    if spec.output_mode == "int":
        inputs = keras.Input((spec.output_sequence_length,), dtype="int32")
    else:
        inputs = keras.Input((spec.columns,), dtype="float32")
    kept = [layer for layer in bundle.layers if layer.kind not in _TRAINING_ONLY]
    # The last layer's outputs are the scores: they keep all digits.
    policies = [*[policy] * (len(kept) - 1), "float32"]
    layers = [_layer(keras, layer, each) for layer, each in zip(kept, policies, strict=True)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not support masking.*")
        model = keras.Sequential([inputs, *layers])
    for built, layer in zip(layers, kept, strict=True):
        built.set_weights(list(layer.weights))
    return model


def _layer(keras: Any, layer: Layer | LayerSpec, policy: str) -> Any:
    settings = dict(layer.config)
    inner = settings.pop("layer", None)
    if inner is not None:
        settings["layer"] = _layer(keras, inner, policy)
    return getattr(keras.layers, layer.kind)(**settings, name=layer.name, dtype=policy)


@dataclass(frozen=True)
class _Batch:
    """Rows of one batch, int64 (rows,), how wide they are encoded, and filled up to how many."""

    rows: np.ndarray
    width: int
    padded: int


def _batches(
    kept: np.ndarray, spec: VectorizerSpec, fitting: Callable[[int], int]
) -> Iterator[_Batch]:
    """Every row in one batch of its width; rows without tokens (int mode) in none.

    kept: int64 (rows,), the tokens of each row; fitting: the most rows of a width.
    """
    if spec.output_mode != "int":
        size = max(1, min(fitting(spec.columns), _BAG_CELLS // spec.columns))
        yield from _cut(np.arange(len(kept)), spec.columns, size)
        return
    length = spec.output_sequence_length
    widths = _round_up(kept) if length is None else np.full(len(kept), length)
    widths[kept == 0] = 0
    for width in np.unique(widths[widths > 0]).tolist():
        yield from _cut(np.flatnonzero(widths == width), width, fitting(width))


def _cut(rows: np.ndarray, width: int, size: int) -> Iterator[_Batch]:
    """Batches of at most `size` rows, of few different sizes."""
    sizes = [few for few in _FEW_ROWS if few < size] + [size]
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        yield _Batch(part, width, next(few for few in sizes if few >= len(part)))


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


def _encode(spec: VectorizerSpec, tokens: TokenBatch, batch: _Batch) -> np.ndarray:
    """What the network reads, int32 ids or float32 bags; the last row again up to a full batch."""
    if spec.output_mode == "int":
        inputs = padded_ids(tokens, batch.width)
    else:
        inputs = bag_of_words(spec, tokens)
    return np.concatenate([inputs, np.repeat(inputs[-1:], batch.padded - len(inputs), axis=0)])
