"""The scores of finished windows, kept beside an output until it is published.

A run appends every window's scores as soon as they are there. One that is started again with
`--resume` reads the input anew, takes the recorded scores instead of scoring, and writes the
output from its beginning: so it makes the same bytes, whatever the format, and no network runs
twice. A record is checked by its CRC; what a crash has left torn at the end is dropped.

    header    MAGIC, length, CRC-32, JSON {"identity": ...} (of a finished output also "done")
    record    _RECORD (window, rows, outputs, bytes of the explanations, CRC-32 of the texts, CRC-32
              of this record), payload
    payload   outputs float32 (rows, outputs), n_tokens, n_oov int32, truncated, scored bool
              (rows,), and the explanations, where asked for, as an Arrow record batch
"""

from __future__ import annotations

import json
import logging
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from scorer.errors import DamagedInput, UsageError
from scorer.files import keep, output_errors, temporary, write_whole
from scorer.jobs.identity import difference
from scorer.jobs.policy import Resume
from scorer.jobs.summary import FileSummary, read_summary
from scorer.scores import Scores
from scorer.tables import Window

log = logging.getLogger(__name__)

MAGIC = b"scorer journal 2\n"
_HEADER = struct.Struct("<II")
_RECORD = struct.Struct("<QIIIII")
_WORDS = pa.schema([("words", pa.string())])


class Journal:
    """An open journal: pairs windows with what is recorded of them, and appends the others."""

    def __init__(self, path: Path, name: str, file: BinaryIO, recorded: int) -> None:
        self.path = path
        self.windows = recorded
        self.resumed = 0
        self._name = name
        self._file = file
        self._recorded = recorded

    def pair(
        self, windows: Iterable[Window], outputs: int
    ) -> Iterator[tuple[Window, Scores | None]]:
        """Every window with its recorded scores, if any: so many `outputs` for each row.

        Raises UsageError where its texts differ. What is held here is one window, however long
        the journal.
        """
        with self.path.open("rb") as file:
            read_header(file)
            for window in windows:
                if window.index >= self._recorded:
                    yield window, None
                    continue
                entry = _read_record(file)
                shape = (window.rows, outputs)
                if (
                    entry is None
                    or entry.texts != _texts_crc(window)
                    or entry.scores.outputs.shape != shape
                ):
                    raise UsageError(
                        f"{self._name}: its rows are not those of the interrupted run: "
                        "start over without --resume"
                    )
                self.resumed += window.rows
                yield window, entry.scores

    def __call__(self, window: Window, scores: Scores) -> None:
        """Record a window; those that came out of the journal are there already."""
        if window.index < self._recorded:
            return
        with output_errors(self.path):
            self._file.write(_record(window, scores))
        self.windows += 1
        keep(self.path)


@contextmanager
def journal(
    path: Path, name: str, identity: Mapping[str, Any], *, resume: Resume
) -> Iterator[Journal]:
    """The journal at `path`: continued with `resume` if one is there, else begun anew.

    It stays when the block raises, if it holds anything that another run could use, and is for the
    caller to remove when the output is published. Raises UsageError where an interrupted run was
    not this one.
    """
    recorded, end = (0, 0)
    if resume is not Resume.NEVER and path.exists():
        try:
            recorded, end = _check(path, name, identity)
        except UsageError:
            if resume is Resume.MUST:
                raise
    with output_errors(path):
        file = path.open("r+b" if end else "wb", buffering=0)
    with file:
        if end:
            file.truncate(end)
            file.seek(end)
        else:
            with output_errors(path):
                file.write(_header({"identity": dict(identity)}))
        opened = Journal(path, name, file, recorded)
        try:
            with nullcontext() if opened.windows else temporary(path):
                yield opened
        except BaseException as error:
            if opened.windows and not isinstance(error, DamagedInput):
                log.warning("%s: the scores so far are kept for --resume", name)
            else:
                path.unlink(missing_ok=True)
            raise


def _check(path: Path, name: str, identity: Mapping[str, Any]) -> tuple[int, int]:
    """How many whole records the journal holds and where they end; (0, 0) if it has no header."""
    with path.open("rb") as file:
        header = read_header(file)
        if header is None:
            return 0, 0
        _refuse_other(header, name, identity)
        count, end = 0, file.tell()
        while (entry := _read_record(file)) is not None and entry.window == count:
            count, end = count + 1, file.tell()
    return count, end


def refuse_other_run(path: Path, name: str, identity: Mapping[str, Any]) -> None:
    """Raise UsageError where the journal at `path` is of a run that is not this one."""
    with path.open("rb") as file:
        header = read_header(file)
    if header is not None:
        _refuse_other(header, name, identity)


