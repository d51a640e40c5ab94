"""New cells put into rows as they came, many rows at a time.

Importing this module imports Numba.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from scorer.tables.text.kernels import BRACE, LINE_END, splice
from scorer.tables.window import offsets_of


def before_line_end(rows: pa.Array, cells: pa.Array) -> memoryview:
    """Every row of a binary array with its cells, a text, put before its line end."""
    return _spliced(LINE_END, rows, cells)


def before_brace(rows: pa.Array, cells: pa.Array) -> memoryview:
    """Every JSON object with its cells put before its last brace.

    They begin with a comma, which an empty object does not get.
    """
    return _spliced(BRACE, rows, cells)


def _spliced(where: int, rows: pa.Array, cells: pa.Array) -> memoryview:
    ends, cell_ends = offsets_of(rows), offsets_of(cells)
    out = np.empty(int(ends[-1]) - int(ends[0]) + int(cell_ends[-1]) - int(cell_ends[0]), np.uint8)
    size = splice(where, _data(rows), ends, _data(cells), cell_ends, out)
    return out.data[:size]


def _data(strings: pa.Array) -> np.ndarray:
    return np.frombuffer(strings.buffers()[2] or b"", np.uint8)
