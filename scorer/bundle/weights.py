"""model.weights.h5 of a bundle: only plain, stored, finite float arrays of the expected shapes.

HDF5 can point outside itself (external links and storage, virtual data sets) and can declare shapes
far larger than what it stores. Both are refused before any array is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from scorer.bundle.hdf5.reader import Array, File, Group
from scorer.bundle.network import Layer, Node
from scorer.errors import BundleError
from scorer.layers.spec import Shape

WEIGHTS = "model.weights.h5"
#: float16 and float64 are what the policies of these names leave
_FLOATS = (np.dtype("<f4"), np.dtype("<f2"), np.dtype("<f8"))


def with_weights(nodes: Iterable[Node], stored: Stored) -> tuple[Node, ...]:
    """The nodes, their layers with the weights that the file has for them.

    A layer that is called several times is read once, and must need the same weights every time.
    """
    nodes = list(nodes)
    stored.prepare(nodes)
    layers: dict[int, tuple[Layer, dict[str, Shape]]] = {}
    read: dict[tuple[str, str], tuple[np.ndarray, ...]] = {}  # by place: a state's layer has two
    filled = []
    for node in nodes:
        if id(node.layer) not in layers:
            at = node.place, repr(node.shapes)
            arrays = read.get(at) or stored.weights_of(node)
            read[at] = arrays
            layers[id(node.layer)] = (replace(node.layer, weights=arrays), node.shapes)
        layer, shapes = layers[id(node.layer)]
        if shapes != node.shapes:
            raise BundleError(f"config.json: layer {layer.name}: called on tensors of two widths")
        filled.append(replace(node, layer=layer))
    return tuple(filled)


_OLD = "_layer_checkpoint_dependencies"


def _class_of(name: str) -> tuple[str, int]:
    """`dense_2` -> dense, 2"""
    kind, _, number = name.rpartition("_")
    whole = bool(kind) and number.isascii() and number.isdigit() and len(number) < 6
    return (kind, int(number)) if whole else (name, 0)


def _private(path: str) -> str:
    """The same path where a layer's part is private, as in Keras 2's MultiHeadAttention."""
    place, _, rest = path.partition("/vars/")
    above, _, part = place.rpartition("/")
    return f"{above}/_{part}/vars/{rest}"


def _of_cells(path: str) -> str:
    """The same path where a recurrent layer's cell is one of several, which stand in a list."""
    return re.sub(r"(/cell/cells/\w+)/cell/", r"\1/", path)


def _paths(file: File) -> Iterator[tuple[str, int]]:
    """Every object's path and address. Keras 2 on Windows joined names by a backslash."""
    stack: list[tuple[Group, str]] = [(file.root, "")]
    while stack:
        group, where = stack.pop()
        for name, address in group.links.items():
            if isinstance(address, int):
                path = f"{where}{name}".replace("\\", "/")
                yield path, address
                child = file.at(address)
                if isinstance(child, Group):
                    stack.append((child, f"{path}/"))


class Stored:
    """The arrays of an open file. Every link and layout in it is checked first; raises BundleError.

    Together they may need no more bytes than the file has, so that arrays which share bytes or
    claim bytes that are not there cost nothing.
    """

    def __init__(self, file: File, name: str = WEIGHTS) -> None:
        for fault in file.faults():
            raise BundleError(f"{name}: {fault}")
        self._file = file
        self._name = name
        self._left = len(file.raw)
        self._paths = dict(_paths(file))

    def __contains__(self, path: str) -> bool:
        return self._at(path) is not None

    def place(self, place: str) -> str:
        """Where the file keeps what Keras 3 would keep at `place`.

        Keras 2.12 has another name for the folder of a model's layers, and counts a layer that has
        weights twice: their order is the same.
        """
        if not any(path.startswith(f"{_OLD}/") for path in self._paths):
            return place
        found = ""
        for name in place.split("/"):
            if found.rpartition("/")[2] == _OLD:
                name = self._numbered(found, name)
            found = f"{found}/{_OLD if name == 'layers' else name}".lstrip("/")
        return found

    def _numbered(self, folder: str, name: str) -> str:
        """The name in `folder` that is as many-th of its class as `name` says."""
        kind, number = _class_of(name)
        below = (path[len(folder) + 1 :] for path in self._paths if path.startswith(f"{folder}/"))
        names = {path.partition("/")[0] for path in below}
        alike = sorted(n for k, n in map(_class_of, names) if k == kind)
        if number >= len(alike):
            return name
        return f"{kind}_{alike[number]}" if alike[number] else kind

    def _at(self, path: str) -> Group | Array | None:
        path = _of_cells(path)
        place, _, rest = path.partition("/vars/")
        for found in (path, f"{self.place(place)}/vars/{rest}"):
            address = self._paths.get(found, self._paths.get(_private(found)))
            if address is not None:
                return self._file.at(address)
        return None

    def prepare(self, nodes: Sequence[Node]) -> None:
        """Told of all nodes before the first one's weights are asked for."""

    def weights_of(self, node: Node) -> tuple[np.ndarray, ...]:
        """A layer's weights, in the order of `node.shapes`."""
        return tuple(self.array(f"{node.place}/{at}", n) for at, n in node.shapes.items())

    def array(self, path: str, shape: Shape | None) -> np.ndarray:
        """The array at `path` as finite float32, of `shape` where one is given."""
        data = self._at(path)
        if not isinstance(data, Array):
            raise BundleError(f"{self._name}: {path} is missing")
        if data.kind.dtype is None or data.kind.dtype not in _FLOATS:  # None equals float64
            raise BundleError(f"{self._name}: {path}: {data.kind.name} values, expected float32")
        if shape is not None and data.shape != shape:
            raise BundleError(
                f"{self._name}: {path}: shape {data.shape}, the configuration says {shape}"
            )
        needed = data.kind.size * math.prod((0,) if data.shape is None else data.shape)
        if data.size != needed or data.stored > self._left:
            raise BundleError(f"{self._name}: {path}: fewer bytes stored than its shape needs")
        self._left -= data.stored
        with np.errstate(over="ignore"):
            array = self._file.values(data).astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise BundleError(f"{self._name}: {path}: holds NaN or infinite values")
        return array
