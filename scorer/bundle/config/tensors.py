"""Tensors in config.json: which call of which layer made them, and the arguments of calls.

Keras 3     {"args": [...], "kwargs": {...}}, a tensor among them as a mapping
Keras 2     [["layer", call, output, {keywords}], ...]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scorer.errors import BundleError, UnsupportedModel

#: of a layer that gives its states: of both directions of an LSTM
MOST_OUTPUTS = 5
Key = tuple[str, int]  # a layer of one model, and which of its calls


@dataclass(frozen=True)
class Reference:
    """The output of a call, or an input, by its name in the graph.

    outputs   how many the call has: more than one where a layer gives its states too
    """

    name: str
    outputs: int = 1


def mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"config.json: {what} is not a mapping")
    return value


@dataclass(frozen=True)
class Tensor:
    """An output of a layer's call, by the layer's name in its own model."""

    layer: str
    call: int
    output: int = 0


def listed(value: Any, what: str) -> Iterator[Tensor]:
    """`["name", 0, 0]`, or a list or mapping of such."""
    items = list(value.values()) if isinstance(value, dict) else value
    if isinstance(items, list) and len(items) == 3 and isinstance(items[0], str):
        items = [items]
    if not isinstance(items, list) or not items:
        raise BundleError(f"config.json: the model's {what}s are not listed")
    for item in items:
        tensor = _history(item)
        if tensor is None:
            raise UnsupportedModel(f"the model's {what}s are nested")
        yield tensor


def _history(value: Any) -> Tensor | None:
    """`["name", call, 0]`: which call of which layer made a tensor."""
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[0], str):
        return None
    name, call, output = value
    if (
        type(call) is not int
        or call < 0
        or type(output) is not int
        or not 0 <= output < MOST_OUTPUTS
    ):
        which = f"{output!r:.20} of its call {call!r:.20}"
        raise BundleError(f"config.json: layer {name[:60]}: it has no output {which}")
    return Tensor(name, call, output)


def parsed(node: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call as Keras 3 writes it (a mapping), or as Keras 2 does (a list of its tensors)."""
    if isinstance(node, dict):
        arguments, keywords = node.get("args"), mapping(node.get("kwargs", {}), "a call's keywords")
        if not isinstance(arguments, list):
            raise BundleError("config.json: a call has no list of arguments")
        return tuple(map(_value, arguments)), {k: _value(v) for k, v in keywords.items()}
    if not isinstance(node, list) or not node:
        raise BundleError("config.json: a call is neither a mapping nor a list")
    if isinstance(node[0], str):  # a layer on one tensor, in older files
        node = [node]
    tensors, keywords = [], {}
    for item in node:
        tensor = _history(item[:3]) if isinstance(item, list) and 3 <= len(item) <= 4 else None
        if tensor is None:
            raise BundleError("config.json: a call's tensor is not [name, call, output]")
        tensors.append(tensor)
        keywords.update(mapping(item[3], "a call's keywords") if len(item) == 4 else {})
    first = tensors[0] if len(tensors) == 1 else tensors
    return (first,), {k: _old_value(v) for k, v in keywords.items()}


def _old_value(value: Any) -> Any:
    """Keras 2's tensors among the keywords."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return _history(value) or value
    return value


def _value(value: Any) -> Any:
    """A tensor as Tensor, a list of values, or a constant."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        config = mapping(value.get("config"), "a tensor")
        tensor = _history(config.get("keras_history"))
        if tensor is None:
            raise BundleError("config.json: a tensor does not say which layer it comes from")
        return tensor
    return [_value(item) for item in value] if isinstance(value, list) else value


def tensors_in(values: list[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list):
            yield from tensors_in(value)


def references(values: Any) -> Iterator[Reference]:
    """The references in arguments, however deep in lists."""
    for value in values:
        if isinstance(value, Reference):
            yield value
        elif isinstance(value, list):
            yield from references(value)


def resolved(value: Any, found: Mapping[Key, Reference]) -> Any:
    """`value` with each Tensor replaced by its reference.

    A further output of a call has the call's name with the output's number behind a `#`.
    """
    if isinstance(value, Tensor):
        there = found[value.layer, value.call]
        if value.output >= there.outputs:
            raise UnsupportedModel(
                f"layer {value.layer}: its output {value.output} is not the only one: build the "
                "layer so that it gives one (Bidirectional with merge_mode='concat'), train and "
                "save again"
            )
        return there if value.output == 0 else Reference(f"{there.name}#{value.output}")
    return [resolved(item, found) for item in value] if isinstance(value, list) else value
