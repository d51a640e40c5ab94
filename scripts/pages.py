"""Pages that a script writes, whole or in a part between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def with_block(page: str, name: str, text: str) -> str:
    """The page with the block's text replaced. Raises ValueError where it has no such block."""
    between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    changed, found = between.subn(lambda m: f"{m[1]}{text}\n{m[2]}", page)
    if not found:
        raise ValueError(f"the page has no block <!-- {name} --> ... <!-- /{name} -->")
    return changed


def write_pages(pages: Mapping[Path, str], *, check: bool) -> None:
    """Write the pages that are not what they should be, and name them; with `check` name them alone
    and exit with 1 where there are any."""
    stale = [p for p, text in pages.items() if not p.exists() or p.read_text("utf-8") != text]
    for path in stale:
        if not check:
            path.write_text(pages[path], encoding="utf-8")
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
    raise SystemExit(1 if check and stale else 0)
