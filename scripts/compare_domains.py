"""Models of the zoo beside two baselines, on the held-out rows of each domain of a recipe.

    python scripts/compare_domains.py reviews-flagship --data reviews_general.parquet \
        --data imdb_train.parquet --model reviews-flagship --model imdb-flagship

The baselines are TF-IDF of words and pairs of words with logistic regression (scikit-learn, C = 4,
trained on the recipe's own training rows) and, where `vaderSentiment` is installed, VADER (Hutto
and Gilbert 2014). Prints one Markdown table: macro F1 of two classes, macro recall of three.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import pyarrow as pa
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.pipeline import make_pipeline

from scorer.model import load_model
from scripts.training.corpus import Corpus, read_corpus, split_test
from scripts.training.recipe import read_recipe
from scripts.training.types import AnyArray

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
Predict = Callable[[pa.Array], AnyArray]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe")
@click.option("--data", required=True, multiple=True, type=_FILE, help="Read the recipe's files.")
@click.option("--model", "models", multiple=True, help="Compare this model; repeat for more.")
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), default=Path("zoo"))
def main(recipe: str, data: tuple[Path, ...], models: tuple[str, ...], zoo: Path) -> None:
    """Print the table of RECIPE's domains."""
    chosen = read_recipe(recipe)
    train, held = split_test(read_corpus(chosen.data, data), chosen)
    names = sorted({str(label).lower() for label in train.labels})
    compared: dict[str, Predict] = {name: _model(name, zoo) for name in models}
    compared["TF-IDF + LR"] = _linear(train)
    compared |= dict(_vader(names))
    given = {name: predict(held.texts) for name, predict in compared.items()}
    for line in _table(held, given, len(names)):
        click.echo(line)


def _model(name: str, zoo: Path) -> Predict:
    model = load_model(name, zoos=[zoo])
    problem = model.card.scorer.problem()
    labels = np.array([label.lower() for label in problem.labels])

    def predict(texts: pa.Array) -> AnyArray:
        outputs = np.nan_to_num(model.score(texts).outputs, nan=1 / len(labels))
        found: AnyArray = labels[problem.decide(outputs)]
        return found

    return predict


def _linear(train: Corpus) -> Predict:
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    linear = make_pipeline(words, LogisticRegression(C=4, max_iter=300))
    linear.fit(train.texts.to_pylist(), train.labels.astype(str))
    return lambda texts: np.asarray(linear.predict(texts.to_pylist()))


def _vader(names: list[str]) -> Iterator[tuple[str, Predict]]:
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ImportError:
        click.echo("VADER is left out: pip install vaderSentiment", err=True)
        return
    analyzer: Any = SentimentIntensityAnalyzer()
    bound = 0.05 if "neutral" in names else 0.0

    def label(text: str) -> str:
        score = analyzer.polarity_scores(text)["compound"]
        if bound and abs(score) < bound:
            return "neutral"
        return "positive" if score >= bound else "negative"

    yield "VADER", lambda texts: np.array([label(text) for text in texts.to_pylist()])


def _table(held: Corpus, given: dict[str, AnyArray], classes: int) -> Iterator[str]:
    truth = np.array([str(label).lower() for label in held.labels])
    domains = held.columns["domain"].astype(str)
    yield f"| domain | rows | majority | {' | '.join(given)} |"
    yield "|---|---|---|" + "---|" * len(given)
    for domain in [*np.unique(domains), "all"]:
        rows = np.ones(truth.size, np.bool_) if domain == "all" else domains == domain
        counts = np.unique(truth[rows], return_counts=True)[1]
        values = (_figure(truth[rows], found[rows], classes) for found in given.values())
        shown = " | ".join(f"{value:.3f}" for value in values)
        yield f"| {domain} | {rows.sum():,} | {counts.max() / counts.sum():.3f} | {shown} |"


def _figure(truth: AnyArray, found: AnyArray, classes: int) -> float:
    here = np.unique(truth)
    if classes == 2:
        return float(f1_score(truth, found, average="macro", labels=here))
    return float(recall_score(truth, found, average="macro", labels=here))


if __name__ == "__main__":
    main()
