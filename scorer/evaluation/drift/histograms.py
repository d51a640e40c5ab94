"""Have the texts changed since training? Histograms of today's rows against the card's.

The population stability index of two histograms with shares o (observed) and e (expected) is
sum (o - e) ln(o / e): below 0.1 stable, up to 0.25 a moderate change, above a major one (the
bounds of credit scoring, Siddiqi 2006). Every bin gets half a row more, so that an empty one
stays finite. Without any change n rows against m give PSI * n m / (n + m) ~ chi² with bins - 1
degrees of freedom; an index above 0.1 that is within its 99% quantile says "too few rows to tell".
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from scorer.card import ProfileHistogram, TrainingProfile
from scorer.card.out_of_domain import OutOfDomain
from scorer.evaluation.part import Part, Quartiles
from scorer.evaluation.spread import WholeNumbers, profile_quartiles, shares
from scorer.scores import Scores
from scorer.tasks import Problem

MODERATE, MAJOR = 0.1, 0.25
PARTS = {"score": "Score", "tokens": "Tokens per row", "oov_share": "Share of unknown words"}

Level = Literal["good", "warn", "bad"]
Verdict = Literal["stable", "moderate", "major", "too few rows to tell", "no reference"]


class DriftPart(Part):
    """One histogram against the card's; shares per bin, `edges` are the inner ones."""

    name: str
    psi: float
    noise: float = Field(description="99% level of the index if nothing had changed")
    verdict: Verdict
    edges: tuple[float, ...]
    expected: tuple[float, ...]
    observed: tuple[float, ...]
    training: Quartiles = Field(description="of the training data, from the card's histogram")


class Drift(Part):
    """Today's scored rows against the training data. `verdict` is the worst part's."""

    rows: int
    verdict: Verdict
    oov_share: float = Field(description="share of all tokens that the vocabulary lacks")
    truncated_share: float = Field(description="share of rows whose end the model does not see")
    mean_tokens: float
    row_tokens: Quartiles = Field(description="tokens per row, before any truncation")
    row_oov_share: Quartiles = Field(description="the rows' shares of unknown tokens")
    parts: tuple[DriftPart, ...]
    level: Level = Field(default="good", description="bad: no better than the majority baseline")
    says: str = Field(default="", description="what differs, and what it did elsewhere")
    nearest: tuple[OutOfDomain, ...] = Field(
        default=(), description="the card's data sets whose texts are most like these"
    )

    @property
    def worst(self) -> float | None:
        """The largest stability index."""
        return max((part.psi for part in self.parts), default=None)

    @property
    def moved(self) -> tuple[DriftPart, ...]:
        """The parts that have changed."""
        return tuple(part for part in self.parts if part.verdict in ("moderate", "major"))


class DriftCounter:
    """Counts scored rows into the card's bins; costs about 0.1 ms per thousand rows."""

    def __init__(self, problem: Problem, profile: TrainingProfile | None) -> None:
        self._problem = problem
        self._profile = profile
        self.rows = self.truncated = self.tokens = self.oov = 0
        self.row_tokens, self.row_oov_share = WholeNumbers(), shares()
        self._counts: dict[str, NDArray[np.int64]] = {}
        for name in PARTS if profile else ():
            histogram: ProfileHistogram = getattr(profile, name)
            self._counts[name] = np.zeros(len(histogram.counts), dtype=np.int64)

    def add(self, scores: Scores) -> None:
        """Count a window's scored rows."""
        scored = scores.scored
        tokens, oov = scores.n_tokens[scored], scores.n_oov[scored]
        self.rows += len(tokens)
        self.truncated += int(np.count_nonzero(scores.truncated[scored]))
        self.tokens += int(tokens.sum(dtype=np.int64))
        self.oov += int(oov.sum(dtype=np.int64))
        unknown = oov / np.maximum(tokens, 1)
        self.row_tokens.add(tokens)
        self.row_oov_share.add(unknown)
        if self._profile is None or not len(tokens):
            return
        self._count("tokens", tokens)
        self._count("oov_share", unknown)
        self._count("score", self._problem.task.profile_score(scores.outputs[scored]))

    def _count(self, name: str, values: NDArray[Any]) -> None:
        edges = np.asarray(getattr(self._profile, name).edges, dtype=np.float64)
        bins = np.searchsorted(edges, values, side="right")
        self._counts[name] += np.bincount(bins, minlength=len(edges) + 1)

    def result(self) -> Drift | None:
        """What was found; None before the first scored row."""
        tokens, unknown = self.row_tokens.quartiles(), self.row_oov_share.quartiles()
        if tokens is None or unknown is None:
            return None
        parts = [self._part(name, self._counts[name]) for name in self._counts]
        worst = max(parts, key=lambda part: _SEVERITY.index(part.verdict), default=None)
        return Drift(
            rows=self.rows,
            verdict=worst.verdict if worst else "no reference",
            oov_share=round(self.oov / max(self.tokens, 1), 6),
            truncated_share=round(self.truncated / self.rows, 6),
            mean_tokens=round(self.tokens / self.rows, 2),
            row_tokens=tokens,
            row_oov_share=unknown,
            parts=tuple(parts),
        )

    def _part(self, name: str, counts: NDArray[np.int64]) -> DriftPart:
        histogram: ProfileHistogram = getattr(self._profile, name)
        expected = np.array(histogram.counts)
        index, noise = psi(counts, expected)
        return DriftPart(
            name=name,
            psi=round(index, 6),
            noise=round(noise, 6),
            verdict=verdict(index, noise),
            edges=histogram.edges,
            expected=_shares(expected),
            observed=_shares(counts),
            training=profile_quartiles(histogram, None if name == "score" else 0.0),
        )


_SEVERITY = ("no reference", "stable", "too few rows to tell", "moderate", "major")


def psi(observed: NDArray[Any], expected: NDArray[Any]) -> tuple[float, float]:
    """Population stability index of two histograms of counts, and its 99% level without change."""
    bins = len(observed)
    o = (observed + 0.5) / (observed.sum() + 0.5 * bins)
    e = (expected + 0.5) / (expected.sum() + 0.5 * bins)
    index = float(np.sum((o - e) * np.log(o / e)))
    spread = 1 / max(observed.sum(), 1) + 1 / max(expected.sum(), 1)
    return index, _chi_square_99(bins - 1) * float(spread)


def verdict(index: float, noise: float) -> Verdict:
    """In words, by the bounds at the head of this module."""
    if index < MODERATE:
        return "stable"
    if index <= noise:
        return "too few rows to tell"
    return "moderate" if index <= MAJOR else "major"


def _chi_square_99(k: int) -> float:
    """Wilson and Hilferty's approximation (1931), within 1% from two degrees of freedom."""
    if k < 1:
        return 0.0
    spread = 2 / (9 * k)
    return float(k * (1 - spread + 2.3263 * spread**0.5) ** 3)


def _shares(counts: NDArray[Any]) -> tuple[float, ...]:
    return tuple(round(float(x), 6) for x in counts / max(counts.sum(), 1))
