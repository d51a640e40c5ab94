"""The linear model that a recipe's figures stand beside, on the same rows.

    python scripts/baseline.py twitter-flagship --data twitter_training.parquet \
        --test twitter_validation.parquet

TF-IDF of words and pairs of words with logistic regression, or ridge regression for scores, all as
scikit-learn has them: once on what the recipe reads, once on the text alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np

from scripts.training.corpus import Corpus, protocol_rows, read_corpus
from scripts.training.heads import head_of
from scripts.training.recipe import Recipe, read_recipe
from scripts.training.types import AnyArray

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("recipe")
@click.option("--data", required=True, type=_FILE, help="Rows to train on: CSV or Parquet.")
@click.option("--test", type=_FILE, help="Official test rows.")
def main(recipe: str, data: Path, test: Path | None) -> None:
    """Print the linear model's figure for each protocol of RECIPE, and on the test rows."""
    chosen = read_recipe(recipe)
    alone = chosen.model_copy(update={"data": chosen.data.model_copy(update={"template": None})})
    for name, each in {"what the recipe reads": chosen, "the text alone": alone}.items():
        corpus = read_corpus(each.data, data)
        for protocol in each.protocols:
            splits = [protocol_rows(corpus, protocol, each.seed, k) for k in range(protocol.parts)]
            parts = [_judged(each, corpus.take(kept), corpus.take(held)) for kept, held in splits]
            _say(each, f"{protocol.name}, {name}", parts)
        if test is not None:
            _say(each, f"test rows, {name}", [_judged(each, corpus, read_corpus(each.data, test))])
        if alone == chosen:
            break


def _judged(recipe: Recipe, train: Corpus, test: Corpus) -> AnyArray:
    """For each test row whether the answer is right, or by how much it is off."""
    labels = train.labels if head_of(recipe.task).standardised else train.labels.astype(str)
    model = _linear(recipe.task).fit(train.texts.to_pylist(), labels)
    answers: AnyArray = model.predict(test.texts.to_pylist())
    judged: AnyArray
    if head_of(recipe.task).standardised:
        judged = np.abs(answers - test.labels)
    else:
        judged = answers == test.labels.astype(str)
    return judged


def _linear(task: str) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    model = Ridge() if head_of(task).standardised else LogisticRegression(max_iter=1000)
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), model)


def _say(recipe: Recipe, where: str, parts: Sequence[AnyArray]) -> None:
    every = np.concatenate(parts)
    figure = head_of(recipe.task).score_name
    line = f"{where}: {figure} {every.mean():.4f} on {every.size:,} rows"
    if len(parts) > 1:
        line += f" ({', '.join(f'{part.mean():.4f}' for part in parts)})"
    click.echo(line)


if __name__ == "__main__":
    main()
