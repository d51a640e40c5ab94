"""The prediction that is best without reading a text, and what it scores on the same rows.

Of classes that is the most frequent label of these rows; of numbers their median. A model that is
not better than this has learnt nothing that helps here.
"""

from __future__ import annotations

import numpy as np

from scorer.evaluation.curves import figure
from scorer.evaluation.labelled import Baseline
from scorer.evaluation.measure import Measured
from scorer.evaluation.resample import Doubles, Resampler, interval
from scorer.evaluation.sample import Sample
from scorer.evaluation.sections import judge
from scorer.evaluation.statistics import Resampled, error_sums
from scorer.figures import figure_spec
from scorer.figures.formulas import ClassCounts, ErrorSums
from scorer.tasks import Statistic, Truth

#: the figures shown of it, the first compared with the model's
CLASS_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
NUMBER_FIGURES = ("mae", "rmse", "bias")


def majority_baseline(sample: Sample, measured: Measured, resampler: Resampler) -> Baseline | None:
    """None where rows may have several labels."""
    truth = sample.problem.task.truth
    if truth is Truth.CLASS:
        counts: Resampled[ClassCounts] = measured.statistics[Statistic.CONFUSION]
        label = int(np.argmax(counts.whole.support))
        always = Resampled(*(_always(label, part) for part in (counts.whole, counts.drawn)))
        said = repr(sample.problem.labels[label])
        return _baseline(f"always {said}", always, measured, CLASS_FIGURES)
    if truth is Truth.NUMBER:
        middle = float(np.median(sample.target))
        constant = np.full((len(sample), 1), middle, dtype=np.float64)
        errors: Resampled[ErrorSums] = error_sums(
            Sample(sample.problem, sample.target, constant), resampler
        )
        return _baseline(f"always the median, {middle:,.6g}", errors, measured, NUMBER_FIGURES)
    return None


def _always(label: int, counts: ClassCounts) -> ClassCounts:
    """The confusion matrices of always that label."""
    same = np.zeros_like(counts.counts)
    same[..., label] = counts.support
    return ClassCounts(same)


def _baseline(
    says: str,
    sums: Resampled[ClassCounts] | Resampled[ErrorSums],
    measured: Measured,
    names: tuple[str, ...],
) -> Baseline:
    values: dict[str, tuple[float, Doubles]] = {}
    for name in names:
        formula = figure_spec(name).formula
        values[name] = float(formula(sums.whole)), formula(sums.drawn)
    main = names[0]
    gain = figure(
        measured.values[main] - values[main][0],
        interval(measured.replicates[main] - values[main][1]),
    )
    return Baseline(
        says=says,
        figures={name: figure(value, interval(drawn)) for name, (value, drawn) in values.items()},
        main_figure=main,
        gain=gain,
        verdict=judge(gain, main),
    )
