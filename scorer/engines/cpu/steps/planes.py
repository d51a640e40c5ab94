"""Conv2D and its pooling: over the rows and columns of what was a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.engines.cpu.loops.products import multiply, widen
from scorer.engines.cpu.loops.simd import pack_columns
from scorer.engines.cpu.signals import Built, Signal
from scorer.engines.cpu.steps.activations import activation_of
from scorer.engines.cpu.steps.blocks import on_blocks

#: how many rows' windows are laid out at one time
_WINDOWS_BYTES = 8 << 20


@dataclass(frozen=True)
class _Plane:
    """How windows move over a plane: for each of two dimensions its taps, the step from window to
    window and from tap to tap, what is added before and after, and how many windows there are."""

    taps: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    edges: tuple[tuple[int, int], tuple[int, int]]
    after: tuple[int, int]

    def padded(self, x: np.ndarray, value: float) -> np.ndarray:
        """`x`, float32 (rows, height, width, channels), with its edges."""
        if self.edges == ((0, 0), (0, 0)):
            return x
        return np.pad(x, ((0, 0), *self.edges, (0, 0)), constant_values=value)

    def at(self, x: np.ndarray, i: int, j: int) -> np.ndarray:
        """What the tap (i, j) of every window reads of `padded` x: a view."""
        spans = []
        for tap, n in ((i, 0), (j, 1)):
            first, step = tap * self.dilations[n], self.strides[n]
            spans.append(slice(first, first + (self.after[n] - 1) * step + 1, step))
        return x[:, spans[0], spans[1]]


def _plane(node: Node, taps: Sequence[int], dilations: Sequence[int]) -> _Plane:
    settings, before, after = node.layer.settings, node.given[0].shape, node.spec.shape
    edges, windows = [], []
    for n in range(2):
        count, step = after[n] or 0, settings["strides"][n]
        end = (count - 1) * step + (taps[n] - 1) * dilations[n] + 1
        missing = max(end - (before[n] or 0), 0) if settings["padding"] == "same" else 0
        edges.append((missing // 2, missing - missing // 2))
        windows.append(count)
    return _Plane(
        (taps[0], taps[1]),
        tuple(settings["strides"]),
        (dilations[0], dilations[1]),
        (edges[0], edges[1]),
        (windows[0], windows[1]),
    )


def convolution_2d(node: Node, signal: Signal) -> Built:
    settings, (kernel, *rest) = node.layer.settings, node.layer.weights
    plane = _plane(node, settings["kernel_size"], settings["dilation_rate"])
    whole = _ungrouped(kernel, settings.get("groups", 1))
    filters, reads = whole.shape[3], int(np.prod(whole.shape[:3]))
    packed = pack_columns(whole.reshape(reads, filters))
    bias = widen(rest[0] if rest else np.zeros(filters, np.float32), packed.size // reads)
    activation = activation_of(node.layer)

    def function(x: np.ndarray) -> np.ndarray:
        out = np.empty((len(x), *plane.after, filters), dtype=np.float32)
        some = max(_WINDOWS_BYTES // (4 * reads * plane.after[0] * plane.after[1]), 1)
        for first in range(0, len(x), some):
            windows = _windows(plane, plane.padded(x[first : first + some], 0))
            made = multiply(windows.reshape(-1, reads), packed, bias)
            activation(made, filters)
            out[first : first + some] = made[:, :filters].reshape(-1, *plane.after, filters)
        return out

    return on_blocks(node, function, signal)


def _windows(plane: _Plane, x: np.ndarray) -> np.ndarray:
    """float32 (rows, height, width, taps, taps, channels): what each window reads."""
    out = np.empty((len(x), *plane.after, *plane.taps, x.shape[3]), dtype=np.float32)
    for i in range(plane.taps[0]):
        for j in range(plane.taps[1]):
            out[:, :, :, i, j] = plane.at(x, i, j)
    return out


def _ungrouped(kernel: np.ndarray, groups: int) -> np.ndarray:
    """A kernel that reads every channel, with zeros for what a filter of its group does not."""
    if groups == 1:
        return kernel
    read, made = kernel.shape[2], kernel.shape[3] // groups
    whole = np.zeros((*kernel.shape[:2], read * groups, kernel.shape[3]), np.float32)
    for group in range(groups):
        columns = slice(group * made, (group + 1) * made)
        whole[:, :, group * read : (group + 1) * read, columns] = kernel[..., columns]
    return whole


def pool_windows_2d(node: Node, signal: Signal) -> Built:
    """MaxPooling2D and AveragePooling2D. Neither counts what padding='same' adds."""
    plane = _plane(node, node.layer.settings["pool_size"], (1, 1))
    taps = [(i, j) for i in range(plane.taps[0]) for j in range(plane.taps[1])]

    def greatest(x: np.ndarray) -> np.ndarray:
        x = plane.padded(x, -np.inf)
        out = plane.at(x, 0, 0).copy()
        for i, j in taps[1:]:
            np.maximum(out, plane.at(x, i, j), out=out)
        return out

    def mean(x: np.ndarray) -> Any:
        there = plane.padded(np.ones((1, *x.shape[1:3], 1), np.float32), 0)
        x = plane.padded(x, 0)
        total = plane.at(x, 0, 0).copy()
        for i, j in taps[1:]:
            total += plane.at(x, i, j)
        count = sum(plane.at(there, i, j) for i, j in taps)
        return total / count

    function = greatest if node.layer.kind.startswith("Max") else mean
    return on_blocks(node, function, signal)


def pool_plane(node: Node, signal: Signal) -> Built:
    """GlobalMaxPooling2D and GlobalAveragePooling2D."""
    shape = [n or 0 for n in node.spec.shape]
    greatest = node.layer.kind.startswith("GlobalMax")

    def function(x: np.ndarray) -> Any:
        flat = x.reshape(len(x), -1, x.shape[-1])
        pooled = flat.max(axis=1) if greatest else flat.mean(axis=1, dtype=np.float64)
        return pooled.reshape(len(x), *shape)

    return on_blocks(node, function, signal)
