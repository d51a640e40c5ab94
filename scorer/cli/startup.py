"""Keeps a command's start-up to what it uses.

Two libraries import, on first use, large packages that they can do without: pyarrow looks for
pandas (0.3 s) to recognise its objects, and Numba for SciPy's BLAS (0.3 s) in case a kernel
multiplies matrices with `np.dot`. A command passes neither, so both are told that it is not there.
Only a command's own process does this: in a library it would surprise the program around it.
"""

from __future__ import annotations

import importlib
import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def skip_unused_imports() -> None:
    """Let pyarrow and Numba settle now that they work without pandas and SciPy's BLAS."""
    absent = _Absent(("pandas", "scipy.linalg"))
    sys.meta_path.insert(0, absent)
    try:
        import pyarrow as pa

        pa.array([""])
        importlib.import_module("numba.np.arraymath")
    finally:
        sys.meta_path.remove(absent)


class _Absent(importlib.abc.MetaPathFinder):
    """Finds that some modules are not installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self._names:
            raise ModuleNotFoundError(f"{name} is not used here", name=name)
        return None
