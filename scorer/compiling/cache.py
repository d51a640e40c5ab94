"""Compiled kernels on disk, in place of Numba's own cache.

Numba's cache fails where no folder can be written, loads what anyone may have written, and tells
that a kernel is out of date by its own file alone. Here a file's name is the digest of everything
that the machine code depends on: the kernel, its argument types, the processor, the versions, and
the text of all modules of this package that it is made of. So a file is never out of date, and it
does not matter when the package was installed or its files were touched.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from scorer.compiling import places
from scorer.compiling.watch import compilation

log = logging.getLogger(__name__)

_dumps: Any = dumps  # it has no types
_DIGEST_BYTES = hashlib.sha256().digest_size
#: how a file is written; another number where that changes
_FORM = 2


class KernelCache(_Cache):
    """Of one kernel: what Numba's dispatcher asks before it compiles, and tells after that."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.name = function.__name__
        self.enable()

    @property
    def cache_path(self) -> str | None:
        """Where the next kernel is looked for first."""
        return str(places.places()[0].path)

    def file_name(self, signature: Any, codegen: Any) -> str:
        """The name of the file for these argument types on this processor."""
        key = (
            _FORM,
            self._function.__qualname__,
            str(signature),
            codegen.magic_tuple(),
            (sys.implementation.cache_tag, numba.__version__, llvmlite.__version__),
            _source_digest(self._function.__module__),
        )
        return f"{self.name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:40]}.kernel"

    def holds(self, signature: Any, target_context: Any) -> bool:
        """Whether `load_overload` would find something."""
        return places.holds(self.file_name(signature, target_context.codegen()))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel, or None: then Numba compiles, and calls `save_overload`."""
        name = self.file_name(sig, target_context.codegen())
        content = places.read(name) if self._enabled else None
        payload = None if content is None else _checked(name, content)
        if payload is None:
            compilation.begin(self.name)
            return None
        rebuild: Any = CompileResult._rebuild
        return rebuild(target_context, *pickle.loads(payload))

    def save_overload(self, sig: Any, data: Any) -> None:
        compilation.end()
        if not self._enabled or data.library.has_dynamic_globals:
            return
        name = self.file_name(sig, data.codegen)
        library, *more = data._reduce()
        payload = _dumps((_symbols_alone(library), *more))
        if places.write(name, _digest(name, payload) + payload) is None:
            _say_not_kept()

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Nothing to do: a file that is out of date is never asked for."""


def _symbols_alone(library: tuple[str, str, tuple[bytes, bytes]]) -> tuple[str, str, Any]:
    """Numba's record of a compiled library, less the code for linking it into others.

    No kernel is part of another one, and reading that code takes three times as long as loading the
    machine code. What must stay are the names of what the machine code defines.
    """
    name, kind, (machine_code, bitcode) = library
    module = llvmlite.binding.parse_bitcode(bitcode)
    lines = [f"@{_quoted(v.name)} = global i8 0" for v in module.global_variables if _defined(v)]
    lines += [
        f"define void @{_quoted(function.name)}() {{ unreachable }}"
        for function in module.functions
        if _defined(function)
    ]
    names: bytes = llvmlite.binding.parse_assembly("\n".join(lines)).as_bitcode()
    return name, kind, (machine_code, names)


def _defined(value: Any) -> bool:
    return not value.is_declaration and value.linkage is not llvmlite.binding.Linkage.internal


def _quoted(name: str) -> str:
    """A name as LLVM's assembly writes it."""
    plain = "".join(c if c.isalnum() or c in "._$" else f"\\{ord(c):02X}" for c in name)
    return f'"{plain}"'


def _digest(name: str, payload: bytes) -> bytes:
    """Of a file's content and the name it was written under."""
    return hashlib.sha256(name.encode() + b"\0" + payload).digest()


def _checked(name: str, content: bytes) -> bytes | None:
    """The payload of a file; None where the file is damaged, or another one renamed."""
    payload = content[_DIGEST_BYTES:]
    return payload if content[:_DIGEST_BYTES] == _digest(name, payload) else None


@cache
def _say_not_kept() -> None:
    log.warning(
        "no folder takes compiled kernels, so every run compiles them again: "
        "set %s to a folder that this user can write to",
        places.ENVIRONMENT,
    )


@cache
def _source_digest(module: str) -> str:
    """Of the text of a module, and of those of this package whose functions and classes it uses;
    and of the numbers in them, which may come from modules of which nothing else is used."""
    digest = hashlib.sha256()
    for name in sorted(_modules(module, set())):
        digest.update(Path(str(sys.modules[name].__file__)).read_bytes())
        numbers = {k: v for k, v in vars(sys.modules[name]).items() if isinstance(v, int | float)}
        digest.update(repr(sorted(numbers.items())).encode())
    return digest.hexdigest()


def _modules(name: str, seen: set[str]) -> set[str]:
    if name not in seen:
        seen.add(name)
        for used in _used(vars(sys.modules[name])):
            _modules(used, seen)
    return seen


def _used(namespace: Mapping[str, object]) -> Iterator[str]:
    package = __name__.partition(".")[0] + "."
    for value in list(namespace.values()):
        module = getattr(value, "__module__", None)
        if isinstance(module, str) and module.startswith(package) and module in sys.modules:
            yield module
