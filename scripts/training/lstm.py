"""The LSTM over packed sequences, forwards and backwards, in Numba and BLAS.

Rows are sorted by length, longest first, and packed step after step: step t holds the `sizes[t]`
rows that are still running, at `starts[t]`. Nothing is padded, and the rows of one step are a
contiguous block whose predecessors are the first `sizes[t]` rows of the block before.

    z = x W + h' U + b        split into i, f, g, o in Keras' order
    c = sigmoid(f) c' + sigmoid(i) tanh(g)        h = sigmoid(o) tanh(c)

Keras' own loop trains the same network at about a quarter of this speed on two cores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba import njit

from scripts.training.types import Floats, Ints

# No `reassoc`: sums keep their order, so a run is reproducible.
_FASTMATH = {"contract", "arcp", "nsz", "nnan", "ninf"}


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled = njit(nogil=True, cache=True, fastmath=_FASTMATH, error_model="numpy")(function)
    return cast(Callable[..., Any], compiled)


@_jit
def _tanh(x: Any) -> Any:
    """tanh by a rational function on [-7.9, 7.9] (the coefficients of Eigen's `ptanh`), to 1e-7.

    Nothing but arithmetic, so that LLVM vectorises the loops around it.
    """
    x = min(max(x, np.float32(-7.9)), np.float32(7.9))
    s = x * x
    p = np.float32(-2.76076847742355e-16) * s + np.float32(2.00018790482477e-13)
    p = p * s + np.float32(-8.60467152213735e-11)
    p = p * s + np.float32(5.12229709037114e-08)
    p = p * s + np.float32(1.48572235717979e-05)
    p = p * s + np.float32(6.37261928875436e-04)
    p = p * s + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06) * s + np.float32(1.18534705686654e-04)
    q = q * s + np.float32(2.26843463243900e-03)
    q = q * s + np.float32(4.89352518554385e-03)
    return x * p / q


@_jit
def _sigmoid(x: Any) -> Any:
    half = np.float32(0.5)
    return half * _tanh(half * x) + half


@_jit
def _gates_forward(z: Floats, zh: Floats, c_prev: Floats, c: Floats, h: Floats) -> None:
    """One row of one step: z and zh (4u,) are x W + b and h' U; z becomes the activated gates."""
    u = c.size
    zi, zf, zg, zo = z[:u], z[u : 2 * u], z[2 * u : 3 * u], z[3 * u :]
    hi, hf, hg, ho = zh[:u], zh[u : 2 * u], zh[2 * u : 3 * u], zh[3 * u :]
    for j in range(u):
        zi[j] = _sigmoid(zi[j] + hi[j])
    for j in range(u):
        zf[j] = _sigmoid(zf[j] + hf[j])
    for j in range(u):
        zg[j] = _tanh(zg[j] + hg[j])
    for j in range(u):
        zo[j] = _sigmoid(zo[j] + ho[j])
    for j in range(u):
        c[j] = zf[j] * c_prev[j] + zi[j] * zg[j]
    for j in range(u):
        h[j] = zo[j] * _tanh(c[j])


@_jit
def forward(z: Floats, u: Floats, sizes: Ints, starts: Ints, hs: Floats, cs: Floats) -> None:
    """Runs all steps. z (n, 4u) is x W + b and becomes the gates; hs and cs (n, u) are filled."""
    zh = np.zeros((sizes[0], z.shape[1]), np.float32)
    zero = np.zeros(hs.shape[1], np.float32)
    for t in range(sizes.size):
        n, start = sizes[t], starts[t]
        if t > 0:
            before = starts[t - 1]
            np.dot(hs[before : before + n], u, zh[:n])
        for r in range(n):
            c_prev = zero if t == 0 else cs[starts[t - 1] + r]
            _gates_forward(z[start + r], zh[r], c_prev, cs[start + r], hs[start + r])


@_jit
def _gates_backward(gates: Floats, c_prev: Floats, c: Floats, dh: Floats, dc: Floats) -> None:
    """One row of one step: gates (4u,) become dL/dz; dc (u,) becomes dL/dc of the step before."""
    u = c.size
    i, f, g, o = gates[:u], gates[u : 2 * u], gates[2 * u : 3 * u], gates[3 * u :]
    one = np.float32(1)
    for j in range(u):
        tc = _tanh(c[j])
        dct = dc[j] + dh[j] * o[j] * (one - tc * tc)
        dzo = dh[j] * tc * o[j] * (one - o[j])
        dzi = dct * g[j] * i[j] * (one - i[j])
        dzf = dct * c_prev[j] * f[j] * (one - f[j])
        dzg = dct * i[j] * (one - g[j] * g[j])
        dc[j] = dct * f[j]
        i[j], f[j], g[j], o[j] = dzi, dzf, dzg, dzo


@_jit
def backward(gates: Floats, ut: Floats, sizes: Ints, starts: Ints, cs: Floats, dhs: Floats) -> None:
    """All steps in reverse. gates (n, 4u) become dL/dz; dhs (n, u) is dL/dh from outside.

    ut is the recurrent kernel transposed, (4u, u) and contiguous.
    """
    rows, units = sizes[0], cs.shape[1]
    dh = np.zeros((rows, units), np.float32)
    dc = np.zeros((rows, units), np.float32)
    zero = np.zeros(units, np.float32)
    for t in range(sizes.size - 1, -1, -1):
        n, start = sizes[t], starts[t]
        for r in range(n):
            outside = dhs[start + r]
            inside = dh[r]
            for j in range(units):
                inside[j] += outside[j]
            c_prev = zero if t == 0 else cs[starts[t - 1] + r]
            _gates_backward(gates[start + r], c_prev, cs[start + r], inside, dc[r])
        np.dot(gates[start : start + n], ut, dh[:n])
