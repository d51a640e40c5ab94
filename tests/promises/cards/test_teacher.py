"""The teachers of unlabelled texts: counts, naive Bayes weights, vectors, and all together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scripts.teacher.bayes import fit_naive_bayes
from scripts.teacher.documents import DocumentVectors, learn_documents
from scripts.teacher.ensemble import Reviews, Settings, teach
from scripts.teacher.grams import count_grams, number_grams
from scripts.teacher.reader import Reader, ReaderSettings
from scripts.teacher.regions import Regions, RegionSettings, learn_regions
from scripts.teacher.words import Words, read_words
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

TEXTS = [
    "Good film, good plot!<br />It's fine.",
    "good film; dull plot",
    "a good film it's true",
    "dull plot dull plot",
]
DOCUMENTS = DocumentVectors(width=16, epochs=5, fewest=2)
REGIONS = RegionSettings(width=8, epochs=3, grams=(60, 500, 50), common=0)
READER = ReaderSettings(features=16, epochs=8, words=60)


def made_up(rows: int) -> tuple[list[str], np.ndarray]:
    """Texts of two subjects, each with words of its own among common ones."""
    rng = np.random.default_rng(0)
    subject = rng.integers(2, size=rows)
    own = [[f"a{k}" for k in range(20)], [f"b{k}" for k in range(20)]]
    common = [f"c{k}" for k in range(20)]
    texts = [" ".join(rng.choice([*own[s], *common], 30)) for s in subject]
    return texts, subject


def test_grams_are_counted_as_by_scikit_learn() -> None:
    found = count_grams(read_words(TEXTS), fewest=1)
    pattern = r"[a-z0-9']+|[!?.,;:()\"*]|[^\x00-\x7f]+"
    counter = CountVectorizer(ngram_range=(1, 3), token_pattern=pattern)
    expected = counter.fit_transform([text.replace("<br />", " ") for text in TEXTS])
    once = set("! , ; a true fine .".split())  # words that come once are left out
    kept = [k for k, g in enumerate(counter.get_feature_names_out()) if not once & set(g.split())]
    columns = sorted(map(tuple, found.toarray().T.tolist()))
    assert columns == sorted(map(tuple, expected[:, kept].toarray().astype(float).T.tolist()))


def test_numbers_of_grams_are_those_that_begin_at_a_token() -> None:
    words = read_words(["a b a b", "b a"])
    numbers, sizes = number_grams(words, (2, 1, 9))
    assert words.names == ("a", "b")
    assert sizes == [2, 1, 2]
    # both pairs come twice, and "a b" has the lower key; "a b a" and "b a b" are the triples
    expected = [[0, 2, 3], [1, -1, 4], [0, 2, -1], [1, -1, -1], [1, -1, -1], [0, -1, -1]]
    assert numbers.tolist() == expected


def test_naive_bayes_weighs_by_the_ratio_of_texts() -> None:
    texts, subject = made_up(120)
    counts = count_grams(read_words(texts))
    rows = np.arange(80)
    logits = fit_naive_bayes(counts, rows, subject[rows])
    assert ((logits[80:] > 0) == subject[80:]).mean() > 0.95


def test_document_vectors_tell_subjects_apart() -> None:
    texts, subject = made_up(400)
    said: list[str] = []
    vectors = learn_documents(count_grams(read_words(texts)), DOCUMENTS, said.append)
    assert len(said) == 5
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    reader = LogisticRegression(max_iter=300).fit(vectors[:300], subject[:300])
    assert reader.score(vectors[300:], subject[300:]) > 0.9


@pytest.mark.slow
def test_words_of_one_subject_get_like_rows_from_regions() -> None:
    texts, _ = made_up(400)
    words = read_words(texts)
    regions = learn_regions(words, 400, REGIONS, lambda _: None)
    assert regions.words == 60
    rows = regions.rows[:60] / np.linalg.norm(regions.rows[:60], axis=1, keepdims=True)
    first = np.array([name[0] == "a" for name in words.names])
    other = np.array([name[0] == "b" for name in words.names])
    within = (rows[first] @ rows[first].T).mean()
    assert within > (rows[first] @ rows[other].T).mean() + 0.3


def _logit(reader: Reader, regions: Regions, words: Words, text: int) -> float:
    """The module's formula, place by place."""
    arrays, source = reader._arrays, reader._source
    first, last = words.starts[text], words.starts[text + 1]
    best = np.full(arrays.bias.size, -np.inf)
    for i in range(first, last):
        low, end = max(first, i - 2), min(last, i + 3)
        u = regions.bias.copy()
        for j in range(low, end):
            for n in range(3):
                if j + n < end and regions.grams[j, n] >= 0:
                    u += np.float32(0.3) * regions.rows[regions.grams[j, n]]
        z = arrays.regions @ np.maximum(u, 0) * source.scale + arrays.bias
        for k in range(3):
            if first <= i + k - 1 < last:
                z = z + arrays.words[k, source.ids[i + k - 1]]
        best = np.maximum(best, z)
    return float(arrays.shift[0] + arrays.head @ np.maximum(best, 0))


@pytest.mark.slow
def test_a_reader_learns_and_gives_what_its_formula_says() -> None:
    texts, subject = made_up(400)
    words = read_words(texts)
    regions = learn_regions(words, 400, REGIONS, lambda _: None)
    reader = Reader(words, regions, READER)
    reader.fit(np.arange(300), subject.astype(np.float32), lambda _: None)
    logits = reader.logits(np.arange(300, 400))
    assert ((logits > 0) == subject[300:]).mean() > 0.95
    for text in (300, 301, 302):
        assert logits[text - 300] == pytest.approx(_logit(reader, regions, words, text), abs=1e-4)


def test_teachers_label_unlabelled_texts_and_excerpts(tmp_path: Path) -> None:
    texts, subject = made_up(400)
    excerpts = [" ".join(text.split()[:15]) for text in texts]
    reviews = Reviews([*texts, *excerpts], subject[:200], np.arange(150), np.arange(150, 200), 400)
    said: list[str] = []
    second = replace(READER, features=20, dropout=0.3, seed=3)
    teach(reviews, tmp_path, said.append, Settings(DOCUMENTS, REGIONS, READER, second))
    table = pq.read_table(tmp_path / "soft.parquet")
    assert table["text"].to_pylist() == reviews.texts[200:]
    right = (table["probability"].to_numpy() > 0.5) == np.concatenate([subject[200:], subject])
    assert right[:200].mean() > 0.95
    assert right[200:].mean() > 0.85
    with np.load(tmp_path / "words.npz") as stored:
        assert set(stored["words"].tolist()) == {f"{s}{k}" for s in "abc" for k in range(20)}
        assert np.isfinite(stored["vectors"]).all()
