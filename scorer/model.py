"""A loaded model: card, vectorizer and engine. Texts in, scores out.

rows -> Feeding -> tokens or numbers of each input -> Engine -> final outputs

What becomes of the outputs says scores.py, on which columns of a table a model works binding.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scorer import zoo
from scorer.binding import Binding, bind
from scorer.bundle import Bundle, read_entry
from scorer.card import Card
from scorer.card.columns import with_columns
from scorer.checks import check_at_least, check_choice
from scorer.compiling.watch import compilation
from scorer.engines import Engine, load_engine
from scorer.errors import BundleError, InputError, UsageError
from scorer.explain import Explainer, Explanation
from scorer.feeding import Feeding, feeding
from scorer.frames import predict, read_texts
from scorer.notebook import facts
from scorer.processors import available_cpus
from scorer.progress import progress as bar_of_rows
from scorer.scores import Scores, final_outputs, finite_rows
from scorer.tables import WindowSize
from scorer.tables.columns import Table
from scorer.tasks import OutputOptions
from scorer.vectorizer import TokenBatch, expect_kernels

#: the most texts that one thread explains at a time
EXPLAINED_ROWS = 16


class Model:
    """A loaded model. Thread-safe: several threads may score at once.

    compile_s   the seconds of its loading in which kernels were compiled
    """

    compile_s = 0.0

    def __init__(
        self, card: Card, bundle: Bundle, engine: Engine, ready: Feeding | None = None
    ) -> None:
        self.card = card
        self.bundle = bundle
        self.engine = engine
        self._ready = ready

    @cached_property
    def feeding(self) -> Feeding:
        """What feeds the network's inputs."""
        return self._ready or feeding(self.card.scorer, self.bundle)

    def vectorize(self, texts: pa.Array) -> list[TokenBatch]:
        """The texts as each input of the network reads them that takes texts."""
        given = self.feeding(texts).given
        return [each for each in given if isinstance(each, TokenBatch)]

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

    def score(self, texts: pa.Array, table: pa.RecordBatch | pa.Table | None = None) -> Scores:
        """Score an Arrow array of strings; null texts and texts without tokens are not scored.

        `table` has the same rows, where the card's inputs name columns beside the text: rows that
        lack a number are not scored, nor are rows for which the network gives NaN or an infinite
        number. Where several inputs read the text, the first one's tokens are those that are
        counted. Raises ColumnError where a column is not there.
        """
        fed = self.feeding(texts, table)
        outputs = final_outputs(self.engine.run(*fed.given), self.card.scorer)
        return Scores(
            outputs=outputs,
            n_tokens=fed.text.n_tokens,
            n_oov=fed.text.n_oov,
            truncated=_truncated(fed.text),
            scored=(fed.text.n_tokens > 0) & fed.readable & finite_rows(outputs),
        )

    def bind(
        self, table: Table, text_column: str | None = None, options: OutputOptions | None = None
    ) -> Binding:
        """The model at work on tables like this one: see `scorer.binding.bind`."""
        return bind(self, table, text_column, options or OutputOptions())

    def predict(
        self,
        texts: Any,
        *,
        text_column: str | None = None,
        probabilities: bool | None = None,
        diagnostics: bool | None = None,
        threshold: float | None = None,
        explain: int | None = None,
        prefix: str | None = None,
        options: OutputOptions | None = None,
        threads: int | None = None,
        progress: bool | None = None,
    ) -> Any:
        """Score one text or many, or the text column of a table with what the card reads beside it.

        texts          a string; a list, a NumPy array, a Series of pandas or polars or an Arrow
                       array of strings; a DataFrame of pandas or polars, a DuckDB relation, an
                       Arrow table, a dict of columns, or anything with the Arrow stream interface
        text_column    the table's column to score; None: as the card says
        probabilities  add the probability of every label
        diagnostics    add how many tokens a text has, the share that is unknown, and whether it
                       was cut
        threshold      from which probability on a label is given, in place of the card's
        explain        add a column of this many words that moved the score most
        prefix         put this before the columns' names
        options        all of the last five in one; the others count where they are given
        threads        how many texts to score at once; None: as many as there are processors
        progress       show a bar of rows; None: in a notebook, where it takes longer than a second

        Gives the columns that are appended, of the kind that was given: a dict for a string, a
        DataFrame with their index for pandas' kinds, a DataFrame for polars', a relation for
        DuckDB's, a dict of columns for one, else an Arrow table. Raises InputError where a text is
        neither a string nor null, ColumnError where no column fits, UsageError for fewer threads
        than one.
        """
        check_at_least("threads", threads, 1)
        given: dict[str, Any] = {
            "probabilities": probabilities,
            "diagnostics": diagnostics,
            "threshold": threshold,
            "explain": explain,
            "prefix": prefix,
        }
        asked = {name: value for name, value in given.items() if value is not None}
        read = read_texts(self, texts, text_column, replace(options or OutputOptions(), **asked))
        with bar_of_rows(len(read.texts), progress) as watch:
            return predict(read, self.window_size(), threads or available_cpus(), watch)

    def explain(
        self,
        texts: Any,
        *,
        label: str | None = None,
        text_column: str | None = None,
        threads: int | None = None,
    ) -> Any:
        """Say which words moved the score of one text, or of many, and by how much.

        texts        as for `predict`
        label        what the weights speak for; None: a binary model's last label, the predicted
                     label of a multiclass model, the most probable one of a multilabel model
        text_column  the table's column to read; None: as the card says
        threads      how many texts to explain at once; None: as many as there are processors

        Gives an Explanation for a string, else a list of them, with None for a text that is not
        scored. docs/explain.md says what the weights mean. Raises InputError where a string has no
        word that is scored, UsageError where the model has no such label; else as `predict`.
        """
        check_at_least("threads", threads, 1)
        read = read_texts(self, texts, text_column, OutputOptions())
        found = self._explained(read.texts, read.table, label, threads or available_cpus())
        if not isinstance(texts, str):
            return found
        if found[0] is None:
            raise InputError("the text has no word that the model reads: there is no score")
        return found[0]

    def _explained(
        self,
        texts: pa.Array,
        table: pa.RecordBatch | pa.Table | None,
        label: str | None,
        threads: int,
    ) -> list[Explanation | None]:
        rows = max(1, min(EXPLAINED_ROWS, -(-len(texts) // threads)))

        def window(start: int) -> list[Explanation | None]:
            beside = None if table is None else table.slice(start, rows)
            return self.explainer(texts.slice(start, rows), beside, label)

        with ThreadPoolExecutor(threads) as pool:
            parts = pool.map(window, range(0, max(len(texts), 1), rows))
            return [each for part in parts for each in part]

    @cached_property
    def explainer(self) -> Explainer:
        """What explains this model's scores."""
        return Explainer(self)

    def strongest_words(
        self, texts: pa.Array, table: pa.RecordBatch | pa.Table | None, count: int
    ) -> pa.Array:
        """string (rows,): the words that moved each score most, as in `awful -1.23; warm +0.40`."""
        found = self.explainer(texts, table)
        said = [None if each is None else each.in_short(count) for each in found]
        return pa.array(said, pa.string())

    def __repr__(self) -> str:
        task, predicts, network, engine = self._facts().values()
        return f"<Model {self.ref}: {task} ({predicts}), {network}, {engine}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: what the model predicts and reads, its figures, its network."""
        card = self.card.scorer
        more = {
            "reads": card.text_template or f"the column {' or '.join(card.text_columns)}",
            "figures": "\n".join(
                f"{each.metric} {each.value:.4g} on {each.data}" for each in card.figures
            ),
            "licence": self.card.license,
        }
        return facts(self.ref, (self._facts() | more).items())

    def _facts(self) -> dict[str, str]:
        task = self.card.scorer.task
        return {
            "task": task.name,
            "predicts": task.described(self.card.scorer.problem()),
            "network": f"{self.bundle.parameters:,} parameters",
            "engine": f"{self.engine.name} engine",
        }


def _truncated(tokens: TokenBatch) -> np.ndarray:
    """bool (rows,), whether the network does not see all of the text."""
    if tokens.truncated is None:
        return np.zeros(len(tokens.n_tokens), np.bool_)
    return tokens.truncated


def load_model(
    reference: str | Path,
    *,
    zoos: Sequence[Path] = (),
    device: str = "auto",
    engine: str | None = None,
    precision: str = "float32",
    columns: Mapping[str, str] | None = None,
) -> Model:
    """Find, check and load a model by `name`, `name@version` or path.

    device is auto, cpu or gpu; engine forces `cpu` or `keras`; precision is float32 or mixed;
    columns says what a table calls the columns that the model reads beside the text, by the card's
    names: {"entity": "airline"}.
    Raises UsageError, ModelNotFound, CardError, BundleError, UnsupportedModel, EngineError.
    """
    if not isinstance(reference, str | Path):
        raise UsageError(
            f"a model is given by its name, name@version or path, not by {reference!r:.60}"
        )
    check_choice("device", device, ("auto", "cpu", "gpu"))
    check_choice("engine", engine, ("cpu", "keras"))
    check_choice("precision", precision, ("float32", "mixed"))
    entry = zoo.find(reference, zoos)
    card = with_columns(entry.card, columns or {})
    bundle = read_entry(entry)
    check_outputs(card, bundle)
    compiled_before = compilation.seconds
    expect_kernels(given.vectorizer for given in bundle.inputs if given.vectorizer is not None)
    with ThreadPoolExecutor(1) as pool:  # the words' tables are built while the engine is
        ready = pool.submit(_rehearsed, card, bundle)
        loaded = load_engine(bundle, device=device, engine=engine, precision=precision)
        model = Model(card, bundle, loaded, ready.result())
    model.compile_s = compilation.seconds - compiled_before
    return model


def _rehearsed(card: Card, bundle: Bundle) -> Feeding:
    """A model's feeding, whose kernels are compiled now and not in the first window."""
    fed = feeding(card.scorer, bundle)
    beside = dict.fromkeys(card.scorer.columns_beside, pa.array(["0"]))
    fed(pa.array(["a"]), pa.table(beside))
    return fed


def check_outputs(card: Card, bundle: Bundle) -> None:
    """Raise BundleError where the network's outputs are not as many as the card's task has."""
    found, wanted = bundle.outputs, card.scorer.network_outputs
    if found in wanted:
        return
    several, labels = " or ".join(str(count) for count in wanted), len(card.scorer.labels)
    kind = f"a {card.scorer.task} model" + (f" with {labels} labels" if labels else "")
    outputs = "1 output" if several == "1" else f"{several} outputs"
    one_each = found > 2 and labels > 0
    remedy = "name one label for each output (--label)" if one_each else "look at --task"
    raise BundleError(f"{bundle.path}: {kind} has {outputs}, this network has {found}: {remedy}")
