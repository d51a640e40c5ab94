"""Layers that bring vectors to a common size, in inference by statistics that training left."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    UNITS,
    Content,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    Unfit,
    always,
    dimension,
    either,
    filled,
    fixed,
    flag,
    floats,
    integer,
    listed,
    one_of,
    positive,
    unmasked,
)


def _unit(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Zeros stay zeros and repetitions repetitions, so padding keeps what it holds."""
    return replace(floats(inputs[0]), dtype="float")


def _scaled(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Each position alone, unless its axes are others than the last."""
    given = floats(inputs[0])
    if any(place != len(given.shape) - 1 for place in _places(settings, given)):
        fixed(given)
    return filled(replace(given, dtype="float"), Content.WORDS)


def _scaled_unmasked(settings: Settings, inputs: Inputs) -> TensorSpec:
    """The same, where Keras drops the mask."""
    return unmasked(_scaled(settings, inputs))


def _places(settings: Settings, given: TensorSpec) -> list[int]:
    axes = settings["axis"] if isinstance(settings["axis"], list) else [settings["axis"]]
    places = [dimension(axis, given) for axis in axes]
    if len(set(places)) < len(places):
        raise Unfit("it names an axis twice")
    return places


def _sizes(settings: Settings, given: TensorSpec) -> Shape:
    return tuple(given.shape[place] or 0 for place in _places(settings, given))


def _gamma_and_beta(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    shape = _sizes(settings, inputs[0])
    count = int(settings["scale"]) + int(settings["center"])
    return {f"vars/{number}": shape for number in range(count)}


def _and_moving(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    """gamma, beta, moving mean, moving variance."""
    shape, first = _sizes(settings, inputs[0]), _gamma_and_beta(settings, inputs)
    return first | {f"vars/{len(first) + number}": shape for number in range(2)}


def _gamma(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    return {"vars/0": _sizes(settings, inputs[0])}


def _grouped(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Statistics over all positions of a group of columns."""
    given = fixed(inputs[0])
    _places(settings, given)
    groups, width = settings["groups"], _sizes(settings, given)[0]
    if groups > 0 and width % groups:
        raise Unfit(f"{width} columns do not part into {groups} groups")
    return filled(replace(given, dtype="float"), Content.WORDS)


_AXES = either(integer, listed(integer))
_AFFINE = {"center": Setting(flag), "scale": Setting(flag), "epsilon": Setting(positive)}
NORMALIZATION = (
    LayerKind("UnitNormalization", _unit, {"axis": Setting(one_of(-1, [-1]))}),
    LayerKind("BatchNormalization", _scaled, {"axis": Setting(integer), **_AFFINE}, _and_moving),
    LayerKind("LayerNormalization", _scaled, {"axis": Setting(_AXES), **_AFFINE}, _gamma_and_beta),
    LayerKind(
        "RMSNormalization",
        _scaled_unmasked,
        {"axis": Setting(_AXES), "epsilon": Setting(positive)},
        _gamma,
    ),
    LayerKind(
        "GroupNormalization",
        _grouped,
        {
            "groups": Setting(either(UNITS, one_of(-1))),
            "axis": Setting(integer),
            **_AFFINE,
        },
        _gamma_and_beta,
        reads_padding=always,
    ),
)
