"""Rows that cannot be read: set aside in a JSON Lines file, counted, or a reason to stop."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from scorer.errors import RejectedRow
from scorer.model import Scores
from scorer.tables import Reject, Window


@dataclass
class RejectsFile:
    """An observer that writes the windows' rejects. The file is opened at the first of them.

    `limit` is how many may be set aside before the run stops with RejectedRow; None: any number.
    """

    name: str
    encoding: str
    limit: int | None
    opened: Callable[[], BinaryIO]
    count: int = field(default=0, init=False)
    _file: BinaryIO | None = field(default=None, init=False)

    def __call__(self, window: Window, scores: Scores) -> None:
        for reject in window.rejects:
            self.count += 1
            if self.limit is not None and self.count > self.limit:
                raise RejectedRow(self._stopped(reject))
            if self._file is None:
                self._file = self.opened()
            record = reject_record(self.name, reject, self.encoding)
            line = json.dumps(record, ensure_ascii=False) + "\n"
            self._file.write(line.encode("utf-8", "backslashreplace"))

    def _stopped(self, reject: Reject) -> str:
        place = f"row {reject.row}" + (f" (line {reject.line})" if reject.line else "")
        rule = "--strict" if self.limit == 0 else f"--max-rejects {self.limit}"
        return f"{self.name}: {place} cannot be read: {reject.reason}; {rule}: nothing published"


def reject_record(name: str, reject: Reject, encoding: str) -> dict[str, Any]:
    """What the rejects file says of one row; `raw_base64` only where `raw` is not the bytes."""
    record: dict[str, Any] = {"file": name, "row": reject.row, "line": reject.line}
    record |= {"reason": reject.reason}
    try:
        record["raw"] = reject.raw.decode(encoding)
    except UnicodeDecodeError:
        record["raw"] = reject.raw.decode(encoding, "replace")
        record["raw_base64"] = base64.b64encode(reject.raw).decode()
    return record
