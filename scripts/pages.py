"""Pages with a part that a script writes, between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import re


def with_block(page: str, name: str, text: str) -> str:
    """The page with the block's text replaced. Raises ValueError where it has no such block."""
    between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    changed, found = between.subn(lambda m: f"{m[1]}{text}\n{m[2]}", page)
    if not found:
        raise ValueError(f"the page has no block <!-- {name} --> ... <!-- /{name} -->")
    return changed
