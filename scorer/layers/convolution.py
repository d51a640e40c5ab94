"""Conv1D."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    ACTIVATION,
    UNITS,
    Content,
    Inputs,
    LayerKind,
    Padding,
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
)


def _convolved(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Keras drops the mask here."""
    given = sequence(inputs[0])
    padding = given.padding and Padding(given.padding.source, content=Content.WORDS)
    shape = (_positions(settings, given.shape[0]), settings["filters"])
    return replace(given, shape=shape, padding=padding)


def _positions(settings: Settings, length: int | None) -> int | None:
    if length is None:
        return None
    taps, stride = int(settings["kernel_size"][0]), int(settings["strides"][0])
    span = (taps - 1) * int(settings["dilation_rate"][0]) + 1
    if settings["padding"] != "valid":
        return -(-length // stride)
    if length < span:
        raise Unfit(f"it has no window of {span} in {length} positions")
    return (length - span) // stride + 1


def _weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    filters = settings["filters"]
    shapes: dict[str, Shape] = {"vars/0": (*settings["kernel_size"], inputs[0].width, filters)}
    return shapes | ({"vars/1": (filters,)} if settings["use_bias"] else {})


CONV1D = LayerKind(
    "Conv1D",
    _convolved,
    {
        "filters": Setting(UNITS),
        "kernel_size": Setting(size),
        "strides": Setting(size),
        "dilation_rate": Setting(size),
        "padding": Setting(one_of("valid", "same", "causal")),
        "activation": Setting(ACTIVATION),
        "use_bias": Setting(flag),
    },
    _weights,
    reads_padding=always,
)
CONVOLUTION = (CONV1D,)
