"""A bar of rows for Python callers: tqdm's own for notebooks, a line of text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: seconds before a bar appears: what is done at once needs none
DELAY = 1.0


@contextmanager
def progress(
    total: int | None, shown: bool | None = None, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """What moves a bar by so many of `unit`. `shown` None: in a notebook alone."""
    if not (in_notebook() if shown is None else shown):
        yield lambda more: None
        return
    from tqdm.auto import tqdm

    bar: Any
    with tqdm(
        total=total, unit=f" {unit}", unit_scale=True, leave=False, delay=DELAY if total else 0
    ) as bar:

        def move(more: int) -> None:
            bar.update(more)

        yield move


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return "IPKernelApp" in getattr(shell, "config", {})
