"""Keeps a command's start-up to what it uses.

pyarrow looks for pandas (0.3 s) on its first use, to recognise its objects, and a command passes
none. Python looks for garbage again and again among all that is imported and read, and there is
none. Only a command's own process goes without: in a library it would surprise the program around.
"""

from __future__ import annotations

import gc
import importlib.abc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def no_garbage() -> Iterator[None]:
    """Within, a command imports its libraries and loads its model, and Python collects nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def skip_unused_imports() -> None:
    """Let pyarrow settle now that it works without pandas."""
    absent = _Absent(("pandas",))
    sys.meta_path.insert(0, absent)
    try:
        import pyarrow as pa

        pa.array([""])
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
