"""What an Embedding and the weights after it make of each id, computed when the id is first met.

A table of a model may have 60 MB, of which ten short texts read a few hundred rows.
"""

from __future__ import annotations

import math
import mmap
import threading
from contextlib import suppress

import numpy as np

from scorer.engines.cpu.loops.products import multiply

#: ids that are computed at a time, so that their rows are copied while they are in the cache
_SOME = 256


class Folded:
    """embedding W + bias, a row for each id. Safe to share between threads.

    table    float32 (ids, blocks * COLUMNS), whose rows of ids that were never met mean nothing
    """

    def __init__(
        self, embedding: np.ndarray, packed: np.ndarray, bias: np.ndarray, padding: int = 0
    ) -> None:
        """embedding float32 (ids, width); packed and bias as `multiply` has them.

        padding: the id that stands for padding. It and 0 are met from the start, since a row reads
        them though its ids do not hold them.
        """
        self.table = _untouched(len(embedding), len(bias))
        self._given = np.ascontiguousarray(embedding), packed, bias
        self._met = np.zeros(len(embedding), np.bool_)
        self._left = len(embedding)
        self._lock = threading.Lock()
        self.meet(np.array([0, padding], np.int32))

    def meet(self, ids: np.ndarray) -> None:
        """Compute the rows of these ids that are not there yet: of all, if these are many."""
        if not self._left:
            return
        with self._lock:
            if ids.size >= self._met.size:
                self._compute(np.flatnonzero(~self._met))
            else:
                self._compute(np.unique(ids[~self._met[ids]]))

    def _compute(self, ids: np.ndarray) -> None:
        embedding, packed, bias = self._given
        for first in range(0, ids.size, _SOME):
            some = ids[first : first + _SOME]
            self.table[some] = multiply(embedding[some], packed, bias)
        self._met[ids] = True
        self._left -= ids.size


def _untouched(*shape: int) -> np.ndarray:
    """A float32 array in small pages, each of which takes memory when it is first written to.

    NumPy asks for huge pages of 2 MB, and a few hundred rows would fill them all with zeros.
    """
    memory = mmap.mmap(-1, max(math.prod(shape), 1) * np.float32().itemsize)
    with suppress(AttributeError, OSError):  # a system without huge pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32, math.prod(shape)).reshape(shape)
