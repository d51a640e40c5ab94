"""How many reviews are explained in a second."""

from __future__ import annotations

import time

import pytest

import scorer

LEAST = 20  # reviews a second on two cores
WORDS = 230  # of a review, as IMDB's have


@pytest.mark.slow
def test_imdb_flagship_explains_reviews_fast_enough() -> None:
    """By the processor's own time, which other programs do not lengthen as much."""
    model = scorer.load("imdb-flagship")
    known = model.bundle.inputs[0].vectorizer
    assert known is not None
    words = known.vocabulary[:2000]
    texts = [" ".join(words[(31 * i + 7 * j) % 2000] for j in range(WORDS)) for i in range(8)]
    model.explain(texts[:1], threads=1)
    rates = []
    for _ in range(3):
        started = time.process_time()
        model.explain(texts, threads=1)
        rates.append(len(texts) / (time.process_time() - started))
    assert 2 * max(rates) >= LEAST, f"{max(rates):.1f} reviews in a second of one processor"
