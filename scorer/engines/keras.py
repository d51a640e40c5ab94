"""The keras engine: the same layers in Keras, on whichever backend and device are there.

The reference that the cpu engine is held to, the way to a GPU, and the home of layers that the cpu
engine lacks. Ids come from our vectorizer, so no backend needs strings. Layers are built from the
settings that `scorer.bundle` let through, never from the archive's own configuration.
"""

from __future__ import annotations

import logging
import math
import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from threading import Lock
from typing import Any

import numpy as np

from scorer.bundle import TRAINING_ONLY, Bundle, Input, Layer, LayerSpec, Node
from scorer.engines import backends
from scorer.engines.devices import gpu_bytes
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.engines.operations import operation
from scorer.errors import EngineError, pip_install
from scorer.layers import KINDS
from scorer.layers.core import zero_of_nothing
from scorer.layers.recurrent import RECURRENT
from scorer.layers.spec import Arity
from scorer.vectorizer import TokenBatch

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
#: they hold what they give at every position, also where they give the last alone
_STEPPED = frozenset(kind.name for kind in RECURRENT)
_IN_FLIGHT = 2  # batches on each device
Given = TokenBatch | np.ndarray  # of an input: a batch of tokens, or float32 (rows, width) numbers

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
        self._inputs = bundle.inputs
        self._lock = Lock()
        self._replicas = [self._place(bundle, name) for name in devices]
        self._outputs = bundle.outputs
        self._costs = [_cost(bundle, number) for number in range(len(bundle.inputs))]
        self._floats = gpu_bytes() // 2 // 4 if kind == "gpu" else _NO_LIMIT

    def _place(self, bundle: Bundle, device: str) -> _Replica:
        with self._on(device):
            model = build(self._keras, bundle, Policies[self.precision])
            return _Replica(device, model, backends.forward(self._keras, model))

    def _on(self, device: str) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self._keras.device(device)
        return scope

    def run(self, *inputs: Given) -> np.ndarray:
        """float32 (rows, outputs), rows in their order, from what is given to each input.

        Raises EngineError: one row is too much.
        """
        kept = [_kept(given) for given in inputs]
        outputs = np.empty((len(kept[0]), self._outputs), dtype=np.float32)
        with self._lock, _unmasked_pooling():
            waiting = deque(_batches(self._inputs, kept, self._fitting_rows))
            self._run_batches(inputs, waiting, outputs)
        return outputs

    def _run_batches(
        self, inputs: Sequence[Given], waiting: deque[_Batch], outputs: np.ndarray
    ) -> None:
        """Fill `outputs`, some batches being sent before the first one's results are fetched."""
        turns = cycle(self._replicas)
        sent: deque[tuple[_Batch, Any]] = deque()
        while waiting or sent:
            try:
                if waiting and len(sent) < _IN_FLIGHT * len(self._replicas):
                    batch = waiting.popleft()
                    sent.append((batch, self._send(inputs, batch, next(turns))))
                else:
                    batch, result = sent.popleft()
                    outputs[batch.rows] = self._fetch(result)[: len(batch.rows)]
            except Exception as error:
                if not backends.out_of_memory(error):
                    raise
                waiting.extendleft(self._halved(batch, error))

    def _send(self, inputs: Sequence[Given], batch: _Batch, replica: _Replica) -> Any:
        parts = zip(self._inputs, inputs, batch.widths, strict=True)
        tensors = [_encode(to, given, batch, width) for to, given, width in parts]
        with self._on(replica.device):
            return replica.model(tensors) if batch.wordless else replica.forward(tensors)

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


def _cost(bundle: Bundle, number: int) -> int:
    """How many floats a device holds for a position of a row, or for a column of another input."""
    spec = bundle.inputs[number].spec
    if spec.dtype != "ids":
        return 2
    nodes = [node for node in bundle.nodes if node.region == number]
    kept = [node for node in nodes if node.layer.kind not in TRAINING_ONLY]
    return _FLOATS_PER_OUTPUT * sum(_floats_a_position(node, spec.shape[0]) for node in kept)


