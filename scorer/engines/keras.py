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
from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np

from scorer.bundle import Bundle, Layer, LayerSpec
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.errors import EngineError
from scorer.vectorizer import TokenBatch, VectorizerSpec

_OLDEST = (3, 15, 1)  # earlier releases have known holes
#: layers that do nothing outside training
_TRAINING_ONLY = frozenset(
    ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "ActivityRegularization")
)
# Keras compiles a function for each shape it meets, so it meets few: two numbers of rows, and the
# widths of `_round_up`.
_BATCH_ROWS = (32, 256)
_BAG_CELLS = 1 << 24  # of a dense bag of words


class KerasEngine:
    """A bundle's layers in Keras. Thread-safe: one call works at a time, others wait."""

    name = "keras"

    def __init__(self, bundle: Bundle, *, device: str = "auto") -> None:
        """device is "auto" (a GPU if Keras sees one), "cpu" or "gpu". Raises EngineError."""
        self._keras = _import_keras()
        self._device = _choose_device(self._keras, device)
        self._spec = bundle.vectorizer
        self._lock = Lock()
        with self._keras.device(self._device):
            self._model = _build(self._keras, bundle)
        self._empty: np.ndarray | None = None

    def run(self, tokens: TokenBatch) -> np.ndarray:
        """float32 (rows, outputs), rows in their order."""
        kept = np.diff(tokens.offsets)
        outputs = np.empty((len(kept), self._model.output_shape[-1]), dtype=np.float32)
        with self._lock, self._keras.device(self._device):
            for rows, width in _batches(kept, self._spec):
                if width == 0:
                    outputs[rows] = self._without_tokens()
                    continue
                inputs = _encode(self._spec, _take(tokens, rows), width)
                outputs[rows] = self._model.predict_on_batch(inputs)[: len(rows)]
        return outputs

    def _without_tokens(self) -> np.ndarray:
        """Outputs (1, outputs) of padding alone. Not by predict: cuDNN refuses rows all masked."""
        if self._empty is None:
            width = self._spec.output_sequence_length or 1
            outputs = self._model(np.zeros((1, width), dtype=np.int32))
            self._empty = np.asarray(self._keras.ops.convert_to_numpy(outputs), dtype=np.float32)
        return self._empty


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


def _choose_device(keras: Any, device: str) -> str:
    if device == "cpu":
        return "cpu:0"
    try:
        gpus = keras.distribution.list_devices("gpu")
    except (RuntimeError, AttributeError, NotImplementedError):
        gpus = []
    if not gpus and device == "gpu":
        raise EngineError(
            f"Keras' {keras.backend.backend()} backend sees no GPU: "
            "install its GPU build, or use --device cpu"
        )
    return "gpu:0" if gpus else "cpu:0"


def _build(keras: Any, bundle: Bundle) -> Any:
    """A Sequential model from ids (or bags of words) to outputs, with the bundle's weights."""
    spec = bundle.vectorizer
    if spec.output_mode == "int":
        inputs = keras.Input((spec.output_sequence_length,), dtype="int32")
    else:
        inputs = keras.Input((spec.columns,), dtype="float32")
    kept = [layer for layer in bundle.layers if layer.kind not in _TRAINING_ONLY]
    layers = [_layer(keras, layer) for layer in kept]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not support masking.*")
        model = keras.Sequential([inputs, *layers])
    for built, layer in zip(layers, kept, strict=True):
        built.set_weights(list(layer.weights))
    return model


def _layer(keras: Any, layer: Layer | LayerSpec) -> Any:
    settings = dict(layer.config)
    inner = settings.pop("layer", None)
    if inner is not None:
        settings["layer"] = _layer(keras, inner)
    return getattr(keras.layers, layer.kind)(**settings, name=layer.name, dtype="float32")


def _batches(kept: np.ndarray, spec: VectorizerSpec) -> Iterator[tuple[np.ndarray, int]]:
    """Groups of rows, and how wide each is encoded; 0 for rows without tokens.

    kept: int64 (rows,), the tokens of each row.
    """
    size = _BATCH_ROWS[-1]
    if spec.output_mode != "int":
        size = max(1, min(size, _BAG_CELLS // spec.columns))
        widths = np.full(len(kept), spec.columns)
    else:
        length = spec.output_sequence_length
        widths = _round_up(kept) if length is None else np.full(len(kept), length)
        widths[kept == 0] = 0
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        for first in range(0, len(rows), size):
            yield rows[first : first + size], int(width)


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


def _encode(spec: VectorizerSpec, tokens: TokenBatch, width: int) -> np.ndarray:
    """What the network reads, int32 ids or float32 bags; the last row again up to a full batch."""
    inputs = padded_ids(tokens, width) if spec.output_mode == "int" else bag_of_words(spec, tokens)
    full = next((rows for rows in _BATCH_ROWS if rows >= len(inputs)), len(inputs))
    return np.concatenate([inputs, np.repeat(inputs[-1:], full - len(inputs), axis=0)])
