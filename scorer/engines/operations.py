"""Operations of a network as functions of Keras' tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from scorer.bundle import LayerSpec
from scorer.layers.operations import BINARY, parts


def operation(keras: Any, spec: LayerSpec) -> Callable[..., Any]:
    """The function of a declared operation, with its settings, of one tensor or more."""
    if spec.kind == "get_item":
        return _item(tuple(parts(spec.settings["key"])))
    if spec.kind == "matmul":
        return _product(keras, spec.settings["transpose_a"], spec.settings["transpose_b"])
    function = getattr(keras.ops, spec.kind)
    if spec.kind in BINARY:
        left, right = spec.settings["left"], spec.settings["right"]
        return _with_constants(function, _value(left), _value(right))
    return partial(function, **spec.settings)


def _item(key: tuple[int | slice, ...]) -> Callable[..., Any]:
    return lambda tensor: tensor[key]


def _product(keras: Any, *turned: bool) -> Callable[..., Any]:
    """The matrix product, of which TensorFlow turns one matrix or both by a setting."""

    def applied(*tensors: Any) -> Any:
        pairs = zip(tensors, turned, strict=True)
        return keras.ops.matmul(
            *(keras.ops.transpose(x, (0, 2, 1)) if turn else x for x, turn in pairs)
        )

    return applied


def _value(constant: Any) -> Any:
    """A number as it is; nested lists as float32."""
    return np.array(constant, np.float32) if isinstance(constant, list) else constant


def _with_constants(function: Callable[..., Any], left: Any, right: Any) -> Callable[..., Any]:
    def applied(*tensors: Any) -> Any:
        first = [] if left is None else [left]
        last = [] if right is None else [right]
        return function(*first, *tensors, *last)

    return applied
