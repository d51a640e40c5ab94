"""Layers that bring vectors to a common size, alone or by what training measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops import general, kernels
from scorer.engines.cpu.signals import Built, Signal, Tile, positionwise
from scorer.engines.cpu.steps.blocks import everywhere, on_blocks


@dataclass(frozen=True, eq=False)
class Normalize:
    """x / |x| for every vector or every position, in place; zeros stay zeros."""

    columns: int
    in_place = True

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        kernels.normalize(tile.values, self.columns)
        return tile


def unit_normalization(node: Node, signal: Signal) -> Built:
    """A bag is never laid out: the Dense that reads it divides its sums."""
    if signal.kind == "bag":
        return [], replace(signal, unit=True)
    return everywhere(_unit)(node, signal)


def _unit(node: Node, signal: Signal) -> Built:
    steps, signal = positionwise(node, signal)
    return [*steps, Normalize(signal.width)], signal


@dataclass(frozen=True, eq=False)
class Shift:
    """(x - mean) * scale + offset for every vector or every position, in place; each float32
    (columns,), or None where it changes nothing."""

    columns: int
    mean: np.ndarray | None
    scale: np.ndarray | None
    offset: np.ndarray | None
    in_place = True

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        shifted(tile.values[:, : self.columns], self.mean, self.scale, self.offset)
        return tile


def shifted(
    x: np.ndarray,
    mean: np.ndarray | None,
    scale: np.ndarray | None,
    offset: np.ndarray | None,
) -> None:
    """(x - mean) * scale + offset in place."""
    if mean is not None:
        x -= mean
    if scale is not None:
        x *= scale
    if offset is not None:
        x += offset


def rescaling(node: Node, signal: Signal) -> Built:
    """By 1, it makes floats of a bag's whole numbers: here they are floats already."""
    scale, offset = node.layer.settings["scale"], node.layer.settings["offset"]
    if scale == 1 and offset == 0:
        return [], signal

    def build(node: Node, signal: Signal) -> Built:
        steps, signal = positionwise(node, signal)
        by, more = (np.array([value], np.float32) for value in (scale, offset))
        step = Shift(signal.width, None, by, more)
        return [*steps, step], signal

    return everywhere(build)(node, signal)


def batch_normalization(node: Node, signal: Signal) -> Built:
    """By the mean and the variance that training has left."""
    settings, weights = node.layer.settings, list(node.layer.weights)
    gamma = weights.pop(0) if settings["scale"] else None
    beta = weights.pop(0) if settings["center"] else None
    mean, variance = weights
    scale = 1 / np.sqrt(variance.astype(np.float64) + settings["epsilon"])
    scale = (scale if gamma is None else scale * gamma).astype(np.float32)
    return _along(node, signal, [settings["axis"]], mean, scale, beta)


def normalization(node: Node, signal: Signal) -> Built:
    """By the mean and the variance that were measured, or stated, before training; or back."""
    settings, weights = node.layer.settings, node.layer.weights
    mean, variance = weights[:2] or (settings["mean"], settings["variance"])
    deviation = np.maximum(np.sqrt(np.asarray(variance, np.float64)), 1e-7).reshape(-1)
    mean = np.asarray(mean, np.float32).reshape(-1)
    axes = settings["axis"]
    axes = [] if axes is None else axes if isinstance(axes, list) else [axes]
    if settings["invert"]:
        return _along(node, signal, axes, None, deviation.astype(np.float32), mean)
    return _along(node, signal, axes, mean, (1 / deviation).astype(np.float32), None)


