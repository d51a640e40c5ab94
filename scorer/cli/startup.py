"""Keeps a command's start-up to what it uses.

pyarrow looks for pandas (0.3 s) on its first use, to recognise its objects, and a command passes
none. Python looks for garbage again and again among all that is imported and read, and there is
none, neither then nor while the command runs. OpenBLAS' threads spin for a while before they sleep,
and pydantic looks through all installed packages for plugins. Only a command's own process goes
without: in a library it would surprise the program around.
"""

from __future__ import annotations

import gc
import importlib.abc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

import click

#: what libraries read while they are imported
_LIGHT = {
    "OPENBLAS_THREAD_TIMEOUT": "4",  # its threads spin for 2 to this number of cycles, then sleep
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # it reads every installed package to find none
}


@contextmanager
def light_start() -> Iterator[None]:
    """Within, a command imports its libraries and loads its model.

    Python collects nothing then, and what is there at the end it leaves alone until the command
    ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with _told():
            yield
    finally:
        if was_enabled:
            gc.freeze()
            click.get_current_context().call_on_close(gc.unfreeze)
            gc.enable()


@contextmanager
def _told() -> Iterator[None]:
    """Tell the libraries that are imported within what to leave out, unless the user has."""
    given = {name: value for name, value in _LIGHT.items() if name not in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            os.environ.pop(name, None)


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
