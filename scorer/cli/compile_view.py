"""What people see while kernels are compiled, which a machine does once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from scorer.compiling.watch import Compilation, compilation
from scorer.jobs.events import tell

#: compiling that takes less than this is not worth a word
PATIENCE_S = 1.0
BAR = "{desc}{n_fmt} of {total_fmt} |{bar}|"


class CompileView:
    """After a second of compiling a line on stderr, and on a terminal a bar of the kernels."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._timer: threading.Timer | None = None
        self._bar: Any = None

    def __call__(self, state: Compilation) -> None:
        """Called when a kernel begins or ends."""
        if self._timer is None:
            self._timer = threading.Timer(PATIENCE_S, self._say, [state])
            self._timer.daemon = True
            self._timer.start()
        if self._bar is not None:
            self._draw(state)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._bar is not None:
            self._bar.close()

    def _say(self, state: Compilation) -> None:
        if not state.pending:
            return
        about = max(round(state.about_s), 2)
        tell("compiling", kernels=state.total, about_s=about)
        if not self._shown:
            return
        click.echo(f"Compiling for this processor, once: about {about} s", err=True)
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=state.total, leave=False, bar_format=BAR)
            self._draw(state)

    def _draw(self, state: Compilation) -> None:
        self._bar.total, self._bar.n = state.total, state.done
        self._bar.set_description(f"compiling {state.current}" if state.current else "compiling")


@contextmanager
def compiling_shown(*, shown: bool = True) -> Iterator[None]:
    """Show what is compiled within; unless `shown`, only the JSON log hears of it."""
    view = CompileView(shown=shown)
    try:
        with compilation.told_to(view):
            yield
    finally:
        view.close()
