"""Layers that people put before a network, for numbers and for categories."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    Content,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    TensorSpec,
    filled,
    number,
)


def _rescaled(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Zeros stay zeros without an offset; also makes floats of a bag's whole numbers."""
    given = inputs[0]
    if settings["scale"] == 1 and settings["offset"] == 0:
        return given
    return filled(replace(given, dtype="float"), Content.WORDS)


PREPROCESSING = (
    LayerKind("Rescaling", _rescaled, {"scale": Setting(number), "offset": Setting(number)}),
)
