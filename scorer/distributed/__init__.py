"""Runs on Ray and Spark: workers call the same functions as a local run.

    worker.py   what a worker does: opens the model once, then scores files or Arrow tables
    ray.py      Ray tasks for files, Ray Data for data sets
    spark.py    Spark tasks for files, DataFrames

score_dataset(dataset, "imdb-bilstm")       a ray.data.Dataset with the predictions appended
score_dataframe(frame, "imdb-bilstm")       a Spark DataFrame with the predictions appended
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scorer.distributed.ray import score_dataset
    from scorer.distributed.spark import score_dataframe
    from scorer.jobs.each import Runner
    from scorer.jobs.parts.scoring import LookOn
    from scorer.model import Model

__all__ = ["open_runner", "score_dataframe", "score_dataset"]

_RUNNERS = {"ray": "RayRunner", "spark": "SparkRunner"}
_HOMES = {"score_dataset": "scorer.distributed.ray", "score_dataframe": "scorer.distributed.spark"}


def open_runner(name: str, model: Model, look_on: LookOn | None = None) -> Runner:
    """The runner `ray` or `spark` for a model. Nothing is started before it has a job.

    `look_on` shows that a large file is looked through for places to cut it.

    Raises RunnerError where the package is not installed.
    """
    kind = getattr(importlib.import_module(f"scorer.distributed.{name}"), _RUNNERS[name])
    runner: Runner = kind(model) if look_on is None else kind(model, look_on)
    return runner


def __getattr__(name: str) -> Any:
    # On first use: who has one of the packages need not have the other.
    if name not in _HOMES:
        raise AttributeError(f"module 'scorer.distributed' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
