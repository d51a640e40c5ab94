"""A whole model in one HDF5 file, as `model.save('model.h5')` of Keras 2 and 3 writes it.

    /            attribute model_config: the model as JSON
    /model_weights/<layer>   attribute weight_names: its arrays below, in order

A layer is named as in the model. A nested model has one such group for all that it holds: what
could be trained first, then the rest, each in the order of its layers. So weights are told by their
order; shapes, and the layers' names in the arrays' names, must agree with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.bundle.config.graph import name_of
from scorer.bundle.config.normal import normalised
from scorer.bundle.config.rewriting import cells_of
from scorer.bundle.hdf5.reader import Array, File, Group
from scorer.bundle.keras2.cudnn import converted, stored_bias
from scorer.bundle.network import Node
from scorer.bundle.weights import Stored
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers.spec import Shape

H5 = "the .h5 file"
MAX_NAMES = 4096
_MODELS = ("Sequential", "Functional", "Model")
#: how many of a layer's last weights no training changes, whatever its setting `trainable`
_STATISTICS = {"BatchNormalization": 2, "Normalization": 3}


def config_of(file: File) -> bytes:
    """The model's configuration, as JSON. Raises BundleError where the file has none."""
    config = file.root.attributes.get("model_config")
    if isinstance(config, str):
        return config.encode("utf-8")
    raise BundleError(
        "the file holds weights and not the model that they belong to, as save_weights() and "
        "ModelCheckpoint(save_weights_only=True) write it: save the whole model, "
        "model.save('model.keras')"
    )


@dataclass(frozen=True)
class _Leaf:
    """A layer that is not a model: its name in the graph, and its number of frozen weights."""

    name: str
    trainable: bool
    statistics: int

    def split(self, count: int) -> tuple[range, range]:
        """The numbers of its `count` weights: those that training changes, and the others."""
        changed = max(count - self.statistics, 0) if self.trainable else 0
        return range(changed), range(changed, count)


class Named(Stored):
    """The arrays of an `.h5` model, by the order in which each group names them."""

    def __init__(self, file: File, config: Any) -> None:
        super().__init__(file, H5)
        self._tops = dict(_tops(normalised(config, replaced_standardize=True)))
        self._shapes: dict[str, Sequence[Shape]] = {}
        self._found: dict[str, list[str]] = {}

    def prepare(self, nodes: Sequence[Node]) -> None:
        """Find where each layer's weights lie, from the shapes that all layers need."""
        self._shapes = {node.layer.name: list(node.shapes.values()) for node in nodes}
        for top, leaves in self._tops.items():
            self._found.update(self._assigned(top, leaves))

    def weights_of(self, node: Node) -> tuple[np.ndarray, ...]:
        pairs = list(zip(self._found.get(node.layer.name, []), node.shapes.values(), strict=True))
        arrays: list[np.ndarray] = []
        while pairs:
            cell, bias = pairs[:3], pairs[2][1] if len(pairs) > 2 else ()
            if bias and self._keeps_cudnn(node, cell[2][0], bias):
                found = [self.array(path, shape) for path, shape in cell[:2]]
                found.append(self.array(cell[2][0], stored_bias(bias)))
                arrays += converted(found, bias)
                del pairs[:3]
            else:
                arrays.append(self.array(*pairs.pop(0)))
        return tuple(arrays)

    def _keeps_cudnn(self, node: Node, path: str, bias: Shape) -> bool:
        """Whether a recurrent layer's bias of this path is one of CuDNNLSTM or CuDNNGRU."""
        inner = node.layer.settings.get("layer", node.layer)
        there = self._at(path)
        if inner.kind not in ("LSTM", "GRU") or not isinstance(there, Array):
            return False
        return there.shape == stored_bias(bias)

    def _assigned(self, top: str, leaves: Sequence[_Leaf]) -> dict[str, list[str]]:
        """The paths of each leaf's arrays in the group of a layer of the outermost model."""
        counts = {leaf.name: len(self._shapes.get(leaf.name, ())) for leaf in leaves}
        names = self._names(top)
        if len(names) != sum(counts.values()):
            raise BundleError(
                f"{H5}: layer {top} stores {len(names)} arrays, its settings need "
                f"{sum(counts.values())}"
            )
        found = {leaf.name: [""] * counts[leaf.name] for leaf in leaves}
        splits = {leaf.name: leaf.split(counts[leaf.name]) for leaf in leaves}
        order = [(leaf, i) for part in (0, 1) for leaf in leaves for i in splits[leaf.name][part]]
        for (leaf, i), name in zip(order, names, strict=True):
            _check_name(name, leaf, leaves, top)
            found[leaf.name][i] = f"model_weights/{top}/{name}"
        return found

    def _names(self, top: str) -> list[str]:
        """The names of the arrays in a layer's group, in order."""
        group = self._file[f"model_weights/{top}"]
        if not isinstance(group, Group):
            return []
        names = _listed(group.attributes)
        if len(names) > MAX_NAMES or len(set(names)) < len(names):
            raise BundleError(f"{H5}: layer {top}: its weights are named twice, or are too many")
        return names


def _listed(attributes: dict[str, Any]) -> list[str]:
    """`weight_names`, which Keras cuts into weight_names0, 1, ... where it is long."""
    if "weight_names" in attributes:
        parts = [attributes["weight_names"]]
    else:
        parts = []
        while f"weight_names{len(parts)}" in attributes:
            parts.append(attributes[f"weight_names{len(parts)}"])
    return [name for part in parts if isinstance(part, list) for name in part]


def _check_name(name: str, leaf: _Leaf, leaves: Sequence[_Leaf], top: str) -> None:
    """Raise where an array's name speaks of another layer than the one whose turn it is."""
    said = set(name.split("/"))
    own = leaf.name.rpartition("/")[2]
    others = {other.name.rpartition("/")[2] for other in leaves} - {own}
    if own not in said and said & others:
        raise UnsupportedModel(
            f"{H5}: layer {top}: its array {name[:80]!r} stands where one of {own} is expected; "
            "the file does not say whose it is: save the model as .keras"
        )


def _tops(config: Any) -> Iterator[tuple[str, list[_Leaf]]]:
    """The layers of the outermost model, each with the layers in it, in the model's order."""
    for name, entry in _entries(config):
        yield name, list(_leaves(entry, name, 0))


def _entries(model: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else None
    for entry in layers if isinstance(layers, list) else []:
        settings = entry.get("config") if isinstance(entry, dict) else None
        if isinstance(settings, dict):
            yield str(settings.get("name", "")), entry


def _leaves(entry: dict[str, Any], name: str, depth: int) -> Iterator[_Leaf]:
    kind, settings = entry.get("class_name"), entry["config"]
    trainable = settings.get("trainable", True) is not False
    cells = cells_of(settings) if kind == "RNN" else ()
    if kind in _MODELS and depth < 32:
        for inner, child in _entries(entry):
            yield from _leaves(child, f"{name}/{inner}", depth + 1)
    elif cells:
        yield from (_Leaf(f"{name}/{name_of(cell)}", trainable, 0) for cell in cells)
    else:
        yield _Leaf(name, trainable, _STATISTICS.get(str(kind), 0))
