"""From data files to texts, labels and the groups that a split must not cut.

Each published data set has traps (see the cards); the readers here step around them. Any other
CSV or Parquet file is read by the names of its text and label columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from scorer.composition import parse_template
from scripts.training.recipe import Data, Protocol
from scripts.training.types import AnyArray, Ints


@dataclass(frozen=True)
class Corpus:
    """Texts with what is known of them. `labels` are names, or numbers for a regression."""

    texts: pa.Array
    labels: AnyArray
    columns: dict[str, AnyArray]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Ints) -> Corpus:
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Corpus(self.texts.take(pa.array(rows)), self.labels[rows], columns)


def read_corpus(data: Data, path: Path, columns: tuple[str, str] | None = None) -> Corpus:
    """The usable rows of a data file: the published set, or a user's own by column names.

    columns are (text, label). Rows without a text or a label are left out. Texts are composed by
    the template, as the tool composes them.
    """
    table = _read_table(path)
    if columns is None:
        table, columns = _published(data.set, table)
    text, label = columns
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]!r}; there are {table.column_names}")
    usable = pc.and_(pc.is_valid(table[text]), pc.is_valid(table[label]))
    table = table.filter(usable)
    texts = _one(table[text].cast(pa.large_string()))
    if data.template is not None:
        texts = parse_template(data.template)(texts, table)
        table, texts = table.filter(texts.is_valid()), texts.drop_null()
    others = [name for name in table.column_names if name not in columns]
    return Corpus(
        texts=texts,
        labels=table[label].to_numpy(),
        columns={name: table[name].to_numpy() for name in others},
    )


def _one(chunks: pa.ChunkedArray) -> pa.Array:
    whole = chunks.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def _read_table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    newlines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return pyarrow.csv.read_csv(path, parse_options=newlines)


def _published(kind: str, table: pa.Table) -> tuple[pa.Table, tuple[str, str]]:
    if kind == "wine":
        # Three kinds of rows are not a natural sample: chosen for their high score, scraped from
        # the front of a list, or naming the score in the text.
        natural = pc.invert(pc.or_(table["score_selected"], table["leaks_score"]))
        natural = pc.and_(natural, pc.not_equal(table["dataset"], "winemag_other_scrape"))
        return table.filter(natural), ("description", "points")
    if kind == "twitter":
        return table.filter(pc.not_equal(table["sentiment"], "Irrelevant")), ("text", "sentiment")
    return table, ("text", "sentiment")


def hold_out(
    rows: int, groups: AnyArray | None, share: float, seed: Sequence[int], part: int = 0
) -> tuple[Ints, Ints]:
    """Row numbers (kept, held out), each ascending; a group is never on both sides.

    Groups are drawn in random order until the next one would take the held-out part over
    `share` of the rows; those that follow are its next `part`, and so on. The same arguments give
    the same split on any machine.
    """
    if groups is None:
        groups = np.arange(rows)
    names, which = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(names.size)
    sizes = np.bincount(which, minlength=names.size)
    ends = np.cumsum(sizes[order])
    drawn = order[(ends > part * share * rows) & (ends <= (part + 1) * share * rows)]
    held = np.isin(which, drawn)
    return np.flatnonzero(~held), np.flatnonzero(held)


def protocol_rows(corpus: Corpus, protocol: Protocol, seed: int, part: int) -> tuple[Ints, Ints]:
    """Row numbers (to train on, to test on) of one part of a protocol."""
    groups = corpus.columns[protocol.split_by] if protocol.split_by else None
    kept, held = hold_out(len(corpus), groups, protocol.test, (seed, 2), part)
    if protocol.sample is not None:
        chosen, _ = hold_out(kept.size, None, 1 - protocol.sample / kept.size, (seed, 3))
        kept = kept[chosen]
    return kept, held


def describe(corpus: Corpus) -> dict[str, Any]:
    """Row count and label counts, for the log."""
    if corpus.labels.dtype.kind in "if":
        return {"rows": len(corpus), "mean": round(float(corpus.labels.mean()), 2)}
    names, counts = np.unique(corpus.labels.astype(str), return_counts=True)
    return {"rows": len(corpus)} | dict(zip(names.tolist(), counts.tolist(), strict=True))
