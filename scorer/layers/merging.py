"""Layers that make one tensor of several."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    FIX_LENGTH,
    Arity,
    Content,
    Inputs,
    LayerKind,
    Padding,
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
    shown,
)


def _joined(settings: Settings, inputs: Inputs) -> TensorSpec:
    return joined(settings["axis"], inputs)


def joined(axis: int, inputs: Inputs) -> TensorSpec:
    """`inputs` side by side along an axis, the batch being the first."""
    first = floats(inputs[0])
    place = dimension(axis, first)
    others = {_without(place, given) for given in inputs}
    if len(others) > 1:
        raise Unfit(f"it joins {_shapes(inputs)}, which differ in more than axis {axis}")
    if place != len(first.shape) - 1:
        return _end_to_end(place, inputs)
    merged = _alike(inputs)
    return replace(merged, shape=(*first.shape[:-1], sum(given.width for given in inputs)))


def _without(place: int, given: TensorSpec) -> tuple[int | None, ...]:
    shape = floats(given).shape
    return (*shape[:place], *shape[place + 1 :], len(shape))


def _end_to_end(place: int, inputs: Inputs) -> TensorSpec:
    if any(given.masked for given in inputs):
        raise Unfit("it joins masked sequences end to end, which is not supported")
    sizes = [fixed(given).shape[place] or 0 for given in inputs]
    shape = list(inputs[0].shape)
    shape[place] = sum(sizes)
    return TensorSpec(tuple(shape))


def _combined(settings: Settings, inputs: Inputs) -> TensorSpec:
    if len({given.shape for given in inputs}) > 1:
        return broadcast(inputs)
    return _alike(inputs)


def broadcast(inputs: Inputs, *, ranks: bool = True) -> TensorSpec:
    """`inputs` of different shapes: a dimension of 1 is repeated, and one that lacks is added.

    ranks   a tensor of fewer dimensions is one at every position, as Keras' merging layers have it
    Keras drops the mask, as not all have one.
    """
    if all(floats(given).masked for given in inputs):
        raise Unfit(f"it combines masked sequences of the shapes {_shapes(inputs)}")
    rank = max(len(given.shape) for given in inputs)
    if not ranks and any(len(given.shape) < rank for given in inputs):
        raise Unfit(f"it combines the shapes {_shapes(inputs)}")
    aligned = [((1,) * (rank - len(given.shape)) + given.shape, given) for given in inputs]
    shape = tuple(_common(sizes, inputs) for sizes in zip(*(s for s, _ in aligned), strict=True))
    paddings = [g.padding for s, g in aligned if g.padding and s[0] == shape[0] != 1]
    if not paddings or len({padding.source for padding in paddings}) > 1:
        if None in shape:
            raise Unfit(f"it combines sequences of different texts: {FIX_LENGTH}")
        return TensorSpec(shape)
    return TensorSpec(shape, padding=Padding(paddings[0].source))


def _common(sizes: tuple[int | None, ...], inputs: Inputs) -> int | None:
    found = {size for size in sizes if size != 1}
    if len(found) > 1:
        raise Unfit(f"it combines the shapes {_shapes(inputs)}")
    return found.pop() if found else 1


def _shapes(inputs: Inputs) -> str:
    return " and ".join(shown(given.shape) for given in inputs)


def _alike(inputs: Inputs) -> TensorSpec:
    """The first of `inputs`, with the mask and padding that Keras gives to all of them together.

    Sequences must have the same positions: of one text, or of fixed and equal number. A mask is
    left where all have it.
    """
    heads = {floats(given).shape[:-1] for given in inputs}
    if len(heads) > 1:
        raise Unfit(f"it merges {_shapes(inputs)}, which do not have the same positions")
    paddings = [given.padding for given in inputs]
    sources = {padding.source for padding in paddings if padding is not None}
    if len(sources) > 1 and any(given.open or given.masked for given in inputs):
        raise Unfit("it merges sequences of different texts, whose positions differ in number")
    padding = None
    if sources:
        masked = all(given.masked for given in inputs)
        padding = Padding(sorted(sources)[0], masked, Content.WORDS)
    return TensorSpec(inputs[0].shape, padding=padding)


def _dotted(settings: Settings, inputs: Inputs) -> TensorSpec:
    """Sums of products along one axis of each of two tensors. Keras drops the mask."""
    if len(inputs) != 2:
        raise Unfit(f"it is called on {len(inputs)} tensors, it takes 2")
    axes = settings["axes"] if isinstance(settings["axes"], list) else [settings["axes"]] * 2
    pairs = list(zip(axes, map(fixed, inputs), strict=True))
    places = [dimension(axis, given) for axis, given in pairs]
    if len({given.shape[place] for place, (_, given) in zip(places, pairs, strict=True)}) > 1:
        raise Unfit(f"it multiplies {_shapes(inputs)} along axes of different sizes")
    if max(len(given.shape) for given in inputs) > 2:
        raise Unfit(f"it multiplies {_shapes(inputs)}, of more than two dimensions")
    rest = [_without(place, given)[:-1] for place, given in zip(places, inputs, strict=True)]
    return TensorSpec((*rest[0], *rest[1]) or (1,))


_AXES = either(integer, listed(integer, 2, 2))
MERGING = (
    LayerKind(
        "Concatenate",
        _joined,
        {"axis": Setting(integer, default=-1)},
        arity=Arity.LIST,
    ),
    *(
        LayerKind(name, _combined, arity=Arity.LIST)
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    ),
    LayerKind(
        "Dot",
        _dotted,
        {"axes": Setting(_AXES), "normalize": Setting(flag, default=False)},
        reads_padding=always,
        arity=Arity.LIST,
    ),
)
