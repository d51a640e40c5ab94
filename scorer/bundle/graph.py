"""The layers of a Sequential or Functional model in order: one chain, or branches that are merged.

    text -> layers of a branch ---\\
    text -> layers of a branch ----> merge -> layers of the head

A Functional model writes an Embedding's mask down as an operation (`NotEqual`) and hands it to the
layers that use it; only that mask is let through, since engines make it anew from `mask_zero`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from scorer.errors import BundleError, UnsupportedModel

#: layers that may join the ends of branches
MERGES = ("Concatenate", "Add")
_NAME = re.compile(r"\w[\w .-]{0,127}")

Entry = dict[str, Any]  # a layer as config.json has it


@dataclass(frozen=True)
class Graph:
    """The layers as config.json has them, inputs and masks left out.

    branches  each begins where the text comes in
    head      the layer that merges the branches, and what follows it; empty for one branch
    entries   all layers, in the file's order
    """

    branches: tuple[list[Entry], ...]
    head: list[Entry]
    entries: list[Entry]


def read_graph(model: Entry) -> Graph:
    """The model's layers, put in order. Raises BundleError or UnsupportedModel."""
    kind = model.get("class_name")
    if kind not in ("Sequential", "Functional"):
        raise UnsupportedModel(
            f"a model of class {str(kind)[:60]!r}: only Sequential and Functional ones are read"
        )
    config = mapping(model.get("config"), "the model's config")
    entries = config.get("layers")
    if not isinstance(entries, list):
        raise BundleError("config.json: the model has no list of layers")
    layers = [mapping(entry, "a layer") for entry in entries]
    names = [_name(layer) for layer in layers]
    if len(set(names)) < len(names):
        raise BundleError("config.json: two layers have the same name")
    return _Functional(layers, config).graph() if kind == "Functional" else _sequential(layers)


def _sequential(layers: list[Entry]) -> Graph:
    if any(layer["class_name"] == "InputLayer" for layer in layers[1:]):
        raise UnsupportedModel("the model has an input in the middle")
    chain = [layer for layer in layers if layer["class_name"] != "InputLayer"]
    return Graph((chain,), [], layers)


def mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"config.json: {what} is not a mapping")
    return value


def _name(layer: dict[str, Any]) -> str:
    if not isinstance(layer.get("class_name"), str):
        raise BundleError("config.json: a layer has no class name")
    settings = mapping(layer.get("config"), "a layer's config")
    name = settings.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BundleError(f"config.json: the layer name {str(name)[:60]!r} is not allowed")
    if layer.get("name", name) != name:
        raise BundleError(f"config.json: the layer {name!r} has a second name")
    return name


