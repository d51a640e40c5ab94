"""Training: derivatives against Keras, splits, resuming, a bundle made from texts of our own."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from scorer.card import read_card
from scripts.training.batches import crop, pack, shuffled
from scripts.training.corpus import hold_out, read_corpus
from scripts.training.export import build_keras
from scripts.training.fit import Fit
from scripts.training.layers import Layer
from scripts.training.network import Network, Tokens, build_layers
from scripts.training.recipe import Data, Recipe, read_recipe, recipe_names
from scripts.training.run import Job, run_job
from scripts.training.scorers import dataset
from scripts.training.vocabulary import Vocabulary, pretrained_table

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


EMBEDDING = {"kind": "Embedding", "units": 5}
SIGMOID = {"kind": "Dense", "units": 1, "activation": "sigmoid"}
SMALL = [
    {"kind": "Embedding", "units": 6},
    {"kind": "SpatialDropout1D", "rate": 0.1},
    {"kind": "Bidirectional", "units": 4},
    {"kind": "Dropout", "rate": 0.1},
    SIGMOID,
]
NETWORKS: dict[str, tuple[str, int, dict[str, Any], list[dict[str, Any]]]] = {
    "lstm": ("binary", 1, {}, [EMBEDDING, {"kind": "LSTM", "units": 4}, SIGMOID]),
    "stacked": (
        "binary",
        1,
        {},
        [
            EMBEDDING,
            {"kind": "Bidirectional", "units": 4, "return_sequences": True},
            {"kind": "Bidirectional", "units": 3},
            SIGMOID,
        ],
    ),
    "pooled": (
        "binary",
        1,
        {},
        [
            EMBEDDING,
            {"kind": "Bidirectional", "units": 4, "return_sequences": True},
            {"kind": "ReLU"},
            {"kind": "GlobalMaxPooling1D"},
            SIGMOID,
        ],
    ),
    "classes": (
        "multiclass",
        3,
        {},
        [
            EMBEDDING,
            {"kind": "LSTM", "units": 17, "return_sequences": True},
            {"kind": "LSTM", "units": 4},
            {"kind": "Dense", "units": 6, "activation": "relu"},
            {"kind": "Dense", "units": 3, "activation": "softmax"},
        ],
    ),
    "value": (
        "regression",
        1,
        {"output_sequence_length": 7},
        [EMBEDDING, {"kind": "LSTM", "units": 5}, {"kind": "Dense", "units": 1}],
    ),
    "convolution": (
        "binary",
        1,
        {"output_sequence_length": 12},
        [
            {**EMBEDDING, "mask_zero": False},
            {"kind": "Conv1D", "units": 9, "width": 3},
            {"kind": "GlobalMaxPooling1D"},
            SIGMOID,
        ],
    ),
}


def film_table(rows: int = 96) -> pa.Table:
    """Sentences whose one strong word decides the label; four of them share each film."""
    rng = np.random.default_rng(3)
    texts, labels = [], []
    for n in range(rows):
        words = rng.choice(NEUTRAL, rng.integers(2, 12)).tolist()
        words.insert(int(rng.integers(len(words))), str(rng.choice(GOOD if n % 2 else BAD)))
        texts.append(" ".join(words))
        labels.append("positive" if n % 2 else "negative")
    films = [f"film {n // 4}" for n in range(rows)]
    return pa.table({"text": texts, "sentiment": labels, "film": films})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "films.parquet"
    pyarrow.parquet.write_table(film_table(), path)
    return path


def job(chosen: Recipe, data: Path, tmp_path: Path, **changes: Any) -> Job:
    fields: dict[str, Any] = {"test": None, "vectors": None, "columns": None}
    places = {"runs": tmp_path / "runs", "zoo": tmp_path / "zoo"}
    return Job(chosen, data, **{**fields, **places, **changes})


# --- the network against Keras ---


def keras_twin(chosen: Recipe, network: Network) -> Any:
    """The exported Keras model with the network's weights; takes ids instead of text."""
    import keras

    words = tuple(f"w{n}" for n in range(chosen.vectorizer.max_tokens - 2))
    model = build_keras(chosen, [Vocabulary(chosen.vectorizer, words)])
    layers = [layer for layer in model.layers if "vectorization" not in layer.name]
    layers[-1].activation = keras.activations.linear
    twin = keras.Sequential([keras.Input((None,), dtype="int32"), *layers])
    twin.set_weights(list(network.weights.values()))
    return twin


