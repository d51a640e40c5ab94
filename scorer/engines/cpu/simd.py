"""Register-blocked vector code, emitted as LLVM IR, that the kernels call as if it were built in.

Numba vectorises plain loops, but it cannot keep a block of a matrix product in registers. These
intrinsics do:

    product_block  ROWS rows times COLUMNS columns of x @ W, added to what is given
    lstm_lanes     the gates of LANES units of an LSTM
    add_lanes, max_lanes                              LANES numbers with others, in place
    relu_lanes, sigmoid_lanes, tanh_lanes, exp_lanes  a function of LANES numbers, in place

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
import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, extending, types


def _features() -> set[str]:
    """The vector instructions that Numba compiles for."""
    asked = getattr(config, "CPU_FEATURES", None)  # NUMBA_CPU_FEATURES
    if asked is not None:
        return {name[1:] for name in asked.split(",") if name.startswith("+")}
    return {name for name, there in binding.get_host_cpu_features().items() if there}


def _shape(features: set[str], machine: str) -> tuple[int, int]:
    """Lanes of a vector, and rows of a block: ROWS * 4 sums, 4 weights and 1 input in registers."""
    if machine not in ("x86_64", "AMD64", "i686", "x86"):
        return 4, 6  # 32 registers of 128 bits
    if "avx512f" in features:
        return 16, 6  # 32 registers of 512 bits
    return (8 if "avx" in features else 4), 2  # 16 registers


LANES, ROWS = _shape(_features(), platform.machine())
GATES = 4
COLUMNS = GATES * LANES  # of a block

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_LANES_F = ir.VectorType(_FLOAT, LANES)
_LANES_I = ir.VectorType(_INT32, LANES)

Emit = Any  # an LLVM value
Intrinsic = tuple[Any, Callable[..., Any]]  # signature, and what emits the code
Block = Sequence[Sequence[Emit]]  # [row][vector]


def _intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Numba's decorator, with a type."""
    decorated: Callable[..., Any] = extending.intrinsic(function)
    return decorated


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


# ---- vectors ------------------------------------------------------------------------------------


def _whole(number: int) -> Emit:
    return ir.Constant(_INT64, number)


def _const(number: float) -> Emit:
    return ir.Constant(_LANES_F, [float(np.float32(number))] * LANES)


def _at(builder: Any, address: Emit, kind: Any) -> Emit:
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder: Any, address: Emit, kind: Any = _LANES_F) -> Emit:
    return builder.load(_at(builder, address, kind), align=8 if kind is _INT64 else 4)


def _store(builder: Any, vector: Emit, address: Emit) -> None:
    builder.store(vector, _at(builder, address, vector.type), align=4)


def _splat(builder: Any, scalar: Emit) -> Emit:
    nothing = ir.Constant(_LANES_F, ir.Undefined)
    one = builder.insert_element(nothing, scalar, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_LANES_I, [0] * LANES))


def _llvm(builder: Any, name: str, returns: Any, *arguments: Emit) -> Emit:
    """Call a function that LLVM itself knows."""
    kind = ir.FunctionType(returns, [argument.type for argument in arguments])
    known = builder.module.globals
    return builder.call(known.get(name) or ir.Function(builder.module, kind, name), arguments)


def _fma(builder: Any, a: Emit, b: Emit, c: Emit) -> Emit:
    """a * b + c, rounded once where the processor can, and everywhere alike."""
    return _llvm(builder, f"llvm.fmuladd.v{LANES}f32", _LANES_F, a, b, c)


# 2**f on [-0.5, 0.5], minimax with p(0) = 1: relative error 9.1e-8, evaluated in float32 1.7e-7.
_EXP2 = (1.0, 0.6931470, 0.24022242, 0.055507336, 0.009671513, 0.0013264727)
_LIMIT = 40.0  # 2**40: a sigmoid beyond is 0 or 1, and three such factors do not overflow
_ROUND = 1.5 * 2.0**23  # adding it leaves the nearest whole number in the low bits


def _exp2(builder: Any, x: Emit) -> Emit:
    """2**x for x within +-40, beyond as at the limit: 2**n by the exponent bits, 2**f by _EXP2.

    What is not a number stays so.
    """
    low, high = _const(-_LIMIT), _const(_LIMIT)
    x = builder.select(builder.fcmp_ordered("<", high, x), high, x)
    x = builder.select(builder.fcmp_ordered(">", low, x), low, x)
    shifted = builder.fadd(x, _const(_ROUND))
    f = builder.fsub(x, builder.fsub(shifted, _const(_ROUND)))
    power = _const(_EXP2[-1])
    for coefficient in _EXP2[-2::-1]:
        power = _fma(builder, power, f, _const(coefficient))
    n = builder.shl(builder.bitcast(shifted, _LANES_I), ir.Constant(_LANES_I, [23] * LANES))
    return builder.bitcast(builder.add(builder.bitcast(power, _LANES_I), n), _LANES_F)


