"""Offline batch scoring of text models.

import scorer
model = scorer.load("imdb-bilstm")
model.predict(["A warm, funny film.", "A waste of two hours."])
model.explain("A waste of two hours.")
scorer.score_file("reviews.csv", model)
scorer.evaluate_file("labelled.csv", model).save("report")
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scorer.api import evaluate_file, score_file
    from scorer.errors import ScorerError
    from scorer.evaluation.shown import Report
    from scorer.explain import Explanation, Word
    from scorer.jobs.summary import FileSummary
    from scorer.model import Model
    from scorer.tasks import OutputOptions

if sys.platform == "win32":  # no signals and locks as POSIX has them
    raise ImportError("scorer does not run on Windows: use the Windows Subsystem for Linux (WSL)")

__version__ = "0.2.0"
__all__ = [
    "Explanation",
    "FileSummary",
    "Model",
    "OutputOptions",
    "Report",
    "ScorerError",
    "Word",
    "evaluate_file",
    "load",
    "score_file",
]


def load(
    reference: str | Path,
    *,
    zoos: Sequence[Path] = (),
    device: str = "auto",
    engine: str | None = None,
    precision: str = "float32",
) -> Model:
    """Find, check and load a model.

    reference  its name, name@version, or the path of its folder
    zoos       folders to look for it first; then $SCORER_ZOO, your own zoo and the shipped one
    device     "auto" (a GPU where there is one), "cpu" or "gpu"
    engine     "cpu" or "keras"; None: cpu, and keras on a GPU and for layers that cpu lacks
    precision  "float32" or, on a GPU, "mixed"

    Raises ModelNotFound, CardError, BundleError, UnsupportedModel, EngineError, UsageError, which
    are all ScorerErrors.
    """
    from scorer.model import load_model

    return load_model(reference, zoos=zoos, device=device, engine=engine, precision=precision)


_HOMES = {
    "Explanation": "scorer.explain",
    "FileSummary": "scorer.jobs.summary",
    "Model": "scorer.model",
    "OutputOptions": "scorer.tasks",
    "Report": "scorer.evaluation.shown",
    "ScorerError": "scorer.errors",
    "Word": "scorer.explain",
    "evaluate_file": "scorer.api",
    "score_file": "scorer.api",
}


def __getattr__(name: str) -> Any:
    # On first use: a command that lists models must not pay for the parts that score them.
    if name not in _HOMES:
        raise AttributeError(f"module 'scorer' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
