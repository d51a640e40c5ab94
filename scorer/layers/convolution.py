"""Convolutions over positions, and over the rows and columns of a reshaped sequence."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.pooling import image
from scorer.layers.spec import (
    ACTIVATION,
    UNITS,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    Unfit,
    always,
    flag,
    one_of,
    sequence,
    size,
    size_2d,
    unmasked,
)
from scorer.layers.windows import window_positions


def _moved(settings: Settings, given: TensorSpec, channels: int) -> TensorSpec:
    """`channels` numbers at each place of the window. Keras drops the mask here."""
    (taps,), (stride,) = settings["kernel_size"], settings["strides"]
    (dilation,) = settings["dilation_rate"]
    if stride > 1 and dilation > 1:
        raise Unfit("it has strides and dilation_rate both above 1, which Keras does not run")
    length = window_positions(given.shape[0], taps, stride, settings["padding"], dilation)
    return replace(unmasked(given), shape=(length, channels), dtype="float")


def _convolved(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = sequence(inputs[0])
    _group(settings, given.width)
    return _moved(settings, given, settings["filters"])


def _group(settings: Settings, width: int) -> int:
    """How many channels of what comes in each filter reads."""
    groups: int = settings["groups"]
    if width % groups or settings["filters"] % groups:
        raise Unfit(f"{width} columns or its filters do not part into {groups} groups")
    return width // groups


def _weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    filters, read = settings["filters"], _group(settings, inputs[0].width)
    shapes: dict[str, Shape] = {"vars/0": (*settings["kernel_size"], read, filters)}
    return shapes | ({"vars/1": (filters,)} if settings["use_bias"] else {})


def _convolved_2d(settings: Settings, inputs: Inputs) -> TensorSpec:
    space = image(inputs[0]).shape[:2]
    _group(settings, inputs[0].width)
    if max(settings["strides"]) > 1 and max(settings["dilation_rate"]) > 1:
        raise Unfit("it has strides and dilation_rate both above 1, which Keras does not run")
    windows = zip(
        space,
        settings["kernel_size"],
        settings["strides"],
        settings["dilation_rate"],
        strict=True,
    )
    after = [
        window_positions(n, taps, stride, settings["padding"], dilation)
        for n, taps, stride, dilation in windows
    ]
    return TensorSpec((*after, settings["filters"]))


def _depthwise(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = sequence(inputs[0])
    return _moved(settings, given, given.width * settings["depth_multiplier"])


def _depthwise_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    width, depth = inputs[0].width, settings["depth_multiplier"]
    shapes: dict[str, Shape] = {"vars/0": (*settings["kernel_size"], width, depth)}
    return shapes | ({"vars/1": (width * depth,)} if settings["use_bias"] else {})


def _separable(settings: Settings, inputs: Inputs) -> TensorSpec:
    return _moved(settings, sequence(inputs[0]), settings["filters"])


def _separable_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    width, depth = inputs[0].width, settings["depth_multiplier"]
    filters = settings["filters"]
    shapes: dict[str, Shape] = {
        "vars/0": (*settings["kernel_size"], width, depth),
        "vars/1": (1, width * depth, filters),
    }
    return shapes | ({"vars/2": (filters,)} if settings["use_bias"] else {})


_SETTINGS = {
    "kernel_size": Setting(size),
    "strides": Setting(size),
    "dilation_rate": Setting(size),
    "padding": Setting(one_of("valid", "same", "causal")),
    "activation": Setting(ACTIVATION),
    "use_bias": Setting(flag),
}
_FILTERS = {"filters": Setting(UNITS)}
_DEPTH = {"depth_multiplier": Setting(UNITS, default=1)}
_GROUPS = {"groups": Setting(UNITS, default=1)}
_SIZES_2D = dict.fromkeys(("kernel_size", "strides", "dilation_rate"), Setting(size_2d))
_PADDING_2D = {"padding": Setting(one_of("valid", "same"))}
CONVOLUTION = (
    LayerKind(
        "Conv1D", _convolved, {**_FILTERS, **_SETTINGS, **_GROUPS}, _weights, reads_padding=always
    ),
    LayerKind(
        "DepthwiseConv1D",
        _depthwise,
        {**_SETTINGS, **_DEPTH},
        _depthwise_weights,
        reads_padding=always,
    ),
    LayerKind(
        "SeparableConv1D",
        _separable,
        {**_FILTERS, **_SETTINGS, **_DEPTH},
        _separable_weights,
        reads_padding=always,
    ),
    LayerKind(
        "Conv2D",
        _convolved_2d,
        {**_FILTERS, **_SETTINGS, **_SIZES_2D, **_PADDING_2D, **_GROUPS},
        _weights,
        reads_padding=always,
    ),
)
