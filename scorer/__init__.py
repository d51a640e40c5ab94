"""Offline batch scoring of text models.

import scorer
scorer.load("imdb-bilstm").predict(["A warm, funny film.", "Two hours of my life."])
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorer.evaluation import evaluate_file
    from scorer.jobs import score_file
    from scorer.model import Model
    from scorer.tasks import OutputOptions

if sys.platform == "win32":  # no signals and locks as POSIX has them
    raise ImportError("scorer does not run on Windows: use the Windows Subsystem for Linux (WSL)")

__version__ = "0.2.0"
__all__ = ["Model", "OutputOptions", "evaluate_file", "load", "score_file"]


def load(reference: str, **options: Any) -> Model:
    """Load a model by `name`, `name@version` or path; options as in `scorer.model.load_model`."""
    from scorer.model import load_model

    return load_model(reference, **options)


_HOMES = {
    "Model": "scorer.model",
    "OutputOptions": "scorer.tasks",
    "evaluate_file": "scorer.evaluation",
    "score_file": "scorer.jobs",
}


def __getattr__(name: str) -> Any:
    # On first use: a command that lists models must not pay for the parts that score them.
    if name not in _HOMES:
        raise AttributeError(f"module 'scorer' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
