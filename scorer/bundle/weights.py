"""model.weights.h5 of a bundle: only plain, stored, finite float32 arrays of the expected shapes.

HDF5 can point outside itself (external links and storage, virtual data sets) and can declare shapes
far larger than what it stores. Both are refused before any array is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scorer.bundle.config import RECURRENT, BranchSpec, LayerSpec, ModelSpec
from scorer.bundle.hdf5 import Array, File, opened
from scorer.errors import BundleError

WEIGHTS = "model.weights.h5"
Weights = tuple[np.ndarray, ...]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class BranchWeights:
    """Of a branch: its layers' weights in Keras' order, and its vectorizer's IDF weights if any."""

    layers: list[Weights]
    idf: np.ndarray | None


def read_weights(raw: bytes, model: ModelSpec) -> tuple[list[BranchWeights], list[Weights]]:
    """The weights of each branch, and of the head's layers."""
    with opened(raw, WEIGHTS) as file:
        for fault in file.faults():
            raise BundleError(f"{WEIGHTS}: {fault}")
        stored = _Stored(file)
        branches, widths = [], []
        for branch in model.branches:
            weights, width = _chain_weights(stored, branch.layers, model.stored, None)
            branches.append(BranchWeights(weights, _idf(stored, branch, model.stored)))
            widths.append(width)
        if not model.head:
            return branches, []
        width = _merged_width(model.head[0], widths)
        weights, _ = _chain_weights(stored, model.head[1:], model.stored, width)
        return branches, [(), *weights]


def _chain_weights(
    stored: _Stored, layers: tuple[LayerSpec, ...], names: dict[str, str], width: int | None
) -> tuple[list[Weights], int | None]:
    """The arrays of each layer of a chain, and its last width, given the width of its input."""
    weights = []
    for layer in layers:
        arrays, width = _layer_weights(stored, layer, f"layers/{names[layer.name]}", width)
        weights.append(arrays)
    return weights, width


def _idf(stored: _Stored, branch: BranchSpec, names: dict[str, str]) -> np.ndarray | None:
    path = f"layers/{names[branch.vectorizer['name']]}/_lookup_layer/vars/idf_weights"
    if branch.vectorizer.get("output_mode") == "tf_idf" and path in stored:
        return stored.array(path, None)
    return None


def _merged_width(merge: LayerSpec, widths: list[int | None]) -> int | None:
    known = [width for width in widths if width is not None]
    if len(known) < len(widths):
        return None
    if merge.kind == "Add" and len(set(known)) > 1:
        raise BundleError(f"config.json: layer {merge.name} adds vectors of the widths {known}")
    return known[0] if merge.kind == "Add" else sum(known)


class _Stored:
    """The arrays of an open file whose links were checked.

    Together they may need no more bytes than the file has, so that arrays which share bytes or
    claim bytes that are not there cost nothing.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._left = len(file.raw)

    def __contains__(self, path: str) -> bool:
        return self._file[path] is not None

    def rows(self, path: str) -> int | None:
        """The first dimension of the array at `path`, if there is one."""
        data = self._file[path]
        return data.shape[0] if isinstance(data, Array) and data.shape else None

    def array(self, path: str, shape: Shape | None) -> np.ndarray:
        """The array at `path`, finite float32, of `shape` where one is given."""
        data = self._file[path]
        if not isinstance(data, Array):
            raise BundleError(f"{WEIGHTS}: {path} is missing")
        if data.kind.dtype != np.dtype("<f4"):
            raise BundleError(f"{WEIGHTS}: {path}: {data.kind.name} values, expected float32")
        if shape is not None and data.shape != shape:
            raise BundleError(
                f"{WEIGHTS}: {path}: shape {data.shape}, the configuration says {shape}"
            )
        needed = 4 * math.prod(data.shape or (0,))
        if data.size != needed or needed > self._left:
            raise BundleError(f"{WEIGHTS}: {path}: fewer bytes stored than its shape needs")
        self._left -= needed
        array = self._file.values(data)
        if not np.isfinite(array).all():
            raise BundleError(f"{WEIGHTS}: {path}: holds NaN or infinite values")
        return array


def _layer_weights(
    stored: _Stored, layer: LayerSpec, where: str, width: int | None
) -> tuple[Weights, int | None]:
    """The layer's arrays and the width of its output, given the width of its input."""
    if layer.kind == "Bidirectional":
        inner: LayerSpec = layer.config["layer"]
        units = int(inner.config["units"])
        forward = _cell(stored, inner, f"{where}/forward_layer", width)
        backward = _cell(stored, inner, f"{where}/backward_layer", width)
        return forward + backward, 2 * units if layer.config["merge_mode"] == "concat" else units
    if layer.kind in RECURRENT:
        return _cell(stored, layer, where, width), int(layer.config["units"])
    if layer.kind == "Embedding":
        shape = (int(layer.config["input_dim"]), int(layer.config["output_dim"]))
        return (stored.array(f"{where}/vars/0", shape),), shape[1]
    if layer.kind in ("Dense", "Conv1D"):
        return _affine(stored, layer, where, width)
    return (), width


def _cell(stored: _Stored, layer: LayerSpec, where: str, width: int | None) -> Weights:
    """Kernel (width, gates*units), recurrent kernel (units, gates*units) and bias of a cell."""
    units = int(layer.config["units"])
    gates = {"LSTM": 4, "GRU": 3}[layer.kind] * units
    shapes: list[Shape] = [(_known(width, where), gates), (units, gates)]
    if layer.config["use_bias"]:
        shapes.append((2, gates) if layer.config.get("reset_after") else (gates,))
    return tuple(stored.array(f"{where}/cell/vars/{i}", s) for i, s in enumerate(shapes))


def _affine(
    stored: _Stored, layer: LayerSpec, where: str, width: int | None
) -> tuple[Weights, int]:
    """Kernel and bias of Dense (width, units) or Conv1D (size, width, filters)."""
    if layer.kind == "Dense":
        units = int(layer.config["units"])
        if width is None:  # the first layer after a bag of words: as wide as the vocabulary
            width = stored.rows(f"{where}/vars/0")
        shapes: list[Shape] = [(_known(width, where), units)]
    else:
        units = int(layer.config["filters"])
        shapes = [(int(layer.config["kernel_size"][0]), _known(width, where), units)]
    if layer.config["use_bias"]:
        shapes.append((units,))
    return tuple(stored.array(f"{where}/vars/{i}", s) for i, s in enumerate(shapes)), units


def _known(width: int | None, where: str) -> int:
    if width is None:
        raise BundleError(f"model.weights.h5: {where}: the width of this layer's input is unknown")
    return width
