"""Requirements that a run must meet: `accuracy>=0.85`, `card`, `drift<0.25`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scorer.errors import GateFailed, UsageError
from scorer.evaluation.result import Gate, ModelReport
from scorer.figures import figure_names, figure_spec

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_DRIFT = ("drift", "drift_score", "drift_tokens", "drift_oov_share")
_PATTERN = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Requirement:
    """`name` is a metric, `card`, or drift (of all parts or of one); `limit` unused for card."""

    text: str
    name: str
    sign: str = ">="
    limit: float = 0.0


def parse_requirement(text: str) -> Requirement:
    """Read `accuracy>=0.85`, `drift<0.25` or `card`. Raises UsageError naming what there is."""
    if text.strip() == "card":
        return Requirement("card", "card")
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--require {text!r}: write NAME>=LIMIT or NAME<=LIMIT, as in accuracy>=0.85, or card"
        )
    name, sign, limit = match.groups()
    if name not in figure_names() and name not in _DRIFT:
        raise UsageError(
            f"--require {text!r}: no figure {name!r}; there are: "
            f"{', '.join((*figure_names(), *_DRIFT))} and card"
        )
    try:
        return Requirement(text.strip(), name, sign, float(limit))
    except ValueError:
        raise UsageError(f"--require {text!r}: {limit!r} is not a number") from None


def check_gates(
    requirements: Sequence[Requirement], models: Sequence[ModelReport]
) -> tuple[Gate, ...]:
    """Every requirement held against every model."""
    return tuple(_check(requirement, model) for requirement in requirements for model in models)


def raise_if_failed(gates: Sequence[Gate]) -> None:
    """Raise GateFailed naming every requirement that did not hold."""
    failed = [
        f"{gate.model}: required {gate.requirement}: {gate.sentence}"
        for gate in gates
        if not gate.passed
    ]
    if failed:
        raise GateFailed("; ".join(failed))


def _check(requirement: Requirement, model: ModelReport) -> Gate:
    passed, sentence = (
        _check_card(model) if requirement.name == "card" else _check_limit(requirement, model)
    )
    return Gate(requirement=requirement.text, model=model.model, passed=passed, sentence=sentence)


def _check_card(model: ModelReport) -> tuple[bool, str]:
    """Holds unless a figure is worse than promised; nothing compared is a failure, not a pass."""
    if not model.promises:
        return False, "none of the card's figures could be compared with this data"
    worse = [
        f"{figure_spec(p.metric).title} {p.today.value:.4g} instead of {p.promised.value:.4g}"
        for p in model.promises
        if p.verdict == "worse than promised"
    ]
    if worse:
        return False, f"worse than promised: {', '.join(worse)}"
    return True, "no figure is worse than promised"


def _check_limit(requirement: Requirement, model: ModelReport) -> tuple[bool, str]:
    value = _value(requirement.name, model)
    if value is None:
        return False, f"cannot be checked: {_why_missing(requirement, model)}"
    passed = _COMPARE[requirement.sign](value, requirement.limit)
    held = "holds" if passed else "does not hold"
    return passed, f"it {held}: {requirement.name} is {value:.6g}"


def _value(name: str, model: ModelReport) -> float | None:
    if name not in _DRIFT:
        return model.figures[name].value if name in model.figures else None
    if model.drift is None:
        return None
    wanted = name.removeprefix("drift").removeprefix("_")
    return max((p.psi for p in model.drift.parts if wanted in ("", p.name)), default=None)


def _why_missing(requirement: Requirement, model: ModelReport) -> str:
    if requirement.name in _DRIFT:
        return "no scored rows" if model.drift is None else "the card has no reference histograms"
    if not model.evaluated:
        return "no row has both a usable label and a score"
    if requirement.name not in model.figures:
        return f"a {model.task} model has no {requirement.name}"
    return "it is not defined on this data"
