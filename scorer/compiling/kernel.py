"""The decorators of compiled loops: `kernel` for those called from Python, `part` for the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numba
import numpy as np
from numba.extending import is_jitted

from scorer.compiling.cache import KernelCache
from scorer.compiling.watch import compilation

_rehearsing: ContextVar[bool] = ContextVar("rehearsing", default=False)

# What makes Numba's work shorter. It adds two wrappers to each function, for calls from Python and
# from C, which take as long to compile as a small loop: a function has those alone that it is
# called by. A kernel allocates nothing, so no references to its arrays are counted (`_nrt`), and
# division by zero is NumPy's: the compiled code does not test every divisor.
_OPTIONS = {"nogil": True, "no_cfunc_wrapper": True, "_nrt": False, "error_model": "numpy"}


#: parts of Numba's types do not know all options
_njit: Any = numba.njit
_typeof: Any = numba.typeof


class Kernel:
    """A compiled loop. It is compiled, or loaded from the disk, when it is first called.

    With a `signature`, arguments are converted to it, and it is compiled for no other types.
    """

    def __init__(self, function: Callable[..., Any], signature: tuple[Any, ...] | None) -> None:
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self.function = function
        self._signature = signature
        self._compiled: Any = _njit(**_OPTIONS)(function)
        self._jitted = is_jitted(self._compiled)  # not so with NUMBA_DISABLE_JIT
        self._ready = signature is None or not self._jitted
        self._first_call = threading.Lock()
        if self._jitted:
            self._compiled._cache = KernelCache(function)

    def __call__(self, *arguments: Any) -> Any:
        if _rehearsing.get():
            self.expect(*arguments)
            return None
        if not self._ready:
            self.prepare()
        return self._compiled(*arguments)

    def prepare(self) -> None:
        """Compile for the signature and for nothing else: once, whichever thread comes first."""
        with self._first_call:
            if not self._ready:
                self._compiled.compile(self._signature)
                self._compiled.disable_compile()
                self._ready = True

    def expect(self, *arguments: Any) -> None:
        """Tell `watch` if a call with such arguments would have to compile first."""
        if not self._jitted:
            return
        types = self._signature or tuple(_typeof(argument) for argument in arguments)
        if types in self._compiled.overloads:
            return
        if not self._compiled._cache.holds(types, self._compiled.targetctx):
            compilation.expect(self.__name__)

    @property
    def compiled_for(self) -> list[tuple[Any, ...]]:
        """The argument types that it was compiled or loaded for."""
        return list(self._compiled.overloads)


def kernel(
    function: Callable[..., Any] | None = None, *, signature: tuple[Any, ...] | None = None
) -> Callable[..., Any]:
    """Compile for calls from Python: without the GIL, cached on disk.

    The function gets arrays to write to: it can neither make one nor return one.
    """
    if function is None:
        return lambda function: Kernel(function, signature)
    return Kernel(function, signature)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile for calls from kernels. Python can call its `py_func` alone."""
    compiled: Callable[..., Any] = _njit(no_cpython_wrapper=True, **_OPTIONS)(function)
    return compiled


@contextmanager
def rehearsal() -> Iterator[None]:
    """Within, kernels called on this thread compute nothing, but tell `watch` what they need.

    What they should have written is then not there, so the results mean nothing.
    """
    token = _rehearsing.set(True)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        _rehearsing.reset(token)
