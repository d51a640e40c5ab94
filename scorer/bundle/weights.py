"""model.weights.h5 of a bundle: only plain, stored, finite float32 arrays of the expected shapes.

HDF5 can point outside itself (external links and storage, virtual data sets) and can declare shapes
far larger than what it stores. Both are refused before any array is made.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from scorer.bundle.config import RECURRENT, LayerSpec, ModelSpec
from scorer.errors import BundleError

Weights = tuple[np.ndarray, ...]
Shape = tuple[int, ...]

MAX_OBJECTS = 10_000
_IDF = "layers/text_vectorization/_lookup_layer/vars/idf_weights"


def read_weights(raw: bytes, model: ModelSpec) -> tuple[list[Weights], np.ndarray | None]:
    """Each layer's weights in Keras' order, and the vectorizer's IDF weights where it has them."""
    try:
        with h5py.File.in_memory(raw) as file:
            _check_links(file)
            width: int | None = None
            weights = []
            for layer, stored in zip(model.layers, model.stored[1:], strict=True):
                arrays, width = _layer_weights(file, layer, f"layers/{stored}", width)
                weights.append(arrays)
            idf = None
            if model.vectorizer.get("output_mode") == "tf_idf" and _IDF in file:
                idf = _read(file, _IDF, None)
            return weights, idf
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise BundleError(f"model.weights.h5: not readable ({reason})") from error


def _check_links(file: h5py.File) -> None:
    """Every link hard, every object seen once: no way out of the file and no cycles."""
    seen = 0
    stack: list[tuple[h5py.Group, str]] = [(file, "")]
    visited = {h5py.h5o.get_info(file.id).addr}
    while stack:
        group, where = stack.pop()
        for name in group:
            path = f"{where}/{name}"
            seen += 1
            if seen > MAX_OBJECTS:
                raise BundleError(f"model.weights.h5: more than {MAX_OBJECTS} objects")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BundleError(f"model.weights.h5: {path[:120]}: a link out of its place")
            child = group[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in visited:
                raise BundleError(f"model.weights.h5: {path[:120]}: stored under two names")
            visited.add(address)
            if isinstance(child, h5py.Group):
                stack.append((child, path))


def _read(file: h5py.File, path: str, shape: Shape | None) -> np.ndarray:
    """The array at `path`, float32, of `shape` where one is given."""
    if path not in file:
        raise BundleError(f"model.weights.h5: {path} is missing")
    data: Any = file[path]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise BundleError(f"model.weights.h5: {path}: not an array stored in the file")
    if data.dtype != np.dtype("<f4"):
        raise BundleError(f"model.weights.h5: {path}: {data.dtype} values, expected float32")
    if shape is not None and data.shape != shape:
        raise BundleError(
            f"model.weights.h5: {path}: shape {data.shape}, the configuration says {shape}"
        )
    if data.chunks is not None or data.id.get_storage_size() != data.nbytes:
        raise BundleError(f"model.weights.h5: {path}: fewer bytes stored than its shape needs")
    array: np.ndarray = np.ascontiguousarray(data[()])
    if not np.isfinite(array).all():
        raise BundleError(f"model.weights.h5: {path}: holds NaN or infinite values")
    return array


def _layer_weights(
    file: h5py.File, layer: LayerSpec, where: str, width: int | None
) -> tuple[Weights, int | None]:
    """The layer's arrays and the width of its output, given the width of its input."""
    if layer.kind == "Bidirectional":
        inner: LayerSpec = layer.config["layer"]
        units = int(inner.config["units"])
        forward = _cell(file, inner, f"{where}/forward_layer", width)
        backward = _cell(file, inner, f"{where}/backward_layer", width)
        return forward + backward, 2 * units if layer.config["merge_mode"] == "concat" else units
    if layer.kind in RECURRENT:
        return _cell(file, layer, where, width), int(layer.config["units"])
    if layer.kind == "Embedding":
        shape = (int(layer.config["input_dim"]), int(layer.config["output_dim"]))
        return (_read(file, f"{where}/vars/0", shape),), shape[1]
    if layer.kind in ("Dense", "Conv1D"):
        return _affine(file, layer, where, width)
    return (), width


def _cell(file: h5py.File, layer: LayerSpec, where: str, width: int | None) -> Weights:
    """Kernel (width, gates*units), recurrent kernel (units, gates*units) and bias of a cell."""
    units = int(layer.config["units"])
    gates = {"LSTM": 4, "GRU": 3}[layer.kind] * units
    shapes: list[Shape] = [(_known(width, where), gates), (units, gates)]
    if layer.config["use_bias"]:
        shapes.append((2, gates) if layer.config.get("reset_after") else (gates,))
    return tuple(_read(file, f"{where}/cell/vars/{i}", s) for i, s in enumerate(shapes))


def _affine(
    file: h5py.File, layer: LayerSpec, where: str, width: int | None
) -> tuple[Weights, int]:
    """Kernel and bias of Dense (width, units) or Conv1D (size, width, filters)."""
    if layer.kind == "Dense":
        units = int(layer.config["units"])
        if width is None:  # the first layer after a bag of words: as wide as the vocabulary
            width = int(file[f"{where}/vars/0"].shape[0]) if f"{where}/vars/0" in file else None
        shapes: list[Shape] = [(_known(width, where), units)]
    else:
        units = int(layer.config["filters"])
        shapes = [(int(layer.config["kernel_size"][0]), _known(width, where), units)]
    if layer.config["use_bias"]:
        shapes.append((units,))
    return tuple(_read(file, f"{where}/vars/{i}", s) for i, s in enumerate(shapes)), units


def _known(width: int | None, where: str) -> int:
    if width is None:
        raise BundleError(f"model.weights.h5: {where}: the width of this layer's input is unknown")
    return width
