"""Layers that move, repeat or leave out what comes in, and compute nothing.

Where they turn positions into something else, the number of positions must be fixed. Keras drops
the mask in all of them.
"""

from __future__ import annotations

import math
from dataclasses import replace

from scorer.layers.spec import (
    DIMENSION,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    TensorSpec,
    Unfit,
    always,
    fixed,
    integer,
    listed,
    sequence,
    shown,
    unmasked,
    whole,
)


def _flat(settings: Settings, inputs: Inputs) -> TensorSpec:
    return TensorSpec((math.prod(_known(fixed(inputs[0]))),))


def _known(given: TensorSpec) -> list[int]:
    return [n for n in given.shape if n is not None]


def reshaped(given: TensorSpec, target: list[int]) -> TensorSpec:
    """`given` in the shape `target`, of which one number may be -1."""
    total, known = math.prod(_known(fixed(given))), math.prod(n for n in target if n != -1)
    shape = tuple(total // known if n == -1 and known else n for n in target)
    if math.prod(shape) != total or min(shape, default=1) < 0:
        raise Unfit(f"{shown(given.shape)} has no shape {shown(target)}")
    return TensorSpec(shape)


def _reshaped(settings: Settings, inputs: Inputs) -> TensorSpec:
    return reshaped(inputs[0], settings["target_shape"])


def _permuted(settings: Settings, inputs: Inputs) -> TensorSpec:
    given, dims = fixed(inputs[0]), settings["dims"]
    if sorted(dims) != list(range(1, len(given.shape) + 1)):
        raise Unfit(f"{dims} does not name each dimension of {shown(given.shape)} once")
    return TensorSpec(tuple(given.shape[place - 1] for place in dims))


def _repeated(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = fixed(inputs[0])
    if len(given.shape) != 1:
        raise Unfit(f"it repeats one vector, not the shape {shown(given.shape)}")
    return TensorSpec((settings["n"], given.width))


def _longer(settings: Settings, inputs: Inputs) -> TensorSpec:
    given, (left, right) = sequence(inputs[0]), settings["padding"]
    length = given.shape[0]
    after = None if length is None else length + left + right
    return replace(unmasked(given), shape=(after, given.width))


def _shorter(settings: Settings, inputs: Inputs) -> TensorSpec:
    given, (left, right) = sequence(inputs[0]), settings["cropping"]
    length = given.shape[0]
    after = None if length is None else length - left - right
    if after is not None and after < 1:
        raise Unfit(f"it leaves nothing of {length} positions")
    return replace(unmasked(given), shape=(after, given.width))


def _upsampled(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = sequence(inputs[0])
    length = given.shape[0]
    after = None if length is None else length * settings["size"]
    return replace(unmasked(given), shape=(after, given.width))


_EDGES = listed(lambda value: type(value) is int and 0 <= value <= 4096, 2, 2)
RESHAPING = (
    LayerKind("Flatten", _flat, reads_padding=always),
    LayerKind(
        "Reshape", _reshaped, {"target_shape": Setting(listed(DIMENSION))}, reads_padding=always
    ),
    LayerKind("Permute", _permuted, {"dims": Setting(listed(integer))}, reads_padding=always),
    LayerKind("RepeatVector", _repeated, {"n": Setting(whole(4096))}),
    LayerKind("ZeroPadding1D", _longer, {"padding": Setting(_EDGES)}, reads_padding=always),
    LayerKind("Cropping1D", _shorter, {"cropping": Setting(_EDGES)}, reads_padding=always),
    LayerKind("UpSampling1D", _upsampled, {"size": Setting(whole(4096))}, reads_padding=always),
)
