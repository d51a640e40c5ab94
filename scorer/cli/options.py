"""A command's options as the fields of a frozen dataclass: what the command line says, with types.

    @dataclass(frozen=True)
    class Arguments:
        model: str = option("-m", "--model", required=True, help="...")
        # the options of another dataclass, below a title in the help
        reading: ReadingOptions = options(ReadingOptions, group="Input")

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

from scorer.cli.grouping import OTHER, Grouped

Arguments = TypeVar("Arguments")
_CLICK, _NESTED, _GROUP = "click", "options", "group"


def option(*flags: str, group: str | None = None, **attributes: Any) -> Any:
    """A field that is a `click.option`; `attributes` are Click's own.

    group   its title in the help; None: the title of the dataclass that holds it
    """
    return field(metadata={_CLICK: (click.option, flags, attributes), _GROUP: group})


def argument(**attributes: Any) -> Any:
    """A field that is a `click.argument`."""
    return field(metadata={_CLICK: (click.argument, (), attributes)})


def options(kind: type[Any], group: str | None = None) -> Any:
    """A field that holds the options of the dataclass `kind`, in the help below the title `group`.

    None: below the title of the dataclass that holds them.
    """
    return field(metadata={_NESTED: kind, _GROUP: group})


def takes(kind: type[Arguments]) -> Callable[[Callable[[Arguments], None]], Callable[..., None]]:
    """Give a command the options of the dataclass `kind`, in its order, and call it with one."""

    def decorate(function: Callable[[Arguments], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def called(**given: Any) -> None:
            function(_built(kind, given))

        names = [part.name for part in click_fields(kind)]
        assert len(set(names)) == len(names), f"{kind.__name__}: two options share a field's name"
        command: Callable[..., None] = called
        for part, group in reversed(list(_with_groups(kind, OTHER))):
            make, flags, attributes = part.metadata[_CLICK]
            if make is click.option:
                attributes = {"cls": Grouped, "group": group, **attributes}
            command = make(*_declared(make, flags, part.name), **attributes)(command)
        return command

    return decorate


def click_fields(kind: type[Any]) -> Iterator[Field[Any]]:
    """The fields of `kind` that are options or arguments, those of nested ones in their place."""
    for part, _ in _with_groups(kind, OTHER):
        yield part


def _with_groups(kind: type[Any], title: str) -> Iterator[tuple[Field[Any], str]]:
    for part in fields(kind):
        nested = part.metadata.get(_NESTED)
        group = part.metadata.get(_GROUP) or title
        if nested is None:
            yield part, group
        else:
            yield from _with_groups(nested, group)


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
