"""Register-blocked vector code, emitted as LLVM IR, that the kernels call as if it were built in.

Numba vectorises plain loops, but it cannot keep a block of a matrix product in registers. These
intrinsics do:

    product_block          ROWS rows of x @ W, added to what is given
    gru_block              the same for a GRU's three gates
    add_lanes, max_lanes   LANES numbers with others, in place
    relu_lanes and others  a function of LANES numbers, in place

Every number of a row is computed by the same operations in the same order wherever the row stands
and whatever its neighbours are: a sum over k is one chain of fused multiply-adds from k = 0 up, and
no reordering is allowed to LLVM. So results are bit-identical for any batch by construction.

Weights come packed by `pack`, so that a block reads them as one stream: LANES and ROWS follow the
processor (16 lanes with AVX-512, 8 with AVX, else 4), LLVM does the rest.

Addresses are int64 and rows are given by tables of addresses, one for each row, because the rows of
a step lie anywhere: in a lookup table, in the previous step's states, in a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from scorer.engines.cpu.loops.vectors import (
    COLUMNS,
    FLOAT,
    GATES,
    GRU_ROWS,
    INT32,
    INT64,
    LANES,
    LANES_F,
    LOG2_E,
    ROWS,
    Block,
    Emit,
    Intrinsic,
    at,
    const,
    exp2,
    fma,
    intrinsic,
    llvm,
    load,
    splat,
    store,
    vectors,
    whole,
)

Load = Callable[[], Emit]


def padded(columns: int, to: int = LANES) -> int:
    """`columns` rounded up to whole vectors (or blocks, with to=COLUMNS)."""
    return -(-columns // to) * to


def empty(*shape: int) -> np.ndarray:
    """A float32 array that begins with a cache line, so that no vector of it straddles two."""
    size = math.prod(shape)
    raw = np.empty(size + 16, dtype=np.float32)
    skip = -(raw.ctypes.data // 4) % 16
    return raw[skip : skip + size].reshape(shape)


def zeros(*shape: int) -> np.ndarray:
    """`empty`, filled."""
    array = empty(*shape)
    array.fill(0)
    return array


def pack(matrix: np.ndarray) -> np.ndarray:
    """(k, 4, n) -> (n / LANES, k, 4, LANES): for each block, its weights in the order of reading.

    The second axis is the four gates of an LSTM; n is padded with zeros to whole vectors.
    """
    k, gates, n = matrix.shape
    packed = zeros(padded(n) // LANES, k, gates, LANES)
    for first in range(0, n, LANES):
        block = matrix[:, :, first : first + LANES]
        packed[first // LANES, :, :, : block.shape[2]] = block
    return packed


def pack_columns(matrix: np.ndarray) -> np.ndarray:
    """(k, n) -> packed as by `pack`, for product_block: four neighbouring vectors make a block."""
    k, n = matrix.shape
    packed = zeros(padded(n, COLUMNS) // COLUMNS, k, GATES, LANES)
    wide = np.zeros((k, padded(n, COLUMNS)), dtype=np.float32)
    wide[:, :n] = matrix
    packed[:] = wide.reshape(k, -1, GATES, LANES).transpose(1, 0, 2, 3)
    return packed


# ---- products -----------------------------------------------------------------------------------


def addresses(builder: Any, table: Emit, stride: Emit, field: int, rows: int = ROWS) -> list[Emit]:
    """Row `field` of an int64 table (fields, stride): the addresses of so many rows."""
    start = builder.add(table, builder.mul(stride, whole(8 * field)))
    return [load(builder, builder.add(start, whole(8 * r)), INT64) for r in range(rows)]


def _outer(builder: Any, x: Sequence[Load], w: Sequence[Load], sums: Block) -> Block:
    """sums[r][v] + x[r] w[v]: the fewer of x and w are kept in registers."""
    if len(x) < len(w):
        turned = _outer(builder, w, x, list(zip(*sums, strict=True)))
        return list(zip(*turned, strict=True))
    kept = [load_vector() for load_vector in w]
    added = []
    for load_vector, row in zip(x, sums, strict=True):
        one = load_vector()
        added.append([fma(builder, one, vector, s) for vector, s in zip(kept, row, strict=True)])
    return added


def multiply_add(
    builder: Any, sums: Block, rows: Sequence[Emit], k: Emit, weights: Emit
) -> tuple[Block, Emit]:
    """sums[r][v] + sum over i < k of x[r][i] * W[i][v], and the address after those weights.

    rows: addresses of x[r], float32 (k,); weights: address of W, float32 (k, vectors, LANES).
    """
    count = len(sums[0])
    wide = whole(4 * LANES * count)
    before = builder.block
    loop, after = builder.append_basic_block("product"), builder.append_basic_block("summed")
    builder.cbranch(builder.icmp_signed(">", k, whole(0)), loop, after)
    builder.position_at_end(loop)
    i = builder.phi(INT64)
    i.add_incoming(whole(0), before)
    carried = [[builder.phi(LANES_F) for _ in row] for row in sums]
    block, offset = builder.add(weights, builder.mul(i, wide)), builder.mul(i, whole(4))

    def x(row: Emit) -> Load:
        return lambda: splat(builder, load(builder, builder.add(row, offset), FLOAT))

    def w(v: int) -> Load:
        return lambda: load(builder, builder.add(block, whole(4 * LANES * v)))

    added = _outer(builder, list(map(x, rows)), list(map(w, range(count))), carried)
    following = builder.add(i, whole(1))
    i.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, k), loop, after)
    builder.position_at_end(after)
    results = []
    for start, carry, new in zip(sums, carried, added, strict=True):
        results.append([builder.phi(LANES_F) for _ in start])
        for s, c, n, result in zip(start, carry, new, results[-1], strict=True):
            c.add_incoming(s, before)
            c.add_incoming(n, loop)
            result.add_incoming(s, before)
            result.add_incoming(n, loop)
    return results, builder.add(weights, builder.mul(k, wide))


@intrinsic
def product_block(
    context: Any, table: Any, stride: Any, column: Any, out: Any, kx: Any, ky: Any, weights: Any
) -> Intrinsic:
    """out[r] = (x[r] W + y[r] V) + start[r] for ROWS rows and COLUMNS columns.

    table    address of int64 (4, stride): for each row the addresses of
             0 start, 1 x (kx,), 2 y (ky,), 3 out
    column   number of the first of those columns in start; out: in out
    weights  address of their packed W (kx, 4, LANES), followed by V (ky, 4, LANES)
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        table, stride, column, out, kx, ky, weights = arguments
        sums: Block = [[const(0.0)] * GATES] * ROWS
        x, y = (addresses(builder, table, stride, field) for field in (1, 2))
        sums, weights = multiply_add(builder, sums, x, kx, weights)
        sums, _ = multiply_add(builder, sums, y, ky, weights)
        # What is given comes last: it may be larger than the sum, which would then lose digits.
        column, out = (builder.mul(skip, whole(4)) for skip in (column, out))
        starts, outs = (addresses(builder, table, stride, field) for field in (0, 3))
        for row, start, target in zip(sums, starts, outs, strict=True):
            given = vectors(builder, builder.add(start, column))
            for v, vector in enumerate(row):
                address = builder.add(target, builder.add(out, whole(4 * LANES * v)))
                store(builder, builder.fadd(vector, given[v]), address)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), emit


