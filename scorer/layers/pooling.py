"""Pooling over all positions of a row."""

from __future__ import annotations

from scorer.layers.spec import (
    Content,
    Inputs,
    LayerKind,
    Settings,
    TensorSpec,
    sequence,
    unless_masked,
)


def _pooled(settings: Settings, inputs: Inputs) -> TensorSpec:
    return TensorSpec((sequence(inputs[0]).width,))


def _unless_rectified(settings: Settings, given: TensorSpec) -> bool:
    """A maximum heeds no mask; zeros and repetitions change none of what is never below 0."""
    return given.padding is None or given.padding.content is not Content.RECTIFIED


POOLING = (
    LayerKind("GlobalMaxPooling1D", _pooled, reads_padding=_unless_rectified),
    LayerKind("GlobalAveragePooling1D", _pooled, reads_padding=unless_masked),
)
