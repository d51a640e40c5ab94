"""A model at work: card, vectorizer and engine. Texts in, scores out, output columns from scores.

texts -> Vectorizers -> TokenBatch of each branch -> Engine -> outputs -> prediction, probability
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scorer import zoo
from scorer.bundle import Bundle, read_bundle
from scorer.card import Card
from scorer.checks import check_at_least, check_choice
from scorer.compiling.watch import compilation
from scorer.engines import Engine, load_engine
from scorer.errors import BundleError, InputError
from scorer.tables import WindowSize
from scorer.tables.columns import check_words, choose_text_column, missing
from scorer.tasks import OutputOptions
from scorer.vectorizer import TokenBatch, Vectorizer, expect_kernels

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

#: the columns that `OutputOptions.diagnostics` adds
DIAGNOSTICS = (
    pa.field("n_tokens", pa.int32()),
    pa.field("oov_share", pa.float32()),
    pa.field("truncated", pa.bool_()),
)


@dataclass(frozen=True)
class Scores:
    """What a model says of some rows.

    outputs     float32 (rows, k): what they mean, the card's task says (see `scorer.tasks`)
    n_tokens    int32 (rows,), before any truncation
    n_oov       int32 (rows,), of those, how many the vocabulary lacks
    truncated   bool (rows,), True where the network does not see the text's end
    scored      bool (rows,), False where the text is null or has no token
    """

    outputs: np.ndarray
    n_tokens: np.ndarray
    n_oov: np.ndarray
    truncated: np.ndarray
    scored: np.ndarray


class Model:
    """A loaded model. Thread-safe: several threads may score at once.

    compile_s   the seconds of its loading in which kernels were compiled
    """

    compile_s = 0.0

    def __init__(self, card: Card, bundle: Bundle, engine: Engine) -> None:
        self.card = card
        self.bundle = bundle
        self.engine = engine

    @cached_property
    def _vectorizers(self) -> list[Vectorizer]:
        return [Vectorizer(vectorizer) for vectorizer in self.bundle.vectorizers]

    def vectorize(self, texts: pa.Array) -> list[TokenBatch]:
        """The texts as each branch of the network reads them."""
        return [vectorizer(texts) for vectorizer in self._vectorizers]

    @property
    def ref(self) -> str:
        """`name@version`."""
        return self.card.ref

    @property
    def digest(self) -> str:
        """SHA-256 of model.keras."""
        return self.bundle.digest

    def window_size(self, batch_size: int | None = None) -> WindowSize:
        """How many rows to score at a time: `batch_size`, or as many as suit engine and texts."""
        if batch_size is not None:
            return WindowSize(batch_size, batch_size)
        return WindowSize(self.engine.window_rows, self.engine.short_rows)

    def score(self, texts: pa.Array) -> Scores:
        """Score an Arrow array of strings; null and token-less texts are not scored.

        Where several branches read a text, the first one's tokens are those that are counted.
        """
        tokens = self.vectorize(texts)
        outputs = self.engine.run(*tokens)
        first = tokens[0]
        return Scores(
            outputs=outputs,
            n_tokens=first.n_tokens,
            n_oov=first.n_oov,
            truncated=_truncated(first),
            scored=first.n_tokens > 0,
        )

    def composed(self, texts: pa.Array, table: pa.RecordBatch | pa.Table) -> pa.Array:
        """What the model reads of the rows of `table`, whose text column is `texts`.

        Where the card composes the text of several columns, `table` holds those that there are.
        """
        compose = self.card.scorer.composition
        return compose(texts, table) if compose else texts

    def score_rows(self, texts: pa.Array, table: pa.RecordBatch | pa.Table) -> Scores:
        """Score the rows of `table`, whose text column is `texts`."""
        return self.score(self.composed(texts, table))

    def columns_beside(self, name: str, schema: pa.Schema) -> list[str]:
        """The columns that the model reads beside the text, of those that table `name` has.

        Those that it lacks are warned of: the model does without. Raises ColumnError where one
        holds neither words nor numbers, or is there twice.
        """
        compose = self.card.scorer.composition
        if compose is None:
            return []
        absent = compose.missing(schema.names)
        if absent:
            log.warning(
                "%s: no column %s%s: %s reads it beside the text, and scores without",
                name,
                " or ".join(repr(column) for column in absent),
                missing(absent, schema.names),
                self.ref,
            )
        found = [column for column in compose.columns if column not in absent]
        for column in found:
            check_words(name, schema, column)
        return found

    def output_schema(self, options: OutputOptions) -> pa.Schema:
        """Names and types of the appended columns, in order.

        Raises UsageError for a threshold where the task takes none.
        """
        fields = self.card.scorer.problem(options.threshold).columns(options)
        if options.diagnostics:
            fields += DIAGNOSTICS
        return pa.schema([field.with_name(options.prefix + field.name) for field in fields])

    def output(self, scores: Scores, options: OutputOptions) -> pa.RecordBatch:
        """The appended columns, as in `output_schema`; null where a row was not scored."""
        problem = self.card.scorer.problem(options.threshold)
        columns = problem.values(scores.outputs, scores.scored, options)
        if options.diagnostics:
            share = scores.n_oov / np.maximum(scores.n_tokens, 1)
            columns += [
                pa.array(scores.n_tokens),
                pa.array(share.astype(np.float32), mask=~scores.scored),
                pa.array(scores.truncated),
            ]
        return pa.record_batch(columns, schema=self.output_schema(options))

    def _texts_of(self, texts: Any) -> pa.Array:
        """What `predict` takes as one array of texts."""
        if _is_pandas(texts) and hasattr(texts, "columns"):
            texts = pa.Table.from_pandas(texts, preserve_index=False)
        if not isinstance(texts, pa.Table | pa.RecordBatch):
            return _as_text(texts)
        name, card = f"the table for {self.ref}", self.card.scorer
        column = choose_text_column(name, texts.schema, None, card.text_columns)
        self.columns_beside(name, texts.schema)
        return self.composed(_as_text(texts[column]), texts)

    def _rows_at_once(self, texts: pa.Array, threads: int) -> int:
        """A window's rows for texts of this length, and no more than keep every thread busy."""
        size = self.window_size()
        share = -(-len(texts) // threads)
        return max(size.rows, min(size.rows_of(len(texts), int(texts.nbytes)), share))

    def predict(
        self, texts: Any, *, options: OutputOptions | None = None, threads: int = 1
    ) -> pa.Table | pd.DataFrame:
        """Score a list, a NumPy array, a pandas Series or an Arrow array of texts, or the text
        column of a DataFrame or an Arrow table with what the card reads beside it.

        pandas' kinds give a DataFrame with their index; anything else gives an Arrow table. Raises
        InputError where a text is neither a string nor null, ColumnError where no column fits.
        """
        check_at_least("threads", threads, 1)
        options = options or OutputOptions()
        array = self._texts_of(texts)
        rows = self._rows_at_once(array, threads)
        starts = range(0, max(len(array), 1), rows)

        def window(start: int) -> pa.RecordBatch:
            return self.output(self.score(array.slice(start, rows)), options)

        with ThreadPoolExecutor(threads) as pool:
            table = pa.Table.from_batches(pool.map(window, starts))
        if _is_pandas(texts):
            frame: pd.DataFrame = table.to_pandas().set_index(texts.index)
            return frame
        return table


def _truncated(tokens: TokenBatch) -> np.ndarray:
    """bool (rows,), whether the network does not see all of the text."""
    if tokens.truncated is None:
        return np.zeros(len(tokens.n_tokens), np.bool_)
    return tokens.truncated


def load_model(
    reference: str,
    *,
    zoos: Sequence[Path] = (),
    device: str = "auto",
    engine: str | None = None,
    precision: str = "float32",
) -> Model:
    """Find, check and load a model by `name`, `name@version` or path.

    device is auto, cpu or gpu; engine forces `cpu` or `keras`; precision is float32 or mixed.
    Raises UsageError, ModelNotFound, CardError, BundleError, UnsupportedModel, EngineError.
    """
    check_choice("device", device, ("auto", "cpu", "gpu"))
    check_choice("engine", engine, ("cpu", "keras"))
    check_choice("precision", precision, ("float32", "mixed"))
    entry = zoo.find(reference, zoos)
    card = entry.card
    bundle = read_bundle(entry.model_path, digest=entry.digest)
    _check_outputs(card, bundle)
    compiled_before = compilation.seconds
    expect_kernels(branch.vectorizer for branch in bundle.branches)
    loaded = load_engine(bundle, device=device, engine=engine, precision=precision)
    model = Model(card, bundle, loaded)
    model.vectorize(pa.array(["a"]))  # what is compiled is compiled now, not in the first window
    model.compile_s = compilation.seconds - compiled_before
    return model


def _check_outputs(card: Card, bundle: Bundle) -> None:
    if bundle.outputs != card.scorer.outputs:
        raise BundleError(
            f"{bundle.path}: the card promises a {card.scorer.task} model, which gives "
            f"{card.scorer.outputs} numbers for a text; this one gives {bundle.outputs}"
        )


def _is_pandas(texts: Any) -> bool:
    return type(texts).__module__.startswith("pandas") and hasattr(texts, "index")


def _as_text(texts: Any) -> pa.Array:
    try:
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if not isinstance(texts, pa.Array):
            texts = pa.array(texts, type=pa.string(), from_pandas=True)
        return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise InputError(f"texts must be strings or null: {error}") from error