def _refuse_other(header: Mapping[str, Any], name: str, identity: Mapping[str, Any]) -> None:
    changed = difference(header["identity"], identity)
    if changed:
        raise UsageError(f"{name}: cannot resume: {changed}; start over without --resume")


def mark_done(path: Path, identity: Mapping[str, Any], done: FileSummary) -> None:
    """Replace a journal, at once, by a note that its output is published."""
    with write_whole(path, path.with_name(f"{path.name}.part")) as file:
        file.write(_header({"identity": dict(identity), "done": done.as_json()}))


def read_done(path: Path, name: str, identity: Mapping[str, Any]) -> FileSummary | None:
    """What `mark_done` noted; None where the journal is of an unfinished output, or not there.

    Raises UsageError where the output was made by a different run.
    """
    if not path.exists():
        return None
    with path.open("rb") as file:
        header = read_header(file)
    if header is None or "done" not in header:
        return None
    changed = difference(header["identity"], identity)
    if changed:
        raise UsageError(f"{name}: cannot resume: {changed}; start over with --force")
    try:
        return read_summary(json.dumps(header["done"]))
    except ValidationError:
        return None


def _header(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content).encode()
    return MAGIC + _HEADER.pack(len(text), zlib.crc32(text)) + text


def read_header(file: BinaryIO) -> dict[str, Any] | None:
    """The journal's header, None if it is not whole. Leaves `file` at the first record."""
    start = file.read(len(MAGIC) + _HEADER.size)
    if len(start) < len(MAGIC) + _HEADER.size or not start.startswith(MAGIC):
        return None
    length, crc = _HEADER.unpack_from(start, len(MAGIC))
    text = file.read(min(length, os.fstat(file.fileno()).st_size))
    if zlib.crc32(text) != crc:
        return None
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(header.get("identity"), dict):
        return None
    return header


@dataclass(frozen=True)
class _Entry:
    window: int
    rows: int
    texts: int
    scores: Scores


def _record(window: Window, scores: Scores) -> bytes:
    rows, outputs = scores.outputs.shape
    words = b"" if scores.words is None else _written(scores.words)
    payload = b"".join(
        (
            scores.outputs.astype("<f4").tobytes(),
            scores.n_tokens.astype("<i4").tobytes(),
            scores.n_oov.astype("<i4").tobytes(),
            scores.truncated.astype("?").tobytes(),
            scores.scored.astype("?").tobytes(),
            words,
        )
    )
    fields = (window.index, rows, outputs, len(words), _texts_crc(window))
    crc = zlib.crc32(payload, zlib.crc32(_RECORD.pack(*fields, 0)))
    return _RECORD.pack(*fields, crc) + payload


def _read_record(file: BinaryIO) -> _Entry | None:
    """The next record, None at the end or where what follows is not whole."""
    start = file.read(_RECORD.size)
    if len(start) < _RECORD.size:
        return None
    window, rows, outputs, words, texts, crc = _RECORD.unpack(start)
    size = rows * (4 * outputs + 10) + words
    if size > os.fstat(file.fileno()).st_size:
        return None
    payload = file.read(size)
    whole = zlib.crc32(payload, zlib.crc32(_RECORD.pack(window, rows, outputs, words, texts, 0)))
    if len(payload) < size or whole != crc:
        return None
    return _Entry(window, rows, texts, _scores(payload, rows, outputs))


def _scores(payload: bytes, rows: int, outputs: int) -> Scores:
    sizes = [0, 4 * rows * outputs, 4 * rows, 4 * rows, rows, rows]
    places = [*np.cumsum(sizes).tolist(), len(payload)]
    parts = [payload[a:b] for a, b in pairwise(places)]
    return Scores(
        outputs=np.frombuffer(parts[0], "<f4").reshape(rows, outputs),
        n_tokens=np.frombuffer(parts[1], "<i4"),
        n_oov=np.frombuffer(parts[2], "<i4"),
        truncated=np.frombuffer(parts[3], "?"),
        scored=np.frombuffer(parts[4], "?"),
        words=_read_words(parts[5]) if parts[5] else None,
    )


def _written(words: pa.Array) -> bytes:
    return bytes(pa.record_batch([words], schema=_WORDS).serialize())


def _read_words(written: bytes) -> pa.Array:
    return pa.ipc.read_record_batch(pa.py_buffer(written), _WORDS).column(0)


def _texts_crc(window: Window) -> int:
    """CRC-32 of a window's texts and which are null."""
    batch = pa.RecordBatch.from_arrays([window.texts], names=["text"])
    return zlib.crc32(batch.serialize())
