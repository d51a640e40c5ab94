"""Random draws for loops that Numba compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from scripts.training.types import AnyArray

_DRAWS = 1 << 24


@njit(nogil=True, error_model="numpy")
def first_random(seed: Any, part: Any) -> Any:
    """The state from which a part's random numbers go on; part is below 1,000."""
    return np.uint64(seed * 1000 + part) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)


@njit(nogil=True, error_model="numpy")
def next_random(state: Any) -> Any:
    """The next state of a 64-bit xorshift (Marsaglia 2003)."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


def drawn_from(counts: AnyArray) -> AnyArray:
    """int32 (2 ** 24,): numbers to draw from, each as often as its count to the power of 3/4
    (Mikolov 2013). The upper 24 bits of a state tell which."""
    share = counts.astype(np.float64) ** 0.75
    steps = (np.arange(_DRAWS) + 0.5) / _DRAWS
    return np.searchsorted(np.cumsum(share / share.sum()), steps).astype(np.int32)
