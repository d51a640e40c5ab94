"""Small real models for the tests: built and saved by Keras, with cards, in a zoo of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

WORDS = (
    "the a and of film wine story plot actor scene good great fine superb bad dull awful poor "
    "dry crisp ripe oak fruit tannin very not never always almost slow warm cold café über naïve"
).split()

TEXTS = (
    "The film was good, very good: a superb story!",
    "A dull plot and poor, poor acting. Never again...",
    "crisp fruit, ripe tannin and almost no oak",
    "Café scenes, naïve and warm — über-fine.",
    "The the the THE, the.",
    "good",
)
GOLDEN = (*TEXTS, "", "zzz qqq xyzzy", "slow " * 300, "日本語 の 映画 film 🎬")


def build_model(
    layers: Callable[[Any, int], Sequence[Any]],
    *,
    seed: int = 7,
    words: Sequence[str] = WORDS,
    **vectorizer: Any,
) -> Any:
    """An untrained Keras model from raw text: TextVectorization, then `layers(keras, ids)`."""
    import keras

    keras.utils.set_random_seed(seed)
    vectorize = keras.layers.TextVectorization(**vectorizer)
    vectorize.set_vocabulary(list(words))
    ids = vectorize.vocabulary_size()
    model = keras.Sequential([keras.Input((), dtype="string"), vectorize, *layers(keras, ids)])
    spread_weights(model, seed)
    return model


def spread_weights(model: Any, seed: int) -> None:
    """Give every weight, biases too, a value large enough that a mistake shows in the output."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype(np.float32) for w in model.get_weights()])


def predict(model: Any, texts: Sequence[str]) -> np.ndarray:
    """Keras' own outputs, float32 (rows, outputs), each text beside one word: little padding.

    Alone, an empty text would give Keras' LSTM no step to run, which it does not allow.
    """
    call = traced(model)
    return np.concatenate([call([text, "film"])[:1] for text in texts])


def traced(model: Any) -> Callable[[Sequence[str]], np.ndarray]:
    """Texts -> Keras' own outputs, float32 (rows, outputs), traced once for all texts.

    Called eagerly, a recurrent layer takes a millisecond and more for each of a text's tokens.
    """
    import tensorflow as tf

    call = tf.function(model, input_signature=[tf.TensorSpec([None], tf.string)])
    return lambda texts: np.asarray(call(tf.constant(list(texts))))


def bilstm(keras: Any, ids: int) -> list[Any]:
    layers = keras.layers
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.SpatialDropout1D(0.2),
        layers.Bidirectional(layers.LSTM(5)),
        layers.Dropout(0.2),
        layers.Dense(1, activation="sigmoid"),
    ]


def stars(keras: Any, ids: int) -> list[Any]:
    layers = keras.layers
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.LSTM(8),
        layers.Dense(3, activation="softmax"),
    ]


def points(keras: Any, ids: int) -> list[Any]:
    layers = keras.layers
    return [layers.Embedding(ids, 6, mask_zero=True), layers.LSTM(4), layers.Dense(1)]


def tags(keras: Any, ids: int) -> list[Any]:
    return [keras.layers.Dense(3, activation="sigmoid")]


TASKS: dict[str, tuple[str, Callable[[Any, int], list[Any]], list[str], dict[str, Any]]] = {
    "tiny-binary": ("binary", bilstm, ["negative", "positive"], {}),
    "tiny-stars": ("multiclass", stars, ["bad", "fair", "good"], {}),
    "tiny-tags": ("multilabel", tags, ["film", "wine", "praise"], {"output_mode": "multi_hot"}),
    "tiny-points": ("regression", points, [], {"output_sequence_length": 20}),
}


def card_fields(name: str, golden: Sequence[tuple[str, list[float] | None]]) -> dict[str, Any]:
    """The front matter of a tiny model's card."""
    task, _, labels, _ = TASKS[name]
    histogram = {"edges": [0.25, 0.5, 0.75], "counts": [1, 2, 2, 1]}
    metric = {"regression": "mae", "multilabel": "macro_f1"}.get(task, "accuracy")
    return {
        "license": "apache-2.0",
        "language": ["en"],
        "scorer": {
            "schema": 1,
            "name": name,
            "version": "1.0.0",
            "task": task,
            "labels": [{"name": label, "aliases": [label[:3]]} for label in labels],
            "text_columns": ["text", "review"],
            "label_columns": ["label", "sentiment"] if labels else ["points"],
            "figures": [{"metric": metric, "value": 0.5, "data": "made up", "rows": 6}],
            "golden": [{"text": text, "output": output} for text, output in golden],
            "reference": {
                "rows": 6,
                "tokens": {"edges": [2, 5, 9], "counts": [1, 1, 3, 1]},
                "oov_share": histogram,
                "score": histogram,
            },
        },
    }


def write_bundle(zoo: Path, name: str) -> Path:
    """Build and save `<zoo>/<name>/1.0.0/` with its card; returns that folder."""
    from scorer.card import Card, render_card

    _, layers, _, vectorizer = TASKS[name]
    model = build_model(layers, **vectorizer)
    outputs = [row.tolist() for row in predict(model, GOLDEN)]
    golden = [(t, out if t else None) for t, out in zip(GOLDEN, outputs, strict=True)]
    folder = zoo / name / "1.0.0"
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    fields = card_fields(name, golden)
    body = f"# {name}\n\nA tiny untrained model for tests.\n"
    text = render_card(Card.model_validate({**fields, "body": body}))
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder
