"""Measures every model of the zoo on the data sets that it was not trained on; tells the cards.

    python scripts/out_of_domain.py data/ --write
    python scripts/out_of_domain.py data/ --model imdb-flagship

`data/` holds the Parquet files that scripts/training/domains.py names. Models that score wines are
left out: no other wine notes are at hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.card.out_of_domain import OutOfDomain, StabilityIndexes
from scorer.evaluation.drift.histograms import DriftCounter
from scorer.evaluation.statistics.sample import Sample
from scorer.model import Model, load_model
from scorer.scores import Scores
from scorer.tasks import Problem
from scorer.zoo import list_models, write_index
from scripts.training.bodies import rewrite_card
from scripts.training.domains import DomainSet, Sets, outside
from scripts.training.measuring import DOMAIN_FIGURES, measured
from scripts.training.recipe import read_recipe
from scripts.training.types import AnyArray

_NO_NEUTRAL = "These rows are negative or positive; the prediction neutral counts as an error."


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", "only", multiple=True, help="Measure this model only; repeat for more.")
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), default=Path("zoo"))
@click.option("--rows", default=1500, show_default=True, help="Read at most so many of each set.")
@click.option("--write", is_flag=True, help="Write the figures into the cards and the index.")
def main(folder: Path, only: tuple[str, ...], zoo: Path, rows: int, write: bool) -> None:
    """Measure the models of the zoo on the Parquet files in FOLDER."""
    entries = [e for e in list_models([zoo]) if e.zoo == zoo]
    for entry in tqdm(entries, unit="model", disable=None):
        name = entry.card.scorer.name
        if not entry.card.scorer.labels or (only and name not in only):
            continue
        model = load_model(name, zoos=[zoo])
        sets = outside(trained_on(name))
        found = tuple(out_of_domain(model, each, folder, rows) for each in sets)
        for one in found:
            figures = ", ".join(f"{f.metric} {f.value:.3f}" for f in one.figures)
            click.echo(f"{name}: {one.data}: {figures}, majority {one.majority_baseline}")
        if write:
            rewrite_card(entry, out_of_domain=found)
    if write:
        write_index(zoo)


def trained_on(name: str) -> Sets:
    data = read_recipe(name).data
    return frozenset((data.set, *data.also))


def out_of_domain(model: Model, data: DomainSet, folder: Path, most: int) -> OutOfDomain:
    """The model's figures on one set, and how its texts differ from the training data."""
    card = model.card.scorer
    problem = card.problem()
    texts, labels = data.read(folder, most)
    known = np.isin(labels, [label.lower() for label in problem.labels])
    texts, labels = texts.filter(pa.array(known)), labels[known]
    if card.composition is not None:
        texts = card.composition(texts, pa.table({"text": texts}))
    scores = model.score(texts)
    drift = DriftCounter(problem, card.training_profile)
    drift.add(scores)
    return _entry(problem, data, scores, labels, drift)


def _entry(
    problem: Problem, data: DomainSet, scores: Scores, labels: AnyArray, drift: DriftCounter
) -> OutOfDomain:
    scored = scores.scored
    every = len(np.unique(labels)) == len(problem.labels)
    names = DOMAIN_FIGURES if every else DOMAIN_FIGURES[:1]
    codes = {label.lower(): code for code, label in enumerate(problem.labels)}
    target = np.array([codes[label] for label in labels[scored].tolist()], np.int16)
    figures, majority = measured(Sample(problem, target, scores.outputs[scored]), names)
    tokens = scores.n_tokens[scored]
    found = drift.result()
    parts = {part.name: round(part.psi, 3) for part in found.parts} if found else {}
    return OutOfDomain(
        data=data.name,
        texts=data.texts,
        rows=int(scored.sum()),
        figures=figures,
        majority_baseline=majority.get(DOMAIN_FIGURES[0]),
        median_tokens=float(np.median(tokens)),
        median_oov_share=round(float(np.median(scores.n_oov[scored] / tokens)), 4),
        psi=StabilityIndexes(**parts) if parts else None,
        note="" if every else _NO_NEUTRAL,
    )


if __name__ == "__main__":
    main()
