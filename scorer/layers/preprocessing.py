"""Layers that people put before a network, for numbers and for categories."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from scorer.layers.spec import (
    MAX_WORDS,
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
    dimension,
    either,
    filled,
    fixed,
    flag,
    floats,
    integer,
    listed,
    number,
    one_of,
    shown,
    whole,
)


def _rescaled(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Zeros stay zeros without an offset; also makes floats of a bag's whole numbers."""
    given = inputs[0]
    if settings["scale"] == 1 and settings["offset"] == 0:
        return given
    return filled(replace(given, dtype="float"), Content.WORDS)


def _normalized(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = floats(inputs[0])
    if _places(settings, given) != [len(given.shape) - 1]:
        fixed(given)
    sizes = math.prod(_sizes(settings, given))
    for key in ("mean", "variance"):
        stated = settings[key]
        if isinstance(stated, list) and len(stated) != sizes:
            raise Unfit(f"its {key} has {len(stated)} numbers, {sizes} are normalized")
    if (settings["mean"] is None) != (settings["variance"] is None):
        raise Unfit("it states one of mean and variance alone")
    return filled(replace(given, dtype="float"), Content.WORDS)


def _places(settings: Settings, given: TensorSpec) -> list[int]:
    """The dimensions that have a mean and a variance for each place."""
    axis = settings["axis"]
    axes = [] if axis is None else axis if isinstance(axis, list) else [axis]
    return sorted(dimension(each, given) for each in axes)


def _sizes(settings: Settings, given: TensorSpec) -> Shape:
    return tuple(given.shape[place] or 0 for place in _places(settings, given))


def _mean_and_variance(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    """Where `adapt` found them. Keras keeps a count beside them, which inference does not need."""
    if settings["mean"] is not None:
        return {}
    shape = _sizes(settings, inputs[0])
    return {"vars/0": shape, "vars/1": shape}


def _ids(given: TensorSpec) -> TensorSpec:
    if given.dtype != "ids":
        raise Unfit("it expects ids or whole numbers")
    return given


def _encoded(settings: Settings, inputs: Inputs) -> TensorSpec:
    return _marked(settings["output_mode"], settings["num_tokens"], _ids(inputs[0]))


def _marked(mode: str, count: int, ids: TensorSpec) -> TensorSpec:
    """A column for each id: for each place, or over all places of the last dimension."""
    if mode != "one_hot" and len(ids.shape) != 1:
        raise Unfit(f"it counts what a row has, not the shape {shown(ids.shape)}")
    if mode != "one_hot":
        return TensorSpec((count,))
    if None in ids.shape:
        fixed(replace(ids, dtype="float"))
    shape = ids.shape[:-1] if ids.shape[-1] == 1 else ids.shape
    return TensorSpec((*shape, count))


def _binned(settings: Settings, inputs: Inputs) -> TensorSpec:
    """The number of the interval that each value lies in."""
    given, mode = floats(inputs[0]), settings["output_mode"]
    ids = TensorSpec(given.shape, "ids", given.padding or Padding("values"))
    return ids if mode == "int" else _marked(mode, len(settings["bin_boundaries"]) + 1, ids)


def _other_ids(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Other ids in their places, and no mask."""
    given = _ids(inputs[0])
    return replace(given, padding=Padding(given.padding.source if given.padding else "values"))


def _rising(value: Any) -> bool:
    return listed(number, 1, MAX_WORDS)(value) and sorted(value) == value


def _precision(value: Any) -> bool:
    config = value.get("config") if isinstance(value, dict) else {"name": value}
    return isinstance(config, dict) and config.get("name") in (None, "float32", "int64", "int32")


def _category(value: Any) -> bool:
    return type(value) is int and abs(value) < 1 << 62


#: of layers that give ids, whose type is not the precision of the network
_DTYPE = Setting(_precision, default=None)
_MARKS = ("one_hot", "multi_hot", "count")
_STATED = Setting(either(one_of(None), number, listed(number, 1, MAX_WORDS)), default=None)
PREPROCESSING = (
    LayerKind("Rescaling", _rescaled, {"scale": Setting(number), "offset": Setting(number)}),
    LayerKind(
        "Normalization",
        _normalized,
        {
            "axis": Setting(either(one_of(None), integer, listed(integer, 0))),
            "invert": Setting(flag, default=False),
            "mean": _STATED,
            "variance": _STATED,
        },
        _mean_and_variance,
        as_settings=("mean", "variance"),
    ),
    LayerKind(
        "CategoryEncoding",
        _encoded,
        {"num_tokens": Setting(UNITS), "output_mode": Setting(one_of(*_MARKS))},
        reads_padding=always,
    ),
    LayerKind(
        "Discretization",
        _binned,
        {
            "bin_boundaries": Setting(_rising),
            "epsilon": Setting(number, default=0.01),
            "dtype": _DTYPE,
            "output_mode": Setting(one_of("int", *_MARKS), default="int"),
        },
        reads_padding=always,
    ),
    LayerKind(
        "Hashing",
        _other_ids,
        {
            "dtype": _DTYPE,
            "num_bins": Setting(whole(MAX_WORDS)),
            "salt": Setting(either(one_of(None), _category, listed(_category, 2, 2))),
            "mask_value": Setting(one_of(None), default=None),
            "output_mode": Setting(one_of("int"), default="int"),
        },
    ),
    LayerKind(
        "IntegerLookup",
        _other_ids,
        {
            "vocabulary": Setting(listed(_category, 1, MAX_WORDS)),
            "num_oov_indices": Setting(one_of(1), default=1),
            "mask_token": Setting(either(one_of(None), _category), default=None),
            "oov_token": Setting(one_of(-1), default=-1),
            "output_mode": Setting(one_of("int"), default="int"),
        },
    ),
)
