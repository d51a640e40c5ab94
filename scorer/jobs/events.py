"""What a run tells its log: events with stable names, for machines, and sentences, for people.

    run_started   model, inputs
    compiling     kernels, about_s: before the run, where it takes more than a second
    file_done     the fields of the file's summary
    file_failed   input, exit_code
    run_done      exit_code, files, failures, planned, skipped, rows, rows_per_s,
                  elapsed_s, compile_s

docs/unattended.md describes them. A warning or an error that is none of these is the event
`warning` or `error`. Every event of level warning or above has its sentence as `message`.
"""

from __future__ import annotations

import logging
from typing import Literal

Event = Literal["run_started", "compiling", "file_done", "file_failed", "run_done"]

log = logging.getLogger(__name__)


def tell(event: Event, message: str = "", *, level: int = logging.INFO, **fields: object) -> None:
    """Log an event; people read `message` where the level is warning or above."""
    log.log(level, "%s", message or event, extra={"event": event, "fields": fields})
