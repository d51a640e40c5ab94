"""Functions of `keras.ops`, which `x + y`, `x[:, -1]` and calls of them leave in a graph.

They are no layers: they have no weights, and Keras carries no mask through them. A number among
their arguments is a setting here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scorer.layers.merging import broadcast, joined
from scorer.layers.reshaping import reshaped
from scorer.layers.spec import (
    DIMENSION,
    FIX_LENGTH,
    MAX_UNITS,
    Arity,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    TensorSpec,
    Unfit,
    always,
    dimension,
    either,
    fixed,
    flag,
    floats,
    integer,
    listed,
    number,
    one_of,
    shown,
    unmasked,
    whole,
)

#: a slice as config.json has it
SLICE = "__slice__"
_BOUND = either(one_of(None), integer)


def _both(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Of two tensors, or of one and a constant."""
    constant = constant_of(settings)
    if isinstance(constant, list):
        return _with_constant(shape_of(constant), unmasked(floats(inputs[0])))
    if len(inputs) == 1:
        return _each(settings, inputs)
    if all(given.shape == inputs[0].shape for given in inputs):
        inputs = [unmasked(floats(given)) for given in inputs]
    return unmasked(broadcast([unmasked(floats(given)) for given in inputs], ranks=False))


def constant_of(settings: Settings) -> Any:
    """The constant among two operands: a number, a tensor as nested lists, or None."""
    return settings["left"] if settings["left"] is not None else settings["right"]


def shape_of(constant: Any) -> tuple[int, ...]:
    """Of nested lists of numbers."""
    shape = []
    while isinstance(constant, list):
        shape.append(len(constant))
        constant = constant[0]
    return tuple(shape)


def _with_constant(shape: tuple[int, ...], given: TensorSpec) -> TensorSpec:
    """A row and a constant, which is the same for all rows."""
    own = shape[1:] if len(shape) == len(given.shape) + 1 and shape[0] == 1 else shape
    ends = given.shape[len(given.shape) - len(own) :]
    if len(own) > len(given.shape) or any(n not in (1, m) for n, m in zip(own, ends, strict=True)):
        why = f"it combines {shown(given.shape)} with a constant of the shape {shown(shape)}"
        if None in given.shape:
            why += f": {FIX_LENGTH}"
        raise Unfit(why)
    return replace(given, dtype="float")


def _tensor(value: Any) -> bool:
    """Nested lists of numbers, each as long as its neighbours."""
    level, depth = value, 0
    while isinstance(level, list):
        kinds = {(type(item) is list, len(item) if type(item) is list else 0) for item in level}
        if len(kinds) != 1 or not level or depth == 4:
            return False
        if not isinstance(level[0], list):
            return all(map(number, level))
        level, depth = [item for inner in level for item in inner], depth + 1
    return False


def _each(settings: Settings, inputs: Inputs) -> TensorSpec:
    return replace(unmasked(floats(inputs[0])), dtype="float")