def _along(
    node: Node,
    signal: Signal,
    axes: list[int],
    mean: np.ndarray | None,
    scale: np.ndarray,
    offset: np.ndarray | None,
) -> Built:
    """`Shift` by numbers that differ along some axes, flat in the order of the dimensions."""
    given = node.given[0].shape
    rank = len(given)
    places = [axis if axis > 0 else axis + rank + 1 for axis in axes]
    if places == [rank]:

        def build(node: Node, signal: Signal) -> Built:
            steps, signal = positionwise(node, signal)
            return [*steps, Shift(signal.width, mean, scale, offset)], signal

        return everywhere(build)(node, signal)
    shape = [1, *((n or 0) if place + 1 in places else 1 for place, n in enumerate(given))]

    def wide(part: np.ndarray | None) -> np.ndarray | None:
        return part if part is None or part.size == 1 else part.reshape(shape)

    def function(x: np.ndarray) -> np.ndarray:
        x = x.copy()
        shifted(x, wide(mean), wide(scale), wide(offset))
        return x

    return on_blocks(node, function, signal)


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Every vector or every position by its own mean and variance, or by its own size; in place."""

    columns: int
    epsilon: float
    centered: bool
    gamma: np.ndarray
    beta: np.ndarray
    in_place = True

    def run(self, *tiles: Tile) -> Tile:
        (tile,) = tiles
        general.layer_norm(
            tile.values, self.columns, self.epsilon, self.centered, self.gamma, self.beta
        )
        return tile


def layer_normalization(node: Node, signal: Signal) -> Built:
    """LayerNormalization and RMSNormalization."""
    settings, weights = node.layer.settings, list(node.layer.weights)
    rank, axes = len(node.given[0].shape), settings["axis"]
    places = [a if a > 0 else a + rank + 1 for a in (axes if isinstance(axes, list) else [axes])]
    shape = [node.given[0].shape[place - 1] or 0 for place in places]
    gamma = weights.pop(0) if settings.get("scale", True) else np.ones(shape, np.float32)
    beta = weights.pop(0) if settings.get("center", False) else np.zeros(shape, np.float32)
    centered = node.layer.kind == "LayerNormalization"
    epsilon = float(settings["epsilon"])
    if places != [rank]:
        step = LayerNorm(gamma.size, epsilon, centered, gamma.reshape(-1), beta.reshape(-1))
        return on_blocks(node, _over(places, step), signal)

    def build(node: Node, signal: Signal) -> Built:
        steps, signal = positionwise(node, signal)
        return [*steps, LayerNorm(signal.width, epsilon, centered, gamma, beta)], signal

    return everywhere(build)(node, signal)


def _over(places: list[int], step: LayerNorm) -> Callable[[np.ndarray], np.ndarray]:
    """`step` over several dimensions, which are moved to the end and back."""
    last = list(range(-len(places), 0))

    def function(x: np.ndarray) -> np.ndarray:
        moved = np.moveaxis(x, places, last)
        flat = np.array(moved.reshape(-1, step.columns), dtype=np.float32)
        general.layer_norm(flat, step.columns, step.epsilon, step.centered, step.gamma, step.beta)
        return np.moveaxis(flat.reshape(moved.shape), last, places)

    return function


def group_normalization(node: Node, signal: Signal) -> Built:
    """Over all positions of each group of columns."""
    settings, weights = node.layer.settings, list(node.layer.weights)
    axis = settings["axis"] if settings["axis"] > 0 else settings["axis"] + len(node.spec.shape) + 1
    width = node.given[0].shape[axis - 1] or 0
    groups = width if settings["groups"] == -1 else settings["groups"]
    gamma = weights.pop(0) if settings["scale"] else np.ones(width, np.float32)
    beta = weights.pop(0) if settings["center"] else np.zeros(width, np.float32)

    def function(x: np.ndarray) -> np.ndarray:
        moved = np.moveaxis(x, axis, 1)
        flat = np.array(moved.reshape(len(x) * groups, -1), dtype=np.float32)
        even = np.ones(flat.shape[1], np.float32)
        epsilon = float(settings["epsilon"])
        general.layer_norm(flat, flat.shape[1], epsilon, True, even, even * 0)
        moved = flat.reshape(moved.shape)
        shape = (1, width, *[1] * (x.ndim - 2))
        return np.moveaxis(moved * gamma.reshape(shape) + beta.reshape(shape), 1, axis)

    return on_blocks(node, function, signal)
