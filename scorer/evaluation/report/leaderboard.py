"""Several models side by side: which is the best, by how much, and whether that may be chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Row:
    """A line of the leaderboard. `rank` counts models from 1; the baseline has none."""

    name: str
    rank: int | None
    figures: Mapping[str, Figure]


def rows(compared: Comparison) -> list[Row]:
    """The models and the baseline, the best first."""
    found = [Row(name, i, compared.figures[name]) for i, name in enumerate(compared.leaderboard, 1)]
    base, main = compared.baseline, compared.main_figure
    if base is None or main not in base.figures:
        return found
    better = figure_spec(main).better
    constant = better * (base.figures[main].value or 0.0)
    place = sum(better * (row.figures[main].value or 0.0) >= constant for row in found)
    found.insert(place, Row(base.says, None, base.figures))
    return found


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
        said = f"{first} is the best of {models} models: {spec.text} {value}, {apart} ({interval})."
        level = "good"
    else:
        said = (
            f"No clear winner: {first} has the best {spec.text}, {value}, {apart}, which may be "
            f"chance ({interval})."
        )
        level = "warn"
    return _with_baseline(compared, level, said)


def _with_baseline(compared: Comparison, level: str, said: str) -> Finding:
    """The winner beside the baseline, of which it should be better."""
    base, name = compared.baseline, compared.main_figure
    if base is None or name not in base.figures:
        return level, said
    constant = figure_text(base.figures[name].value)
    if base.verdict == "better":
        return level, f"{said} The baseline, {base.says}, has {constant}."
    level, how = ("bad", "worse") if base.verdict == "worse" else ("warn", "not clearly better")
    return level, f"{said} It is {how} than the baseline, {base.says}, which has {constant}."


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
