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
from scripts.training.recipe import Data, Protocol, Recipe, SetName
from scripts.training.types import AnyArray, Floats, Ints


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


def read_corpus(
    data: Data, paths: Path | Sequence[Path], columns: tuple[str, str] | None = None
) -> Corpus:
    """The usable rows of the published sets' files, one a set; or a user's own by column names.

    columns are (text, label). Rows without a text or a label are left out. Texts are composed by
    the template, as the tool composes them.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    if columns is not None:
        return _join([_corpus(data, _read_table(path), columns, path) for path in paths])
    sets = (data.set, *data.also)
    if len(paths) != len(sets):
        raise ValueError(f"the recipe takes {len(sets)} data files ({', '.join(sets)})")
    parts = []
    for name, path in zip(sets, paths, strict=True):
        table, own = published(name, _read_table(path))
        parts.append(_corpus(data, table, own, path))
    return _join(parts)


def read_test(data: Data, path: Path, columns: tuple[str, str] | None = None) -> Corpus:
    """The rows of an official test file, or of a user's own."""
    alone = data.model_copy(update={"set": data.test_set or data.set, "also": ()})
    return read_corpus(alone, path, columns)


def _corpus(data: Data, table: pa.Table, columns: tuple[str, str], path: Path) -> Corpus:
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


def _join(parts: Sequence[Corpus]) -> Corpus:
    """All rows, with the columns that every part has."""
    if len(parts) == 1:
        return parts[0]
    shared = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    return Corpus(
        texts=pa.concat_arrays([part.texts for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        columns={n: np.concatenate([p.columns[n].astype(str) for p in parts]) for n in shared},
    )


def _one(chunks: pa.ChunkedArray) -> pa.Array:
    whole = chunks.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def _read_table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    newlines = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return pyarrow.csv.read_csv(path, parse_options=newlines)


def published(name: SetName, table: pa.Table) -> tuple[pa.Table, tuple[str, str]]:
    """The rows of a published set that may be learned from, and its (text, label) columns.

    Sets that are trained together also have `group` (rows that no split may separate), `domain`
    and `source`.
    """
    match name:
        case "wine":
            # Three kinds of rows are not a natural sample: chosen for their high score, scraped
            # from the front of a list, or naming the score in the text.
            natural = pc.invert(pc.or_(table["score_selected"], table["leaks_score"]))
            natural = pc.and_(natural, pc.not_equal(table["dataset"], "winemag_other_scrape"))
            return table.filter(natural), ("description", "points")
        case "twitter":
            named = pc.not_equal(table["sentiment"], "Irrelevant")
            return table.filter(named), ("text", "sentiment")
        case "imdb":
            return _imdb(table), ("text", "sentiment")
        case "reviews":
            return _grouped(table.filter(pc.not_equal(table["label"], "neutral")), "domain")
        case "reviews-3class":
            # Where a source has no neutral rows, its labels do not say which ones are.
            neutral = pc.unique(table.filter(pc.equal(table["label"], "neutral"))["source"])
            return _grouped(table.filter(pc.is_in(table["source"], neutral)), "domain")
        case "posts":
            texts = pc.replace_substring_regex(table["text"], _ESCAPE[0], _ESCAPE[1])
            place = table.column_names.index("text")
            return _grouped(table.set_column(place, "text", texts), "source")


_ESCAPE = (r"\\u201[89]", "'")  # an apostrophe that some posts spell out


def _imdb(table: pa.Table) -> pa.Table:
    if "film" not in table.column_names:
        return table
    same = pa.array(["imdb"] * len(table))
    for name, values in (("group", table["film"]), ("domain", same), ("source", same)):
        table = table.append_column(name, values)
    return table


def _grouped(table: pa.Table, domain: str) -> tuple[pa.Table, tuple[str, str]]:
    names = ["text", "label", "id", domain, "source"]
    table = table.select(names).rename_columns(["text", "label", "group", "domain", "source"])
    return table, ("text", "label")


def row_weights(corpus: Corpus, data: Data) -> Floats:
    """float32 (rows,), of mean 1: each row's source's weight times its class's; see `Data`."""
    weights = np.ones(len(corpus))
    if data.weights:
        sources = corpus.columns["source"]
        for source, weight in data.weights.items():
            weights[sources == source] = weight
    if data.balance:
        weights *= _class_weights(corpus, data.balance)
    mean_one: Floats = (weights / weights.mean()).astype(np.float32)
    return mean_one


def _class_weights(corpus: Corpus, power: float) -> AnyArray:
    domains = corpus.columns.get("domain", np.zeros(len(corpus), np.int64))
    _, which = np.unique(domains, return_inverse=True)
    _, classes = np.unique(corpus.labels.astype(str), return_inverse=True)
    cells = which * (classes.max() + 1) + classes
    share = np.bincount(cells)[cells] / np.bincount(which)[which]
    weights = share**-power
    balanced: AnyArray = weights / (np.bincount(which, weights) / np.bincount(which))[which]
    return balanced


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


def measurable(corpus: Corpus, data: Data) -> Corpus:
    """The rows that figures may be measured on."""
    if not data.unmeasured:
        return corpus
    return corpus.take(np.flatnonzero(~np.isin(corpus.columns["domain"], data.unmeasured)))


def split_test(corpus: Corpus, recipe: Recipe) -> tuple[Corpus, Corpus]:
    """The rows to train and validate on, and those kept for the card's figures."""
    data = recipe.data
    groups = corpus.columns[data.split_by] if data.split_by else None
    kept, held = hold_out(len(corpus), groups, data.test, (recipe.seed, 5))
    return corpus.take(kept), measurable(corpus.take(held), data)


def protocol_rows(corpus: Corpus, protocol: Protocol, seed: int, part: int) -> tuple[Ints, Ints]:
    """Row numbers (to train on, to test on) of one part of a protocol."""
    if protocol.domains:
        out = np.isin(corpus.columns["domain"], protocol.domains)
        return np.flatnonzero(~out), np.flatnonzero(out)
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
