"""What a command says where it waits for someone."""

from __future__ import annotations

import sys

import pytest

from scorer.cli.common import say_awaited


class Terminal:
    def __init__(self, *, typed: bool) -> None:
        self.typed = typed

    def isatty(self) -> bool:
        return self.typed


@pytest.mark.parametrize(
    ("inputs", "typed", "shown", "said"),
    [
        (["-"], True, True, "Waiting for rows on stdin; end them with Ctrl-D\n"),
        (["-"], False, True, ""),
        (["-"], True, False, ""),
        (["in.csv"], True, True, ""),
    ],
)
def test_who_types_the_rows_is_told(
    inputs: list[str],
    typed: bool,
    shown: bool,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed=typed))
    say_awaited(inputs, shown=shown)
    assert capsys.readouterr().err == said
