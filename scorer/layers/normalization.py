"""Layers that bring vectors to a common size."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import Inputs, LayerKind, Setting, Settings, TensorSpec, floats, one_of


def _unit(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Zeros stay zeros and repetitions repetitions, so padding keeps what it holds."""
    return replace(floats(inputs[0]), dtype="float")


NORMALIZATION = (LayerKind("UnitNormalization", _unit, {"axis": Setting(one_of(-1))}),)
