"""A whole training: the protocols' figures, then the model that ships, its test, its bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scorer.card import PromisedFigure, render_card
from scorer.card.out_of_domain import DomainFigures
from scorer.evaluation.statistics.sample import Sample
from scorer.zoo import CARD_FILE, MODEL_FILE, write_index
from scripts.training.cards import Found, Measured, figures, sampled, write_card
from scripts.training.corpus import (
    Corpus,
    describe,
    protocol_rows,
    read_corpus,
    read_test,
    split_test,
)
from scripts.training.datasets import DATASETS
from scripts.training.export import save_model
from scripts.training.fit import Log
from scripts.training.learner import Given, Trained, train
from scripts.training.measuring import CLASS_FIGURES, DOMAIN_FIGURES, measured
from scripts.training.plots import plot_curves
from scripts.training.recipe import Protocol, Recipe


@dataclass(frozen=True)
class Job:
    """What to train, on which files, and where the results go. columns: (text, label)."""

    recipe: Recipe
    data: tuple[Path, ...]
    test: Path | None
    given: Given
    columns: tuple[str, str] | None
    runs: Path
    zoo: Path
    soft: Path | None = None


def run_job(job: Job, log: Log) -> list[PromisedFigure]:
    """Trains, measures, and writes the bundle. Returns the card's figures, headline first."""
    recipe = _adapted(job)
    if recipe.start != (job.given.archive is not None):
        verb = "starts" if recipe.start else "does not start"
        raise ValueError(f"{recipe.name} {verb} from a bundle's network: see --start")
    corpus = read_corpus(recipe.data, job.data, job.columns)
    log(f"{recipe.name}: {describe(corpus)}")
    soft = _read_soft(job, log)
    corpus, held = split_test(corpus, recipe)
    without = [_run_protocol(job, recipe, each, corpus, log) for each in recipe.protocols]
    folder = job.runs / recipe.name / "shipped"
    trained = train(recipe, corpus, job.given, folder, log, soft)
    plot_curves(trained.learnt, folder / "curve.png")
    made = _held_out(trained, held) + _official(job, recipe, trained)
    protocols = [figure for each in without for figure in each.figures]
    made = [*made, *protocols] if len(held) else [*protocols, *made]
    made += _validation(trained)
    domains = [domain for each in without for domain in each.by_domain]
    found = Found(made, (*_by_domain(trained, held, log), *domains))
    for f in made:
        log(f"{f.metric} {f.value:.4f} ({f.low} to {f.high}) on {f.rows:,} rows: {f.data}")
    summary = [f.model_dump(mode="json", exclude_none=True) for f in made]
    (job.runs / recipe.name / "figures.json").write_text(json.dumps(summary, indent=1) + "\n")
    if recipe.bundle:
        write_bundle(job, recipe, trained, found)
    return made


def _read_soft(job: Job, log: Log) -> Corpus | None:
    """Texts with a bundle's probability of the second label, as `score --probabilities` writes
    them; so many of them as the recipe takes, drawn at random."""
    data = job.recipe.data
    if not data.soft:
        return None
    if job.soft is None:
        raise ValueError(f"{job.recipe.name} trains on a model's probabilities too: give --soft")
    soft = read_corpus(data, job.soft, ("text", "probability_positive"))
    rows = np.random.default_rng([job.recipe.seed, 6]).permutation(len(soft))[: data.soft]
    log(f"{rows.size:,} texts with a model's probabilities")
    return soft.take(np.sort(rows))


def _adapted(job: Job) -> Recipe:
    """A user's own file has no published groups, protocols or sources to compare with."""
    if job.columns is None:
        return job.recipe
    data = job.recipe.data.model_copy(update={"split_by": None, "unmeasured": ()})
    return job.recipe.model_copy(update={"data": data, "protocols": ()})


