"""A run's settings: what it makes, and how it behaves; and what identifies what it makes."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

from scorer import __version__
from scorer.jobs.policy import RunPolicy
from scorer.jobs.spec import OutputSpec
from scorer.model import Model
from scorer.tables import Source

#: of the identities: a record of another form is of an earlier release
FORM = 2


@dataclass(frozen=True)
class Settings:
    """What a run makes, and how it behaves."""

    spec: OutputSpec = field(default_factory=OutputSpec)
    policy: RunPolicy = field(default_factory=RunPolicy)

    def as_dict(self) -> dict[str, Any]:
        """All of them, for the summary."""
        return asdict(self.spec) | asdict(self.policy)


def output_identity(model: Model, spec: OutputSpec) -> dict[str, Any]:
    """All but the input that the published files depend on."""
    return _model_identity(model) | spec.identity()


def run_identity(model: Model, source: Source, settings: Settings) -> dict[str, Any]:
    """All that the published files of one input depend on."""
    fingerprint, windows = source.fingerprint(), _windows(model, settings.policy)
    return fingerprint | output_identity(model, settings.spec) | windows


def journal_identity(model: Model, source: Source, settings: Settings) -> dict[str, Any]:
    """All that recorded scores depend on: another report may be made of them."""
    fingerprint, windows = source.fingerprint(), _windows(model, settings.policy)
    return fingerprint | _model_identity(model) | settings.spec.scores_identity() | windows


def _model_identity(model: Model) -> dict[str, Any]:
    card = model.card.scorer.model_dump_json().encode()
    return {
        "form": FORM,
        "model": model.ref,
        "model_sha256": model.digest,
        "card_sha256": hashlib.sha256(card).hexdigest(),
        "engine": model.engine.name,
        "precision": model.engine.precision,
        "scorer": __version__,
    }


def _windows(model: Model, policy: RunPolicy) -> dict[str, Any]:
    """Where windows are cut; the batch size as the engine resolves it."""
    fields = policy.journal_fields()
    return fields | {"batch_size": str(model.window_size(policy.batch_size))}
