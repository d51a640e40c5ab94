"""A model without a network, for tests of everything around it: a text's score is a hash of it.

Card, vectorizer and output columns are the real ones, so rows that are lost, doubled or swapped
show in the output at once; building it needs neither Keras nor a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.bundle import Bundle, input_of
from scorer.card import Card
from scorer.model import Model
from scorer.vectorizer import TokenBatch, VectorizerSpec

WORDS = ("the", "a", "film", "wine", "good", "bad", "dull", "plot", "café", "über", "slow")


class ParrotEngine:
    """Scores in [0, 1) from a row's own token ids. `calls` counts the rows that it scored."""

    name = "parrot"
    precision = "float32"
    window_rows = short_rows = 1024

    def __init__(self, outputs: int = 1, seconds_per_row: float = 0.0) -> None:
        self.outputs = outputs
        self.rows = 0
        self._seconds_per_row = seconds_per_row

    def run(self, *inputs: TokenBatch | np.ndarray) -> np.ndarray:
        """float32 (rows, outputs), of the one input's tokens."""
        (tokens,) = inputs
        assert isinstance(tokens, TokenBatch)
        rows = len(tokens.n_tokens)
        self.rows += rows
        time.sleep(self._seconds_per_row * rows)
        scores = np.zeros((rows, self.outputs), dtype=np.float32)
        for i in range(rows):
            ids = tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]].astype(np.int64)
            mixed = int((ids * np.arange(1, len(ids) + 1) * 2654435761).sum()) + len(ids) * 40503
            for k in range(self.outputs):
                scores[i, k] = ((mixed * (k + 1)) % 65521) / 65521
        return scores


def parrot(task: str = "binary", **engine: Any) -> Model:
    """A model named parrot@1.0.0 whose card reads the columns `text` and `review`."""
    labels = {"binary": ["neg", "pos"], "multiclass": ["bad", "so, so", "good"], "regression": []}
    card = Card.model_validate(
        {
            "license": "apache-2.0",
            "scorer": {
                "schema": 1,
                "name": "parrot",
                "version": "1.0.0",
                "task": task,
                "labels": [{"name": label} for label in labels[task]],
                "text_columns": ["text", "review"],
            },
        }
    )
    spec = VectorizerSpec(
        standardize="lower_and_strip_punctuation",
        split="whitespace",
        output_mode="int",
        output_sequence_length=None,
        vocabulary=WORDS,
        max_tokens=None,
        pad_to_max_tokens=False,
        idf_weights=None,
    )
    bundle = Bundle(path=Path("parrot.keras"), digest="5" * 64, inputs=(input_of("text", spec),))
    return Model(card, bundle, ParrotEngine(card.scorer.outputs, **engine))


def use_parrot(monkeypatch: Any, **kwargs: Any) -> Callable[[], Model]:
    """Make the commands load the parrot whatever model is asked for."""
    model = parrot(**kwargs)
    monkeypatch.setattr("scorer.model.load_model", lambda *args, **options: model)
    return lambda: model


def expected(model: Model, texts: list[str | None]) -> pa.Table:
    """What the model says of `texts`, row by row: nothing of the pipeline is involved."""
    rows = [model.predict([text]) for text in texts]
    return pa.concat_tables(rows) if rows else model.predict([])