def _run_protocol(job: Job, recipe: Recipe, protocol: Protocol, corpus: Corpus, log: Log) -> Found:
    """Trains the recipe without a test part and measures it there; likewise for further parts."""
    metrics = CLASS_FIGURES if protocol.domains else ()
    on = Measured(protocol.data, protocol.source, protocol.baseline, protocol.note, metrics)
    samples: list[Sample] = []
    by_domain: list[DomainFigures] = []
    for part in range(protocol.parts):
        log(f"protocol {protocol.name}, part {part + 1} of {protocol.parts}")
        trained, held = _trained_without(job, recipe, protocol, corpus, part, log)
        samples.append(sampled(trained, held))
        if protocol.domains:
            by_domain += _by_domain(trained, held, log, ", left out of training")
        if protocol.parts > 1:
            first = figures(samples[-1:], on)[0]
            log(f"{first.metric} {first.value:.4f} on {first.rows:,} rows")
    return Found(figures(samples, on), tuple(by_domain))


def _trained_without(
    job: Job, recipe: Recipe, protocol: Protocol, corpus: Corpus, part: int, log: Log
) -> tuple[Trained, Corpus]:
    """A model trained without a part of the rows, and that part."""
    kept, held = protocol_rows(corpus, protocol, recipe.seed, part)
    by = recipe.data.split_by if protocol.domains else protocol.split_by
    data = recipe.data.model_copy(update={"split_by": by})
    changed = recipe.model_copy(update={"data": data})
    folder = job.runs / recipe.name / protocol.name / str(part + 1)
    trained = train(changed, corpus.take(kept), job.given, folder, log)
    plot_curves(trained.learnt, folder / "curve.png")
    return trained, corpus.take(held)


def _held_out(trained: Trained, held: Corpus) -> list[PromisedFigure]:
    """Of the rows that nothing was trained or chosen on."""
    on = Measured("held-out rows", metrics=CLASS_FIGURES)
    return figures([sampled(trained, held)], on) if len(held) else []


def _by_domain(
    trained: Trained, held: Corpus, log: Log, note: str = ""
) -> tuple[DomainFigures, ...]:
    """The figures of the held-out rows of each domain."""
    if not len(held) or "domain" not in held.columns:
        return ()
    found = []
    for domain in np.unique(held.columns["domain"]):
        rows = held.take(np.flatnonzero(held.columns["domain"] == domain))
        sample = sampled(trained, rows)
        made, baseline = measured(sample, DOMAIN_FIGURES)
        majority = baseline.get(DOMAIN_FIGURES[0])
        found.append(
            DomainFigures(
                data=f"{domain}{note}", rows=len(sample), figures=made, majority_baseline=majority
            )
        )
        log(f"{domain}: majority {majority}, " + ", ".join(f"{f.metric} {f.value}" for f in made))
    return tuple(found)


def _official(job: Job, recipe: Recipe, trained: Trained) -> list[PromisedFigure]:
    if job.test is None:
        return []
    corpus = read_test(recipe.data, job.test, job.columns)
    own = job.columns is not None
    test_set = recipe.data.test_set or recipe.data.set
    data = "the user's test rows" if own else DATASETS[test_set].test
    source, baseline = (None, None) if own else (recipe.source.figure, recipe.source.baseline)
    return figures([sampled(trained, corpus)], Measured(data, source, baseline))


def _validation(trained: Trained) -> list[PromisedFigure]:
    split = trained.parts.recipe.data
    by = split.split_by
    data = f"validation rows, split by {by}" if by else "validation rows, drawn at random"
    if split.met:
        data += ", with others drawn at random"
    note = (
        "The validation rows are also used for model selection, so their figure is slightly "
        "optimistic."
    )
    if split.refit:
        note += " The last training includes them: the figure is that of the model before it."
    sample = sampled(trained.judged, trained.parts.validation)
    return figures([sample], Measured(data, note=note))[:1]


def write_bundle(job: Job, recipe: Recipe, trained: Trained, found: Found) -> Path:
    """`<zoo>/<name>/<version>/` with model and card, and the zoo's index brought up to date."""
    folder = job.zoo / recipe.name / recipe.version
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / MODEL_FILE
    texts = DATASETS[recipe.data.set].golden
    model = save_model(trained, archive, texts)
    card = write_card(trained, model, archive, found, own_data=job.columns is not None)
    (folder / CARD_FILE).write_text(render_card(card), encoding="utf-8")
    write_index(job.zoo)
    return folder
