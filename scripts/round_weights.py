"""Rounds the weights of shipped bundles to 11 mantissa bits, deflates them, renews golden rows.

    python scripts/round_weights.py imdb-bilstm imdb-cnn --texts imdb_test.parquet
    python scripts/round_weights.py --all --texts imdb_test.parquet --write

Prints each archive's size before and after, and how far the outputs move on the texts. A model that
scripts/training/archive.py wrote stays as it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scorer.bundle import read_bundle
from scorer.engines import load_engine
from scorer.vectorizer import Vectorizer
from scorer.zoo import Entry, list_models, write_index
from scripts.training.archive import save_archive
from scripts.training.bodies import rewrite_card
from scripts.training.export import predict_alone
from scripts.training.types import Floats


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Take every model of the zoo.")
@click.option("--texts", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rows", default=2000, show_default=True, help="Compare on so many texts.")
@click.option("--zoo", type=click.Path(exists=True, path_type=Path), default=Path("zoo"))
@click.option("--write", is_flag=True, help="Replace the archives, the golden rows, the index.")
def main(
    names: tuple[str, ...], every: bool, texts: Path, rows: int, zoo: Path, write: bool
) -> None:
    """Round and deflate the models NAMES."""
    column = pq.read_table(texts, columns=["text"])["text"].combine_chunks()[:rows]
    for entry in [e for e in list_models([zoo]) if e.zoo == zoo]:
        if every or entry.card.scorer.name in names:
            _round(entry, column.cast(pa.large_string()), write)
    if write:
        write_index(zoo)


def _round(entry: Entry, texts: pa.Array, write: bool) -> None:
    model: Any = keras.saving.load_model(entry.model_path, compile=False)
    before = entry.model_path.stat().st_size
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        save_archive(model, path)
        old, new = _outputs(entry.model_path, texts), _outputs(path, texts)
        moved = np.abs(old - new)
        click.echo(
            f"{entry.card.scorer.name}: {before / 1e6:.1f} -> {path.stat().st_size / 1e6:.1f} MB, "
            f"outputs move by {moved.max():.1e} at most, {moved.mean():.1e} on average"
        )
        if write:
            entry.model_path.write_bytes(path.read_bytes())
            _renew(entry, model)


def _outputs(path: Path, texts: pa.Array) -> Floats:
    bundle = read_bundle(path)
    return load_engine(bundle).run(*(Vectorizer(spec)(texts) for spec in bundle.vectorizers))


def _renew(entry: Entry, model: Any) -> None:
    rows = entry.card.scorer.golden
    known = [row.text for row in rows if row.output is not None]
    outputs = dict(zip(known, predict_alone(model, known), strict=True))
    golden = tuple(
        row.model_copy(update={"output": tuple(outputs[row.text].tolist())})
        if row.text in outputs
        else row
        for row in rows
    )
    rewrite_card(entry, golden=golden)


if __name__ == "__main__":
    main()