def _floats_a_position(node: Node, positions: int | None) -> int:
    """How many numbers a layer makes for each of the `positions` of its input, at least one."""
    floats = math.prod(n for n in node.spec.shape if n is not None)
    if positions is None or None in node.spec.shape or node.layer.kind in _STEPPED:
        return floats
    return -(-floats // positions)


def _import_keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of every new shape
    try:
        import keras
    except ImportError as error:
        raise EngineError(
            f"the keras engine needs Keras and a backend ({error}): {pip_install('keras')}"
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


def build(keras: Any, bundle: Bundle, policy: str) -> Any:
    """A model from ids, bags of words and numbers to outputs, with the bundle's weights."""
    nodes = [node for node in bundle.nodes if node.layer.kind not in TRAINING_ONLY]
    layers = {id(node.layer): node.layer for node in nodes}
    # The last layer's outputs are the scores: they keep all digits.
    last = id(nodes[-1].layer)
    built = {
        key: _layer(keras, layer, "float32" if key == last else policy)
        for key, layer in layers.items()
    }
    tensors = {given.name: _input(keras, given) for given in bundle.inputs}
    inputs = [tensors[given.name] for given in bundle.inputs]
    with _unmasked_pooling():
        for node in bundle.nodes:
            given = [tensors[name] for name in node.inputs]
            applied = built.get(id(node.layer))
            tensors[node.name] = _called(keras, applied, node, given) if applied else given[0]
    model = keras.Model(inputs, tensors[bundle.nodes[-1].name])
    for key, layer in layers.items():
        if layer.weights and not KINDS[layer.kind].as_settings:
            built[key].set_weights(list(layer.weights))
    return model


def _called(keras: Any, applied: Any, node: Node, given: list[Any]) -> Any:
    """What a Keras layer makes of its inputs: one, a list of them, or several arguments."""
    kind, settings = KINDS[node.layer.kind], node.layer.settings
    at_call = {key: settings[key] for key in kind.at_call if settings[key]}
    if kind.arity is Arity.LIST:
        made = applied(given, **at_call)
    elif kind.arity is Arity.STATES and given[1:]:
        made = applied(given[0], initial_state=given[1:])
    else:
        made = applied(*given, **at_call)
    if settings.get("return_state"):
        return made[-1]  # after the output and the last output: the cell's state
    if node.layer.kind == "Bidirectional" and settings["layer"].settings.get("return_state"):
        return keras.ops.concatenate([made[2], made[4]], axis=-1)
    return made


def _input(keras: Any, given: Input) -> Any:
    dtype = "int32" if given.spec.dtype == "ids" else "float32"
    return keras.Input(given.spec.shape, dtype=dtype)


def _layer(keras: Any, layer: LayerSpec, policy: str) -> Any:
    """A layer, or the function of an operation."""
    declared = KINDS[layer.kind]
    if declared.operation:
        return operation(keras, layer)
    settings = {k: v for k, v in layer.settings.items() if k not in declared.at_call}
    if isinstance(layer, Layer) and layer.weights:
        settings |= dict(zip(declared.as_settings, layer.weights, strict=False))
    inner = settings.pop("layer", None)
    if inner is not None:
        settings["layer"] = _layer(keras, inner, policy)
    if layer.kind == "Bidirectional" and inner.settings["go_backwards"]:
        # Keras mirrors a forward layer by itself, but not one that goes backwards.
        mirrored = replace(inner, settings={**inner.settings, "go_backwards": False})
        settings["backward_layer"] = _layer(keras, mirrored, policy)
    if zero_of_nothing(layer):
        settings["activation"] = partial(_rectified, keras)
    kind = "Identity" if layer.kind in TRAINING_ONLY else layer.kind
    settings["dtype"] = "int64" if settings.get("output_mode") == "int" else policy
    return getattr(keras.layers, kind)(**settings)


def _rectified(keras: Any, x: Any) -> Any:
    """relu, and 0 for what is not a number."""
    return keras.ops.where(x > 0, x, keras.ops.zeros_like(x))


Widths = tuple[int, ...]  # of each input: positions, or columns


@dataclass(frozen=True)
class _Batch:
    """Rows of one batch, int64 (rows,), how wide they are encoded, and filled up to how many.

    wordless: an input has no token in these rows. They are not compiled: cuDNN refuses rows all
    masked.
    """

    rows: np.ndarray
    widths: Widths
    padded: int
    wordless: bool = False


def _kept(given: Given) -> np.ndarray:
    """How many ids each row has, int64 (rows,); 1 where an input takes numbers."""
    if isinstance(given, np.ndarray):
        return np.ones(len(given), np.int64)
    return np.diff(given.offsets)


def _batches(
    inputs: Sequence[Input],
    kept: Sequence[np.ndarray],
    fitting: Callable[[Widths], int],
) -> Iterator[_Batch]:
    """Every row in one batch of its widths.

    kept: for each input int64 (rows,), the ids of each row; fitting: the most rows of a width.
    """
    pairs = list(zip(inputs, kept, strict=True))
    widths = np.stack([_widths(given, k) for given, k in pairs], axis=1)
    ids = [k for given, k in pairs if given.spec.dtype == "ids"]
    wordless = np.any([k == 0 for k in ids], axis=0) if ids else np.zeros(len(widths), np.bool_)
    bags = [given.spec.width for given in inputs if given.spec.dtype != "ids"]
    keys = np.column_stack([wordless, widths])
    groups, places = np.unique(keys, axis=0, return_inverse=True)
    for number, (empty, *wide) in enumerate(groups.tolist()):
        size = min([fitting(tuple(wide)), *(max(1, _BAG_CELLS // columns) for columns in bags)])
        yield from _cut(np.flatnonzero(places == number), tuple(wide), size, bool(empty))


def _widths(given: Input, kept: np.ndarray) -> np.ndarray:
    """How wide each row of an input is encoded, int64 (rows,)."""
    (width,) = given.spec.shape
    if width is not None:
        return np.full(len(kept), width)
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


def _encode(to: Input, given: Given, batch: _Batch, width: int) -> np.ndarray:
    """What the network reads of a batch's rows, int32 ids or float32; the last row again up to a
    full batch."""
    if isinstance(given, np.ndarray):
        rows = given[batch.rows].astype(np.float32)
    else:
        taken = _take(given, batch.rows)
        if to.vectorizer is not None and to.spec.dtype == "bag":
            rows = bag_of_words(to.vectorizer, taken)
        else:
            rows = padded_ids(taken, width)
    return np.concatenate([rows, np.repeat(rows[-1:], batch.padded - len(rows), axis=0)])
