"""Activations as layers of their own."""

from __future__ import annotations

from typing import Any

from scorer.layers.spec import (
    ACTIVATION,
    Content,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    Unfit,
    dimension,
    either,
    filled,
    fixed,
    floats,
    integer,
    listed,
    number,
    one_of,
)


def _activated(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = floats(inputs[0])
    if settings["activation"] == "relu":
        return _rectified(given)
    return filled(given, Content.WORDS)


def _rectified(given: TensorSpec) -> TensorSpec:
    held = given.padding is not None and given.padding.content is not Content.WORDS
    return filled(given, Content.RECTIFIED) if held else given


def _at_least_zero(value: Any) -> bool:
    return number(value) and value >= 0


def _relu(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = floats(inputs[0])
    if settings["negative_slope"] == 0 and settings["threshold"] == 0:
        return _rectified(given)
    return filled(given, Content.WORDS)


def _each(settings: Settings, inputs: Inputs) -> TensorSpec:
    return filled(floats(inputs[0]), Content.WORDS)


def _softmax(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Keras lays a mask on the last dimension, whichever it is of."""
    given = floats(inputs[0])
    if given.masked:
        raise Unfit("it reads a masked sequence, of which Keras makes an error: use Activation")
    axes = settings["axis"] if isinstance(settings["axis"], list) else [settings["axis"]]
    if any(dimension(axis, given) != len(given.shape) - 1 for axis in axes):
        fixed(given)
    return filled(given, Content.WORDS)


def _prelu(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = floats(inputs[0])
    _slopes(settings, inputs)
    return filled(given, Content.WORDS)


def _slopes(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    """One slope for each of a row's numbers, but along the shared axes."""
    given = floats(inputs[0])
    shape = list(given.shape)
    for axis in settings["shared_axes"] or []:
        shape[dimension(axis, given)] = 1
    return {"vars/0": tuple(n or 0 for n in fixed(TensorSpec(tuple(shape))).shape)}


_SLOPE = Setting(_at_least_zero)
ACTIVATION_LAYER = LayerKind("Activation", _activated, {"activation": Setting(ACTIVATION)})
ACTIVATION_LAYERS = (
    ACTIVATION_LAYER,
    LayerKind(
        "ReLU",
        _relu,
        {
            "max_value": Setting(either(one_of(None), _at_least_zero), default=None),
            "negative_slope": Setting(_at_least_zero, default=0.0),
            "threshold": Setting(_at_least_zero, default=0.0),
        },
    ),
    LayerKind("LeakyReLU", _each, {"negative_slope": Setting(number)}),
    LayerKind("ELU", _each, {"alpha": Setting(number)}),
    LayerKind("Softmax", _softmax, {"axis": Setting(either(integer, listed(integer)))}),
    LayerKind(
        "PReLU",
        _prelu,
        {"shared_axes": Setting(either(one_of(None), listed(integer)), default=None)},
        _slopes,
    ),
)
