"""What a shell completes: names of models, and of files."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from scorer.errors import ScorerError


def models(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The models whose names begin so, all versions after an `@`; files where it is a path."""
    if os.sep in incomplete:
        return files(ctx, parameter, incomplete)
    from scorer.zoo import list_models

    zoos = ctx.params.get("zoos") or ()
    try:
        found = list_models(zoos, all_versions="@" in incomplete)
    except ScorerError:
        return []
    names = [f"{e.index.name}@{e.index.version}" for e in found if e.index is not None]
    if "@" not in incomplete:
        names = [name.partition("@")[0] for name in names]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def files(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of files: the shell looks for them itself."""
    return [CompletionItem(incomplete, type="file")]
