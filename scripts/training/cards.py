"""Writes a bundle's card: the promises that the tool holds it to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import scorer
from scorer.bundle import read_bundle
from scorer.card import (
    Card,
    Golden,
    Label,
    ProfileHistogram,
    PromisedFigure,
    ScorerCard,
    TrainedPart,
    Training,
    TrainingProfile,
)
from scorer.card.out_of_domain import DomainFigures
from scorer.evaluation.statistics.sample import Sample
from scorer.tasks import Problem, task_named
from scripts.training.bodies import card_body, model_index
from scripts.training.corpus import Corpus
from scripts.training.datasets import DATASETS, USES, DataSet
from scripts.training.export import predict_alone
from scripts.training.fit import best_epoch
from scripts.training.heads import head_of
from scripts.training.learner import Trained
from scripts.training.measuring import measured
from scripts.training.recipe import Recipe
from scripts.training.types import AnyArray

_BINS = 10


@dataclass(frozen=True)
class Measured:
    """What figures are measured on, in words, and what they stand beside."""

    data: str
    source: float | None = None
    baseline: float | None = None
    note: str = ""
    metrics: tuple[str, ...] = ()  # none: those of the task's cards


@dataclass(frozen=True)
class Found:
    """What was measured of a model: the promised figures, and those of each domain."""

    figures: list[PromisedFigure]
    by_domain: tuple[DomainFigures, ...] = ()


def sampled(trained: Trained, corpus: Corpus) -> Sample:
    """What the model says of the rows that have words, and the truth."""
    recipe, labels = trained.parts.recipe, trained.parts.labels
    outputs, tokens = trained.outputs(corpus.texts)
    scored = tokens.n_tokens > 0
    head = head_of(recipe.task)
    target = head.truth(corpus.labels[scored], labels)
    return Sample(Problem(head.task, labels), target, outputs[scored])


def figures(samples: Sequence[Sample], on: Measured) -> list[PromisedFigure]:
    """The figures of a task's kind with 95% bootstrap intervals, of all samples as one; the first
    is the headline."""
    sample = Sample(
        samples[0].problem,
        np.concatenate([each.target for each in samples]),
        np.concatenate([each.output for each in samples]),
    )
    made, majority = measured(sample, on.metrics or sample.problem.task.card_figures)
    beside: dict[str, Any] = {"source": on.source, "baseline": on.baseline}
    found = []
    for figure in made:
        beside["majority_baseline"] = majority.get(figure.metric)
        fields = {**figure.model_dump(), "data": on.data, "rows": len(sample), "note": on.note}
        found.append(PromisedFigure.model_validate(fields | beside))
        beside = {}  # the headline's alone
    return found


def training_profile(trained: Trained) -> TrainingProfile:
    """Histograms for drift: lengths and unknown words of the training rows, and the scores of the
    validation rows, since a model is surer of its training rows than of any others."""
    parts = trained.parts
    tokens = trained.learnt[0].vocabulary.tokenize(parts.train.texts)
    scored = tokens.n_tokens > 0
    lengths = tokens.n_tokens[scored]
    outputs, held = trained.judged.outputs(parts.validation.texts)
    return TrainingProfile(
        rows=int(scored.sum()),
        tokens=_histogram(lengths),
        oov_share=_histogram(tokens.n_oov[scored] / lengths),
        score=_histogram(task_named(parts.recipe.task).profile_score(outputs[held.n_tokens > 0])),
    )


def _histogram(values: AnyArray) -> ProfileHistogram:
    """Bins of about equal counts, so that each has enough rows to compare."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]).round(4))
    edges = edges[edges > values.min()]
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1)
    return ProfileHistogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def golden_rows(trained: Trained, model: Any, texts: tuple[str, ...]) -> tuple[Golden, ...]:
    """Plain Keras' outputs, each text alone; none where a text has no tokens."""
    tokens = trained.learnt[0].vocabulary.tokenize(pa.array(texts, pa.large_string()))
    known = [text for text, n in zip(texts, tokens.n_tokens, strict=True) if n]
    outputs = dict(zip(known, predict_alone(model, known), strict=True))
    return tuple(
        Golden(text=text, output=tuple(outputs[text].tolist()) if text in outputs else None)
        for text in texts
    )


def write_card(
    trained: Trained, model: Any, archive: Path, found: Found, *, own_data: bool
) -> Card:
    """The whole card. With `own_data` it does not speak of the published data set."""
    recipe = trained.parts.recipe
    data = DATASETS[recipe.data.set]
    use = {} if own_data else USES.get(recipe.name, {})
    made = ScorerCard.model_validate(
        {
            "schema": 1,
            "name": recipe.name,
            "version": recipe.version,
            "task": recipe.task,
            "labels": _labels(trained, data),
            "text_columns": data.text_columns,
            "text_template": recipe.data.template,
            "label_columns": data.label_columns,
            "figures": found.figures,
            "by_domain": found.by_domain,
            "golden": golden_rows(trained, model, data.golden),
            "reference": training_profile(trained),
            "training": training_record(trained, own_data=own_data),
            **use,
        }
    )
    fields: dict[str, Any] = {
        "license": "other" if own_data else data.model_licence,
        "language": ["en"],
        "library_name": "keras",
        "pipeline_tag": "text-classification",
        "tags": ["scorer", recipe.task, *_kinds(recipe)],
        "datasets": [] if own_data else list(data.hub),
        "model-index": [model_index(recipe, found.figures)],
        "scorer": made,
        "body": card_body(recipe, made, read_bundle(archive), own_data=own_data),
    }
    return Card.model_validate({k: v for k, v in fields.items() if v != []})


def training_record(trained: Trained, *, own_data: bool) -> Training:
    """What trained the weights, as the card keeps it."""
    parts, recipe = trained.parts, trained.parts.recipe
    best = [learnt.curve[best_epoch(learnt.curve) - 1] for learnt in trained.learnt]
    networks = [] if recipe.training.optimizer == "lbfgs" else [
        TrainedPart(
            epoch=epoch.epoch,
            validation_loss=round(epoch.loss, 4),
            vectors_found=None if learnt.vectors_found is None else round(learnt.vectors_found, 4),
        )
        for learnt, epoch in zip(trained.learnt, best, strict=True)
    ]  # fmt: skip
    return Training(
        recipe=f"scripts/recipes/{recipe.name}.toml",
        seed=recipe.seed,
        data="the user's own data" if own_data else DATASETS[recipe.data.set].title,
        rows=len(trained.judged.parts.train),
        validation_rows=len(parts.validation),
        taught_rows=len(parts.soft) if parts.soft is not None else 0,
        release=scorer.__version__,
        networks=tuple(networks),
    )


def _labels(trained: Trained, data: DataSet) -> tuple[Label, ...]:
    names = trained.parts.labels
    if names == tuple(label.name for label in data.labels):
        return data.labels
    return tuple(Label(name=name) for name in names)


def _kinds(recipe: Recipe) -> list[str]:
    tags = {"LSTM": "lstm", "Bidirectional": "bilstm", "Conv1D": "cnn"}
    specs = [spec for network in recipe.networks for spec in network.layers]
    kinds = sorted({tags[spec.kind] for spec in specs if spec.kind in tags}) or ["bag-of-words"]
    return kinds + (["wide-and-deep"] if recipe.wide else [])
