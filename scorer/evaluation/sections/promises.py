"""Today's figures against the card's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scorer.card import PromisedFigure
from scorer.evaluation.part import Figure
from scorer.evaluation.result import Promise
from scorer.evaluation.sections.curves import figure
from scorer.evaluation.sections.parts_of_sample import judge
from scorer.evaluation.statistics.measure import Measured
from scorer.evaluation.statistics.resample import SEED, Doubles, interval
from scorer.figures import figure_spec

_Z95 = 1.959964


def check_promises(measured: Measured, promised: Sequence[PromisedFigure]) -> tuple[Promise, ...]:
    """One for each metric of the card that was measured; of several for a metric, the first."""
    first: dict[str, PromisedFigure] = {}
    for item in promised:
        first.setdefault(item.metric, item)
    return tuple(_check(measured, item) for name, item in first.items() if _known(measured, name))


def _known(measured: Measured, name: str) -> bool:
    return bool(np.isfinite(measured.values.get(name, np.nan)))


def _check(measured: Measured, item: PromisedFigure) -> Promise:
    today = figure(measured.values[item.metric], measured.interval(item.metric))
    difference = figure(
        measured.values[item.metric] - item.value,
        interval(_difference(measured, item)),
    )
    judged = judge(difference, item.metric)
    verdict = "as" if judged == "no difference" else f"{judged} than"
    return Promise(
        metric=item.metric,
        data=item.data,
        promised=Figure(value=item.value, low=item.low, high=item.high),
        today=today,
        difference=difference,
        verdict=f"{verdict} promised",  # type: ignore[arg-type]
        sentence=_sentence(item, today, difference),
    )


def _difference(measured: Measured, item: PromisedFigure) -> Doubles:
    """Replicates of today's figure less the promised one, each with its own sampling error.

    The bootstrap's bias is taken out: a calibration error of few rows is too high by nature, and
    its replicates are so once more.
    """
    drawn = measured.replicates[item.metric]
    drawn = drawn - 2 * (np.nanmean(drawn) - measured.values[item.metric])
    promised = np.full(len(drawn), item.value)
    if item.low is not None and item.high is not None:
        spread = (item.high - item.low) / (2 * _Z95)
        promised = np.random.default_rng([SEED, 3]).normal(item.value, spread, len(drawn))
    return np.asarray(drawn - promised)


def _sentence(item: PromisedFigure, today: Figure, difference: Figure) -> str:
    spec = figure_spec(item.metric)
    start = f"{spec.title} is {today.value:.4g}, the card promises {item.value:.4g}"
    start += f" on {item.data}"
    if difference.low is None or difference.high is None:
        return f"{start}; too few rows to compare."
    bounds = f"{difference.low:+.4f} to {difference.high:+.4f}"
    if difference.low <= 0 <= difference.high:
        return f"{start}: as promised (the difference, {bounds}, may be zero)."
    way = "lower" if difference.high < 0 else "higher"
    if spec.better < 0:
        # An error that is higher than promised reads like good news.
        way = judge(difference, item.metric)
    return f"{start}: {way} than promised (the difference is {bounds})."