@intrinsic
def gru_block(
    context: Any, table: Any, stride: Any, column: Any, kx: Any, ky: Any, weights: Any
) -> Intrinsic:
    """out[r] = (zz, zr, x[r] W + start[r], y[r] V) of GRU_ROWS rows and LANES units.

    A GRU multiplies what comes from its own state before it adds what comes from x, so they are
    summed apart; zz and zr are sums of all three. Arguments as of product_block, with three vectors
    in place of four in start and weights.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        table, stride, column, kx, ky, weights = arguments
        nothing = const(0.0)
        sums: Block = [[nothing] * 3] * GRU_ROWS
        starts, x, y, outs = (addresses(builder, table, stride, f, GRU_ROWS) for f in range(4))
        sums, weights = multiply_add(builder, sums, x, kx, weights)
        column = builder.mul(column, whole(4))
        for row, start, out in zip(sums, starts, outs, strict=True):
            given = load(builder, builder.add(start, builder.add(column, whole(8 * LANES))))
            store(builder, builder.fadd(row[2], given), builder.add(out, whole(8 * LANES)))
        sums = [[*row[:2], nothing] for row in sums]
        sums, _ = multiply_add(builder, sums, y, ky, weights)
        for row, start, out in zip(sums, starts, outs, strict=True):
            given = vectors(builder, builder.add(start, column), 2)
            both = [builder.fadd(vector, one) for vector, one in zip(row[:2], given, strict=True)]
            for vector, place in zip([*both, row[2]], (0, 1, 3), strict=True):
                store(builder, vector, builder.add(out, whole(4 * LANES * place)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), emit


def _prefetch(builder: Any, address: Emit, vectors: int) -> None:
    read, nearest, data = (ir.Constant(INT32, value) for value in (0, 3, 1))
    for skip in range(0, 4 * vectors * LANES, 64):
        line = at(builder, builder.add(address, whole(skip)), ir.IntType(8))
        llvm(builder, "llvm.prefetch.p0i8", ir.VoidType(), line, read, nearest, data)


@intrinsic
def prefetch_block(context: Any, address: Any) -> Intrinsic:
    """Ask for COLUMNS numbers at an address to be in the cache soon, line by line."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        _prefetch(builder, arguments[0], GATES)
        return context.get_dummy_value()

    return types.void(types.int64), emit


