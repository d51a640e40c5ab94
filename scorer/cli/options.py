"""A command's options as the fields of a frozen dataclass: what the command line says, with types.

    @dataclass(frozen=True)
    class Arguments:
        model: str = option("-m", "--model", required=True, help="...")
        reading: ReadingOptions = options(ReadingOptions)     # the options of another dataclass

    @click.command()
    @takes(Arguments)
    def main(arguments: Arguments) -> None: ...

A field's name is the parameter's; options that several commands share are a dataclass of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, field, fields
from typing import Any, TypeVar

import click

Arguments = TypeVar("Arguments")
_CLICK, _NESTED = "click", "options"


def option(*flags: str, **attributes: Any) -> Any:
    """A field that is a `click.option`; `attributes` are Click's own."""
    return field(metadata={_CLICK: (click.option, flags, attributes)})


def argument(**attributes: Any) -> Any:
    """A field that is a `click.argument`."""
    return field(metadata={_CLICK: (click.argument, (), attributes)})


def options(kind: type[Any]) -> Any:
    """A field that holds the options of the dataclass `kind`."""
    return field(metadata={_NESTED: kind})


def takes(kind: type[Arguments]) -> Callable[[Callable[[Arguments], None]], Callable[..., None]]:
    """Give a command the options of the dataclass `kind`, in its order, and call it with one."""

    def decorate(function: Callable[[Arguments], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def called(**given: Any) -> None:
            function(_built(kind, given))

        command: Callable[..., None] = called
        for part in reversed(list(click_fields(kind))):
            make, flags, attributes = part.metadata[_CLICK]
            command = make(*_declared(make, flags, part.name), **attributes)(command)
        return command

    return decorate


def click_fields(kind: type[Any]) -> Iterator[Field[Any]]:
    """The fields of `kind` that are options or arguments, those of nested ones in their place."""
    for part in fields(kind):
        nested = part.metadata.get(_NESTED)
        yield from click_fields(nested) if nested is not None else (part,)


def _declared(make: Any, flags: tuple[str, ...], name: str) -> tuple[str, ...]:
    return (name,) if make is click.argument else (*flags, name)


def _built(kind: type[Arguments], given: Mapping[str, Any]) -> Arguments:
    values = {
        part.name: _built(part.metadata[_NESTED], given)
        if _NESTED in part.metadata
        else given[part.name]
        for part in fields(kind)  # type: ignore[arg-type]
    }
    return kind(**values)
