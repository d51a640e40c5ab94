"""What a part of a table leaves behind, so that the table can be followed as if read in one go.

One file a part: of every window the scores, the columns of the evaluation, and the rejects. Read
back in the order of the parts, the windows go to the same observers as in a run over one file: so
rejects, counts and report are those of such a run.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.evaluation.watch import TableEvaluation
from scorer.pipeline import RejectLimit
from scorer.scores import Scores
from scorer.tables import Reader, Reject, Window

TEXT, COLUMN = "text", "column "
REJECTS = b"rejects"


class WindowKeeper:
    """A watcher that writes the windows of a part to the file `path`."""

    def __init__(
        self,
        path: Path,
        evaluation: TableEvaluation,
        limit: RejectLimit,
        beside: Sequence[str],
    ) -> None:
        """`beside` are the columns that the model reads beside the text."""
        self._file = path.open("wb")
        self._evaluation = evaluation
        self._limit = limit
        self._beside = beside
        self._columns: Sequence[str] = ()
        self._writer: Any = None

    def begin(self, reader: Reader) -> Sequence[str]:
        """The columns of the evaluation. Raises what that raises."""
        wanted = self._evaluation.begin(reader)
        if self._evaluation.reports:
            self._columns = tuple(dict.fromkeys([*wanted, *self._beside]))
        return wanted

    def __call__(self, window: Window, scores: Scores) -> None:
        """Keep a window. Raises RejectedRow where a part has more rejects than the table may."""
        columns = {
            "outputs": pa.FixedSizeListArray.from_arrays(
                pa.array(scores.outputs.astype(np.float32).ravel()), scores.outputs.shape[1]
            ),
            "n_tokens": pa.array(scores.n_tokens),
            "n_oov": pa.array(scores.n_oov),
            "truncated": pa.array(scores.truncated),
            "scored": pa.array(scores.scored),
        }
        if self._evaluation.reports:
            columns |= {COLUMN + name: window.table.column(name) for name in self._columns}
            columns[TEXT] = window.texts
        batch = pa.RecordBatch.from_pydict(columns)
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, batch.schema)
        self._writer.write_batch(batch, {REJECTS: _written(window.rejects)})
        self._limit.add(window)

    def end(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def kept_windows(path: Path) -> Iterator[tuple[Window, Scores]]:
    """The windows of a part, as far as they were kept, with their scores."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return
        reader = pa.ipc.open_stream(file)
        for index in range(1 << 62):
            try:
                batch, extra = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                return
            yield _window(index, batch, extra[REJECTS]), _scores(batch)


def counted_on(window: Window, index: int, rows: int, lines: int) -> Window:
    """The window as the table's: of number `index`, after so many rows and lines of other parts."""
    rejects = tuple(
        replace(each, row=rows + each.row, line=each.line and lines + each.line)
        for each in window.rejects
    )
    return replace(window, index=index, rejects=rejects)


def _window(index: int, batch: pa.RecordBatch, rejects: bytes) -> Window:
    names = [name for name in batch.schema.names if name.startswith(COLUMN)]
    table = pa.RecordBatch.from_arrays(
        [batch.column(name) for name in names], names=[name.removeprefix(COLUMN) for name in names]
    )
    there = TEXT in batch.schema.names
    texts = batch.column(TEXT) if there else pa.nulls(batch.num_rows, pa.string())
    return Window(index, texts, table, None, _read(rejects))


def _scores(batch: pa.RecordBatch) -> Scores:
    outputs = batch.column("outputs")
    return Scores(
        outputs=outputs.flatten().to_numpy().reshape(len(outputs), outputs.type.list_size),
        n_tokens=batch.column("n_tokens").to_numpy(),
        n_oov=batch.column("n_oov").to_numpy(),
        truncated=batch.column("truncated").to_numpy(zero_copy_only=False),
        scored=batch.column("scored").to_numpy(zero_copy_only=False),
    )


def _written(rejects: Sequence[Reject]) -> bytes:
    values = [
        (each.row, each.reason, base64.b64encode(each.raw).decode(), each.line) for each in rejects
    ]
    return json.dumps(values).encode()


def _read(written: bytes) -> tuple[Reject, ...]:
    return tuple(
        Reject(row, reason, base64.b64decode(raw), line)
        for row, reason, raw, line in json.loads(written)
    )
