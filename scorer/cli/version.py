"""`--version`: this release, and which engines, backends and further packages are there.

Nothing heavy is imported: packages are looked for, not loaded.
"""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterable, Iterator
from importlib import metadata

import click

#: Keras' backends that the keras engine can use: module -> distributions that may bring it
BACKENDS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos"),
    "jax": ("jax",),
    "torch": ("torch",),
}
#: what further packages are for, by their modules
OTHERS = {
    "onnxruntime": "zoo export",
    "ray": "--runner ray",
    "pyspark": "--runner spark",
    "pandas": "data frames",
}
NOT_FOUND = "not installed"


def version_option() -> click.Option:
    """An option `--version` that prints `version_text` and ends the command."""

    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(version_text())
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version, the engines and the backends found, and exit.",
    )


def version_text() -> str:
    """The release in the first line; then what it runs on, a line each."""
    from scorer import __version__
    from scorer.engines.devices import has_gpu

    python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines = [
        f"scorer {__version__}",
        _line("runs on", python),
        _line("GPU", "found" if has_gpu() else "none found"),
        _line("cpu engine", ", ".join(_named("numpy", "numba", "llvmlite", "pyarrow"))),
        _line("keras engine", _keras()),
    ]
    for module, use in OTHERS.items():
        lines.append(_line(use, _version([module]) and f"{module} {_version([module])}"))
    return "\n".join(lines)


def _line(name: str, found: str | None) -> str:
    return f"  {name:<15}{found or NOT_FOUND}"


def _keras() -> str | None:
    keras = _version(["keras"])
    if keras is None:
        return None
    found = [
        f"{module} {_version(names) or ''}".rstrip()
        for module, names in BACKENDS.items()
        if importlib.util.find_spec(module) is not None
    ]
    chosen = os.environ.get("KERAS_BACKEND")
    chosen = f" (KERAS_BACKEND is {chosen})" if chosen else ""
    return f"keras {keras}, backends: {', '.join(found) or 'none'}{chosen}"


def _named(*names: str) -> Iterator[str]:
    for name in names:
        yield f"{name} {_version([name]) or NOT_FOUND}"


def _version(names: Iterable[str]) -> str | None:
    """The version of the first of these distributions that is there."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
