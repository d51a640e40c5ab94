"""This tool, from Python."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.benchmarks.peers.base import Job, Peer, Score


@dataclass(frozen=True, kw_only=True)
class Ours(Peer):
    """A model of the shipped zoo."""

    model: str

    def prepare(self, job: Job) -> str:
        self.load(job)(job.training().sample(10).texts)  # Numba compiles once and keeps the result
        return ""

    def load(self, job: Job) -> Score:
        import scorer

        model = scorer.load(self.model)

        def score(texts: list[str]) -> list[bool]:
            labels = model.predict(texts, threads=job.threads)["prediction"]
            return [label == "positive" for label in labels.to_pylist()]

        return score
