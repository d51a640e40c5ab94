"""The linear half of wide and deep recipes: its n-grams, its fit, and the mix."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

from scorer.model import load_model
from scorer.verify import available_engines, verify
from scorer.zoo import find
from scripts.training.corpus import read_corpus
from scripts.training.heads import head_of
from scripts.training.learner import Given, train
from scripts.training.recipe import Vectorizer, Wide
from scripts.training.run import _validation, run_job
from scripts.training.scorers import MixedScorer
from scripts.training.wide import Grams, fit_mix, fit_wide, learn_grams
from tests.support import films
from tests.support.films import LSTM, POOLED, SIGMOID, job, recipe

data = films.data

TEXTS = [
    "A fine, fine film!",
    "fine film and dull plot",
    "dull plot... dull, dull plot",
    "",
    "the plot is fine",
]


def bag(ngrams: int, max_tokens: int = 1000, unit: bool = False, **fit: float) -> Wide:
    """Settings of a bag of words."""
    words = Vectorizer(ngrams=ngrams, max_tokens=max_tokens, output_mode="multi_hot")
    return Wide.model_validate({"vectorizer": words, "unit": unit, **fit})


def characters(ngrams: int, mode: str = "count", *, unit: bool = False) -> Wide:
    """Settings of a bag of characters."""
    settings = {"ngrams": ngrams, "max_tokens": 1000, "output_mode": mode}
    settings |= {"split": "character", "standardize": "lower"}
    return Wide.model_validate({"vectorizer": settings, "unit": unit})


def test_grams_are_those_of_most_texts() -> None:
    found = learn_grams(bag(3), pa.array(TEXTS))
    plain = [text.lower().translate(str.maketrans("", "", "!,.")) for text in TEXTS]
    counter = CountVectorizer(ngram_range=(1, 3), token_pattern=r"\S+", binary=True)
    texts_of = np.asarray(counter.fit_transform(plain).sum(axis=0)).ravel()
    expected = dict(zip(counter.get_feature_names_out(), texts_of.tolist(), strict=True))
    assert dict(zip(found.grams, found.texts.tolist(), strict=True)) == expected
    assert found.texts.tolist() == sorted(found.texts, reverse=True)


@given(st.lists(st.text(alphabet="ab ", max_size=12), max_size=8))
def test_bags_hold_what_scikit_learn_counts(texts: list[str]) -> None:
    grams = ("a", "b", "ab", "a b", "b a", "a a")
    known = Grams(bag(2), grams, np.ones(len(grams), np.int64))
    bags = known.bags(pa.array(texts, pa.string()))
    counter = CountVectorizer(
        ngram_range=(1, 2), token_pattern=r"\S+", binary=True, vocabulary=list(grams)
    )
    expected = counter.transform(texts).toarray() if texts else np.zeros((0, len(grams)))
    np.testing.assert_array_equal(bags.toarray()[:, 1:], expected)


@pytest.mark.parametrize("mode", ["count", "multi_hot"])
@pytest.mark.parametrize("unit", [False, True])
def test_bags_of_characters_are_those_of_scikit_learn(mode: str, unit: bool) -> None:
    texts = ["Good, good film :)", "bad film", "", "café, 日本", "oh no!!!!!"]
    grams = learn_grams(characters(4, mode, unit=unit), pa.array(texts))
    vocabulary = [gram[::2] for gram in grams.grams]  # Keras puts spaces between
    counter = CountVectorizer(
        analyzer="char", ngram_range=(1, 4), lowercase=False, binary=mode == "multi_hot"
    )
    counts = counter.fit_transform([text.lower() for text in texts])
    assert sorted(vocabulary) == counter.get_feature_names_out().tolist()
    columns = [counter.vocabulary_[gram] for gram in vocabulary]
    expected = counts.toarray()[:, columns].astype(float)
    np.testing.assert_array_equal((expected > 0).sum(axis=0), grams.texts)
    if unit:
        expected = normalize(expected)
    found = grams.bags(pa.array(texts)).toarray()
    assert not found[:, 0].any()
    np.testing.assert_allclose(found[:, 1:], expected, atol=1e-6)


def words(rows: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(list("abcdefgh"), 4)) for _ in range(rows)]


@pytest.mark.parametrize("rare", [0, 2])
def test_the_fit_is_scikit_learns(rare: int) -> None:
    """Logistic regression on columns times idf (idf / mean idf) ** rare, with C = 1 / l2."""
    texts = pa.array(words(300))
    grams = learn_grams(bag(2, 40, l2=2.0, rare=rare, steps=2000), texts)
    bags = grams.bags(texts)
    labels = np.array(["a" in text for text in texts.to_pylist()])
    found = fit_wide("binary", bags, labels.astype(np.float32)[:, None], grams)
    idf = np.log(300 / np.concatenate([[300], grams.texts]))
    idf *= (idf / idf.mean()) ** rare
    model = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000).fit(bags.toarray() * idf, labels)
    expected = model.decision_function(bags.toarray() * idf)
    np.testing.assert_allclose(found.logits(bags)[:, 0], expected, atol=5e-3)


def test_a_regression_is_ridge() -> None:
    texts = pa.array(words(300))
    grams = learn_grams(bag(1, 40, l2=3.0, steps=2000), texts)
    bags = grams.bags(texts)
    values = np.array([text.count("a") - text.count("b") for text in texts.to_pylist()], float)
    found = fit_wide("regression", bags, values.astype(np.float32)[:, None], grams)
    idf = np.log(300 / np.concatenate([[300], grams.texts]))
    model = Ridge(alpha=3.0).fit(bags.toarray() * idf, values)
    expected = model.predict(bags.toarray() * idf)
    np.testing.assert_allclose(found.logits(bags)[:, 0], expected, atol=5e-3)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_mix_is_better_than_either_half(task: str) -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(400, 3 if task == "multiclass" else 1)).astype(np.float32)
    deep = truth + rng.normal(size=truth.shape).astype(np.float32)
    wide = 3 * truth + 3 * rng.normal(size=truth.shape).astype(np.float32) + 1
    targets = truth
    if task != "regression":
        best = truth.argmax(axis=1) if task == "multiclass" else (truth[:, 0] > 0).astype(int)
        targets = np.eye(3, dtype=np.float32)[best] if task == "multiclass" else best[:, None]
    mix = fit_mix(task, [deep, wide], targets.astype(np.float32))

    def loss(logits: np.ndarray) -> float:
        return float(head_of(task).loss(logits, targets.astype(np.float32))[0].sum())

    assert loss(mix(deep, wide)) < min(loss(deep), loss(wide), loss(wide / 3))


@pytest.mark.filterwarnings("ignore:Layer 'global_max_pooling1d.*does not support masking")
@pytest.mark.parametrize(
    "two",
    [
        pytest.param(False, id="one of each", marks=pytest.mark.slow),
        pytest.param(True, id="two of each", marks=pytest.mark.slow),
    ],
)
def test_a_wide_and_deep_recipe_becomes_a_bundle_that_the_tool_runs(
    two: bool, data: Path, tmp_path: Path
) -> None:
    layers = [
        {"kind": "Embedding", "output_dim": 6, "mask_zero": True},
        {"kind": "Bidirectional", "layer": {**LSTM, "return_sequences": True}},
        {"kind": "ReLU"},
        {"kind": "GlobalMaxPooling1D"},
        SIGMOID,
    ]
    convolution = [
        {"kind": "Embedding", "output_dim": 5},
        {"kind": "Conv1D", "filters": 4, "kernel_size": 2, "activation": "relu"},
        {"kind": "GlobalMaxPooling1D"},
        SIGMOID,
    ]
    beside = {
        "vectorizer": {"max_tokens": 30, "output_sequence_length": 20},
        "layers": convolution,
        "training": {"batch_size": 8, "epochs": 2},
    }
    wide = [bag(2, 60, l2=1.0), characters(3, unit=True)][: 1 + two]
    settings = {"set": "imdb", "split_by": "film", "validation": 0.25, "soft": 2}
    settings["template"] = "{text} {film}"
    soft = tmp_path / "soft.parquet"
    taught = pa.table({"text": ["good film", "bad film"], "probability_positive": [0.9, 0.1]})
    pyarrow.parquet.write_table(taught, soft)
    chosen = recipe(layers, wide=wide, data=settings, **({"beside": beside} if two else {}))
    run_job(job(chosen, data, tmp_path, soft=soft), lambda line: None)
    model = load_model("tiny-film", zoos=[tmp_path / "zoo"])
    assert len(model.bundle.branches) == 2 + 2 * two
    assert model.card.scorer.text_template == "{text} {film}"
    assert all(c.passed for c in verify(find("tiny-film", [tmp_path / "zoo"]), available_engines()))
    figures = {f.data: f.value for f in model.card.scorer.figures}
    assert figures["validation rows, split by film"] > 0.8


def test_a_second_network_is_refused_where_nothing_would_be_mixed() -> None:
    layers = [{"kind": "Embedding", "output_dim": 6, "mask_zero": True}, LSTM, SIGMOID]
    beside = {"vectorizer": {"max_tokens": 30}, "layers": layers, "training": {}}
    with pytest.raises(ValueError, match="needs `wide`"):
        recipe(layers, beside=beside)


def test_some_rows_of_met_groups_judge_the_model_too(data: Path, tmp_path: Path) -> None:
    """Held out at random from the groups that are trained on; no row is lost or on both sides."""
    settings = {"set": "imdb", "split_by": "film", "validation": 0.25, "met": 0.2}
    chosen = recipe(POOLED, data=settings, training={"batch_size": 8, "epochs": 1})
    corpus = read_corpus(chosen.data, data)
    parts = train(chosen, corpus, Given(), tmp_path, lambda line: None).parts
    both = pa.concat_arrays([parts.train.texts, parts.validation.texts]).to_pylist()
    assert sorted(both) == sorted(corpus.texts.to_pylist())
    met = np.isin(parts.validation.columns["film"], parts.train.columns["film"])
    assert (~met).sum() == 24
    assert 0 < met.sum() <= 0.2 * 72


def test_a_model_that_is_trained_once_more_has_learnt_every_row(data: Path, tmp_path: Path) -> None:
    settings = {"set": "imdb", "split_by": "film", "validation": 0.25, "refit": True}
    training = {"batch_size": 8, "epochs": 3}
    chosen = recipe(POOLED, data=settings, training=training, wide=[bag(2, 60, l2=1.0)])
    corpus = read_corpus(chosen.data, data)
    trained = train(chosen, corpus, Given(), tmp_path, lambda line: None)
    before = trained.judged
    assert before is trained.before
    assert len(before.parts.train) + len(before.parts.validation) == len(corpus)
    assert trained.parts.train.texts.equals(corpus.texts)
    assert [x.curve for x in trained.learnt] == [x.curve for x in before.learnt]
    assert isinstance(trained.scorer, MixedScorer)
    assert isinstance(before.scorer, MixedScorer)
    assert trained.scorer.mix is before.scorer.mix
    best = min(before.learnt[0].curve, key=lambda e: e.loss).epoch
    stored = json.loads((tmp_path / "whole" / "curve.json").read_text())["curve"]
    assert len(stored) == best
    last = keras.saving.load_model(tmp_path / "whole" / f"epoch-{best}.keras")
    arrays = trained.scorer.networks[0].network.arrays()
    for array, expected in zip(arrays, last.get_weights(), strict=True):
        np.testing.assert_array_equal(array, expected)  # the last epoch's weights
    (figure,) = _validation(trained)
    assert figure.value == _validation(before)[0].value
    assert figure.rows == len(before.parts.validation)
    assert "the model before it" in figure.note


def test_a_regression_is_not_trained_once_more() -> None:
    layers = [SIGMOID]
    training = {"optimizer": "lbfgs"}
    with pytest.raises(ValueError, match="`refit` is for networks"):
        recipe(layers, data={"set": "imdb", "refit": True}, training=training)
