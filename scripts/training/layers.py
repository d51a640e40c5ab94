"""The layers of the zoo, each with its derivative, over packed rows.

A layer holds its `weights` by name and shares them with every thread; `forward` returns its output
and what `backward` needs, so that shards of one batch run side by side. Weight names and layouts
are Keras', so trained arrays go into Keras layers as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numba import njit

from scripts.training import lstm
from scripts.training.batches import Packed
from scripts.training.types import Floats, Ints, Weights

Saved = Any  # whatever one layer's backward wants from its own forward


@dataclass(frozen=True)
class Context:
    """What a pass knows beside its input. Without `rng` it is inference: no dropout."""

    batch: Packed
    rng: np.random.Generator | None = None


class Layer(Protocol):
    """x is (tokens, features) in packed order until a layer has reduced it to (rows, features)."""

    @property
    def weights(self) -> Weights: ...

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]: ...

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        """dL/dx and dL/dweights from dL/dy."""
        ...


def glorot(rng: np.random.Generator, *shape: int) -> Floats:
    """Uniform within sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010)."""
    fan = int(np.prod(shape[:-2])) * (shape[-2] + shape[-1])
    limit = np.sqrt(6.0 / fan)
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def _scatter_add_loop(out: Floats, ids: Ints, values: Floats) -> None:
    for k in range(ids.size):
        row = out[ids[k]]
        value = values[k]
        for j in range(row.size):
            row[j] += value[j]


_scatter_add = cast(
    Callable[[Floats, Ints, Floats], None], njit(nogil=True, cache=True)(_scatter_add_loop)
)


class Embedding:
    """Rows of a table. Id 0 stands for a row without tokens; masked, it is a vector of zeros."""

    def __init__(self, table: Floats, *, trainable: bool, masked: bool) -> None:
        self.weights: Weights = {"embeddings": table}
        self.trainable, self.masked = trainable, masked

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        del x  # the first layer: its input is the batch's ids
        out = self.weights["embeddings"][context.batch.ids]
        return out, None

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        if not self.trainable:
            return dy, {}
        table = np.zeros_like(self.weights["embeddings"])
        _scatter_add(table, context.batch.ids, dy)
        if self.masked:
            table[0] = 0
        return dy, {"embeddings": table}


class Dropout:
    """Inverted dropout; `per_row` drops a feature at all steps of a row (SpatialDropout1D)."""

    def __init__(self, rate: float, *, per_row: bool = False) -> None:
        self.weights: Weights = {}
        self.rate, self.per_row = rate, per_row

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        if context.rng is None or self.rate == 0:
            return x, None
        rows = context.batch.lengths.size if self.per_row else x.shape[0]
        kept = context.rng.random((rows, x.shape[1]), np.float32) >= self.rate
        mask = kept.astype(np.float32) * np.float32(1 / (1 - self.rate))
        if self.per_row:
            mask = mask[context.batch.row]
        return x * mask, mask

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        return (dy if saved is None else dy * saved), {}


class LSTM:
    """One direction. `go_backwards` reads every row's own tokens from its end.

    With `return_sequences` the output stands in the order of the tokens for both directions.
    """

    def __init__(
        self,
        features: int,
        units: int,
        rng: np.random.Generator,
        *,
        return_sequences: bool = False,
        go_backwards: bool = False,
    ) -> None:
        recurrent = np.linalg.qr(rng.normal(size=(4 * units, units)))[0].T
        bias = np.zeros(4 * units, np.float32)
        bias[units : 2 * units] = 1  # Keras' unit_forget_bias (Jozefowicz et al. 2015)
        self.weights: Weights = {
            "kernel": glorot(rng, features, 4 * units),
            "recurrent_kernel": np.ascontiguousarray(recurrent, np.float32),
            "bias": bias,
        }
        self.units = units
        self.return_sequences, self.go_backwards = return_sequences, go_backwards

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        batch, w = context.batch, self.weights
        x = x[batch.reverse] if self.go_backwards else x
        z = x @ w["kernel"]
        z += w["bias"]
        hs = np.empty((z.shape[0], self.units), np.float32)
        cs = np.empty_like(hs)
        lstm.forward(z, w["recurrent_kernel"], batch.sizes, batch.starts, hs, cs)
        if not self.return_sequences:
            out = hs[batch.last]
        else:
            out = hs[batch.reverse] if self.go_backwards else hs
        return out, (x, z, hs, cs)

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        batch, w = context.batch, self.weights
        x, z, hs, cs = saved
        if not self.return_sequences:
            dhs = np.zeros_like(hs)
            dhs[batch.last] = dy
        else:
            dhs = dy[batch.reverse] if self.go_backwards else np.ascontiguousarray(dy)
        transposed = np.ascontiguousarray(w["recurrent_kernel"].T)
        lstm.backward(z, transposed, batch.sizes, batch.starts, cs, dhs)
        first = int(batch.sizes[0])  # z is dL/dz now; the first step has no state before it
        before = np.arange(first, z.shape[0]) - np.repeat(batch.sizes[:-1], batch.sizes[1:])
        grads = {
            "kernel": x.T @ z,
            "recurrent_kernel": hs[before].T @ z[first:],
            "bias": z.sum(axis=0),
        }
        dx = z @ w["kernel"].T
        return (dx[batch.reverse] if self.go_backwards else dx), grads


class Bidirectional:
    """Two LSTMs side by side, their outputs concatenated."""

    def __init__(self, forward: LSTM, backward: LSTM) -> None:
        self.directions = {"forward": forward, "backward": backward}

    @property
    def weights(self) -> Weights:
        return {
            f"{direction}/{name}": array
            for direction, layer in self.directions.items()
            for name, array in layer.weights.items()
        }

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        results = [layer.forward(x, context) for layer in self.directions.values()]
        return np.concatenate([out for out, _ in results], axis=1), [s for _, s in results]

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        grads: Weights = {}
        parts: list[Floats] = []
        halves = np.split(dy, 2, axis=1)
        for (name, layer), half, kept in zip(self.directions.items(), halves, saved, strict=True):
            part, own = layer.backward(half, kept, context)
            parts.append(part)
            grads |= {f"{name}/{k}": v for k, v in own.items()}
        return parts[0] + parts[1], grads


class Dense:
    """x W + b, then relu or nothing: a head yields logits, and the loss knows their activation."""

    def __init__(
        self, features: int, units: int, rng: np.random.Generator, *, relu: bool = False
    ) -> None:
        self.weights: Weights = {
            "kernel": glorot(rng, features, units),
            "bias": np.zeros(units, np.float32),
        }
        self.relu = relu

    def forward(self, x: Floats, context: Context) -> tuple[Floats, Saved]:
        y = x @ self.weights["kernel"] + self.weights["bias"]
        if self.relu:
            y = np.maximum(y, np.float32(0))
        return y, (x, y)

    def backward(self, dy: Floats, saved: Saved, context: Context) -> tuple[Floats, Weights]:
        x, y = saved
        if self.relu:
            dy = dy * (y > 0)
        grads = {"kernel": x.T @ dy, "bias": dy.sum(axis=0)}
        return dy @ self.weights["kernel"].T, grads
