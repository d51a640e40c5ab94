"""The gates of recurrent layers, LANES units at a time, that their loops call as if built in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types

from scorer.engines.cpu.vectors import (
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
