"""What tests ask of windows."""

from __future__ import annotations

from scorer.tables import Window


def rows_of(window: Window) -> list[bytes]:
    """The rows' bytes as they came; none of Parquet."""
    return [] if window.raw is None else window.raw.to_pylist()
