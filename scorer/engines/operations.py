"""Operations of a network as functions of Keras' tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from scorer.bundle import LayerSpec
from scorer.layers.operations import BINARY, parts


def operation(keras: Any, spec: LayerSpec) -> Callable[..., Any]:
    """The function of a declared operation, with its settings, of one tensor or more."""
    if spec.kind == "get_item":
        return _item(tuple(parts(spec.settings["key"])))
    function = getattr(keras.ops, spec.kind)
    if spec.kind in BINARY:
        return _with_constants(function, spec.settings["left"], spec.settings["right"])
    return partial(function, **spec.settings)


def _item(key: tuple[int | slice, ...]) -> Callable[..., Any]:
    return lambda tensor: tensor[key]


def _with_constants(
    function: Callable[..., Any], left: float | None, right: float | None
) -> Callable[..., Any]:
    def applied(*tensors: Any) -> Any:
        first = [] if left is None else [left]
        last = [] if right is None else [right]
        return function(*first, *tensors, *last)

    return applied
