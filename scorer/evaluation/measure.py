"""Every figure of a sample, whatever its task."""

from __future__ import annotations

from scorer.evaluation.classification import measure_classification
from scorer.evaluation.metrics import Measured
from scorer.evaluation.regression import measure_regression
from scorer.evaluation.resample import Resampler
from scorer.evaluation.sample import Sample
from scorer.tasks import Truth


def measure(sample: Sample, resampler: Resampler) -> Measured:
    """Every figure of the sample's task. Needs at least one row."""
    if sample.problem.task.truth is Truth.NUMBER:
        return measure_regression(sample, resampler)
    return measure_classification(sample, resampler)
