"""How the user says that text files are written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """How text files are written. `delimiter` None: a comma for CSV, a tab for TSV.

    An output has its input's encoding, except that UTF-16 and UTF-32 come out as UTF-8.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
