"""Labels unlabelled film reviews by an ensemble of teachers, for recipes with `soft = true`.

    python scripts/teach.py --data imdb_train.parquet --unlabelled imdb_unsup.parquet

Three kinds of teachers learn from the training part alone (the recipes' own split by film): n-grams
weighted as naive Bayes does, document vectors that are learnt on the unlabelled texts too, and the
zoo's networks. A logistic regression on the validation rows weighs their opinions. No test row is
read. Document vectors are learnt by threads that do not wait for each other, so that another run
differs a little.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from sklearn.linear_model import LogisticRegression

import scorer
from scripts.teacher.bayes import fit_naive_bayes
from scripts.teacher.documents import DocumentVectors, learn_documents
from scripts.teacher.grams import count_grams
from scripts.training.corpus import Corpus, hold_out, read_corpus
from scripts.training.learner import class_codes
from scripts.training.recipe import Data
from scripts.training.types import AnyArray, Ints

NETWORKS = ("imdb-bilstm", "imdb-bilstm-glove", "imdb-cnn", "imdb-deep-bilstm", "imdb-lstm-small")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", required=True, type=_FILE, help="Labelled reviews (training file).")
@click.option("--unlabelled", required=True, type=_FILE, help="Reviews to label.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/teacher/soft.parquet"))
@click.option("--seed", default=7, show_default=True, help="The recipes' seed: the same split.")
@click.option("--width", default=256, show_default=True, help="Of the document vectors.")
@click.option("--epochs", default=11, show_default=True, help="Of the document vectors.")
def main(data: Path, unlabelled: Path, out: Path, seed: int, width: int, epochs: int) -> None:
    """Write the unlabelled texts with the teachers' probability of the last label."""
    corpus = read_corpus(Data(set="imdb", split_by="film"), data)
    kept, held = hold_out(len(corpus), corpus.columns["film"], 0.1, (seed, 0))
    codes = class_codes(corpus.labels, tuple(sorted(set(corpus.labels.tolist()))))
    texts = pyarrow.parquet.read_table(unlabelled)["text"].combine_chunks()
    settings = DocumentVectors(width=width, epochs=epochs)
    opinions = _opinions(corpus, texts, codes, kept, settings)
    for name, logits in opinions.items():
        right = (logits[held] > 0) == codes[held]
        click.echo(f"{name}: accuracy {right.mean():.4f} on {held.size:,} validation rows")
    columns = np.stack([logits / logits[held].std() for logits in opinions.values()], axis=1)
    judge = LogisticRegression().fit(columns[held], codes[held])
    click.echo(f"weights {judge.coef_[0].round(2)}: {judge.score(columns[held], codes[held]):.4f}")
    probability = judge.predict_proba(columns[len(corpus) :])[:, 1]
    out.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"text": texts, "probability": probability})
    pyarrow.parquet.write_table(table, out)
    click.echo(f"{out}: {len(texts):,} texts, {np.mean(probability > 0.5):.3f} of them positive")


def _opinions(
    corpus: Corpus, unlabelled: pa.Array, codes: AnyArray, kept: Ints, settings: DocumentVectors
) -> dict[str, AnyArray]:
    """Each teacher's logits for all labelled, then all unlabelled texts."""
    texts = [*corpus.texts.to_pylist(), *unlabelled.to_pylist()]
    counts = count_grams(texts)
    found = {"n-grams": fit_naive_bayes(counts, kept, codes[kept])}
    vectors = learn_documents(counts, settings, click.echo)
    reader = LogisticRegression(max_iter=300).fit(vectors[kept], codes[kept])
    found["document vectors"] = reader.decision_function(vectors)
    found["networks"] = np.mean([_network(name, texts) for name in NETWORKS], axis=0)
    return found


def _network(name: str, texts: list[str]) -> AnyArray:
    options = scorer.OutputOptions(probabilities=True)
    table = scorer.load(name).predict(texts, options=options, threads=2)
    p = np.clip(table["probability_positive"].fill_null(0.5).to_numpy(), 1e-4, 1 - 1e-4)
    logits: AnyArray = np.log(p / (1 - p))
    return logits


if __name__ == "__main__":
    main()
