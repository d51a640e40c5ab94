"""Scores of a table's rows that are known before it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from scorer.scores import Scores
from scorer.tables import Window


def with_known(
    pairs: Iterable[tuple[Window, Scores | None]], known: Scores | None
) -> Iterator[tuple[Window, Scores | None]]:
    """The windows with their scores: those they have, or those that are `known` of all rows.

    Where fewer rows are known than there are, the rest has none: it is scored.
    """
    row = 0
    for window, scores in pairs:
        end = row + window.rows
        if scores is None and known is not None and end <= len(known.scored):
            scores = sliced(known, row, end)
        yield window, scores
        row = end


def joined(scores: Sequence[Scores]) -> Scores | None:
    """The scores of all rows, one after the other; None for no rows."""
    if not scores:
        return None
    words = [part.words for part in scores if part.words is not None]
    return Scores(
        np.concatenate([part.outputs for part in scores]),
        np.concatenate([part.n_tokens for part in scores]),
        np.concatenate([part.n_oov for part in scores]),
        np.concatenate([part.truncated for part in scores]),
        np.concatenate([part.scored for part in scores]),
        pa.concat_arrays(words) if words else None,
    )


def sliced(scores: Scores, first: int, end: int) -> Scores:
    """The scores of some rows."""
    rows = slice(first, end)
    return Scores(
        scores.outputs[rows],
        scores.n_tokens[rows],
        scores.n_oov[rows],
        scores.truncated[rows],
        scores.scored[rows],
        None if scores.words is None else scores.words.slice(first, end - first),
    )
