"""model.weights.h5 of a bundle: only plain, stored, finite float32 arrays of the expected shapes.

HDF5 can point outside itself (external links and storage, virtual data sets) and can declare shapes
far larger than what it stores. Both are refused before any array is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from scorer.bundle.hdf5 import Array, File
from scorer.bundle.network import Layer, Node
from scorer.errors import BundleError
from scorer.layers.spec import Shape

WEIGHTS = "model.weights.h5"


def with_weights(nodes: Iterable[Node], stored: Stored) -> tuple[Node, ...]:
    """The nodes, their layers with the weights that the file has for them.

    A layer that is called several times is read once, and must need the same weights every time.
    """
    layers: dict[int, tuple[Layer, dict[str, Shape]]] = {}
    filled = []
    for node in nodes:
        if id(node.layer) not in layers:
            arrays = (stored.array(f"{node.place}/{at}", n) for at, n in node.shapes.items())
            layers[id(node.layer)] = (replace(node.layer, weights=tuple(arrays)), node.shapes)
        layer, shapes = layers[id(node.layer)]
        if shapes != node.shapes:
            raise BundleError(f"config.json: layer {layer.name}: called on tensors of two widths")
        filled.append(replace(node, layer=layer))
    return tuple(filled)


class Stored:
    """The arrays of an open file. Every link and layout in it is checked first; raises BundleError.

    Together they may need no more bytes than the file has, so that arrays which share bytes or
    claim bytes that are not there cost nothing.
    """

    def __init__(self, file: File) -> None:
        for fault in file.faults():
            raise BundleError(f"{WEIGHTS}: {fault}")
        self._file = file
        self._left = len(file.raw)

    def __contains__(self, path: str) -> bool:
        return self._file[path] is not None

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
