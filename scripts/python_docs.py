"""Writes the reference in docs/python.md: what `import scorer` has, by its own docstrings.

python scripts/python_docs.py            write it
python scripts/python_docs.py --check    exit with 1 where the page is not what the code says
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import scorer
from scorer import api
from scripts.pages import with_block, write_pages

PAGE = Path(__file__).resolve().parent.parent / "docs" / "python.md"
#: what is shown of a class, where that is not all that it has
SHOWN = {
    "Model": ("predict", "explain", "ref", "digest"),
    "Report": ("save", "to_json"),
    "FileSummary": ("as_json",),
    "OutputOptions": (),
}
#: keyword options of the functions above
OPTIONS = (api.ScoreOptions, api.EvaluateOptions, api.ReadingOptions, api.LabelOptions)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the page is stale.")
def main(check: bool) -> None:
    """Write the reference of docs/python.md."""
    write_pages({PAGE: page()}, check=check)


def page() -> str:
    """The page with the reference as the code is now."""
    return with_block(PAGE.read_text(encoding="utf-8"), "reference", "\n\n".join(_reference()))


def _reference() -> Iterator[str]:
    names = sorted(scorer.__all__, key=lambda name: (name[0].isupper(), name))
    for name in names:
        found = getattr(scorer, name)
        if inspect.isclass(found):
            yield f"### `{name}`"
            yield _text(found)
            for member in SHOWN.get(name, _public(found)):
                yield from _member(name, member, inspect.getattr_static(found, member))
        else:
            yield _signature(f"scorer.{name}", found)
            yield _text(found)
    yield "### Keyword options"
    for kind in OPTIONS:
        yield f"#### `{kind.__name__}`"
        yield _text(kind)


def _public(found: type[Any]) -> list[str]:
    return [name for name, value in vars(found).items() if name[0] != "_" and _is_member(value)]


def _is_member(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, property)


def _member(owner: str, name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property):
        yield f"#### `{owner}.{name}`"
    else:
        yield _signature(f"{owner}.{name}", member, hashes="####")
    yield _text(member)


def _signature(name: str, function: Any, hashes: str = "###") -> str:
    """The heading and the call, a parameter a line."""
    lines: list[str] = []
    for each in inspect.signature(function).parameters.values():
        if each.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        if each.name != "self":
            lines.append(_parameter(each))
    call = "".join(f"\n    {line}," for line in lines) + ("\n" if lines else "")
    return f"{hashes} `{name}`\n\n```python\n{name.rpartition('.')[2]}({call})\n```"


def _parameter(each: inspect.Parameter) -> str:
    stars = "**" if each.kind is inspect.Parameter.VAR_KEYWORD else ""
    default = "" if each.default is inspect.Parameter.empty else f" = {each.default!r}"
    return f"{stars}{each.name}: {each.annotation}{default}"


def _text(documented: Any) -> str:
    """A docstring: prose as it is, what is set in columns as it stands."""
    parts = (inspect.getdoc(documented) or "").split("\n\n")
    return "\n\n".join(
        f"```text\n{part}\n```" if re.search(r"^\w+(, \w+)*  +\S", part, re.MULTILINE) else part
        for part in parts
    )


if __name__ == "__main__":
    main()
