"""Drift in words: what differs from the training data, and what the model scored on such texts.

The data set of the card that today's rows are nearest to is told by two medians, the tokens of a
row and its share of unknown tokens: their distance is the hypotenuse of the logarithm of the ratio
of the lengths and of the difference of the shares, where ten points count as much as a factor e.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from scorer.card import PromisedFigure, ScorerCard
from scorer.card.out_of_domain import OutOfDomain
from scorer.evaluation.drift.histograms import Drift, DriftPart, Level
from scorer.evaluation.part import Quartiles
from scorer.evaluation.predictions import Predictions
from scorer.figures import figure_spec
from scorer.tasks import Task, Truth

if TYPE_CHECKING:
    from scorer.evaluation.result import Promise

#: a share of unknown tokens this much higher counts as much as texts e times as long
OOV_UNIT = 0.1
#: data sets nearer than this, or than so many times the nearest one's distance, are named together
NEAR, ALIKE, MOST_ALIKE = 0.25, 1.5, 3
#: medians nearer than this factor say less than where the middle half lies
SAME = 1.15


def explained(
    drift: Drift | None,
    predictions: Predictions | None,
    card: ScorerCard,
    promises: Sequence[Promise] = (),
) -> Drift | None:
    """The drift with what it means in words, and how grave that is."""
    if drift is None or predictions is None or not drift.parts:
        return drift
    if not drift.moved:
        stable = drift.verdict == "stable"
        says = (
            "Texts and predictions are like those of the training data."
            if stable
            else "There are too few rows to tell whether the texts differ from the training data."
        )
        return drift.model_copy(update={"says": says, "level": "good" if stable else "warn"})
    near = nearest(drift, card.out_of_domain)
    head = card.figures[0] if card.figures else None
    level, consequence = _consequence(near, head, promises, card.task)
    says = f"{_differences(drift, predictions, card)}. {consequence}"
    return drift.model_copy(update={"says": says, "level": level, "nearest": near})


def nearest(drift: Drift, measured: Sequence[OutOfDomain]) -> tuple[OutOfDomain, ...]:
    """The card's data sets whose texts are most like today's, the nearest first."""
    here = (drift.row_tokens.median, drift.row_oov_share.median)

    def distance(item: OutOfDomain) -> float:
        length = math.log((here[0] + 1) / (item.median_tokens + 1))
        return math.hypot(length, (here[1] - item.median_oov_share) / OOV_UNIT)

    ordered = sorted(measured, key=distance)
    far = max(NEAR, ALIKE * distance(ordered[0])) if ordered else 0.0
    return tuple(item for item in ordered[:MOST_ALIKE] if distance(item) <= far)


def _differences(drift: Drift, predictions: Predictions, card: ScorerCard) -> str:
    moved = {part.name: part for part in drift.moved}
    said = []
    if "tokens" in moved:
        said.append(_lengths(drift.row_tokens, moved["tokens"].training))
    if "oov_share" in moved:
        said.append(_unknown(drift.row_oov_share, moved["oov_share"].training))
    if "score" in moved:
        said.append(_scores(predictions.score, moved["score"], card))
    what = "The predictions differ" if list(moved) == ["score"] else "The texts differ"
    return f"{what} from the training data: {'; '.join(said)}"


def _lengths(today: Quartiles, training: Quartiles) -> str:
    if round(today.median) == 1:
        return f"the median text has 1 word ({_then(f'{training.median:,.0f}')})"
    return _medians(
        today,
        training,
        lambda v: f"{v:,.0f}",
        "the median text has {} words",
        "the middle half of the texts have {} words",
    )


def _unknown(today: Quartiles, training: Quartiles) -> str:
    if today.median <= 0 or abs(today.median - training.median) < 0.005:
        high, then = _percent(today.high), _percent(training.high)
        if today.high <= 0:
            up_to = f"up to {then} of the words"
            return f"in three quarters of the texts no word is unknown ({_then(up_to)})"
        return f"in a quarter of the texts at least {high} of the words are unknown ({_then(then)})"
    now, then = _percent(today.median), _percent(training.median)
    return f"{now} of the words of the median text are unknown ({_then(then)})"


def _scores(today: Quartiles, part: DriftPart, card: ScorerCard) -> str:
    what = card.task.score_in_words([label.name for label in card.labels])
    digits = ",.4g" if card.task.truth is Truth.NUMBER else ".2f"

    def show(value: float) -> str:
        return format(value, digits)

    return _medians(
        today,
        part.training,
        show,
        f"the median {what} is {{}}",
        f"half of the rows have a {what} of {{}}",
    )


def _medians(
    today: Quartiles, training: Quartiles, show: Callable[[float], str], one: str, two: str
) -> str:
    """The medians, or where they hardly differ the middle halves."""
    low, high = sorted((show(today.median), show(training.median)))
    a, b = sorted((abs(today.median), abs(training.median)))
    if low != high and b > SAME * a:
        return f"{one.format(show(today.median))} ({_then(show(training.median))})"
    half, then = (_span(show(each.low), show(each.high)) for each in (today, training))
    return f"{two.format(half)} ({_then(then)})"


def _then(value: str) -> str:
    return f"training: {value}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.095 or share == 0 else f"{share:.1%}"


def _consequence(
    near: Sequence[OutOfDomain],
    head: PromisedFigure | None,
    promises: Sequence[Promise],
    task: Task,
) -> tuple[Level, str]:
    """How grave it is, and a sentence on what the model scored on such texts."""
    here = next((p for p in promises if head is not None and p.metric == head.metric), None)
    if here is not None and here.verdict != "worse than promised":
        figure = figure_spec(here.metric).text
        return "good", f"The {figure} here, {here.today.value:.3g}, is {here.verdict} all the same."
    if not near and here is not None and head is not None:
        figure = figure_spec(here.metric).text
        return "warn", f"The {figure} here is {here.today.value:.3g}, promised: {head.value:.3g}."
    if not near:
        return "warn", "Its card has no figures of other texts: label some rows and evaluate them."
    metric = near[0].figures[0].metric
    alike = [item for item in near if item.figures[0].metric == metric]
    where = ", ".join(dict.fromkeys(item.texts for item in alike))
    spec = figure_spec(metric)
    values = [item.figures[0].value for item in alike]
    said = (
        f"On the most similar data of its card ({where}) the model has {spec.text} {_range(values)}"
    )
    bases = [item.majority_baseline for item in alike if item.majority_baseline is not None]
    beaten = not any(
        item.majority_baseline is not None
        and spec.better * (item.figures[0].value - item.majority_baseline) <= 0
        for item in alike
    )
    guess = "median" if task.truth is Truth.NUMBER else "majority"
    asides = [f"{guess} baseline: {_range(bases)}"] if bases else []
    if head is not None and head.metric == metric:
        asides.append(f"promised: {head.value:.3g}")
    said += f" ({'; '.join(asides)})." if asides else "."
    return ("warn" if beaten else "bad"), said


def _range(values: Sequence[float]) -> str:
    return _span(f"{min(values):.3g}", f"{max(values):.3g}")


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
