"""Log lines on stderr: sentences for people, or one JSON object a line for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from scorer.printable import printable

#: attributes of a log record: an event's stable name, and its fields; see scorer.jobs.events
EVENT, FIELDS = "event", "fields"


class TextFormatter(logging.Formatter):
    """`Error: ...`, `Warning: ...`; nothing else is said while a run goes well."""

    def format(self, record: logging.LogRecord) -> str:
        level = "Error" if record.levelno >= logging.ERROR else "Warning"
        return f"{level}: {printable(record.getMessage())}"


class JsonFormatter(logging.Formatter):
    """time, level, run_id, event, from warnings on the message, then the event's own fields.

    What no event was named for is the event `warning` or `error`.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        level = record.levelname.lower()
        line = {"time": time, "level": level, "run_id": self._run_id}
        line |= {"event": getattr(record, EVENT, level)}
        if record.levelno >= logging.WARNING:
            line |= {"message": record.getMessage()}
        line |= getattr(record, FIELDS, {})
        return json.dumps(line, ensure_ascii=False, default=str)


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what sys.stderr is at the time, above a progress bar if one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        tqdm = sys.modules.get("tqdm")
        if tqdm is not None and self.stream.isatty():
            tqdm.tqdm.write(self.format(record), file=self.stream)
        else:
            super().emit(record)


def log_to_stderr(log_format: str, run_id: str, *, quiet: bool) -> None:
    """Send the library's log to stderr. In text, only warnings; quiet, only errors."""
    handler = _Stderr()
    if log_format == "json":
        handler.setFormatter(JsonFormatter(run_id))
        level = logging.INFO
    else:
        handler.setFormatter(TextFormatter())
        level = logging.ERROR if quiet else logging.WARNING
    log = logging.getLogger("scorer")
    log.handlers = [handler]
    log.setLevel(level)
    log.propagate = False