# ---- products -----------------------------------------------------------------------------------


def _addresses(builder: Any, table: Emit, stride: Emit, field: int) -> list[Emit]:
    """Row `field` of an int64 table (fields, stride): the addresses of ROWS rows."""
    start = builder.add(table, builder.mul(stride, _whole(8 * field)))
    return [_load(builder, builder.add(start, _whole(8 * r)), _INT64) for r in range(ROWS)]


def _vectors(builder: Any, address: Emit) -> list[Emit]:
    """The four vectors that lie at `address`."""
    return [_load(builder, builder.add(address, _whole(4 * LANES * v))) for v in range(GATES)]


def _multiply_add(
    builder: Any, sums: Block, rows: Sequence[Emit], k: Emit, weights: Emit
) -> tuple[Block, Emit]:
    """sums[r][v] + sum over i < k of x[r][i] * W[i][v], and the address after those weights.

    rows: addresses of x[r], float32 (k,); weights: address of W, float32 (k, 4, LANES).
    """
    before = builder.block
    loop, after = builder.append_basic_block("product"), builder.append_basic_block("summed")
    builder.cbranch(builder.icmp_signed(">", k, _whole(0)), loop, after)
    builder.position_at_end(loop)
    i = builder.phi(_INT64)
    i.add_incoming(_whole(0), before)
    carried = [[builder.phi(_LANES_F) for _ in row] for row in sums]
    w = _vectors(builder, builder.add(weights, builder.mul(i, _whole(4 * COLUMNS))))
    offset = builder.mul(i, _whole(4))
    added = []
    for row, carry in zip(rows, carried, strict=True):
        x = _splat(builder, _load(builder, builder.add(row, offset), _FLOAT))
        added.append([_fma(builder, x, w[v], carry[v]) for v in range(GATES)])
    following = builder.add(i, _whole(1))
    i.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, k), loop, after)
    builder.position_at_end(after)
    results = []
    for start, carry, new in zip(sums, carried, added, strict=True):
        results.append([builder.phi(_LANES_F) for _ in start])
        for s, c, n, result in zip(start, carry, new, results[-1], strict=True):
            c.add_incoming(s, before)
            c.add_incoming(n, loop)
            result.add_incoming(s, before)
            result.add_incoming(n, loop)
    return results, builder.add(weights, builder.mul(k, _whole(4 * COLUMNS)))


LOG2_E = math.log2(math.e)
#: What the weights of the gates i, f, g, o are multiplied by when packed: then 2**z is exp(-z), and
#: exp(-2z) for g, of the true z.
GATE_SCALE = np.array([-LOG2_E, -LOG2_E, -2 * LOG2_E, -LOG2_E])


def _gates(builder: Any, z: Sequence[Emit], c: Emit) -> tuple[Emit, Emit]:
    """The new c and h of LANES units.

    c' = sigmoid(zf) c + sigmoid(zi) tanh(zg),  h' = sigmoid(zo) tanh(c')

    With I = 1 + exp(-zi), F = 1 + exp(-zf), O = 1 + exp(-zo), g = exp(-2 zg), t = exp(-2 c'):
    c' = (c I (1 + g) + (1 - g) F) / (I (1 + g) F),  h' = (1 - t) / (O (1 + t)); two divisions.
    """
    one = _const(1.0)
    i, f, g, o = (_exp2(builder, gate) for gate in z)
    i, f, o = (builder.fadd(gate, one) for gate in (i, f, o))
    ig = builder.fmul(i, builder.fadd(g, one))
    above = _fma(builder, c, ig, builder.fmul(builder.fsub(one, g), f))
    c = builder.fdiv(above, builder.fmul(ig, f))
    t = _exp2(builder, builder.fmul(c, _const(-2 * LOG2_E)))
    h = builder.fdiv(builder.fsub(one, t), builder.fmul(o, builder.fadd(t, one)))
    return c, h


