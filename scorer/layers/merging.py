"""Layers that make one tensor of several: vectors, or sequences over the same positions."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    Arity,
    Content,
    Inputs,
    LayerKind,
    Padding,
    Setting,
    Settings,
    TensorSpec,
    Unfit,
    floats,
    one_of,
    shown,
)


def _joined(settings: Settings, inputs: Inputs) -> TensorSpec:
    first = _alike(inputs)
    return replace(first, shape=(*first.shape[:-1], sum(given.width for given in inputs)))


def _combined(settings: Settings, inputs: Inputs) -> TensorSpec:
    shapes = [given.shape for given in inputs]
    if len(set(shapes)) > 1:
        raise Unfit(f"it combines the shapes {' and '.join(map(shown, shapes))}")
    return _alike(inputs)


def _alike(inputs: Inputs) -> TensorSpec:
    """The first of `inputs`, with the mask and padding that Keras gives to all of them together.

    Sequences must have the same positions: of one text, or of fixed and equal number. A mask is
    left where all have it.
    """
    heads = {floats(given).shape[:-1] for given in inputs}
    if len(heads) > 1:
        shapes = " and ".join(shown(given.shape) for given in inputs)
        raise Unfit(f"it merges {shapes}, which do not have the same positions")
    paddings = [given.padding for given in inputs]
    sources = {padding.source for padding in paddings if padding is not None}
    if len(sources) > 1 and any(given.open or given.masked for given in inputs):
        raise Unfit("it merges sequences of different texts, whose positions differ in number")
    padding = None
    if sources:
        masked = all(given.masked for given in inputs)
        padding = Padding(sorted(sources)[0], masked, Content.WORDS)
    return TensorSpec(inputs[0].shape, padding=padding)


MERGING = (
    LayerKind("Concatenate", _joined, {"axis": Setting(one_of(-1))}, arity=Arity.LIST),
    *(
        LayerKind(name, _combined, arity=Arity.LIST)
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    ),
)
