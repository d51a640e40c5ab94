"""A training that starts from a bundle's network: what it takes over, and what it may measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.training.corpus import read_corpus
from scripts.training.export import build_keras
from scripts.training.learner import Given, train
from scripts.training.network import build_logits
from scripts.training.recipe import Recipe
from scripts.training.run import run_job
from scripts.training.start import start_from
from scripts.training.vocabulary import Vocabulary
from tests.support import films
from tests.support.films import LSTM, SIGMOID, job, recipe

data = films.data

BAG = {"max_tokens": 40, "output_mode": "multi_hot"}
LAYERS = [{"kind": "Embedding", "output_dim": 6, "mask_zero": True}, LSTM, SIGMOID]


def vocabulary(chosen: Recipe, *words: str) -> Vocabulary:
    return Vocabulary(chosen.vectorizer, words)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A bundle's archive that knows four words, and the model in it."""
    chosen = recipe(LAYERS)
    model = build_keras(chosen, [vocabulary(chosen, "warm", "dull", "lovely", "awful")])
    path = tmp_path_factory.mktemp("start") / "model.keras"
    model.save(path)
    return path, model


def test_embeddings_are_matched_by_word_and_other_weights_copied(archive: tuple[Path, Any]) -> None:
    path, model = archive
    chosen = recipe(LAYERS)
    own = vocabulary(chosen, "lovely", "boring", "dull")
    network = build_logits(chosen, np.zeros((own.ids, 6), np.float32), seed=1)
    head = [array.copy() for array in network.layers[-1].get_weights()]
    share = start_from(path, chosen, own, network, seed=1)
    assert share == pytest.approx(2 / 3)
    _, embedding, lstm, _ = model.layers
    old, new = embedding.get_weights()[0], network.layers[1].get_weights()[0]
    np.testing.assert_array_equal(new[:2], old[:2])
    np.testing.assert_array_equal(new[[2, 4]], old[[4, 3]])
    assert not (new[3] == old).all(axis=1).any()
    for ours, theirs in zip(network.layers[2].get_weights(), lstm.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, before in zip(network.layers[-1].get_weights(), head, strict=True):
        np.testing.assert_array_equal(ours, before)


def test_a_bundle_of_other_layers_is_refused(archive: tuple[Path, Any]) -> None:
    chosen = recipe([LAYERS[0], {"kind": "GRU", "units": 4}, SIGMOID])
    own = vocabulary(chosen, "lovely")
    network = build_logits(chosen, np.zeros((own.ids, 6), np.float32), seed=1)
    with pytest.raises(ValueError, match="no network of the layers Embedding, GRU"):
        start_from(archive[0], chosen, own, network, seed=1)


def test_a_start_is_given_where_the_recipe_takes_one(
    archive: tuple[Path, Any], data: Path, tmp_path: Path
) -> None:
    given = Given(archive=archive[0])
    with pytest.raises(ValueError, match="starts from a bundle's network: see --start"):
        run_job(job(recipe(LAYERS, start=True), data, tmp_path), print)
    with pytest.raises(ValueError, match="does not start from a bundle's network"):
        run_job(job(recipe(LAYERS), data, tmp_path, given=given), print)


def test_rows_that_the_start_was_trained_on_do_not_validate(data: Path, tmp_path: Path) -> None:
    """They would fit the mix, and choose the epoch, as if they were new."""
    settings = {"set": "imdb", "split_by": "film", "validation": 0.5, "unmeasured": ["imdb"]}
    chosen = recipe([SIGMOID], data=settings, vectorizer=BAG, training={"optimizer": "lbfgs"})
    corpus = read_corpus(chosen.data, data)
    half = np.where(np.arange(len(corpus)) % 8 < 4, "imdb", "books")
    corpus.columns["domain"] = half
    parts = train(chosen, corpus, Given(), tmp_path, lambda line: None).parts
    assert set(parts.validation.columns["domain"]) == {"books"}
    assert set(parts.train.columns["domain"]) == {"imdb", "books"}
