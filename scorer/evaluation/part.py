"""What all parts of a report have in common, and the one that most of them hold."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of `report.json`: never changed, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(Part):
    """A figure and its 95% bootstrap interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Quartiles(Part):
    """The 25%, 50% and 75% quantiles of some rows' values."""

    low: float
    median: float
    high: float