class _Functional:
    """A Functional model's layers, walked from its output back to its one input."""

    def __init__(self, layers: list[Entry], config: Entry) -> None:
        self._config = config
        self._layers = {layer["config"]["name"]: layer for layer in layers}
        self._left = dict(self._layers)  # not yet in a chain
        inputs = [name for name, x in self._layers.items() if x["class_name"] == "InputLayer"]
        if len(inputs) != 1:
            raise UnsupportedModel(f"the model has {len(inputs)} inputs, not one text alone")
        self._input = inputs[0]
        del self._left[self._input]

    def graph(self) -> Graph:
        head, source = self._chain(self._output())
        if source is not None:
            return self._checked([head], [])
        if len(_sources(head[0])) < 2:
            raise _not_a_chain(head[0]["config"]["name"])
        return self._checked([self._branch(origin) for origin in _sources(head[0])], head)

    def _checked(self, branches: list[list[Entry]], head: list[Entry]) -> Graph:
        masks = [self._masks(chain) for chain in branches]
        for name, layer in self._left.items():
            if layer["class_name"] == "NotEqual":
                raise UnsupportedModel(f"operation {name}: only an Embedding's own mask is known")
            raise _not_a_chain(name)
        for chain, own in zip([*branches, head], [*masks, []], strict=True):
            _check_calls(chain, own)
        return Graph(tuple(branches), head, [*self._layers.values()])

    def _output(self) -> str:
        """The name of the one layer that no other reads; it must be the model's output."""
        read = {name for layer in self._layers.values() for name in _sources(layer)}
        ends = [name for name in self._layers if name not in read]
        ends = [name for name in ends if self._layers[name]["class_name"] != "NotEqual"]
        if not ends:
            raise _not_a_chain(self._input)
        for key, name in (("input_layers", self._input), ("output_layers", ends[-1])):
            if self._config.get(key) not in ([name, 0, 0], [[name, 0, 0]]):
                raise UnsupportedModel(
                    f"the model's {key} are not the one end of its graph, {name!r}"
                )
        return str(ends[-1])

    def _branch(self, end: str | None) -> list[Entry]:
        chain, source = self._chain(end)
        if source is None:
            raise UnsupportedModel(
                f"layer {chain[0]['config']['name']}: it merges what a later layer merges again"
            )
        return chain

    def _chain(self, end: str | None) -> tuple[list[Entry], str | None]:
        """The layers that lead to `end`, and the input they begin at; None if at a merge."""
        chain: list[Entry] = []
        name = end
        while name != self._input or not chain:
            layer = self._left.pop(name, None) if name is not None else None
            if layer is None or name is None:
                after = chain[0]["config"]["name"] if chain else "a merge"
                raise _not_a_chain(str(name or after))
            chain.insert(0, layer)
            if layer["class_name"] in MERGES:
                return chain, None
            sources = _sources(layer)
            name = sources[0] if len(sources) == 1 else None
        return chain, name

    def _masks(self, chain: list[Entry]) -> list[str]:
        """The operations that make the mask of a chain's Embedding; they are taken from `left`."""
        if not any(layer["config"].get("mask_zero") is True for layer in chain):
            return []
        ids = chain[0]["config"]["name"]
        masks = [
            name
            for name, layer in self._left.items()
            if layer["class_name"] == "NotEqual"
            and _sources(layer) == [ids]
            and _node(layer)["args"][1:] == [0]
            and not _node(layer).get("kwargs")
        ]
        for name in masks:
            del self._left[name]
        return masks


def _not_a_chain(name: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"layer {name[:60]}: the graph is not one chain of layers, nor chains that are merged once"
    )


def _node(layer: dict[str, Any]) -> dict[str, Any]:
    """The one call of a layer."""
    nodes = layer.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) != 1:
        raise UnsupportedModel(
            f"layer {layer['config']['name']}: it is not called exactly once in the graph"
        )
    return mapping(nodes[0], "a layer's call")


def _sources(layer: Entry) -> list[str | None]:
    """The layers whose outputs are this one's first argument; a merge has a list there."""
    if layer["class_name"] == "InputLayer":
        return []
    arguments = _node(layer).get("args")
    if not isinstance(arguments, list) or not arguments:
        return []
    if layer["class_name"] in MERGES and isinstance(arguments[0], list):
        return [_origin(tensor) for tensor in arguments[0]]
    return [_origin(arguments[0])]


def _origin(tensor: Any) -> str | None:
    try:
        name, node, output = tensor["config"]["keras_history"]
    except (TypeError, ValueError, KeyError):
        return None
    return name if isinstance(name, str) and (node, output) == (0, 0) else None


def _check_calls(chain: list[Entry], masks: list[str]) -> None:
    """Each layer is given what the one before it gives, and the mask of the chain's Embedding."""
    for layer in chain:
        name = layer["config"]["name"]
        if _node(layer)["args"][1:]:
            raise _not_a_chain(name)
        _check_arguments(layer, name, masks)


def _check_arguments(layer: dict[str, Any], name: str, masks: list[str]) -> None:
    """`training=False` and the Embedding's mask are what a layer does by itself; no others."""
    for key, value in mapping(_node(layer).get("kwargs", {}), "a call's arguments").items():
        usual = value is None or (key == "training" and value is False)
        if not usual and not (key == "mask" and _origin(value) in masks):
            raise UnsupportedModel(f"layer {name}: it is called with {key[:60]!r}, as none may be")
