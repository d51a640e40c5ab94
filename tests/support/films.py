"""A small training: a recipe, a table of films to train on, and where the run's files go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from scripts.training.learner import Given
from scripts.training.recipe import Recipe
from scripts.training.run import Job

GOOD = ("lovely", "superb", "warm", "moving")
BAD = ("dull", "awful", "boring", "clumsy")
NEUTRAL = ("the", "film", "a", "story", "with", "its", "scenes", "and", "music", "was", "rather")


def recipe(layers: list[dict[str, Any]], **changes: Any) -> Recipe:
    """A small recipe; nested tables are given whole."""
    fields: dict[str, Any] = {
        "name": "tiny-film",
        "task": "binary",
        "summary": "A tiny model for tests.",
        "source": {"notebook": "none", "said": "none"},
        "data": {"set": "imdb", "split_by": "film", "validation": 0.25},
        "vectorizer": {"max_tokens": 40},
        "layers": layers,
        "training": {"batch_size": 8, "epochs": 4, "learning_rate": 0.02, "weight_decay": 0.01},
    }
    return Recipe.model_validate({**fields, **changes})


SIGMOID = {"kind": "Dense", "units": 1, "activation": "sigmoid"}
LSTM = {"kind": "LSTM", "units": 4}
SMALL = [
    {"kind": "Embedding", "output_dim": 6, "mask_zero": True},
    {"kind": "SpatialDropout1D", "rate": 0.1},
    {"kind": "Bidirectional", "layer": LSTM},
    {"kind": "Dropout", "rate": 0.1},
    SIGMOID,
]
#: without an LSTM, which takes seconds to compile
POOLED = [
    {"kind": "Embedding", "output_dim": 5, "mask_zero": True},
    {"kind": "SpatialDropout1D", "rate": 0.1},
    {"kind": "GlobalAveragePooling1D"},
    {"kind": "Dropout", "rate": 0.1},
    SIGMOID,
]


def film_table(rows: int = 96) -> pa.Table:
    """Sentences whose one strong word decides the label; four of them share each film.

    They are padded to one width, since Keras compiles every width.
    """
    rng = np.random.default_rng(3)
    texts, labels = [], []
    for n in range(rows):
        words = rng.choice(NEUTRAL, rng.integers(2, 8)).tolist()
        words.insert(int(rng.integers(len(words))), str(rng.choice(GOOD if n % 2 else BAD)))
        texts.append(" ".join(words))
        labels.append("positive" if n % 2 else "negative")
    films = [f"film {n // 4}" for n in range(rows)]
    return pa.table({"text": texts, "sentiment": labels, "film": films})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The file of `film_table`."""
    path = tmp_path / "films.parquet"
    pyarrow.parquet.write_table(film_table(), path)
    return path


def job(chosen: Recipe, data: Path, tmp_path: Path, **changes: Any) -> Job:
    """The training of a recipe on that file; it writes into `tmp_path`."""
    fields: dict[str, Any] = {"test": None, "given": Given(), "columns": None}
    places = {"runs": tmp_path / "runs", "zoo": tmp_path / "zoo"}
    return Job(chosen, (data,), **{**fields, **places, **changes})