def _shared(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Softmax over one dimension."""
    given = unmasked(floats(inputs[0]))
    if dimension(settings["axis"], given) != len(given.shape) - 1:
        fixed(given)
    return _each(settings, inputs)


def _cast(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Ids become numbers, of which none is padding any more."""
    if inputs[0].dtype == "ids":
        return TensorSpec(fixed(replace(inputs[0], dtype="float")).shape)
    return replace(unmasked(inputs[0]), dtype="float")


def _places(settings: Settings, given: TensorSpec) -> list[int]:
    """The dimensions that a reduction is over; all where it names none, the batch with them."""
    axes = settings["axis"]
    if axes is None:
        raise Unfit("it reduces the rows of a batch to one number")
    return [dimension(axis, given) for axis in (axes if isinstance(axes, list) else [axes])]


def _reduced(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = unmasked(floats(inputs[0]))
    places, keep = _places(settings, given), settings["keepdims"]
    sizes = [1 if at in places else n for at, n in enumerate(given.shape)]
    shape = tuple(n for at, n in enumerate(sizes) if keep or at not in places)
    return TensorSpec(shape, padding=None if 0 in places else given.padding)


def _over_positions(settings: Settings, given: TensorSpec) -> bool:
    return 0 in _places(settings, given)


def _expanded(settings: Settings, inputs: Inputs) -> TensorSpec:
    given, axis = unmasked(floats(inputs[0])), settings["axis"]
    rank = len(given.shape) + 2
    place = axis + rank if axis < 0 else axis
    if not 1 <= place < rank:
        raise Unfit(f"axis {axis} is not one of a row's dimensions")
    shape = (*given.shape[: place - 1], 1, *given.shape[place - 1 :])
    return replace(given, shape=shape) if place > 1 else TensorSpec(_all_known(given, shape))


def _all_known(given: TensorSpec, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    fixed(given)
    return shape


def _squeezed(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = unmasked(floats(inputs[0]))
    place = dimension(settings["axis"], given)
    if given.shape[place] != 1:
        raise Unfit(f"dimension {settings['axis']} of {shown(given.shape)} is not 1")
    shape = (*given.shape[:place], *given.shape[place + 1 :])
    return replace(given, shape=shape) if place else TensorSpec(_all_known(given, shape))


def _reshaped(settings: Settings, inputs: Inputs) -> TensorSpec:
    """The first number is the batch's."""
    batch, *target = settings["newshape"]
    if batch != -1 or -1 in target:
        raise Unfit(f"it mixes the rows of a batch: {shown(settings['newshape'])}")
    return reshaped(inputs[0], target)


def _transposed(settings: Settings, inputs: Inputs) -> TensorSpec:
    given, axes = fixed(inputs[0]), settings["axes"]
    if sorted(axes) != list(range(len(given.shape) + 1)) or axes[0] != 0:
        raise Unfit(f"{axes} does not name each dimension of {shown(given.shape)} once")
    return TensorSpec(tuple(given.shape[axis - 1] for axis in axes[1:]))


def _flipped(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Positions in the other order no longer begin with a text's first."""
    given = unmasked(floats(inputs[0]))
    return TensorSpec(fixed(given).shape) if _over_positions(settings, given) else given


def _part(value: Any) -> bool:
    """An index, or a slice as config.json has it."""
    if not isinstance(value, dict):
        return integer(value)
    config = value.get("config")
    return (
        value.get("class_name") == SLICE
        and isinstance(config, dict)
        and config.keys() == {"start", "stop", "step"}
        and all(map(_BOUND, config.values()))
        and config["step"] != 0
    )


def parts(key: Sequence[Any]) -> list[int | slice]:
    """The indexes and slices of a checked key, that of the batch first."""
    return [
        part if isinstance(part, int) else slice(*(part["config"][k] for k in _SLICED))
        for part in key
    ]


_SLICED = ("start", "stop", "step")
_ALL = slice(None, None, None)


def _taken(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = unmasked(floats(inputs[0]))
    batch, *key = parts(settings["key"])
    if batch != _ALL or len(key) > len(given.shape):
        raise Unfit("it takes some rows of a batch, or dimensions that are not there")
    key += [_ALL] * (len(given.shape) - len(key))
    sizes = [_size(part, n) for part, n in zip(key, given.shape, strict=True)]
    kept = tuple(n for n, part in zip(sizes, key, strict=True) if isinstance(part, slice))
    return replace(given, shape=kept) if key[:1] == [_ALL] else TensorSpec(kept)


def _size(part: int | slice, size: int | None) -> int | None:
    if isinstance(part, slice):
        if size is None and part != _ALL:
            raise Unfit(f"it takes some of any number of positions: {FIX_LENGTH}")
        return None if size is None else len(range(*part.indices(size)))
    if size is not None and not -size <= part < size:
        raise Unfit(f"it takes number {part} of {size}")
    return 1


def _beyond_the_first(settings: Settings, given: TensorSpec) -> bool:
    """Every row has a first position, which no padding moves."""
    part = parts(settings["key"])[1] if len(settings["key"]) > 1 else _ALL
    return part not in (_ALL, 0)


def _multiplied(settings: Settings, inputs: Inputs) -> TensorSpec:
    shapes = [fixed(given).shape for given in inputs]
    turned = settings["transpose_a"], settings["transpose_b"]
    shapes = [shape[::-1] if turn else shape for shape, turn in zip(shapes, turned, strict=False)]
    if len(shapes) != 2 or any(len(s) != 2 for s in shapes) or shapes[0][1] != shapes[1][0]:
        raise Unfit(f"it multiplies {' and '.join(map(shown, shapes))}")
    return TensorSpec((shapes[0][0], shapes[1][1]))


def _concatenated(settings: Settings, inputs: Inputs) -> TensorSpec:
    return joined(settings["axis"], [unmasked(floats(given)) for given in inputs])


def _one_hot(settings: Settings, inputs: Inputs) -> TensorSpec:
    (ids,) = inputs
    if ids.dtype != "ids":
        raise Unfit("it expects ids")
    return replace(unmasked(ids), shape=(*ids.shape, settings["num_classes"]), dtype="float")


def _of_two(name: str) -> LayerKind:
    optional = Setting(either(one_of(None), number, _tensor), default=None)
    settings = {"left": optional, "right": optional}
    return LayerKind(name, _both, settings, arity=Arity.SEVERAL, operation=True)


def _of_one(name: str, **settings: Setting) -> LayerKind:
    return LayerKind(name, _each, settings, operation=True)


def _reduction(name: str) -> LayerKind:
    none = {"initial": Setting(one_of(None), default=None)} if name in ("max", "min") else {}
    axis = Setting(either(one_of(None), integer, listed(integer)), default=None)
    settings = {"axis": axis, "keepdims": Setting(flag, default=False), **none}
    return LayerKind(name, _reduced, settings, reads_padding=_over_positions, operation=True)


BINARY = frozenset(
    "add subtract multiply divide true_divide maximum minimum power".split(),
)
UNARY = (
    "negative absolute exp sqrt square tanh sigmoid relu silu softplus selu relu6 softsign "
    "log_sigmoid hard_sigmoid hard_silu"
).split()
_AXIS = {"axis": Setting(integer)}
OPERATIONS = (
    *map(_of_two, sorted(BINARY)),
    *map(_of_one, UNARY),
    LayerKind("softmax", _shared, {"axis": Setting(integer, default=-1)}, operation=True),
    _of_one("elu", alpha=Setting(number, default=1.0)),
    _of_one("gelu", approximate=Setting(flag, default=True)),
    *map(_reduction, ("mean", "max", "min", "sum")),
    LayerKind("cast", _cast, {"dtype": Setting(one_of("float32"))}, operation=True),
    LayerKind("expand_dims", _expanded, _AXIS, operation=True),
    LayerKind("squeeze", _squeezed, _AXIS, operation=True),
    LayerKind(
        "reshape",
        _reshaped,
        {"newshape": Setting(listed(DIMENSION, 2))},
        reads_padding=always,
        operation=True,
    ),
    LayerKind(
        "transpose",
        _transposed,
        {"axes": Setting(listed(integer, 2))},
        reads_padding=always,
        operation=True,
    ),
    LayerKind(
        "get_item",
        _taken,
        {"key": Setting(listed(_part))},
        reads_padding=_beyond_the_first,
        operation=True,
    ),
    LayerKind(
        "flip",
        _flipped,
        {"axis": Setting(either(integer, listed(integer, 1, 1)))},
        reads_padding=_over_positions,
        operation=True,
    ),
    LayerKind(
        "matmul",
        _multiplied,
        dict.fromkeys(("transpose_a", "transpose_b"), Setting(flag, default=False)),
        reads_padding=always,
        arity=Arity.SEVERAL,
        operation=True,
    ),
    LayerKind(
        "concatenate",
        _concatenated,
        {"axis": Setting(integer, default=-1)},
        arity=Arity.LIST,
        operation=True,
    ),
    LayerKind(
        "one_hot",
        _one_hot,
        {"num_classes": Setting(whole(MAX_UNITS)), "axis": Setting(one_of(-1), default=-1)},
        operation=True,
    ),
)
