"""Convolutions over a plane whose kernel is as wide as the plane, as convolutions over a sequence.

Many programs write Kim's CNN so: the embedded words (positions, width) become a picture with one
channel, and a Conv2D reads whole rows of it. What comes out has one column. It is what Conv1D gives
of the words themselves, whose steps are fused with the embedding before and the pooling behind.

    Reshape (L, w, 1) -> Conv2D (k, w) -> (P, 1, f)      is      Conv1D k -> (P, f)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scorer.bundle import Layer, Node
from scorer.layers import TRAINING_ONLY
from scorer.layers.spec import Padding, TensorSpec

#: layers that may make a picture of a sequence, by naming its dimensions anew
_NAMING = ("Reshape", "reshape", "expand_dims")
#: layers that do the same at each place of a picture of one column as at each of a sequence
_EACH_PLACE = frozenset(("Activation", "ReLU", "LeakyReLU", "ELU", "Identity", *TRAINING_ONLY))
#: layers that read numbers in their order alone
_IN_ORDER = frozenset(("Flatten", *_NAMING, "squeeze"))


@dataclass(frozen=True)
class _Sequence:
    """A sequence that holds a picture's numbers, and how much of the picture it stands for.

    column  the picture has one column, and its channels are the sequence's; else one channel
    """

    name: str
    spec: TensorSpec
    column: bool


def over_sequences(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, with such convolutions and what follows them over sequences.

    Nodes keep their names; those that nothing reads any longer are gone.
    """
    rewriting = _Rewriting()
    for node in nodes:
        rewriting.add(node)
    return _read(rewriting.nodes, nodes[-1].name)


@dataclass
class _Rewriting:
    nodes: list[Node] = field(default_factory=list)
    sequences: dict[str, _Sequence] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        found = self.sequences.get(node.inputs[0]) if len(node.inputs) == 1 else None
        maker = _MAKERS.get(node.layer.kind)
        made = None if found is None or maker is None else maker(node, found)
        if made is None:
            self.nodes.append(node)
            self._notice(node)
        elif len(made.spec.shape) == len(node.spec.shape):  # it gives what the node gave
            self.nodes.append(replace(made, name=node.name))
        else:
            self.nodes += [made, _as_picture(node, made)]
            self.sequences[node.name] = _Sequence(made.name, made.spec, column=True)

    def _notice(self, node: Node) -> None:
        """A sequence that becomes a picture of one channel."""
        if node.layer.kind not in _NAMING or node.given[0].padding is None:
            return
        given = node.given[0]
        if (
            len(given.shape) == 2
            and None not in given.shape
            and node.spec.shape == (*given.shape, 1)
        ):
            self.sequences[node.name] = _Sequence(node.inputs[0], given, column=False)


def _as_picture(node: Node, made: Node) -> Node:
    """For whoever reads the picture itself."""
    layer = Layer("Reshape", node.layer.name, {"target_shape": list(node.spec.shape)})
    return Node(
        node.name, layer, (made.name,), given=(made.spec,), spec=node.spec, region=node.region
    )


def _over(node: Node, found: _Sequence, kind: str, spec: TensorSpec, **settings: Any) -> Node:
    """A node of another kind that reads the sequence."""
    layer = replace(node.layer, kind=kind, settings={**node.layer.settings, **settings})
    name = f"{node.name} over a sequence"
    return replace(
        node, name=name, layer=layer, inputs=(found.name,), given=(found.spec,), spec=spec
    )


def _sequence_of(found: _Sequence, positions: int | None, width: int | None) -> TensorSpec:
    source = found.spec.padding and Padding(found.spec.padding.source)
    return TensorSpec((positions, width), "float", source)


def _convolved(node: Node, found: _Sequence) -> Node | None:
    """Conv2D: its kernel (k, w, 1, filters), or (k, 1, channels, filters) of one column."""
    settings, kernel = node.layer.settings, node.layer.weights[0]
    positions, columns, filters = node.spec.shape
    wide = 1 if found.column else found.spec.width
    whole = kernel.shape[1] == wide and columns == 1 and settings.get("groups", 1) == 1
    plain = settings["padding"] == "valid" or wide == 1
    if not whole or not plain:
        return None
    alone = {key: settings[key][:1] for key in ("kernel_size", "strides", "dilation_rate")}
    made = _over(node, found, "Conv1D", _sequence_of(found, positions, filters), **alone)
    flat = kernel.reshape(len(kernel), -1, kernel.shape[3])
    return replace(made, layer=replace(made.layer, weights=(flat, *node.layer.weights[1:])))


def _pooled(node: Node, found: _Sequence) -> Node | None:
    """MaxPooling2D and AveragePooling2D."""
    settings = node.layer.settings
    positions, columns, channels = node.spec.shape
    if not found.column or settings["pool_size"][1] != 1 or columns != 1:
        return None
    alone = {key: settings[key][:1] for key in ("pool_size", "strides")}
    kind = node.layer.kind.replace("2D", "1D")
    return _over(node, found, kind, _sequence_of(found, positions, channels), **alone)


def _pooled_whole(node: Node, found: _Sequence) -> Node | None:
    """GlobalMaxPooling2D and GlobalAveragePooling2D."""
    if not found.column or node.layer.settings.get("keepdims"):
        return None
    return _over(node, found, node.layer.kind.replace("2D", "1D"), node.spec)


def _at_each_place(node: Node, found: _Sequence) -> Node | None:
    if not found.column:
        return None
    return _over(node, found, node.layer.kind, found.spec)


def _in_order(node: Node, found: _Sequence) -> Node | None:
    """A layer that makes one vector of the picture."""
    if not found.column or len(node.spec.shape) != 1:
        return None
    return _over(node, found, node.layer.kind, node.spec)


_MAKERS: dict[str, Callable[[Node, _Sequence], Node | None]] = {
    "Conv2D": _convolved,
    "MaxPooling2D": _pooled,
    "AveragePooling2D": _pooled,
    "GlobalMaxPooling2D": _pooled_whole,
    "GlobalAveragePooling2D": _pooled_whole,
    **dict.fromkeys(_EACH_PLACE, _at_each_place),
    **dict.fromkeys(_IN_ORDER, _in_order),
}


def _read(nodes: Sequence[Node], last: str) -> list[Node]:
    """The nodes that the last one depends on, in their order."""
    wanted, kept = {last}, []
    for node in reversed(nodes):
        if node.name in wanted:
            wanted |= set(node.inputs)
            kept.append(node)
    return kept[::-1]
