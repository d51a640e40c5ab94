"""What was found, in the lines of a terminal: predictions, baselines, rows left out. Light."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from scorer.evaluation.drift.histograms import Drift
from scorer.evaluation.labelled import Baseline, LabelSource, LeftOut
from scorer.evaluation.predictions import Predictions
from scorer.printable import counted

WIDTH = 80
#: how a line of each level begins; the longest has two characters
MARKS: dict[str, str] = {"good": "ok", "warn": "!", "bad": "!!"}
SHOWN_LABELS = 5


def marked(level: str, words: str, indent: str = "") -> list[str]:
    """A finding in lines of at most WIDTH columns, its mark before the first."""
    return _wrapped(words, f"{indent}{MARKS[level]:>2} ", hanging=0)


def wrapped(words: str, indent: str = "") -> list[str]:
    """Lines of at most WIDTH columns, those below the first two columns further in."""
    return _wrapped(words, indent, hanging=2)


def _wrapped(words: str, first: str, hanging: int) -> list[str]:
    below = " " * (len(first) + hanging)
    lines = textwrap.wrap(words, WIDTH, initial_indent=first, subsequent_indent=below)
    return lines or [first.rstrip()]


def predictions_in_words(found: Predictions) -> str:
    """How many of each prediction, the most frequent first; of a regression mean and quartiles."""
    if not found.labels:
        low, middle, high = (
            _number(v) for v in (found.score.low, found.score.median, found.score.high)
        )
        mean = "" if found.mean is None else f"mean {_number(found.mean)}, "
        return f"{mean}median {middle}, middle half {low} to {high}"
    ordered = sorted(found.labels, key=lambda item: -item.rows)
    said = [f"{x.label} {x.rows:,} ({x.share:.1%})" for x in ordered[:SHOWN_LABELS]]
    more = len(ordered) - SHOWN_LABELS
    return ", ".join([*said, f"{more} other labels"] if more > 0 else said)


def labels_in_words(source: LabelSource, left_out: Sequence[LeftOut]) -> list[str]:
    """What was understood of the labels, and what was predicted of rows that were left out."""
    said = [source.understood]
    for rows in left_out[:2]:
        which = "without a label" if rows.value is None else f"labelled {rows.value!r}"
        ordered = sorted(rows.predicted.items(), key=lambda item: -item[1])
        shares = [f"{n / rows.rows:.0%} {name}" for name, n in ordered[:SHOWN_LABELS] if n]
        n_rows = counted(rows.rows, "scored row")
        said.append(f"predictions for {n_rows} {which}: {', '.join(shares)}")
    return said


def baseline_in_words(baseline: Baseline) -> str:
    """What it scores, and whether the model is better."""
    value = baseline.figures[baseline.main_figure].value
    shown = "undefined" if value is None else f"{value:.4f}"
    verdict = {
        "better": "the model is better",
        "worse": "the model is worse",
        "no difference": "no clear difference",
    }[baseline.verdict]
    return f"{baseline.says}: {shown} ({verdict})"


def drift_lines(drift: Drift | None, indent: str = "") -> list[str]:
    """The drift in words, if anything has changed."""
    return marked(drift.level, drift.says, indent) if drift is not None and drift.moved else []


def _number(value: float) -> str:
    return f"{value:,.4g}"
