"""What is shown while a large file is looked through, and when nothing is."""

from __future__ import annotations

import sys
import time

import pytest

from scorer.cli import look_view
from scorer.jobs.parts.scoring import nobody
from scorer.tables import Source


def source() -> Source:
    return Source("big.csv", lambda: None, None, lambda: {"size": 4_000_000})  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("terminal", [True, False])
def test_after_a_while_a_line_is_shown_and_on_a_terminal_a_bar(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(look_view, "PATIENCE_S", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    with look_view.looking_shown(shown=True)(source()) as looking:
        time.sleep(0.2)
        looking(1_000_000)
    shown = capsys.readouterr().err
    if terminal:
        assert "cutting big.csv:  25%" in shown
    else:
        assert shown == "Looking through big.csv for places to cut it into parts\n"


def test_what_is_done_at_once_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with look_view.looking_shown(shown=True)(source()) as looking:
        looking(4_000_000)
    assert capsys.readouterr().err == ""


def test_a_quiet_run_shows_nothing() -> None:
    assert look_view.looking_shown(shown=False) is nobody
