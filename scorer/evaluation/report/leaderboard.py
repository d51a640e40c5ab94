"""Several models side by side: which is the best, by how much, and whether that may be chance."""

from __future__ import annotations

from collections.abc import Iterable

from scorer.evaluation.part import Figure
from scorer.evaluation.report.values import Finding, figure_text
from scorer.evaluation.result import Comparison, PairedDifference, Report
from scorer.figures import figure_spec

#: up to so many models the best one's differences from the others are shown in every figure
FEW_MODELS = 4


def headlines(report: Report) -> list[str]:
    """The leaderboard's figures, the one that sorts it first."""
    compared = report.comparison
    assert compared is not None
    shown = compared.figures[compared.leaderboard[0]]
    return [name for name in report.models[0].headlines if name in shown]


def winner(compared: Comparison) -> Finding:
    """Who leads, by how much on the same rows, and whether that may be chance."""
    first, second = compared.leaderboard[:2]
    spec = figure_spec(compared.main_figure)
    lead = next(d for d in _of_first(compared) if d.other == second and d.metric == spec.name)
    if lead.difference.value is None:
        return "warn", f"No clear winner: {spec.text} is not defined on this data."
    value = figure_text(compared.figures[first][spec.name].value)
    apart = (
        f"{figure_text(abs(lead.difference.value))} {_way(lead.difference.value)} than {second} "
        f"on the same {compared.rows:,} rows"
    )
    interval = _interval(lead.difference)
    if lead.verdict == "better":
        models = len(compared.models)
        return (
            "good",
            f"{first} is the best of {models} models: {spec.text} {value}, {apart} ({interval}).",
        )
    return (
        "warn",
        f"No clear winner: {first} has the best {spec.text}, {value}, {apart}, which may be chance "
        f"({interval}).",
    )


def differences(compared: Comparison) -> tuple[list[PairedDifference], list[PairedDifference]]:
    """The first model's differences from every other in the main figure, and further ones."""
    main = [d for d in _of_first(compared) if d.metric == compared.main_figure]
    few = len(compared.models) <= FEW_MODELS
    first = compared.leaderboard[0]
    rest = [
        d
        for d in compared.differences
        if d not in main and (d.metric == compared.main_figure or (d.model == first and few))
    ]
    return main, rest


def span(found: Iterable[Figure]) -> tuple[float, float]:
    """The range that figures and their intervals cover."""
    shown = [v for item in found for v in (item.low, item.high, item.value) if v is not None]
    return (min(shown), max(shown)) if shown else (0.0, 0.0)


def _of_first(compared: Comparison) -> list[PairedDifference]:
    return [d for d in compared.differences if d.model == compared.leaderboard[0]]


def _way(difference: float) -> str:
    return "more" if difference >= 0 else "less"


def _interval(item: Figure) -> str:
    if item.low is None or item.high is None:
        return "too few rows for an interval"
    low, high = (figure_text(bound, sign=True) for bound in (item.low, item.high))
    return f"95% interval of the difference {low} to {high}"
