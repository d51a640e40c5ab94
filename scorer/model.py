"""A loaded model: card, vectorizer and engine. Texts in, scores out.

rows -> Feeding -> tokens or numbers of each input -> Engine -> final outputs

What becomes of the outputs says scores.py, on which columns of a table a model works binding.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scorer import zoo
from scorer.binding import Binding, bind
from scorer.bundle import Bundle, read_entry
from scorer.card import Card
from scorer.checks import check_at_least, check_choice
from scorer.compiling.watch import compilation
from scorer.engines import Engine, load_engine
from scorer.errors import BundleError
from scorer.feeding import Feeding, feeding
from scorer.frames import predict
from scorer.scores import Scores, final_outputs, finite_rows
from scorer.tables import WindowSize
from scorer.tables.columns import Table
from scorer.tasks import OutputOptions
from scorer.vectorizer import TokenBatch, expect_kernels

if TYPE_CHECKING:
    import pandas as pd


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
    def feeding(self) -> Feeding:
        """What feeds the network's inputs."""
        return feeding(self.card.scorer, self.bundle)

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
        """Score an Arrow array of strings; null and token-less texts are not scored.

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

    def rehearse(self) -> None:
        """Have what is compiled for the vectorizers compiled now, not in the first window."""
        first = pa.array(["a"])
        beside = dict.fromkeys(self.card.scorer.columns_beside, pa.array(["0"]))
        self.feeding(first, pa.table(beside))

    def bind(
        self, table: Table, text_column: str | None = None, options: OutputOptions | None = None
    ) -> Binding:
        """The model at work on tables like this one: see `scorer.binding.bind`."""
        return bind(self, table, text_column, options or OutputOptions())

    def predict(
        self, texts: Any, *, options: OutputOptions | None = None, threads: int = 1
    ) -> pa.Table | pd.DataFrame:
        """Score a list, a NumPy array, a pandas Series or an Arrow array of texts, or the text
        column of a DataFrame or an Arrow table with what the card reads beside it.

        pandas' kinds give a DataFrame with their index; anything else gives an Arrow table. Raises
        InputError where a text is neither a string nor null, ColumnError where no column fits,
        UsageError for fewer threads than one.
        """
        check_at_least("threads", threads, 1)
        return predict(self, texts, options or OutputOptions(), self.window_size(), threads)


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
    bundle = read_entry(entry)
    check_outputs(card, bundle)
    compiled_before = compilation.seconds
    expect_kernels(given.vectorizer for given in bundle.inputs if given.vectorizer is not None)
    loaded = load_engine(bundle, device=device, engine=engine, precision=precision)
    model = Model(card, bundle, loaded)
    model.rehearse()
    model.compile_s = compilation.seconds - compiled_before
    return model


def check_outputs(card: Card, bundle: Bundle) -> None:
    """Raise BundleError where the network's outputs are not as many as the card's task has."""
    found, wanted = bundle.outputs, card.scorer.network_outputs
    if found in wanted:
        return
    several = " or ".join(str(count) for count in wanted)
    remedy = "name one label for each output (--label)" if found > 2 else "look at --task"
    raise BundleError(
        f"{bundle.path}: a {card.scorer.task} model with {len(card.scorer.labels)} labels has "
        f"{several} outputs, this network has {found}: {remedy}"
    )
