"""The gates of recurrent layers, LANES units at a time, that their loops call as if built in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types

from scorer.engines.cpu.vectors import (
    LANES,
    LOG2_E,
    Emit,
    Intrinsic,
    const,
    exp2,
    fma,
    intrinsic,
    load,
    store,
    vectors,
    whole,
)

#: What the weights of the gates i, f, g, o are multiplied by when packed: then 2**z is exp(-z), and
#: exp(-2z) for g, of the true z.
GATE_SCALE = np.array([-LOG2_E, -LOG2_E, -2 * LOG2_E, -LOG2_E])


def _gates(builder: Any, z: Sequence[Emit], c: Emit) -> tuple[Emit, Emit]:
    """The new c and h of LANES units.

    c' = sigmoid(zf) c + sigmoid(zi) tanh(zg),  h' = sigmoid(zo) tanh(c')

    With I = 1 + exp(-zi), F = 1 + exp(-zf), O = 1 + exp(-zo), g = exp(-2 zg), t = exp(-2 c'):
    c' = (c I (1 + g) + (1 - g) F) / (I (1 + g) F),  h' = (1 - t) / (O (1 + t)); two divisions.
    """
    one = const(1.0)
    i, f, g, o = (exp2(builder, gate) for gate in z)
    i, f, o = (builder.fadd(gate, one) for gate in (i, f, o))
    ig = builder.fmul(i, builder.fadd(g, one))
    above = fma(builder, c, ig, builder.fmul(builder.fsub(one, g), f))
    c = builder.fdiv(above, builder.fmul(ig, f))
    t = exp2(builder, builder.fmul(c, const(-2 * LOG2_E)))
    h = builder.fdiv(builder.fsub(one, t), builder.fmul(o, builder.fadd(t, one)))
    return c, h


@intrinsic
def lstm_lanes(context: Any, z: Any, c: Any, h: Any) -> Intrinsic:
    """`_gates` of z (4, LANES) for c and h (LANES,), given their addresses; c and h are written."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        z, c, h = arguments
        new_c, new_h = _gates(builder, vectors(builder, z), load(builder, c))
        store(builder, new_c, c)
        store(builder, new_h, h)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


#: The same for a GRU's gates z, r and the candidate.
GRU_SCALE = np.array([-LOG2_E, -LOG2_E, -2 * LOG2_E])


def _gru(builder: Any, z: Sequence[Emit], bias: Emit, h: Emit) -> Emit:
    """The new h of LANES units, from z = (zz, zr, x W, h U).

    h' = sigmoid(zz) h + (1 - sigmoid(zz)) tanh(x W + sigmoid(zr) (h U + bias))

    With Z = exp(-zz), R = exp(-zr), g = exp(-2 (x W + (h U + bias) / (1 + R))):
    h' = (h (1 + g) + Z (1 - g)) / ((1 + Z) (1 + g)); two divisions.
    """
    one = const(1.0)
    update, reset = (exp2(builder, gate) for gate in z[:2])
    reset_sum = builder.fdiv(builder.fadd(z[3], bias), builder.fadd(reset, one))
    g = exp2(builder, builder.fadd(z[2], reset_sum))
    above = fma(builder, h, builder.fadd(g, one), builder.fmul(update, builder.fsub(one, g)))
    return builder.fdiv(above, builder.fmul(builder.fadd(update, one), builder.fadd(g, one)))


@intrinsic
def gru_lanes(context: Any, z: Any, bias: Any, h: Any, new_h: Any) -> Intrinsic:
    """`_gru` of z (4, LANES), bias and h (LANES,), given their addresses; new_h is written."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        z, bias, h, new_h = arguments
        given = load(builder, bias), load(builder, h)
        store(builder, _gru(builder, vectors(builder, z), *given), new_h)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), emit


# ---- after activations applied by another pass; LANES units at addresses ------------------------


def _stores(operands: int, what: Callable[..., Sequence[tuple[Emit, Emit]]]) -> Intrinsic:
    """An intrinsic that stores `what` makes of the addresses: vectors, and where each goes."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        for vector, address in what(builder, *arguments):
            store(builder, vector, address)
        return context.get_dummy_value()

    return types.void(*[types.int64] * operands), emit


def _after(builder: Any, address: Emit, count: int) -> Emit:
    """The address of the vector that many vectors on."""
    return builder.add(address, whole(4 * LANES * count))


@intrinsic
def cell_lanes(context: Any, z: Any, c: Any) -> Intrinsic:
    """c = f c + i g, of the LSTM's gates z = (i, f, g, o); also in place of i."""

    def what(builder: Any, z: Emit, c: Emit) -> Sequence[tuple[Emit, Emit]]:
        i, f, g, _ = vectors(builder, z)
        new = fma(builder, f, load(builder, c), builder.fmul(i, g))
        return (new, c), (new, z)

    return _stores(2, what)


@intrinsic
def hidden_lanes(context: Any, z: Any, h: Any) -> Intrinsic:
    """h = o y, of z = (y, ., ., o)."""

    def what(builder: Any, z: Emit, h: Emit) -> Sequence[tuple[Emit, Emit]]:
        y, _, _, o = vectors(builder, z)
        return ((builder.fmul(o, y), h),)

    return _stores(2, what)


@intrinsic
def reset_after_lanes(context: Any, z: Any, bias: Any) -> Intrinsic:
    """x = x + r (y + bias), of z = (., r, x, y)."""

    def what(builder: Any, z: Emit, bias: Emit) -> Sequence[tuple[Emit, Emit]]:
        _, r, x, y = vectors(builder, z)
        total = fma(builder, r, builder.fadd(y, load(builder, bias)), x)
        return ((total, _after(builder, z, 2)),)

    return _stores(2, what)


@intrinsic
def reset_before_lanes(context: Any, z: Any, h: Any, kept: Any, reset: Any) -> Intrinsic:
    """kept = u and reset = r h, of z = (u, r)."""

    def what(builder: Any, z: Emit, h: Emit, kept: Emit, reset: Emit) -> Any:
        r = builder.fmul(load(builder, _after(builder, z, 1)), load(builder, h))
        return (load(builder, z), kept), (r, reset)

    return _stores(4, what)


@intrinsic
def blend_lanes(context: Any, update: Any, new: Any, h: Any, out: Any) -> Intrinsic:
    """out = u h + (1 - u) new."""

    def what(builder: Any, update: Emit, new: Emit, h: Emit, out: Emit) -> Any:
        u = load(builder, update)
        rest = builder.fmul(builder.fsub(const(1.0), u), load(builder, new))
        return ((fma(builder, u, load(builder, h), rest), out),)

    return _stores(4, what)


@intrinsic
def copy_lanes(context: Any, x: Any, out: Any) -> Intrinsic:
    """out = x."""
    return _stores(2, lambda builder, x, out: ((load(builder, x), out),))
