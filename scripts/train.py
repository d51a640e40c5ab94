"""Trains a model of the zoo from its recipe and writes its bundle.

    python scripts/train.py imdb-bilstm --data imdb_train.parquet --test imdb_test.parquet
    python scripts/train.py wine-lstm --data wine_reviews.parquet
    python scripts/train.py imdb-cnn --data mine.csv --text-column body --label-column verdict

Checkpoints, learning curves and figures go to `runs/<name>/`; a run that was stopped goes on from
its last epoch. The bundle goes to `<zoo>/<name>/<version>/`.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click

from scripts.training.learner import Given
from scripts.training.recipe import read_recipe, recipe_names
from scripts.training.run import Job, run_job

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe")
@click.option(
    "--data",
    required=True,
    multiple=True,
    type=_FILE,
    help="Read training rows from this CSV or Parquet file; repeat for a recipe of more sets.",
)
@click.option("--test", type=_FILE, help="Evaluate the model once on these test rows at the end.")
@click.option("--vectors", type=_FILE, help="Start from these word vectors (.npz).")
@click.option("--start", type=_FILE, help="Start from this archive, for recipes that say so.")
@click.option("--soft", type=_FILE, help="Train on these `score --probabilities` rows too.")
@click.option("--text-column", help="Read texts from this column of your own file.")
@click.option("--label-column", help="Read labels from this column of your own file.")
@click.option("--runs", type=_FOLDER, default=Path("runs"), show_default=True)
@click.option("--zoo", type=_FOLDER, default=Path("zoo"), show_default=True)
def main(
    recipe: str,
    data: tuple[Path, ...],
    test: Path | None,
    vectors: Path | None,
    start: Path | None,
    soft: Path | None,
    text_column: str | None,
    label_column: str | None,
    runs: Path,
    zoo: Path,
) -> None:
    """Train RECIPE, one of scripts/recipes or the path of a TOML file, and write its bundle."""
    if (text_column is None) != (label_column is None):
        raise click.UsageError("--text-column and --label-column go together")
    try:
        chosen = read_recipe(recipe)
    except FileNotFoundError as error:
        raise click.UsageError(
            f"no recipe {recipe!r}; there are: {', '.join(recipe_names())}"
        ) from error
    columns = (text_column, label_column) if text_column and label_column else None
    given = Given(vectors, start)
    run_job(Job(chosen, data, test, given, columns, runs, zoo, soft), _say)


def _say(line: str) -> None:
    click.echo(f"{datetime.now():%H:%M:%S} {line}")


if __name__ == "__main__":
    main()
