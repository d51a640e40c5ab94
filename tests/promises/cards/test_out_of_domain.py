"""The figures outside a model's domain: which sets are read, and what is measured on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, f1_score

from scorer.model import load_model
from scripts.out_of_domain import out_of_domain, trained_on
from scripts.training.domains import DOMAINS, outside

GOOD = "A warm and lovely thing, superb in every way; I love it."
BAD = "Awful, boring and a waste of money: the worst that I had."
PLAIN = "It arrived on Tuesday."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every file of the sets, each with nine rows of each domain or source."""
    texts = [GOOD, BAD, PLAIN] * 3
    labels = ["positive", "negative", "neutral"] * 3
    domains = [each.own_name for each in DOMAINS if each.name.startswith("Reviews")]
    review = {
        "text": texts * len(domains),
        "label": labels * len(domains),
        "domain": np.repeat(domains, 9).tolist(),
    }
    pq.write_table(pa.table(review), tmp_path / "reviews_general.parquet")
    post = {"text": texts, "label": labels, "source": ["sanders"] * 9}
    pq.write_table(pa.table(post), tmp_path / "posts_general.parquet")
    tweet = {"text": texts, "sentiment": [label.title() for label in labels]}
    pq.write_table(pa.table(tweet), tmp_path / "twitter_training.parquet")
    film = {"text": texts[:2], "sentiment": labels[:2]}
    pq.write_table(pa.table(film), tmp_path / "imdb_test.parquet")
    return tmp_path


def test_no_set_that_a_model_was_trained_on_is_outside_its_domain() -> None:
    assert all("IMDB" not in each.name for each in outside(trained_on("imdb-bow-lr")))
    names = {each.name for each in outside(trained_on("reviews-3class"))}
    assert {"Reviews: films", "Reviews: games", "IMDB test"} <= names
    assert "Reviews: books" not in names, "its source has three-star reviews"
    left = {each.name for each in outside(trained_on("reviews-flagship"))}
    assert all(name.startswith(("Posts", "Twitter")) for name in left)


def test_a_model_of_two_classes_is_measured_on_the_rows_of_both(folder: Path) -> None:
    model = load_model("imdb-bow-lr")
    data = next(each for each in DOMAINS if each.name == "Reviews: books")
    found = out_of_domain(model, data, folder, 1500)
    assert found.rows == 6, "neutral rows are left out"
    assert found.majority_baseline == 0.5
    scores = model.score(pa.array([GOOD, BAD] * 3))
    said = (scores.outputs[:, 0] >= 0.5).astype(int)
    figures = {figure.metric: figure.value for figure in found.figures}
    assert figures["accuracy"] == pytest.approx(accuracy_score([1, 0] * 3, said), abs=1e-4)
    expected = f1_score([1, 0] * 3, said, average="macro")
    assert figures["macro_f1"] == pytest.approx(expected, abs=1e-4)
    assert found.median_tokens == np.median(scores.n_tokens)
    assert found.psi is not None


def test_a_set_without_neutral_rows_is_said_to_be_one(folder: Path) -> None:
    model = load_model("twitter-lstm")
    data = next(each for each in DOMAINS if each.name == "IMDB test")
    found = out_of_domain(model, data, folder, 1500)
    assert [figure.metric for figure in found.figures] == ["accuracy"]
    assert "neutral counts as an error" in found.note


def test_at_most_so_many_rows_are_read_and_always_the_same(folder: Path) -> None:
    data = next(each for each in DOMAINS if each.name == "Posts: Sanders")
    texts, labels = data.read(folder, 4)
    again, _ = data.read(folder, 4)
    assert len(texts) == len(labels) == 4
    assert texts.equals(again)
