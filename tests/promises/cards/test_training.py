"""Training: splits, resuming, a bundle made from texts of our own."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from scorer.bundle import read_entry
from scorer.card import read_card
from scorer.zoo import list_models, shipped_zoo
from scripts.training.archive import round_mantissa
from scripts.training.batches import (
    Tokens,
    TrainingBatches,
    WholeTexts,
    bucket,
    crop,
    padded,
    shuffled,
)
from scripts.training.bodies import card_body
from scripts.training.corpus import Corpus, hold_out, read_corpus, row_weights
from scripts.training.fit import Fit
from scripts.training.heads import judge
from scripts.training.network import Network, build_logits
from scripts.training.recipe import Data, Recipe, Training, read_recipe, recipe_names
from scripts.training.run import run_job
from scripts.training.scorers import dataset
from scripts.training.vocabulary import Vocabulary, pretrained_table
from tests.support import films
from tests.support.films import POOLED, SIGMOID, SMALL, film_table, job, recipe

data = films.data

# --- batches ---


def test_an_epoch_takes_every_row_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 1000)
    batches = shuffled(lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    spreads = [np.ptp(lengths[rows]) for rows in batches]
    assert np.median(spreads) < 60, "rows of one batch are alike in length"


def test_a_crop_is_a_window() -> None:
    tokens = np.arange(100)
    found = crop(tokens, 10, np.random.default_rng(0))
    assert found.size == 10
    assert (np.diff(found) == 1).all()
    assert crop(tokens, None, np.random.default_rng(0)) is tokens


def tokens_of(rows: list[np.ndarray], limit: int | None = None) -> Tokens:
    ones = np.ones(len(rows), np.float32)
    return Tokens(rows, np.arange(len(rows), dtype=np.float32)[:, None], ones, limit)


@given(st.integers(1, 5000))
def test_a_bucket_holds_its_rows_and_wastes_at_most_half(length: int) -> None:
    assert length <= bucket(length) <= max(8, 1.5 * length)


def test_batches_depend_on_seed_epoch_and_place_alone() -> None:
    """A resumed training sees the batches of one that was never stopped."""
    rng = np.random.default_rng(0)
    data = tokens_of([rng.integers(2, 90, n) for n in rng.integers(1, 60, 200)])
    chosen = Training(batch_size=16, crop=20, word_dropout=0.3)
    running = TrainingBatches(data, chosen, 7)
    running.begin(1)
    resumed = TrainingBatches(data, chosen, 7)
    resumed.begin(1)
    assert len(running) == len(resumed) == 13
    fed = [batch[0].shape for batch in running.dataset().as_numpy_iterator()]
    assert fed == [running[k][0].shape for k in range(13)]
    seen = []
    for k in reversed(range(len(running))):
        for one, other in zip(running[k], resumed[k], strict=True):
            np.testing.assert_array_equal(one, other)
        seen += running[k][1][:, 0].astype(int).tolist()
        assert running[k][0].shape[1] <= bucket(20)
    assert sorted(seen) == list(range(200))
    first = TrainingBatches(data, chosen, 7)
    assert any(not np.array_equal(a, b) for a, b in zip(first[0], running[0], strict=True))
    dropped = np.concatenate([(running[k][0] == 1).ravel() for k in range(13)])
    kept = np.concatenate([(running[k][0] > 1).ravel() for k in range(13)])
    assert 0.25 < dropped.sum() / (dropped.sum() + kept.sum()) < 0.35


def test_whole_texts_are_cropped_by_a_fixed_length_alone() -> None:
    rows = [np.arange(2, 2 + n) for n in (3, 40, 12)]
    batches = WholeTexts(tokens_of(rows, limit=40), size=2)
    assert batches.order.tolist() == [1, 2, 0]
    assert batches[0][0].shape == (2, 40)
    assert padded(rows[:1], None).tolist() == [[2, 3, 4, 0, 0, 0, 0, 0]]


def test_classes_of_a_domain_are_balanced_within_it() -> None:
    labels = np.array(["bad", *["good"] * 9, *["bad"] * 5, *["good"] * 5])
    domains = np.array([*["books"] * 10, *["games"] * 10])
    corpus = Corpus(pa.array(["text"] * 20), labels, {"domain": domains, "source": domains})
    even = row_weights(corpus, Data(set="reviews", balance=1.0))
    for domain in ("books", "games"):
        sums = [even[(domains == domain) & (labels == name)].sum() for name in ("bad", "good")]
        assert sums == pytest.approx([5, 5], abs=1e-5)
    half = row_weights(corpus, Data(set="reviews", balance=0.5))
    assert half[0] / half[1] == pytest.approx(3, abs=1e-5), "the root of nine"
    lighter = row_weights(corpus, Data(set="reviews", weights={"games": 0.25}))
    assert lighter[0] / lighter[10] == pytest.approx(4)
    assert lighter.mean() == pytest.approx(1)


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


@pytest.mark.slow
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
    data = Tokens(rows, targets, np.ones(len(rows), np.float32))
    table = rng.normal(size=(40, 5)).astype(np.float32)
    return Network("binary", build_logits(chosen, table, 5)), data


def test_a_stopped_run_ends_as_one_never_stopped(tmp_path: Path) -> None:
    chosen = recipe(POOLED)

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
    assert lines[0] == "resumed after epoch 2"
    for ours, expected in zip(second.arrays(), whole.arrays(), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path: Path) -> None:
    chosen = recipe(POOLED, training={"batch_size": 40, "epochs": 1})
    network, data = network_of(chosen)
    Fit(network, chosen.training, 7, tmp_path, 40).run(data, data, lambda line: None)
    again, _ = network_of(chosen)
    lines: list[str] = []
    other = chosen.training.model_copy(update={"learning_rate": 0.001})
    Fit(again, other, 7, tmp_path, 40).run(data, data, lines.append)
    assert "belongs to another run" in lines[0]


def test_early_stopping_keeps_the_weights_of_the_lowest_loss(tmp_path: Path) -> None:
    chosen = recipe(POOLED)
    hasty = chosen.training.model_copy(update={"learning_rate": 0.5, "epochs": 8, "patience": 2})
    network, data = network_of(chosen)
    contrary = replace(data, targets=1 - data.targets)  # what is learned makes this loss rise
    fit = Fit(network, hasty, 7, tmp_path, 40)
    fit.run(data, contrary, lambda line: None)
    best = min(fit.curve, key=lambda e: e.loss)
    assert len(fit.curve) == best.epoch + 2 < 8
    loss, _ = judge("binary", network.logits(contrary), contrary.targets, 1.0)
    assert loss == pytest.approx(best.loss, abs=1e-5)


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


@pytest.mark.slow
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
    assert len(names) == 23
    for name in names:
        chosen = read_recipe(name)
        assert chosen.name == name
        embedding = next((s for s in chosen.layers if s.kind == "Embedding"), None)
        fixed = chosen.vectorizer.output_sequence_length is not None
        if embedding is not None:
            assert embedding.arguments.get("mask_zero") or fixed, (
                "a score must not depend on its neighbours"
            )
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


# --- archives and cards ---


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32)))
def test_a_rounded_weight_is_near_and_short(values: np.ndarray) -> None:
    found = round_mantissa(values)
    finite = np.isfinite(values) & (np.abs(values) < 1e38)
    normal = finite & (np.abs(values) > 1e-37)
    near = np.abs(found[normal] - values[normal]) <= np.abs(values[normal]) * 2.0**-12
    assert near.all()
    assert not (found[finite].view(np.uint32) & ((1 << 12) - 1)).any()
    np.testing.assert_array_equal(round_mantissa(found), found)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))


def test_cards_say_what_recipes_and_archives_say() -> None:
    """No card of the zoo is written by hand."""
    for entry in list_models():
        if entry.zoo == shipped_zoo():
            made = entry.card.scorer
            recipe_of = read_recipe(made.name)
            assert entry.card.body == card_body(
                recipe_of, made, read_entry(entry), own_data=False
            ), made.name
