"""Checks a bundle against its card: digests, golden rows on every engine, batch invariance.

A check is a sentence and a verdict; nothing here prints or raises for a failed check.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scorer.bundle import Bundle, read_entry
from scorer.bundle.explain import explain
from scorer.card import Card, Golden, ScorerCard
from scorer.engines import load_engine
from scorer.errors import ScorerError, UnsupportedModel
from scorer.model import Model
from scorer.scores import Scores
from scorer.zoo import Entry

#: how far engines and machines may be apart
TOLERANCE = 1e-5
#: the same, where Keras computed layers by these policies, which our engines do in float32
_COARSE = {"float16": 1e-2, "mixed_float16": 1e-2, "bfloat16": 5e-2, "mixed_bfloat16": 5e-2}
ENGINES = ("cpu", "keras")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what, whether it holds, and what was seen."""

    name: str
    passed: bool
    detail: str


def available_engines() -> list[str]:
    """The engines that can run here, found without importing them."""
    return [e for e in ENGINES if e == "cpu" or importlib.util.find_spec("keras") is not None]


def verify(entry: Entry, engines: Sequence[str] = (), *, deep: bool = False) -> Iterator[Check]:
    """Check one bundle; stops at the first failure that makes later checks meaningless.

    engines   each must run the model; none: all that are installed, and one at least must run it
    `deep` tells all that a refused archive tried to do, not only what it was refused for.
    """
    try:
        if entry.index is not None:
            entry.check_files()
            yield Check("digests", True, "as in the zoo's index")
        card = entry.card
        yield Check("card", True, f"follows its schema, {len(card.scorer.golden)} golden rows")
        bundle = read_entry(entry)
        yield Check("bundle", True, f"{len(bundle.layers)} layers, {bundle.parameters:,} weights")
    except ScorerError as error:
        yield Check("refused", False, str(error))
        if deep:
            others = (fault for fault in explain(entry.model_path) if fault not in str(error))
            yield from (Check("it also holds", False, fault) for fault in others)
        return
    for engine in engines:
        yield from verify_engine(card, bundle, engine)
    if not engines:
        yield from _verify_installed(card, bundle)


def _verify_installed(card: Card, bundle: Bundle) -> Iterator[Check]:
    """Check on every installed engine that has the model's layers."""
    lacking = {}
    for engine in available_engines():
        try:
            load_engine(bundle, device="cpu", engine=engine)
        except UnsupportedModel as error:
            lacking[engine] = str(error)
            continue
        yield from verify_engine(card, bundle, engine)
    for engine, reason in lacking.items():
        others = len(lacking) < len(available_engines())
        yield Check(f"{engine} engine", others, f"does not run this model: {reason}")


def tolerance(bundle: Bundle) -> float:
    """How far outputs may be from the card's: more where Keras computed layers in 16 bits."""
    return max((_COARSE.get(policy, TOLERANCE) for policy in bundle.policies), default=TOLERANCE)


def verify_engine(card: Card, bundle: Bundle, engine: str) -> Iterator[Check]:
    """Replay the golden rows on one engine, and score them among different neighbours."""
    try:
        model = Model(card, bundle, load_engine(bundle, device="cpu", engine=engine))
        rows = card.scorer.golden
        yield _golden(model, rows)
        yield _invariance(model, [row for row in rows if row.output is not None])
    except ScorerError as error:
        yield Check(f"{engine} engine", False, str(error))


def golden_inputs(card: ScorerCard, rows: Sequence[Golden]) -> tuple[pa.Array, pa.Table]:
    """The texts of golden rows, and the columns beside them."""
    beside = {
        name: pa.array([_written((row.columns or {}).get(name)) for row in rows], pa.string())
        for name in card.columns_beside
    }
    return pa.array([row.text for row in rows], pa.string()), pa.table(beside)


def score_golden(model: Model, rows: Sequence[Golden]) -> Scores:
    """A model's scores for golden rows."""
    return model.score(*golden_inputs(model.card.scorer, rows))


def _written(value: str | float | None) -> str | None:
    return value if isinstance(value, str | None) else repr(value)


def _golden(model: Model, rows: Sequence[Golden]) -> Check:
    name = f"{model.engine.name} engine, golden rows"
    if not rows:
        return Check(name, False, "the card has no golden rows")
    scores, allowed = score_golden(model, rows), tolerance(model.bundle)
    furthest = 0.0
    for i, row in enumerate(rows):
        if scores.scored[i] != (row.output is not None):
            said = "scored" if scores.scored[i] else "not scored"
            return Check(name, False, f"row {i} is {said}, and the card says the opposite")
        if row.output is not None:
            gap = float(np.abs(scores.outputs[i] - np.asarray(row.output)).max())
            furthest = max(furthest, gap / max(1.0, float(np.abs(row.output).max())))
    detail = f"{len(rows)} rows, at most {furthest:.1e} from the card (allowed {allowed:.0e})"
    return Check(name, furthest <= allowed, detail)


def _invariance(model: Model, rows: Sequence[Golden]) -> Check:
    """Alone, together, reversed and beside a very long text: the same scores.

    Bit for bit on the cpu engine; Keras picks other kernels for other shapes, so to TOLERANCE.
    """
    name = f"{model.engine.name} engine, batch invariance"
    if not rows:
        return Check(name, False, "no golden row has a score")
    alone = np.concatenate([score_golden(model, [row]).outputs for row in rows])
    long = max(rows, key=lambda row: len(row.text))
    longest = long.model_copy(update={"text": long.text * 4})
    together = score_golden(model, [*rows, longest]).outputs[:-1]
    backwards = score_golden(model, [longest, *rows[::-1]]).outputs[:0:-1]
    gap = max(float(np.abs(alone - other).max()) for other in (together, backwards))
    scale = max(1.0, float(np.abs(alone).max()))
    allowed = 0.0 if model.engine.name == "cpu" else TOLERANCE * scale
    held = gap <= allowed
    change = f"largest change {gap:.1e}" if gap else "largest change 0"
    return Check(name, held, f"{'' if held else 'not '}batch-invariant ({change})")
