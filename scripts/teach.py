"""Labels unlabelled film reviews by an ensemble of teachers, for recipes with `soft = true`.

    python scripts/teach.py --data imdb_train.parquet --unlabelled imdb_unsup.parquet

Three teachers learn from the training part alone (the recipes' own split by film): n-grams weighted
as naive Bayes does, and two that know the unlabelled texts too: document vectors, and a convolution
over vectors of regions. A logistic regression on the validation rows weighs their opinions. Then a
second convolution learns from their labels on all texts; it labels excerpts of the texts, and joins
the first teachers for whole ones. Beside the labels go vectors of words, made of the regions' own.
No test row is read. Vectors are learnt by threads that do not wait for each other, so that another
run differs a little.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click

from scripts.teacher.ensemble import read_reviews, teach

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", required=True, type=_FILE, help="Labelled reviews (training file).")
@click.option("--unlabelled", required=True, type=_FILE, help="Reviews to label.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/teacher"))
@click.option("--seed", default=7, show_default=True, help="The recipes' seed: the same split.")
def main(data: Path, unlabelled: Path, out: Path, seed: int) -> None:
    """Write OUT/soft.parquet, texts with a probability of "positive", and OUT/words.npz."""
    reviews = read_reviews(data, unlabelled, seed)
    out.mkdir(parents=True, exist_ok=True)
    teach(reviews, out, click.echo)


if __name__ == "__main__":
    main()