@_intrinsic
def lstm_lanes(context: Any, z: Any, c: Any, h: Any) -> Intrinsic:
    """`_gates` of z (4, LANES) for c and h (LANES,), given their addresses; c and h are written."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        z, c, h = arguments
        new_c, new_h = _gates(builder, _vectors(builder, z), _load(builder, c))
        _store(builder, new_c, c)
        _store(builder, new_h, h)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


@_intrinsic
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
        sums: Block = [[_const(0.0)] * GATES] * ROWS
        x, y = (_addresses(builder, table, stride, field) for field in (1, 2))
        sums, weights = _multiply_add(builder, sums, x, kx, weights)
        sums, _ = _multiply_add(builder, sums, y, ky, weights)
        # What is given comes last: it may be larger than the sum, which would then lose digits.
        column, out = (builder.mul(skip, _whole(4)) for skip in (column, out))
        starts, outs = (_addresses(builder, table, stride, field) for field in (0, 3))
        for row, start, target in zip(sums, starts, outs, strict=True):
            given = _vectors(builder, builder.add(start, column))
            for v, vector in enumerate(row):
                address = builder.add(target, builder.add(out, _whole(4 * LANES * v)))
                _store(builder, builder.fadd(vector, given[v]), address)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), emit


@_intrinsic
def prefetch_block(context: Any, address: Any) -> Intrinsic:
    """Ask for COLUMNS numbers at an address to be in the cache soon, line by line."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        read, nearest, data = (ir.Constant(_INT32, value) for value in (0, 3, 1))
        for skip in range(0, 4 * COLUMNS, 64):
            line = _at(builder, builder.add(arguments[0], _whole(skip)), ir.IntType(8))
            _llvm(builder, "llvm.prefetch.p0i8", ir.VoidType(), line, read, nearest, data)
        return context.get_dummy_value()

    return types.void(types.int64), emit


# ---- LANES numbers in place ---------------------------------------------------------------------


def _in_place(function: Callable[..., Emit], operands: int = 1) -> Intrinsic:
    """x = function(x, others ...), given their addresses."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        loaded = [_load(builder, address) for address in arguments]
        _store(builder, function(builder, *loaded), arguments[0])
        return context.get_dummy_value()

    return types.void(*[types.int64] * operands), emit


def _max(builder: Any, x: Emit, y: Emit) -> Emit:
    return builder.select(builder.fcmp_ordered("<", x, y), y, x)


@_intrinsic
def sum_lanes(context: Any, out: Any, start: Any, table: Any, terms: Any, skip: Any) -> Intrinsic:
    """out = start + the sum of `terms` vectors, `skip` bytes behind the addresses in `table`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Sequence[Emit]) -> Emit:
        out, start, table, terms, skip = arguments
        before = builder.block
        loop, after = builder.append_basic_block("sum"), builder.append_basic_block("summed")
        first = _load(builder, start)
        builder.cbranch(builder.icmp_signed(">", terms, _whole(0)), loop, after)
        builder.position_at_end(loop)
        i, total = builder.phi(_INT64), builder.phi(_LANES_F)
        address = _load(builder, builder.add(table, builder.mul(i, _whole(8))), _INT64)
        added = builder.fadd(total, _load(builder, builder.add(address, skip)))
        following = builder.add(i, _whole(1))
        builder.cbranch(builder.icmp_signed("<", following, terms), loop, after)
        builder.position_at_end(after)
        result = builder.phi(_LANES_F)
        for phi, block, value in (
            *((i, before, _whole(0)), (i, loop, following), (total, before, first)),
            *((total, loop, added), (result, before, first), (result, loop, added)),
        ):
            phi.add_incoming(value, block)
        _store(builder, result, out)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), emit


@_intrinsic
def add_lanes(context: Any, address: Any, other: Any) -> Intrinsic:
    """x = x + y."""
    return _in_place(lambda builder, x, y: builder.fadd(x, y), operands=2)


@_intrinsic
def max_lanes(context: Any, address: Any, other: Any) -> Intrinsic:
    """x = y if y is greater, else x."""
    return _in_place(_max, operands=2)


@_intrinsic
def relu_lanes(context: Any, address: Any) -> Intrinsic:
    """x = 0 if that is greater, else x."""
    return _in_place(lambda builder, x: _max(builder, x, _const(0.0)))


@_intrinsic
def sigmoid_lanes(context: Any, address: Any) -> Intrinsic:
    """x = 1 / (1 + exp(-x))."""

    def function(builder: Any, x: Emit) -> Emit:
        e = _exp2(builder, builder.fmul(x, _const(-LOG2_E)))
        return builder.fdiv(_const(1.0), builder.fadd(e, _const(1.0)))

    return _in_place(function)


@_intrinsic
def tanh_lanes(context: Any, address: Any) -> Intrinsic:
    """x = (1 - exp(-2x)) / (1 + exp(-2x))."""

    def function(builder: Any, x: Emit) -> Emit:
        e = _exp2(builder, builder.fmul(x, _const(-2 * LOG2_E)))
        return builder.fdiv(builder.fsub(_const(1.0), e), builder.fadd(e, _const(1.0)))

    return _in_place(function)


@_intrinsic
def exp_lanes(context: Any, address: Any) -> Intrinsic:
    """x = exp(x), at least 2**-40."""
    return _in_place(lambda builder, x: _exp2(builder, builder.fmul(x, _const(LOG2_E))))
