"""The prediction that is best without reading a text, and what it scores on the same rows.

Of classes that is the most frequent label of these rows, of sets of labels the most frequent set,
of numbers their median. A model that is not better has learnt nothing that helps here.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from scorer.evaluation.labelled import Baseline
from scorer.evaluation.sections.curves import figure
from scorer.evaluation.sections.parts_of_sample import judge
from scorer.evaluation.statistics.blocks import in_blocks
from scorer.evaluation.statistics.measure import Measured
from scorer.evaluation.statistics.resample import Doubles, Resampler, interval
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.statistics.sums import Resampled, error_sums
from scorer.figures import figure_spec
from scorer.figures.formulas import ClassCounts, ErrorSums, SetSums
from scorer.tasks import LABEL_SEPARATOR, Statistic, Truth

#: the figures shown of it, the first compared with the model's
CLASS_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
SET_FIGURES = ("subset_accuracy", "hamming_loss")
NUMBER_FIGURES = ("mae", "rmse", "bias")


def majority_baseline(sample: Sample, measured: Measured, resampler: Resampler) -> Baseline:
    """Of a sample with at least one row, all of whose task's figures are `measured`."""
    truth = sample.problem.task.truth
    if truth is Truth.CLASS:
        counts: Resampled[ClassCounts] = measured.statistics[Statistic.CONFUSION]
        label = int(np.argmax(counts.whole.support))
        always = Resampled(*(_always(label, part) for part in (counts.whole, counts.drawn)))
        said = repr(sample.problem.labels[label])
        return _baseline(f"always {said}", always, measured, CLASS_FIGURES)
    if truth is Truth.SET:
        usual = _most_frequent_set(sample.target)
        given = [name for name, has in zip(sample.problem.labels, usual, strict=True) if has]
        said = repr(LABEL_SEPARATOR.join(given)) if given else "no label"
        sets = _always_set(usual, sample, measured, resampler)
        return _baseline(f"always {said}", sets, measured, SET_FIGURES)
    middle = float(np.median(sample.target))
    constant = np.full((len(sample), 1), middle, dtype=np.float64)
    errors: Resampled[ErrorSums] = error_sums(
        Sample(sample.problem, sample.target, constant), resampler
    )
    return _baseline(f"always the median, {middle:,.6g}", errors, measured, NUMBER_FIGURES)


def _always(label: int, counts: ClassCounts) -> ClassCounts:
    """The confusion matrices of always that label."""
    same = np.zeros_like(counts.counts)
    same[..., label] = counts.support
    return ClassCounts(same)


def _most_frequent_set(target: NDArray[np.int8]) -> NDArray[np.int8]:
    """(n, k) labels of rows -> (k,); of equally frequent sets the one without the first labels."""
    rows: Counter[bytes] = Counter()
    for block in in_blocks(target):
        sets, found = np.unique(block, axis=0, return_counts=True)
        for one, n in zip(sets, found.tolist(), strict=True):
            rows[one.tobytes()] += n
    most = max(rows.values())
    return np.frombuffer(min(one for one, n in rows.items() if n == most), target.dtype)


def _always_set(
    usual: NDArray[np.int8], sample: Sample, measured: Measured, resampler: Resampler
) -> Resampled[SetSums]:
    """The sums of always those labels; of always the same probabilities nothing is ranked."""
    blocks = [*in_blocks(sample.target)]
    exact = resampler.sums(((0, (block == usual).all(axis=1)) for block in blocks), 1)
    wrong = resampler.sums(((0, (block != usual).mean(axis=1)) for block in blocks), 1)
    model: Resampled[SetSums] = measured.statistics[Statistic.SETS]
    return Resampled(
        model.whole._replace(exact=exact.whole[0], wrong=wrong.whole[0]),
        model.drawn._replace(exact=exact.drawn[:, 0], wrong=wrong.drawn[:, 0]),
    )


def _baseline(
    says: str,
    sums: Resampled[ClassCounts] | Resampled[SetSums] | Resampled[ErrorSums],
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
