"""Rows that cannot be read: set aside in a JSON Lines file, counted, or a reason to stop."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from scorer.pipeline import RejectLimit
from scorer.scores import Scores
from scorer.tables import Reject, Window
from scorer.tables.text.header import looks_like_cp1252


@dataclass
class RejectsFile:
    """An observer that writes the windows' rejects. The file is opened at the first of them."""

    encoding: str
    limit: RejectLimit
    opened: Callable[[], BinaryIO]
    _file: BinaryIO | None = field(default=None, init=False)
    _rows: int = field(default=0, init=False)
    _cp1252: int = field(default=0, init=False)

    def __call__(self, window: Window, scores: Scores) -> None:
        self._rows += window.rows + len(window.rejects)
        self.limit.add(window)
        for reject in window.rejects:
            if self._file is None:
                self._file = self.opened()
            if self.encoding == "utf-8" and _is_not_utf8(reject) and looks_like_cp1252(reject.raw):
                self._cp1252 += 1
            record = reject_record(self.limit.name, reject, self.encoding)
            line = json.dumps(record, ensure_ascii=False) + "\n"
            self._file.write(line.encode("utf-8", "backslashreplace"))

    @property
    def notes(self) -> list[str]:
        """What would let rows be read that could not."""
        if not self._cp1252:
            return []
        return [
            f"{self._cp1252:,} of {self._rows:,} rows are not UTF-8 and look like cp1252: "
            "--encoding cp1252"
        ]


def _is_not_utf8(reject: Reject) -> bool:
    return reject.reason.startswith("invalid utf-8")


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
