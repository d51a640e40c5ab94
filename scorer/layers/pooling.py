"""Pooling over windows of positions, and over all positions of a row."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    Content,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    TensorSpec,
    Unfit,
    always,
    fixed,
    flag,
    one_of,
    sequence,
    shown,
    size,
    size_2d,
    unless_masked,
    unmasked,
)
from scorer.layers.windows import window_positions


def image(given: TensorSpec) -> TensorSpec:
    """`given`, which must be (rows, columns, channels), all known."""
    if len(fixed(given).shape) != 3:
        raise Unfit(f"it expects (height, width, channels), not the shape {shown(given.shape)}")
    return given


def _windows(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Keras drops the mask here."""
    given = sequence(inputs[0])
    (taps,), (stride,) = settings["pool_size"], settings["strides"]
    positions = window_positions(given.shape[0], taps, stride, settings["padding"])
    return replace(unmasked(given), shape=(positions, given.width), dtype="float")


def _windows_2d(settings: Settings, inputs: Inputs) -> TensorSpec:
    *space, channels = image(inputs[0]).shape
    sizes = zip(space, settings["pool_size"], settings["strides"], strict=True)
    after = [window_positions(n, taps, step, settings["padding"]) for n, taps, step in sizes]
    return TensorSpec((*after, channels))


def _pooled(settings: Settings, inputs: Inputs) -> TensorSpec:
    width = sequence(inputs[0]).width
    return TensorSpec((1, width) if settings["keepdims"] else (width,))


def _pooled_2d(settings: Settings, inputs: Inputs) -> TensorSpec:
    width = image(inputs[0]).width
    return TensorSpec((1, 1, width) if settings["keepdims"] else (width,))


def _unless_rectified(settings: Settings, given: TensorSpec) -> bool:
    """A maximum heeds no mask; zeros and repetitions change none of what is never below 0."""
    return given.padding is None or given.padding.content is not Content.RECTIFIED


_PADDING = Setting(one_of("valid", "same"))
_KEEP = {"keepdims": Setting(flag, default=False)}
_WINDOW = {"pool_size": Setting(size), "strides": Setting(size), "padding": _PADDING}
_WINDOW_2D = {"pool_size": Setting(size_2d), "strides": Setting(size_2d), "padding": _PADDING}
POOLING = (
    LayerKind("GlobalMaxPooling1D", _pooled, _KEEP, reads_padding=_unless_rectified),
    LayerKind("GlobalAveragePooling1D", _pooled, _KEEP, reads_padding=unless_masked),
    LayerKind("GlobalMaxPooling2D", _pooled_2d, _KEEP, reads_padding=always),
    LayerKind("GlobalAveragePooling2D", _pooled_2d, _KEEP, reads_padding=always),
    LayerKind("MaxPooling1D", _windows, _WINDOW, reads_padding=always),
    LayerKind("AveragePooling1D", _windows, _WINDOW, reads_padding=always),
    LayerKind("MaxPooling2D", _windows_2d, _WINDOW_2D, reads_padding=always),
    LayerKind("AveragePooling2D", _windows_2d, _WINDOW_2D, reads_padding=always),
)