def _prefetch_starts(rows: int, vectors: int) -> Intrinsic:
    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        table, column = arguments
        skip = builder.mul(column, whole(4))
        for start in addresses(builder, table, whole(0), 0, rows):
            _prefetch(builder, builder.add(start, skip), vectors)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def prefetch_starts(context: Any, table: Any, column: Any) -> Intrinsic:
    """The same for what a product_block will start from."""
    return _prefetch_starts(ROWS, GATES)


@intrinsic
def prefetch_gru_starts(context: Any, table: Any, column: Any) -> Intrinsic:
    """The same for a gru_block."""
    return _prefetch_starts(GRU_ROWS, 3)


# ---- LANES numbers in place ---------------------------------------------------------------------


def _in_place(function: Callable[..., Emit], operands: int = 1) -> Intrinsic:
    """x = function(x, others ...), given their addresses."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        loaded = [load(builder, address) for address in arguments]
        store(builder, function(builder, *loaded), arguments[0])
        return context.get_dummy_value()

    return types.void(*[types.int64] * operands), emit


def _max(builder: Any, x: Emit, y: Emit) -> Emit:
    return builder.select(builder.fcmp_ordered("<", x, y), y, x)


@intrinsic
def sum_lanes(context: Any, out: Any, start: Any, table: Any, terms: Any, skip: Any) -> Intrinsic:
    """out = start + the sum of `terms` vectors, `skip` bytes behind the addresses in `table`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        out, start, table, terms, skip = arguments
        before = builder.block
        loop, after = builder.append_basic_block("sum"), builder.append_basic_block("summed")
        first = load(builder, start)
        builder.cbranch(builder.icmp_signed(">", terms, whole(0)), loop, after)
        builder.position_at_end(loop)
        i, total = builder.phi(INT64), builder.phi(LANES_F)
        address = load(builder, builder.add(table, builder.mul(i, whole(8))), INT64)
        added = builder.fadd(total, load(builder, builder.add(address, skip)))
        following = builder.add(i, whole(1))
        builder.cbranch(builder.icmp_signed("<", following, terms), loop, after)
        builder.position_at_end(after)
        result = builder.phi(LANES_F)
        for phi, block, value in (
            *((i, before, whole(0)), (i, loop, following), (total, before, first)),
            *((total, loop, added), (result, before, first), (result, loop, added)),
        ):
            phi.add_incoming(value, block)
        store(builder, result, out)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), emit


@intrinsic
def add_lanes(context: Any, address: Any, other: Any) -> Intrinsic:
    """x = x + y."""
    return _in_place(lambda builder, x, y: builder.fadd(x, y), operands=2)


@intrinsic
def max_lanes(context: Any, address: Any, other: Any) -> Intrinsic:
    """x = y if y is greater, else x."""
    return _in_place(_max, operands=2)


@intrinsic
def relu_lanes(context: Any, address: Any) -> Intrinsic:
    """x = 0 if that is greater, else x."""
    return _in_place(lambda builder, x: _max(builder, x, const(0.0)))


@intrinsic
def sigmoid_lanes(context: Any, address: Any) -> Intrinsic:
    """x = 1 / (1 + exp(-x))."""

    def function(builder: Any, x: Emit) -> Emit:
        e = exp2(builder, builder.fmul(x, const(-LOG2_E)))
        return builder.fdiv(const(1.0), builder.fadd(e, const(1.0)))

    return _in_place(function)


@intrinsic
def tanh_lanes(context: Any, address: Any) -> Intrinsic:
    """x = (1 - exp(-2x)) / (1 + exp(-2x))."""

    def function(builder: Any, x: Emit) -> Emit:
        e = exp2(builder, builder.fmul(x, const(-2 * LOG2_E)))
        return builder.fdiv(builder.fsub(const(1.0), e), builder.fadd(e, const(1.0)))

    return _in_place(function)


@intrinsic
def hard_sigmoid_lanes(context: Any, address: Any) -> Intrinsic:
    """x = x / 6 + 1/2, at least 0 and at most 1."""

    def function(builder: Any, x: Emit) -> Emit:
        x = fma(builder, x, const(1 / 6), const(0.5))
        x = _max(builder, x, const(0.0))
        return builder.select(builder.fcmp_ordered("<", const(1.0), x), const(1.0), x)

    return _in_place(function)


@intrinsic
def exp_lanes(context: Any, address: Any) -> Intrinsic:
    """x = exp(x), at least 2**-40."""
    return _in_place(lambda builder, x: exp2(builder, builder.fmul(x, const(LOG2_E))))
