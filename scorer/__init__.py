"""Offline batch scoring of text models.

import scorer
scorer.load("imdb-bilstm").predict(["A warm, funny film.", "Two hours of my life."])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorer.evaluation import evaluate_file
    from scorer.model import Model, OutputOptions

__version__ = "0.1.0"
__all__ = ["Model", "OutputOptions", "evaluate_file", "load"]


def load(reference: str, **options: Any) -> Model:
    """Load a model by `name`, `name@version` or path; options as in `scorer.model.load_model`."""
    from scorer.model import load_model

    return load_model(reference, **options)


def __getattr__(name: str) -> Any:
    if name in ("Model", "OutputOptions"):
        from scorer import model

        return getattr(model, name)
    if name == "evaluate_file":
        from scorer.evaluation import evaluate_file

        return evaluate_file
    raise AttributeError(f"module 'scorer' has no attribute {name!r}")
