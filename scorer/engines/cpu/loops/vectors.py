"""What vector code is emitted with: types, loads and stores, and 2**x, as LLVM IR.

LANES numbers are worked on at a time. What is emitted here leaves no order of operations to LLVM.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, extending


def _features() -> set[str]:
    """The vector instructions that Numba compiles for."""
    asked = getattr(config, "CPU_FEATURES", None)  # NUMBA_CPU_FEATURES
    if asked is not None:
        return {name[1:] for name in asked.split(",") if name.startswith("+")}
    return {name for name, there in binding.get_host_cpu_features().items() if there}


def _shape(features: set[str], machine: str) -> tuple[int, int]:
    """Lanes of a vector, and rows of a block: its 4 * ROWS sums stay in registers, and beside them
    the 4 weights and an input, or the ROWS inputs and a weight, whichever are fewer."""
    if machine not in ("x86_64", "AMD64", "i686", "x86"):
        return 4, 6  # 32 registers of 128 bits
    if "avx512f" in features:
        return 16, 6  # 32 registers of 512 bits
    return (8 if "avx" in features else 4), 3  # 16 registers


LANES, ROWS = _shape(_features(), platform.machine())
GRU_ROWS = 8 if ROWS == 6 else 4  # of a block of three vectors
GATES = 4
COLUMNS = GATES * LANES  # of a block
LOG2_E = math.log2(math.e)

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
LANES_F = ir.VectorType(FLOAT, LANES)
LANES_I = ir.VectorType(INT32, LANES)

Emit = Any  # an LLVM value
Intrinsic = tuple[Any, Callable[..., Any]]  # signature, and what emits the code
Block = Sequence[Sequence[Emit]]  # [row][vector]


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Numba's decorator, with a type."""
    decorated: Callable[..., Any] = extending.intrinsic(function)
    return decorated


def whole(number: int) -> Emit:
    return ir.Constant(INT64, number)


def const(number: float) -> Emit:
    return ir.Constant(LANES_F, [float(np.float32(number))] * LANES)


def at(builder: Any, address: Emit, kind: Any) -> Emit:
    return builder.inttoptr(address, kind.as_pointer())


def load(builder: Any, address: Emit, kind: Any = LANES_F) -> Emit:
    return builder.load(at(builder, address, kind), align=8 if kind is INT64 else 4)


def store(builder: Any, vector: Emit, address: Emit) -> None:
    builder.store(vector, at(builder, address, vector.type), align=4)


def splat(builder: Any, scalar: Emit) -> Emit:
    nothing = ir.Constant(LANES_F, ir.Undefined)
    one = builder.insert_element(nothing, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(LANES_I, [0] * LANES))


def llvm(builder: Any, name: str, returns: Any, *arguments: Emit) -> Emit:
    """Call a function that LLVM itself knows."""
    kind = ir.FunctionType(returns, [argument.type for argument in arguments])
    known = builder.module.globals
    return builder.call(known.get(name) or ir.Function(builder.module, kind, name), arguments)


def fma(builder: Any, a: Emit, b: Emit, c: Emit) -> Emit:
    """a * b + c, rounded once where the processor can, and everywhere alike."""
    return llvm(builder, f"llvm.fmuladd.v{LANES}f32", LANES_F, a, b, c)


# 2**f on [-0.5, 0.5], minimax with p(0) = 1: relative error 9.1e-8, evaluated in float32 1.7e-7.
_EXP2 = (1.0, 0.6931470, 0.24022242, 0.055507336, 0.009671513, 0.0013264727)
_LIMIT = 40.0  # 2**40: a sigmoid beyond is 0 or 1, and three such factors do not overflow
# Adding it leaves the nearest whole number n in the low bits, and 128 more, which shifted to the
# exponent's place make 2**(n + 1).
_ROUND = 1.5 * 2.0**23 + 128


def exp2_factors(builder: Any, xs: Sequence[Emit]) -> list[tuple[Emit, Emit]]:
    """For each x two factors of 2**x: half of 2**f by _EXP2, and 2**(n + 1) by the exponent bits.

    Their product is exact, so a fused multiply-add rounds a sum with it once, as an addition would.
    x beyond +-40 counts as 40 or -40. What is not a number stays so. All are emitted side by side:
    a processor finds work in one while it waits for another.
    """
    low, high, whole_part = const(-_LIMIT), const(_LIMIT), const(_ROUND)
    xs = [builder.select(builder.fcmp_ordered("<", high, x), high, x) for x in xs]
    xs = [builder.select(builder.fcmp_ordered(">", low, x), low, x) for x in xs]
    shifted = [builder.fadd(x, whole_part) for x in xs]
    nearest = [builder.fsub(s, whole_part) for s in shifted]
    fractions = [builder.fsub(x, n) for x, n in zip(xs, nearest, strict=True)]
    powers = [const(_EXP2[-1] / 2)] * len(xs)
    for coefficient in _EXP2[-2::-1]:
        half = const(coefficient / 2)
        powers = [fma(builder, p, f, half) for p, f in zip(powers, fractions, strict=True)]
    places = ir.Constant(LANES_I, [23] * LANES)
    scales = [builder.shl(builder.bitcast(s, LANES_I), places) for s in shifted]
    return [(p, builder.bitcast(s, LANES_F)) for p, s in zip(powers, scales, strict=True)]


def exp2(builder: Any, x: Emit) -> Emit:
    """2**x, as the product of its factors."""
    return builder.fmul(*exp2_factors(builder, [x])[0])


def vectors(builder: Any, address: Emit, count: int = GATES) -> list[Emit]:
    """The vectors that lie at `address`."""
    return [load(builder, builder.add(address, whole(4 * LANES * v))) for v in range(count)]
