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
    """Lanes of a vector, and rows of a block: ROWS * 4 sums, 4 weights and 1 input in registers."""
    if machine not in ("x86_64", "AMD64", "i686", "x86"):
        return 4, 6  # 32 registers of 128 bits
    if "avx512f" in features:
        return 16, 6  # 32 registers of 512 bits
    return (8 if "avx" in features else 4), 2  # 16 registers


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
_ROUND = 1.5 * 2.0**23  # adding it leaves the nearest whole number in the low bits


def exp2(builder: Any, x: Emit) -> Emit:
    """2**x for x within +-40, beyond as at the limit: 2**n by the exponent bits, 2**f by _EXP2.

    What is not a number stays so.
    """
    low, high = const(-_LIMIT), const(_LIMIT)
    x = builder.select(builder.fcmp_ordered("<", high, x), high, x)
    x = builder.select(builder.fcmp_ordered(">", low, x), low, x)
    shifted = builder.fadd(x, const(_ROUND))
    f = builder.fsub(x, builder.fsub(shifted, const(_ROUND)))
    power = const(_EXP2[-1])
    for coefficient in _EXP2[-2::-1]:
        power = fma(builder, power, f, const(coefficient))
    n = builder.shl(builder.bitcast(shifted, LANES_I), ir.Constant(LANES_I, [23] * LANES))
    return builder.bitcast(builder.add(builder.bitcast(power, LANES_I), n), LANES_F)


def vectors(builder: Any, address: Emit, count: int = GATES) -> list[Emit]:
    """The vectors that lie at `address`."""
    return [load(builder, builder.add(address, whole(4 * LANES * v))) for v in range(count)]
