"""The teachers together: from reviews to probabilities of unlabelled ones and of excerpts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from scripts.teacher.bayes import fit_naive_bayes
from scripts.teacher.documents import DocumentVectors, learn_documents
from scripts.teacher.grams import count_grams
from scripts.teacher.reader import Reader, ReaderSettings
from scripts.teacher.regions import Regions, RegionSettings, learn_regions
from scripts.teacher.words import Words, read_words
from scripts.training.corpus import hold_out, read_corpus
from scripts.training.heads import class_codes
from scripts.training.learner import Log
from scripts.training.recipe import Data
from scripts.training.types import AnyArray, Ints

_EXCERPT = (30, 150)  # words, by white space
_WORD_WIDTH = 100
_WORD_SPREAD = 0.4  # the standard deviation of GloVe's vectors


@dataclass(frozen=True)
class Settings:
    documents: DocumentVectors
    regions: RegionSettings
    first: ReaderSettings
    second: ReaderSettings


SETTINGS = Settings(
    DocumentVectors(),
    RegionSettings(),
    ReaderSettings(),
    ReaderSettings(features=600, dropout=0.3, seed=3),
)


@dataclass(frozen=True)
class Reviews:
    """texts: the labelled ones, then the unlabelled, then one excerpt of each that may be taught.

    codes (labelled,): 0 or 1. kept, held: numbers of labelled texts, apart by film.
    """

    texts: list[str]
    codes: Ints
    kept: Ints
    held: Ints
    whole: int  # texts that are no excerpts


def read_reviews(data: Path, unlabelled: Path, seed: int) -> Reviews:
    """Both files' texts, and an excerpt of each text that is not held out."""
    corpus = read_corpus(Data(set="imdb", split_by="film"), data)
    kept, held = hold_out(len(corpus), corpus.columns["film"], 0.1, (seed, 0))
    codes = class_codes(corpus.labels, tuple(sorted(set(corpus.labels.tolist()))))
    texts = [
        *corpus.texts.to_pylist(),
        *pyarrow.parquet.read_table(unlabelled)["text"].to_pylist(),
    ]
    rng = np.random.default_rng([seed, 5])
    held_out = set(held.tolist())
    excerpts = [_excerpt(text, rng) for k, text in enumerate(texts) if k not in held_out]
    return Reviews([*texts, *excerpts], codes, kept, held, len(texts))


def _excerpt(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    length = int(rng.integers(*_EXCERPT))
    start = int(rng.integers(max(1, len(words) - length + 1)))
    return " ".join(words[start : start + length])


def teach(reviews: Reviews, out: Path, log: Log, settings: Settings = SETTINGS) -> None:
    """Writes `soft.parquet` and `words.npz` into the folder `out`."""
    words = read_words(reviews.texts)
    counts = count_grams(words.first(reviews.whole))
    found = {"n-grams": fit_naive_bayes(counts, reviews.kept, reviews.codes[reviews.kept])}
    found["document vectors"] = _by_documents(reviews, counts, settings.documents, log)
    regions = learn_regions(words, reviews.whole, settings.regions, log)
    _write_words(out / "words.npz", words, regions)
    labelled, whole = reviews.codes.size, reviews.whole
    targets = np.zeros(len(reviews.texts), np.float32)
    targets[:labelled] = reviews.codes
    first = Reader(words, regions, settings.first).fit(reviews.kept, targets, log)
    found["first reader"] = first.logits(np.arange(whole))
    targets[labelled:whole] = weigh(reviews, found, log)[labelled:]
    both = np.concatenate([reviews.kept, np.arange(labelled, whole)])
    second = Reader(words, regions, settings.second).fit(both, targets, log)
    opinions = second.logits(np.arange(len(reviews.texts)))
    alone = weigh(reviews, {"second reader": opinions}, log)
    found["second reader"] = opinions[:whole]
    together = weigh(reviews, found, log)
    probability = np.concatenate([together[labelled:], alone[whole:]])
    table = pa.table({"text": reviews.texts[labelled:], "probability": probability})
    pyarrow.parquet.write_table(table, out / "soft.parquet")
    log(f"{out / 'soft.parquet'}: {len(table):,} texts")


def _by_documents(
    reviews: Reviews, counts: sp.csr_matrix, settings: DocumentVectors, log: Log
) -> AnyArray:
    vectors = learn_documents(counts, settings, log)
    kept = reviews.kept
    reader = LogisticRegression(max_iter=300).fit(vectors[kept], reviews.codes[kept])
    logits: AnyArray = reader.decision_function(vectors)
    return logits


def _write_words(path: Path, words: Words, regions: Regions) -> None:
    """The words' own rows, turned to their first principal axes."""
    names = words.names[: regions.words]
    rows = regions.rows[: len(names)] - regions.rows[: len(names)].mean(axis=0)
    axes = np.linalg.svd(rows, full_matrices=False)[2][:_WORD_WIDTH]
    vectors = rows @ axes.T
    vectors *= _WORD_SPREAD / vectors.std()
    np.savez(path, words=np.array(names), vectors=vectors.astype(np.float32))


def weigh(reviews: Reviews, opinions: dict[str, AnyArray], log: Log) -> AnyArray:
    """Probabilities of all texts that have an opinion, by logistic regression on those held out."""
    held, codes = reviews.held, reviews.codes[reviews.held]
    columns = np.stack([logits / logits[held].std() for logits in opinions.values()], axis=1)
    judge = LogisticRegression().fit(columns[held], codes)
    for name, logits in opinions.items():
        log(f"{name}: accuracy {((logits[held] > 0) == codes).mean():.4f}")
    chance = judge.predict_proba(columns)
    loss = -np.log(chance[held, codes]).mean()
    log(
        f"weights {judge.coef_[0].round(2)}: accuracy {judge.score(columns[held], codes):.4f}, "
        f"loss {loss:.4f} on {held.size:,} validation rows"
    )
    probability: AnyArray = chance[:, 1]
    return probability
