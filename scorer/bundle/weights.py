"""model.weights.h5 of a bundle: only plain, stored, finite float32 arrays of the expected shapes.

HDF5 can point outside itself (external links and storage, virtual data sets) and can declare shapes
far larger than what it stores. Both are refused before any array is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from scorer.bundle.config import RECURRENT, BranchSpec, LayerSpec, ModelSpec
from scorer.errors import BundleError

Weights = tuple[np.ndarray, ...]
Shape = tuple[int, ...]

MAX_OBJECTS = 10_000
#: what h5py raises on a file that is damaged or lies
_UNREADABLE = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
)


@dataclass(frozen=True)
class BranchWeights:
    """Of a branch: its layers' weights in Keras' order, and its vectorizer's IDF weights if any."""

    layers: list[Weights]
    idf: np.ndarray | None


def read_weights(raw: bytes, model: ModelSpec) -> tuple[list[BranchWeights], list[Weights]]:
    """The weights of each branch, and of the head's layers."""
    with opened(raw) as file:
        for fault in link_faults(file):
            raise BundleError(fault)
        stored = _Stored(file, len(raw))
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


@contextmanager
def opened(raw: bytes) -> Iterator[h5py.File]:
    """The HDF5 file in memory, read-only. What h5py raises inside becomes a BundleError."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fapl_core(1 << 16, False)  # nothing is ever written back
    try:
        access.set_file_image(raw)
        with h5py.File(h5py.h5f.open(b"model.weights.h5", h5py.h5f.ACC_RDONLY, access)) as file:
            yield file
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BundleError(f"model.weights.h5: not readable ({reason})") from error


def link_faults(file: h5py.File) -> Iterator[str]:
    """Every link hard, every object stored once and whole in the file: no way out, no cycles."""
    seen = 0
    stack: list[tuple[h5py.Group, str]] = [(file, "")]
    visited = {h5py.h5o.get_info(file.id).addr}
    while stack:
        group, where = stack.pop()
        seen += len(group)
        if seen > MAX_OBJECTS:
            yield f"model.weights.h5: more than {MAX_OBJECTS} objects"
            return
        for name in group:
            path = f"{where}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                yield f"model.weights.h5: {path[:120]}: {_leads_to(link)}"
                continue
            child = group[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in visited:
                yield f"model.weights.h5: {path[:120]}: stored under two names"
            elif isinstance(child, h5py.Group):
                stack.append((child, path))
            elif isinstance(child, h5py.Dataset):
                yield from _layout_faults(child, path)
            visited.add(address)


def _leads_to(link: Any) -> str:
    if link is None:
        return "a name that cannot be looked up"
    if isinstance(link, h5py.ExternalLink):
        return f"a link into another file ({str(link.filename)[:120]!r})"
    return f"a soft link ({str(link.path)[:120]!r})"


def _layout_faults(data: h5py.Dataset, path: str) -> Iterator[str]:
    """Weights lie in one piece in the file: not in other files, not chunked, not filtered."""
    layout = data.id.get_create_plist()
    fault = None
    if layout.get_layout() == h5py.h5d.VIRTUAL:
        files = sorted({s.file_name for s in data.virtual_sources()})[:3]
        fault = f"a virtual data set, read from other files ({', '.join(files)[:120]!r})"
    elif layout.get_external_count():
        name = layout.get_external(0)[0].decode("utf-8", "replace")
        fault = f"stored in another file ({name[:120]!r}), which Keras would read"
    elif layout.get_layout() == h5py.h5d.CHUNKED or layout.get_nfilters():
        fault = "stored in chunks or through filters, as Keras never does"
    if fault:
        yield f"model.weights.h5: {path[:120]}: {fault}"


class _Stored:
    """The arrays of an open file whose links were checked.

    Together they may need no more bytes than the file has, so that arrays which share bytes or
    claim bytes that are not there cost nothing.
    """

    def __init__(self, file: h5py.File, size: int) -> None:
        self._file = file
        self._left = size

    def __contains__(self, path: str) -> bool:
        return path in self._file

    def rows(self, path: str) -> int | None:
        """The first dimension of the array at `path`, if there is one."""
        data = self._file.get(path)
        return int(data.shape[0]) if isinstance(data, h5py.Dataset) and data.shape else None

    def array(self, path: str, shape: Shape | None) -> np.ndarray:
        """The array at `path`, finite float32, of `shape` where one is given."""
        data: Any = self._file.get(path)
        if not isinstance(data, h5py.Dataset):
            raise BundleError(f"model.weights.h5: {path} is missing")
        if data.dtype != np.dtype("<f4"):
            kind = str(data.dtype)[:60]
            raise BundleError(f"model.weights.h5: {path}: {kind} values, expected float32")
        if shape is not None and data.shape != shape:
            raise BundleError(
                f"model.weights.h5: {path}: shape {data.shape}, the configuration says {shape}"
            )
        needed = 4 * math.prod(data.shape or (0,))
        if data.id.get_storage_size() != needed or needed > self._left:
            raise BundleError(f"model.weights.h5: {path}: fewer bytes stored than its shape needs")
        self._left -= needed
        array: np.ndarray = np.ascontiguousarray(data[()])
        if not np.isfinite(array).all():
            raise BundleError(f"model.weights.h5: {path}: holds NaN or infinite values")
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
