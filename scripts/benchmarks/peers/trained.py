"""Classifiers that learn from the training rows: scikit-learn's linear model and fastText."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scripts.benchmarks.peers.base import Job, Peer, Score

_PUNCTUATION = re.compile(r"([.!?,'/()])")


@dataclass(frozen=True, kw_only=True)
class Linear(Peer):
    """TF-IDF of the most frequent n-grams and logistic regression with C = `strength`."""

    ngrams: int
    features: int
    strength: float

    def prepare(self, job: Job) -> str:
        import joblib
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        words = TfidfVectorizer(ngram_range=(1, self.ngrams), max_features=self.features)
        pipeline = make_pipeline(words, LogisticRegression(C=self.strength, max_iter=1000))
        rows = job.training()
        joblib.dump(pipeline.fit(rows.texts, rows.positive), job.folder / "pipeline.joblib")
        return ""

    def load(self, job: Job) -> Score:
        import joblib

        pipeline = joblib.load(job.folder / "pipeline.joblib")

        def score(texts: list[str]) -> list[bool]:
            positive: list[bool] = pipeline.predict(texts).tolist()
            return positive

        return score


@dataclass(frozen=True, kw_only=True)
class FastText(Peer):
    """Supervised fastText with bigrams: ten hidden units, five epochs."""

    def prepare(self, job: Job) -> str:
        import fasttext

        lines, rows = job.folder / "training.txt", job.training()
        with lines.open("w", encoding="utf-8") as file:
            for text, positive in zip(rows.texts, rows.positive, strict=True):
                file.write(f"__label__{positive} {_spaced(text)}\n")
        options = {"wordNgrams": 2, "dim": 10, "epoch": 5, "lr": 0.5, "verbose": 0}
        model = fasttext.train_supervised(str(lines), thread=job.threads, **options)
        model.save_model(str(job.folder / "model.bin"))
        return ""

    def load(self, job: Job) -> Score:
        import fasttext

        model = fasttext.load_model(str(job.folder / "model.bin"))

        def score(texts: list[str]) -> list[bool]:
            labels, _ = model.predict([_spaced(text) for text in texts])
            return [best[0] == "__label__True" for best in labels]

        return score


def _spaced(text: str) -> str:
    """One lower-case line with punctuation set apart, as fastText's own examples do."""
    line = text.replace("<br />", " ").replace("\n", " ").lower()
    return _PUNCTUATION.sub(r" \1 ", line)
