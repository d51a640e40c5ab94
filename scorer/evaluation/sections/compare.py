"""Several models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from scorer.evaluation.labels.shared import FIGURES as SHARED_FIGURES
from scorer.evaluation.result import Comparison, Disagreement, PairedDifference
from scorer.evaluation.sections.baseline import majority_baseline
from scorer.evaluation.sections.curves import figure
from scorer.evaluation.sections.parts_of_sample import figures, judge
from scorer.evaluation.statistics.blocks import correlation
from scorer.evaluation.statistics.measure import Measured, measure
from scorer.evaluation.statistics.resample import Resampler, interval
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.top import KeptRow
from scorer.figures import figure_spec
from scorer.tasks import Problem, Truth


def compare(
    samples: Mapping[str, Sample], kept: Sequence[Disagreement], labels: Sequence[str] = ()
) -> Comparison:
    """`samples` by model, on the same rows in the same order; all models of one task.

    `labels` are those that all models have, where some have further ones.
    """
    models = list(samples)
    first = samples[models[0]]
    resampler = Resampler(len(first))
    measured = {
        name: measure(sample, resampler, SHARED_FIGURES if labels else None)
        for name, sample in samples.items()
    }
    headlines = SHARED_FIGURES if labels else first.problem.task.headlines
    main = headlines[0]
    board = sorted(models, key=lambda m: -figure_spec(main).better * measured[m].values[main])
    differences = [
        _difference(measured, a, b, name)
        for a, b in combinations(board, 2)
        for name in headlines
        if name in measured[a].values
    ]
    return Comparison(
        rows=len(first),
        labels=tuple(labels),
        note=_note(labels),
        main_figure=main,
        leaderboard=tuple(board),
        figures={name: figures(measured[name]) for name in board},
        baseline=majority_baseline(samples[board[0]], measured[board[0]], resampler),
        differences=tuple(differences),
        agreement=tuple(tuple(_agreement(samples[a], samples[b]) for b in models) for a in models),
        models=tuple(models),
        disagreements=tuple(kept),
    )


def _note(labels: Sequence[str]) -> str:
    if not labels:
        return ""
    return (
        f"The models have different labels. They are compared on the rows whose label all of them "
        f"have ({', '.join(labels)}); there any other prediction is a mistake."
    )


def _difference(measured: Mapping[str, Measured], a: str, b: str, name: str) -> PairedDifference:
    drawn = measured[a].replicates[name] - measured[b].replicates[name]
    value = measured[a].values[name] - measured[b].values[name]
    if figure_spec(name).better == 0:
        # Nearer to zero is better, so sizes are compared.
        drawn = np.abs(measured[a].replicates[name]) - np.abs(measured[b].replicates[name])
        value = abs(measured[a].values[name]) - abs(measured[b].values[name])
    difference = figure(value, interval(drawn))
    return PairedDifference(
        model=a, other=b, metric=name, difference=difference, verdict=judge(difference, name)
    )


def _agreement(a: Sample, b: Sample) -> float | None:
    blocks = zip(a.blocks(), b.blocks(), strict=True)
    if a.problem.task.truth is not Truth.NUMBER:
        same = ((p.predicted == q.predicted).reshape(len(p), -1).all(axis=1) for p, q in blocks)
        return round(sum(map(np.count_nonzero, same)) / len(a), 6)
    if np.ptp(a.output) == 0 or np.ptp(b.output) == 0:
        return None
    return round(correlation((p.output[:, 0], q.output[:, 0]) for p, q in blocks), 6)


def spread(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """float (rows,): how far the models' outputs, each (rows, k), lie apart at most.

    Probabilities: the largest difference in any class's; values: the range.
    """
    stacked = np.stack(outputs)
    return np.asarray((stacked.max(axis=0) - stacked.min(axis=0)).max(axis=1))


def disagreement(
    kept: KeptRow, size: float, problems: Sequence[Problem], name: str | None
) -> Disagreement:
    """A kept row in words; `name` is its id."""
    said = [p.task.in_words(p, out) for p, out in zip(problems, kept.outputs, strict=True)]
    return Disagreement(
        row=kept.row,
        id=name,
        text=kept.text,
        truth=kept.label,
        predictions=tuple(said),
        spread=round(size, 6),
    )
