"""The gates of recurrent layers, LANES units at a time, that their loops call as if built in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import types

from scorer.engines.cpu.loops.simd import addresses, multiply_add
from scorer.engines.cpu.loops.vectors import (
    GATES,
    LANES,
    LOG2_E,
    ROWS,
    Block,
    Emit,
    Intrinsic,
    const,
    exp2,
    exp2_factors,
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


def _one_plus(builder: Any, factors: tuple[Emit, Emit]) -> Emit:
    """1 + the product of two factors, rounded once."""
    return fma(builder, *factors, const(1.0))


def _one_minus(builder: Any, factors: tuple[Emit, Emit]) -> Emit:
    power, scale = factors
    return fma(builder, builder.fneg(power), scale, const(1.0))


def _states(builder: Any, z: Block, c: Sequence[Emit]) -> tuple[list[Emit], list[Emit]]:
    """The new c, and 1 + exp(-zo), of LANES units of some rows: z[row][gate], c[row].

    c' = sigmoid(zf) c + sigmoid(zi) tanh(zg)

    With I = 1 + exp(-zi), F = 1 + exp(-zf), g = exp(-2 zg):
    c' = (c I (1 + g) + (1 - g) F) / (I (1 + g) F); one division.
    """
    factors = exp2_factors(builder, [gate for row in z for gate in row])
    i, f, g, o = ([_one_plus(builder, e) for e in factors[gate::GATES]] for gate in range(GATES))
    rest = [_one_minus(builder, e) for e in factors[2::GATES]]
    ig = list(map(builder.fmul, i, g))
    others = map(builder.fmul, rest, f)
    above = [fma(builder, *terms) for terms in zip(c, ig, others, strict=True)]
    return list(map(builder.fdiv, above, map(builder.fmul, ig, f))), o


def _outputs(builder: Any, c: Sequence[Emit], o: Sequence[Emit]) -> list[Emit]:
    """h = sigmoid(zo) tanh(c) of each row, given `_states`.

    With O = 1 + exp(-zo), t = exp(-2 c): h = (1 - t) / (O (1 + t)); one division.
    """
    factors = exp2_factors(builder, [builder.fmul(one, const(-2 * LOG2_E)) for one in c])
    below = [builder.fmul(one, _one_plus(builder, t)) for one, t in zip(o, factors, strict=True)]
    return [
        builder.fdiv(_one_minus(builder, t), one) for t, one in zip(factors, below, strict=True)
    ]


@intrinsic
def lstm_block(
    context: Any, table: Any, stride: Any, unit: Any, kx: Any, ky: Any, weights: Any
) -> Intrinsic:
    """c[r], h[r] = `_states`, `_outputs` of (x[r] W + y[r] V) + start[r]: ROWS rows, LANES units.

    table    address of int64 (6, stride): for each row the addresses of 0 start, 1 x (kx,),
             2 y (ky,), 4 h, 5 c; no row's c or h may be another's
    unit     number of the first of those units
    weights  as of simd.product_block

    The sums stay in registers until their gates are computed: of two rows at a time, then the
    outputs of all rows, since one row's gates are a long chain in which the processor waits.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        table, stride, unit, kx, ky, weights = arguments
        unit = builder.mul(unit, whole(4))
        column = builder.mul(unit, whole(GATES))
        sums: Block = [[const(0.0)] * GATES] * ROWS
        x, y = (addresses(builder, table, stride, field) for field in (1, 2))
        sums, weights = multiply_add(builder, sums, x, kx, weights)
        sums, _ = multiply_add(builder, sums, y, ky, weights)
        # What is given comes last: it may be larger than the sum, which would then lose digits.
        starts = [builder.add(start, column) for start in addresses(builder, table, stride, 0)]
        to_h, to_c = (
            [builder.add(row, unit) for row in addresses(builder, table, stride, field)]
            for field in (4, 5)
        )
        new_c, new_o = list[Emit](), list[Emit]()
        for pair in (slice(r, r + 2) for r in range(0, ROWS, 2)):
            given = [vectors(builder, start) for start in starts[pair]]
            z = [list(map(builder.fadd, *row)) for row in zip(sums[pair], given, strict=True)]
            c, o = _states(builder, z, [load(builder, address) for address in to_c[pair]])
            for vector, address in zip(c, to_c[pair], strict=True):
                store(builder, vector, address)
            new_c += c
            new_o += o
        for vector, address in zip(_outputs(builder, new_c, new_o), to_h, strict=True):
            store(builder, vector, address)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), emit


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
