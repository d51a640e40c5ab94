"""VADER, a lexicon with rules: nothing to train."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.benchmarks.peers.base import Job, Peer, Score


@dataclass(frozen=True, kw_only=True)
class Vader(Peer):
    """Positive where the compound score is above zero."""

    def load(self, job: Job) -> Score:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        scores = SentimentIntensityAnalyzer().polarity_scores
        return lambda texts: [scores(text)["compound"] > 0 for text in texts]
