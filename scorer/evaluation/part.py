"""What all parts of a report have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of `report.json`: never changed, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
