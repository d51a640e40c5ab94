"""The teachers of unlabelled texts: counts, naive Bayes weights, document vectors."""

from __future__ import annotations

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from scripts.teacher.bayes import fit_naive_bayes
from scripts.teacher.documents import DocumentVectors, learn_documents
from scripts.teacher.grams import count_grams

TEXTS = [
    "Good film, good plot!<br />It's fine.",
    "good film; dull plot",
    "a good film it's true",
    "dull plot dull plot",
]


def made_up(rows: int) -> tuple[list[str], np.ndarray]:
    """Texts of two subjects, each with words of its own among common ones."""
    rng = np.random.default_rng(0)
    subject = rng.integers(2, size=rows)
    own = [[f"a{k}" for k in range(20)], [f"b{k}" for k in range(20)]]
    common = [f"c{k}" for k in range(20)]
    texts = [" ".join(rng.choice([*own[s], *common], 30)) for s in subject]
    return texts, subject


def test_grams_are_counted_as_by_scikit_learn() -> None:
    found = count_grams(TEXTS, fewest=1)
    pattern = r"[a-z0-9']+|[!?.,;:()\"*]|[^\x00-\x7f]+"
    counter = CountVectorizer(ngram_range=(1, 3), token_pattern=pattern)
    expected = counter.fit_transform([text.replace("<br />", " ") for text in TEXTS])
    once = set("! , ; a true fine .".split())  # words that come once are left out
    kept = [k for k, g in enumerate(counter.get_feature_names_out()) if not once & set(g.split())]
    columns = sorted(map(tuple, found.toarray().T.tolist()))
    assert columns == sorted(map(tuple, expected[:, kept].toarray().astype(float).T.tolist()))


def test_naive_bayes_weighs_by_the_ratio_of_texts() -> None:
    texts, subject = made_up(120)
    counts = count_grams(texts)
    rows = np.arange(80)
    logits = fit_naive_bayes(counts, rows, subject[rows])
    assert ((logits[80:] > 0) == subject[80:]).mean() > 0.95


def test_document_vectors_tell_subjects_apart() -> None:
    texts, subject = made_up(400)
    said: list[str] = []
    settings = DocumentVectors(width=16, epochs=5, fewest=2)
    vectors = learn_documents(count_grams(texts), settings, said.append)
    assert len(said) == 5
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    reader = LogisticRegression(max_iter=300).fit(vectors[:300], subject[:300])
    assert reader.score(vectors[300:], subject[300:]) > 0.9
