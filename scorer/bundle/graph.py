"""The layers of a Sequential or Functional model in order. The graph must be one chain.

A Functional model writes an Embedding's mask down as an operation (`NotEqual`) and hands it to the
layers that use it; only that mask is let through, since engines make it anew from `mask_zero`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scorer.errors import BundleError, UnsupportedModel

_NAME = re.compile(r"\w[\w .-]{0,127}")


def chain(model: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers as config.json has them, input and mask left out. Raises UnsupportedModel."""
    kind = model.get("class_name")
    if kind not in ("Sequential", "Functional"):
        raise UnsupportedModel(
            f"a model of class {str(kind)[:60]!r}: only Sequential and Functional chains"
        )
    config = mapping(model.get("config"), "the model's config")
    entries = config.get("layers")
    if not isinstance(entries, list):
        raise BundleError("config.json: the model has no list of layers")
    layers = [mapping(entry, "a layer") for entry in entries]
    names = [_name(layer) for layer in layers]
    if len(set(names)) < len(names):
        raise BundleError("config.json: two layers have the same name")
    if kind == "Functional":
        layers = list(_linked(layers, config))
    if any(layer.get("class_name") == "InputLayer" for layer in layers[1:]):
        raise UnsupportedModel("the model has an input in the middle")
    return [layer for layer in layers if layer.get("class_name") != "InputLayer"]


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


def _linked(layers: list[dict[str, Any]], config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The layers of a Functional model, each fed by the one before it and by nothing else."""
    masking = any(layer["config"].get("mask_zero") is True for layer in layers)
    masks: list[str] = []
    previous = first = None
    ids: str | None = None
    for layer in layers:
        name, kind = layer["config"]["name"], layer.get("class_name")
        if kind == "NotEqual":
            if not masking or _source(layer) != (ids, [0]) or _node(layer).get("kwargs"):
                raise UnsupportedModel(f"operation {name}: only an Embedding's own mask is known")
            masks.append(name)
            continue
        if previous is not None:
            if _source(layer) != (previous, []):
                raise UnsupportedModel(f"layer {name}: the graph is not one chain of layers")
            _check_arguments(layer, name, masks)
        if kind == "TextVectorization":
            ids = name
        first, previous = first or name, name
        yield layer
    for end, name in (("input_layers", first), ("output_layers", previous)):
        if config.get(end) not in ([name, 0, 0], [[name, 0, 0]]):
            raise UnsupportedModel(f"the model's {end} are not the one end of its chain, {name!r}")


def _node(layer: dict[str, Any]) -> dict[str, Any]:
    """The one call of a layer."""
    nodes = layer.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) != 1:
        raise UnsupportedModel(
            f"layer {layer['config']['name']}: it is not called exactly once in the graph"
        )
    return mapping(nodes[0], "a layer's call")


def _source(layer: dict[str, Any]) -> tuple[str | None, list[Any]]:
    """The layer whose output is this one's first argument, and the other arguments."""
    arguments = _node(layer).get("args")
    if not isinstance(arguments, list) or not arguments:
        return None, []
    return _origin(arguments[0]), arguments[1:]


def _origin(tensor: Any) -> str | None:
    try:
        name, node, output = tensor["config"]["keras_history"]
    except (TypeError, ValueError, KeyError):
        return None
    return name if isinstance(name, str) and (node, output) == (0, 0) else None


def _check_arguments(layer: dict[str, Any], name: str, masks: list[str]) -> None:
    """`training=False` and the Embedding's mask are what a layer does by itself; no others."""
    for key, value in mapping(_node(layer).get("kwargs", {}), "a call's arguments").items():
        usual = value is None or (key == "training" and value is False)
        if not usual and not (key == "mask" and _origin(value) in masks):
            raise UnsupportedModel(f"layer {name}: it is called with {key[:60]!r}, as none may be")