def keras_gradients(task: str, twin: Any, ids: Any, targets: Any) -> tuple[float, list[Any], Any]:
    """Mean loss, dloss/dweights and logits, by TensorFlow's own differentiation."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logits = twin(ids, training=False)
        if task == "binary":
            losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
        elif task == "multiclass":
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
        else:
            losses = tf.abs(logits - targets)
        loss = tf.reduce_sum(losses) / len(targets)
    found = tape.gradient(loss, twin.trainable_variables)
    return float(loss), [tf.convert_to_tensor(g).numpy() for g in found], logits.numpy()


# Keras warns that pooling drops the mask; after ReLU that changes nothing, which is tested here.
@pytest.mark.filterwarnings("ignore:Layer 'global_max_pooling1d'.*does not support masking")
@pytest.mark.parametrize("kind", NETWORKS)
def test_loss_gradients_and_logits_are_keras(kind: str) -> None:
    task, outputs, vectorizer, layers = NETWORKS[kind]
    chosen = recipe(layers, task=task, vectorizer={"max_tokens": 30, **vectorizer})
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, 5)).astype(np.float32)
    network = Network(task, build_layers(chosen, table, rng))
    rows = [rng.integers(1, 30, n) for n in (3, 7, 1, 6, 7, 2)]
    targets = rng.dirichlet(np.ones(3), 6)[:, :outputs].astype(np.float32)
    width = chosen.vectorizer.output_sequence_length or 7
    ids = np.zeros((6, width), np.int32)
    for k, row in enumerate(rows):
        ids[k, : row.size] = row
    if chosen.convolution:  # the padding that the convolution reads
        rows = [np.concatenate([row, np.zeros(3, np.int64)])[:width] for row in rows]
    expected_loss, expected, logits = keras_gradients(
        task, keras_twin(chosen, network), ids, targets
    )

    loss, found = network.gradients(rows, targets, np.random.default_rng(0))

    assert loss == pytest.approx(expected_loss, abs=1e-6)
    for name, gradient in zip(network.weights, expected, strict=True):
        np.testing.assert_allclose(found[name], gradient, atol=1e-6, err_msg=name)
    data = Tokens(rows, targets, np.array([row.size for row in rows]))
    np.testing.assert_allclose(network.logits(data, 4), logits, atol=1e-6)


def test_a_frozen_embedding_has_no_gradient() -> None:
    frozen = [{**EMBEDDING, "trainable": False}, {"kind": "LSTM", "units": 3}, SIGMOID]
    rng = np.random.default_rng(0)
    layers = build_layers(recipe(frozen), np.ones((40, 5), np.float32), rng)
    rows = [np.array([2, 3]), np.array([4])]
    _, found = Network("binary", layers).gradients(rows, np.ones((2, 1), np.float32), rng)
    assert "0/embeddings" not in found
    assert np.abs(found["1/kernel"]).max() > 0


def test_dropout_keeps_the_mean_and_is_off_in_inference() -> None:
    layers: list[Layer] = build_layers(
        recipe([EMBEDDING, {"kind": "SpatialDropout1D", "rate": 0.5}, SIGMOID]),
        np.ones((40, 5), np.float32),
        np.random.default_rng(0),
    )
    from scripts.training.layers import Context

    batch = pack(np.arange(400), [np.full(3, 2)] * 400)
    x = np.ones((1200, 5), np.float32)
    same, _ = layers[1].forward(x, Context(batch))
    assert same is x
    dropped, _ = layers[1].forward(x, Context(batch, np.random.default_rng(0)))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1, abs=0.1)
    by_row = dropped[np.argsort(batch.row, kind="stable")].reshape(400, 3, 5)
    assert (by_row == by_row[:, :1]).all(), "a row drops the same features at every step"


# --- batches ---


@given(st.lists(st.lists(st.integers(1, 50), max_size=9), min_size=1, max_size=8))
def test_packing_keeps_every_token_in_its_row(texts: list[list[int]]) -> None:
    batch = pack(np.arange(len(texts)), [np.array(t, np.int64) for t in texts])
    for k, row in enumerate(batch.rows):
        found = batch.ids[batch.row == k].tolist()
        assert found == (texts[row] or [0])
        assert batch.ids[batch.reverse][batch.row == k].tolist() == found[::-1]
        assert batch.ids[batch.last[k]] == found[-1]
    assert batch.sizes.sum() == batch.ids.size


def test_an_epoch_takes_every_row_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 1000)
    batches = list(shuffled(lengths, 32, np.random.default_rng(1)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    spreads = [np.ptp(lengths[rows]) for rows in batches]
    assert np.median(spreads) < 60, "rows of one batch are alike in length"


def test_a_crop_is_a_window() -> None:
    tokens = np.arange(100)
    found = crop(tokens, 10, np.random.default_rng(0))
    assert found.size == 10
    assert (np.diff(found) == 1).all()
    assert crop(tokens, None, np.random.default_rng(0)) is tokens


# --- splits ---


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=80),
    st.floats(0.05, 0.6),
    st.integers(0, 5),
)
@settings(max_examples=60)
def test_a_split_never_cuts_a_group(groups: list[int], share: float, seed: int) -> None:
    films = np.array(groups)
    kept, held = hold_out(films.size, films, share, [seed])
    assert sorted([*kept, *held]) == list(range(films.size))
    assert not set(films[kept]) & set(films[held])
    assert held.size <= share * films.size
    again = hold_out(films.size, films, share, [seed])
    np.testing.assert_array_equal(held, again[1])


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=80),
    st.sampled_from([1, 2, 3, 5]),
    st.integers(0, 5),
)
@settings(max_examples=60)
def test_the_parts_of_a_split_hold_every_row_once(groups: list[int], parts: int, seed: int) -> None:
    films = np.array(groups)
    held = [hold_out(films.size, films, 1 / parts, [seed], part)[1] for part in range(parts)]
    assert sorted(np.concatenate(held)) == list(range(films.size))
    assert all(not set(films[a]) & set(films[b]) for a, b in itertools.combinations(held, 2))
    np.testing.assert_array_equal(held[0], hold_out(films.size, films, 1 / parts, [seed])[1])


def test_another_seed_gives_another_split() -> None:
    first, second = (hold_out(200, None, 0.2, [seed])[1] for seed in (1, 2))
    assert first.size == second.size == 40
    assert set(first) != set(second)


def test_published_files_lose_the_rows_that_would_mislead(tmp_path: Path) -> None:
    wine = pa.table(
        {
            "description": ["a", "b", "c", "d"],
            "points": [88, 94, 87, 90],
            "dataset": ["x", "x", "winemag_other_scrape", "x"],
            "score_selected": [False, True, False, False],
            "leaks_score": [False, False, False, True],
        }
    )
    tweets = pa.table(
        {
            "id": [1, 2, 3],
            "sentiment": ["Positive", "Irrelevant", "Neutral"],
            "text": ["yes", "no", None],
        }
    )
    pyarrow.parquet.write_table(wine, tmp_path / "wine.parquet")
    pyarrow.csv.write_csv(tweets, tmp_path / "tweets.csv")
    assert read_corpus(Data(set="wine"), tmp_path / "wine.parquet").labels.tolist() == [88]
    pyarrow.parquet.write_table(tweets, tmp_path / "tweets.parquet")
    assert read_corpus(Data(set="twitter"), tmp_path / "tweets.parquet").texts.to_pylist() == [
        "yes"
    ]


# --- word vectors ---


def test_vectors_are_matched_by_spelling_then_by_frequency(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npz"
    words = np.array(["Apple", "apple", "London", "LONDON", "don't"])
    np.savez(path, words=words, vectors=np.arange(10, dtype=np.float32).reshape(5, 2))
    chosen = recipe(SMALL).vectorizer
    vocabulary = Vocabulary(chosen, ("apple", "london", "dont", "unseen"))
    table, share = pretrained_table(vocabulary, path, 2, np.random.default_rng(0))
    assert share == 0.75
    assert table[2:5].tolist() == [[2, 3], [4, 5], [8, 9]]
    assert np.isfinite(table[5]).all()


# --- whole runs ---


def test_a_run_writes_a_bundle_that_plain_keras_plays(data: Path, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    lines: list[str] = []
    made = run_job(job(recipe(SMALL), data, tmp_path, test=data), lines.append)
    folder = tmp_path / "zoo" / "tiny-film" / "1.0.0"
    card = read_card(folder / "README.md").scorer
    assert [label.name for label in card.labels] == ["negative", "positive"]
    assert made[0].metric == "accuracy"
    assert made[0].value > 0.9, "one strong word decides"
    model = keras.saving.load_model(folder / "model.keras")
    assert not model.compiled
    golden = {row.text: row.output for row in card.golden}
    assert golden.pop("") is None
    expected = {text: np.array(output) for text, output in golden.items() if output is not None}
    for text, output in expected.items():
        np.testing.assert_allclose(np.asarray(model(tf.constant([text])))[0], output, atol=1e-6)
    together = model.predict(tf.constant(list(expected)), verbose=0)
    np.testing.assert_allclose(together, list(expected.values()), atol=1e-5)
    curve = tmp_path / "runs" / "tiny-film" / "shipped"
    assert (curve / "curve.png").stat().st_size > 5000
    assert any("validation loss" in line for line in lines)


def test_the_same_recipe_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    archives = []
    for name in ("one", "two"):
        run_job(job(recipe(SMALL), data, tmp_path / name), lambda line: None)
        archives.append(tmp_path / name / "zoo" / "tiny-film" / "1.0.0" / "model.keras")
    assert archives[0].read_bytes() == archives[1].read_bytes()


def network_of(chosen: Recipe) -> tuple[Network, Tokens]:
    rng = np.random.default_rng(5)
    rows = [rng.integers(1, 40, n) for n in rng.integers(1, 9, 40)]
    targets = np.array([[float((row == 3).any())] for row in rows], np.float32)
    data = Tokens(rows, targets, np.array([row.size for row in rows]))
    table = rng.normal(size=(40, 6)).astype(np.float32)
    return Network("binary", build_layers(chosen, table, rng)), data


def test_a_stopped_run_ends_as_one_never_stopped(tmp_path: Path) -> None:
    chosen = recipe(SMALL)

    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("epoch 2"):
            raise Stop

    whole, data = network_of(chosen)
    Fit(whole, chosen.training, 7, tmp_path / "whole", 40).run(data, data, lambda line: None)
    first, _ = network_of(chosen)
    with pytest.raises(Stop):
        Fit(first, chosen.training, 7, tmp_path / "cut", 40).run(data, data, stop)
    second, _ = network_of(chosen)
    lines: list[str] = []
    Fit(second, chosen.training, 7, tmp_path / "cut", 40).run(data, data, lines.append)
    assert lines[0] == "goes on after epoch 2"
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(second.weights[name], array)


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path: Path) -> None:
    chosen = recipe(SMALL)
    network, data = network_of(chosen)
    Fit(network, chosen.training, 7, tmp_path, 40).run(data, data, lambda line: None)
    again, _ = network_of(chosen)
    lines: list[str] = []
    other = chosen.training.model_copy(update={"learning_rate": 0.001})
    Fit(again, other, 7, tmp_path, 40).run(data, data, lines.append)
    assert "begins anew" in lines[0]


def test_early_stopping_keeps_the_weights_of_the_lowest_loss(tmp_path: Path) -> None:
    chosen = recipe(SMALL)
    hasty = chosen.training.model_copy(update={"learning_rate": 0.5, "epochs": 8, "patience": 2})
    network, data = network_of(chosen)
    fit = Fit(network, hasty, 7, tmp_path, 40)
    fit.run(data, data, lambda line: None)
    best = min(fit.curve, key=lambda e: e.loss)
    from scripts.training.fit import evaluate

    assert evaluate(network, data)[0] == pytest.approx(best.loss, abs=1e-6)


@pytest.mark.parametrize("mode", ["count", "tf_idf"])
def test_a_linear_model_is_one_dense_layer(mode: str, data: Path, tmp_path: Path) -> None:
    chosen = recipe(
        [SIGMOID],
        vectorizer={"max_tokens": 40, "output_mode": mode},
        training={"optimizer": "lbfgs", "inverse_l2": 1.0},
    )
    made = run_job(job(chosen, data, tmp_path, test=data), lambda line: None)
    assert made[0].value > 0.95
    assert (tmp_path / "zoo" / "tiny-film" / "1.0.0" / "model.keras").is_file()


def test_a_users_own_file_has_its_own_columns_and_labels(tmp_path: Path) -> None:
    table = film_table().rename_columns(["body", "verdict", "film"])
    path = tmp_path / "mine.csv"
    pyarrow.csv.write_csv(table, path)
    run_job(job(recipe(SMALL), path, tmp_path, columns=("body", "verdict")), lambda line: None)
    card = read_card(tmp_path / "zoo" / "tiny-film" / "1.0.0" / "README.md")
    assert card.scorer.training is not None
    assert card.scorer.training.data == "the user's own data"
    assert "Maas" not in card.body


def test_a_missing_column_is_named(data: Path) -> None:
    with pytest.raises(ValueError, match="no column 'body'"):
        read_corpus(Data(set="imdb"), data, ("body", "verdict"))


def test_every_shipped_recipe_is_valid_and_named_as_its_file() -> None:
    names = recipe_names()
    assert len(names) == 20
    for name in names:
        chosen = read_recipe(name)
        assert chosen.name == name
        embedding = next((s for s in chosen.layers if s.kind == "Embedding"), None)
        fixed = chosen.vectorizer.output_sequence_length is not None
        if embedding is not None:
            assert embedding.mask_zero or fixed, "a score must not depend on its neighbours"
        if chosen.convolution:
            assert fixed


def test_the_dataset_of_a_convolution_has_its_padding() -> None:
    chosen = read_recipe("imdb-cnn")
    vocabulary = Vocabulary(chosen.vectorizer, ("good", "bad"))
    texts = pa.array(["good", "bad " * 700], pa.large_string())
    found = dataset(chosen, vocabulary.tokenize(texts), np.zeros((2, 1), np.float32))
    assert found.rows[0].tolist() == [2, 0, 0, 0]
    assert found.rows[1].tolist() == [3] * 600


def test_a_vocabulary_survives_its_archive(tmp_path: Path) -> None:
    """U+0085 is a letter to TextVectorization and a line end to the archive's reader."""
    table = film_table()
    texts = [f"{text} it\x85well" for text in table["text"].to_pylist()]
    path = tmp_path / "odd.parquet"
    pyarrow.parquet.write_table(table.set_column(0, "text", pa.array(texts)), path)
    chosen = recipe(
        [SIGMOID],
        vectorizer={"max_tokens": 40, "output_mode": "tf_idf"},
        training={"optimizer": "lbfgs", "inverse_l2": 1.0},
    )
    run_job(job(chosen, path, tmp_path), lambda line: None)
    assert (tmp_path / "zoo" / "tiny-film" / "1.0.0" / "README.md").is_file()
