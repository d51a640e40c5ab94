"""From what an `Evaluator` collected to the `Report`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scorer import __version__
from scorer.evaluation.drift.words import explained
from scorer.evaluation.evaluator import SHOWN_UNUSABLE, Collected, Evaluator, no_sense, refused
from scorer.evaluation.gates import Requirement, check_gates
from scorer.evaluation.labelled import LabelSource, LeftOut
from scorer.evaluation.result import (
    Comparison,
    Distributions,
    Method,
    Mistake,
    ModelReport,
    Report,
    Slice,
)
from scorer.evaluation.sections import curves
from scorer.evaluation.sections.advice import advise
from scorer.evaluation.sections.baseline import majority_baseline
from scorer.evaluation.sections.compare import compare, disagreement
from scorer.evaluation.sections.distributions import distributions, prediction_slice
from scorer.evaluation.sections.parts_of_sample import class_figures, figures, slice_section
from scorer.evaluation.sections.promises import check_promises
from scorer.evaluation.statistics.measure import Measured, measure
from scorer.evaluation.statistics.resample import GROUPS, LEVEL, REPLICATES, SEED, Resampler
from scorer.evaluation.statistics.sample import Sample
from scorer.evaluation.top import TEXT
from scorer.evaluation.why import why
from scorer.scores import Scores
from scorer.tasks import Statistic, Truth

FEW_ROWS = 100
MAX_CONFUSION = 60


def finish(
    evaluator: Evaluator, inputs: Sequence[str], requirements: Sequence[Requirement] = ()
) -> Report:
    """Compute everything. Raises ColumnError where labels were asked for and none can be used."""
    # What reading the tables has left free: else it would count on top of what is needed here.
    pa.default_memory_pool().release_unused()
    labels, warnings = _label_sources(evaluator)
    samples, rows = _samples(evaluator, labels)
    models = tuple(
        _model_report(evaluator, model, source, sample, rows_of)
        for model, source, sample, rows_of in zip(
            evaluator.models, labels, samples, rows, strict=True
        )
    )
    if any(0 < model.evaluated < FEW_ROWS for model in models):
        warnings.append(f"fewer than {FEW_ROWS} labelled rows: figures and intervals are rough")
    return Report(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        scorer=__version__,
        inputs=tuple(inputs),
        text_column=evaluator.text_column,
        rows=evaluator.rows,
        rejected=evaluator.rejected,
        labels=labels[0],
        id_column=evaluator.names.chosen() if any(labels) else None,
        method=Method(level=LEVEL, replicates=REPLICATES, groups=GROUPS, seed=SEED),
        models=models,
        comparison=_comparison(evaluator, labels),
        gates=check_gates(requirements, models),
        warnings=tuple(warnings),
    )


def _label_sources(evaluator: Evaluator) -> tuple[list[LabelSource | None], list[str]]:
    """How each model's labels were read, None where none is usable; and why none is.

    Raises ColumnError where labels were asked for and a model can use none.
    """
    sources, warnings = [], []
    for model in evaluator.models:
        source = evaluator.label_source(model.truth)
        if source is not None and not source.usable:
            values = list(source.unusable_values)
            if evaluator.request.asked:
                raise refused(evaluator, model.truth, values)
            if source.unusable:
                warnings.append(f"not evaluated: {no_sense(evaluator, model.truth, values)}")
            source = None
        sources.append(source)
    return sources, list(dict.fromkeys(warnings))


def _samples(
    evaluator: Evaluator, labels: Sequence[LabelSource | None]
) -> tuple[list[Sample | None], list[NDArray[np.bool_]]]:
    """For every model its labelled and scored rows, None if there are none, and which they are."""
    samples: list[Sample | None] = []
    rows: list[NDArray[np.bool_]] = []
    for model, source in zip(evaluator.models, labels, strict=True):
        if source is None:
            samples.append(None)
            rows.append(np.zeros(0, dtype=np.bool_))
            continue
        truth, outputs = model.truth.target(), model.all_outputs()
        found = model.truth.usable(truth) & np.isfinite(outputs[:, 0])
        own = Sample(model.subject.problem, truth[found], outputs[found])
        samples.append(own if len(own) else None)
        rows.append(found)
    return samples, rows


def _model_report(
    evaluator: Evaluator,
    model: Collected,
    source: LabelSource | None,
    sample: Sample | None,
    rows: NDArray[np.bool_],
) -> ModelReport:
    subject, problem = model.subject, model.subject.problem
    predictions = model.predictions.result()
    report = ModelReport(
        model=subject.ref,
        sha256=subject.sha256,
        task=problem.task,
        labels=problem.labels,
        threshold=problem.threshold if problem.task.takes_threshold else None,
        scored=model.scored,
        unscored=evaluator.rows - model.scored,
        evaluated=int(np.count_nonzero(rows)),
        predictions=predictions,
        distributions=_distributions(evaluator, model),
        label_source=source,
        left_out=_left_out(model) if source is not None else (),
        drift=explained(model.drift.result(), predictions, subject.card),
    )
    if sample is None:
        return report
    resampler = Resampler(len(sample))
    measured = measure(sample, resampler)
    promises = check_promises(measured, subject.card.figures)
    report = report.model_copy(
        update={
            "figures": figures(measured),
            "baseline": majority_baseline(sample, measured, resampler),
            "headlines": tuple(n for n in problem.task.headlines if n in measured.values),
            "scores": curves.score_histogram(sample),
            "slices": _slices(evaluator, model, sample, rows, resampler),
            "mistakes": _mistakes(evaluator, model),
            "promises": promises,
            "drift": explained(report.drift, predictions, subject.card, promises),
        }
    )
    return report.model_copy(update=_SECTIONS[problem.task.truth](sample, measured, resampler))


def _distributions(evaluator: Evaluator, model: Collected) -> Distributions | None:
    """Of the scored rows; by slice where no label column was read, so that no figures are."""
    if not model.scored:
        return None
    problem, slices = model.subject.problem, []
    if not evaluator.request.label_columns:
        outputs = model.all_outputs()
        scored = np.isfinite(outputs[:, 0])
        tokens, unknown = model.lengths.numbers()[scored], np.concatenate(model.unknown)[scored]
        kept = np.ones(len(tokens), dtype=np.bool_)
        scores = Scores(outputs[scored], tokens, unknown, ~kept, kept)
        columns = [*evaluator.slices.values(), model.lengths]
        slices = [prediction_slice(column.cut(scored), problem, scores) for column in columns]
    drift = model.drift
    return distributions(model.predictions, drift.row_tokens, drift.row_oov_share, problem, slices)


def _left_out(model: Collected) -> tuple[LeftOut, ...]:
    """What was predicted of scored rows without a usable label, by what their label says."""
    problem = model.subject.problem
    if problem.task.truth is not Truth.CLASS:
        return ()
    outputs = model.all_outputs()
    said = np.where(np.isfinite(outputs[:, 0]), problem.decide(outputs), -1)
    found = [
        LeftOut(
            value=value,
            rows=int(counts.sum()),
            predicted=dict(zip(problem.labels, counts.tolist(), strict=True)),
        )
        for value, counts in model.truth.left_out(said, problem.n_classes).items()
        if counts.any()
    ]
    return tuple(sorted(found, key=lambda item: -item.rows)[:SHOWN_UNUSABLE])


def _class_sections(sample: Sample, measured: Measured, resampler: Resampler) -> dict[str, Any]:
    cells = measured.statistics[Statistic.CONFUSION].whole.counts.astype(int).tolist()
    confusion = tuple(map(tuple, cells)) if len(cells) <= MAX_CONFUSION else ()
    return _label_sections(sample, measured) | {"confusion": confusion}


def _set_sections(sample: Sample, measured: Measured, resampler: Resampler) -> dict[str, Any]:
    by_label = curves.label_calibrations(sample, resampler)
    return _label_sections(sample, measured) | {"calibration_by_label": by_label}


def _label_sections(sample: Sample, measured: Measured) -> dict[str, Any]:
    """What models with labels have, whether the labels exclude each other or not."""
    roc, precision_recall = curves.ranking_curves(sample)
    advice = advise(sample) if sample.problem.task.takes_threshold else ()
    counts = measured.statistics[Statistic.BY_LABEL]
    return {
        "classes": class_figures(sample.problem.labels, counts),
        "roc": roc,
        "precision_recall": precision_recall,
        "calibration": curves.calibration(measured.statistics[Statistic.CALIBRATION]),
        "thresholds": (
            curves.thresholds(sample, advice) if sample.problem.task.takes_threshold else ()
        ),
        "threshold_advice": advice,
    }


def _error_sections(sample: Sample, measured: Measured, resampler: Resampler) -> dict[str, Any]:
    return {"residuals": curves.residuals(sample)}


_SECTIONS: dict[Truth, Callable[[Sample, Measured, Resampler], dict[str, Any]]] = {
    Truth.CLASS: _class_sections,
    Truth.SET: _set_sections,
    Truth.NUMBER: _error_sections,
}


def _slices(
    evaluator: Evaluator,
    model: Collected,
    sample: Sample,
    rows: NDArray[np.bool_],
    resampler: Resampler,
) -> tuple[Slice, ...]:
    columns = [*evaluator.slices.values(), model.lengths]
    return tuple(slice_section(sample, column.cut(rows), resampler) for column in columns)


def _mistakes(evaluator: Evaluator, model: Collected) -> tuple[Mistake, ...]:
    """The largest mistakes, now that it is known what every label value means."""
    problem = model.subject.problem
    at = evaluator.models.index(model)
    best = model.mistakes.best(model.truth.mistake_groups())
    reasons = why(model.subject.explain, [kept.given for _, _, kept in best], TEXT)
    id_column = evaluator.names.chosen() or ""
    return tuple(
        Mistake(
            row=kept.row,
            id=kept.names.get(id_column),
            text=kept.text,
            truth=model.truth.shown(problem, group, kept),
            predicted=problem.task.in_words(problem, kept.outputs[at]),
            size=round(size, 6),
            why=reason,
        )
        for (size, group, kept), reason in zip(best, reasons, strict=True)
    )


def _comparison(evaluator: Evaluator, labels: Sequence[LabelSource | None]) -> Comparison | None:
    """On the rows that every model scored; None for a single model or without labels."""
    if len(evaluator.models) < 2 or None in labels:
        return None
    shared = evaluator.shared
    truths = [model.truth.target() for model in evaluator.models]
    both = np.ones(evaluator.rows, dtype=np.bool_)
    for model, truth in zip(evaluator.models, truths, strict=True):
        both &= model.truth.usable(truth) & np.isfinite(model.all_outputs()[:, 0])
    if not shared.same:
        targets = [shared.target(at, truth) for at, truth in enumerate(truths)]
        for target in targets:
            both &= (target == targets[0]) & (target < len(shared.names))
    if not both.any():
        return None
    problems = [model.subject.problem for model in evaluator.models]
    id_column = evaluator.names.chosen() or ""
    kept = [
        disagreement(row, size, problems, row.names.get(id_column))
        for size, _, row in evaluator.differing.best(["spread"])
    ]
    samples = {}
    for at, (model, truth) in enumerate(zip(evaluator.models, truths, strict=True)):
        own = Sample(model.subject.problem, truth[both], model.all_outputs()[both])
        if not shared.same:
            own = shared.sample(at, own, targets[0][both])
        samples[model.subject.ref] = own
    return compare(samples, kept, () if shared.same else shared.names)
