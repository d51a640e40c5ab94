"""The scores of some rows, and the columns made from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scorer.card import ScorerCard
from scorer.errors import UsageError
from scorer.tasks import OutputOptions, Truth

#: the columns that `OutputOptions.diagnostics` adds
DIAGNOSTICS = (
    pa.field("n_tokens", pa.int32()),
    pa.field("oov_share", pa.float32()),
    pa.field("truncated", pa.bool_()),
)
#: the column that `OutputOptions.explain` adds
EXPLANATION = pa.field("explanation", pa.string())


@dataclass(frozen=True)
class Scores:
    """What a model says of some rows.

    outputs     float32 (rows, k): what they mean, the card's task says (see `scorer.tasks`)
    n_tokens    int32 (rows,), before any truncation
    n_oov       int32 (rows,), of those, how many the vocabulary lacks
    truncated   bool (rows,), True where the network does not see the text's end
    scored      bool (rows,), False where the text is null or has no token, a column beside it lacks
                its number, or the network gives no finite one
    words       string (rows,), the words that moved each score most; None where not asked for
    """

    outputs: np.ndarray
    n_tokens: np.ndarray
    n_oov: np.ndarray
    truncated: np.ndarray
    scored: np.ndarray
    words: pa.Array | None = None

    @property
    def numberless(self) -> np.ndarray:
        """bool (rows,), True where a text has tokens and the network gives no finite number."""
        without: np.ndarray = (self.n_tokens > 0) & ~self.scored & ~finite_rows(self.outputs)
        return without


def finite_rows(outputs: np.ndarray) -> np.ndarray:
    """bool (rows,), of outputs (rows, k): True where no number of a row is NaN or infinite."""
    finite: np.ndarray = np.isfinite(outputs).all(axis=1)
    return finite


def final_outputs(raw: np.ndarray, card: ScorerCard) -> np.ndarray:
    """float32 (rows, k), the outputs that the task speaks of, of what a network gives.

    The card's activation is applied where the network gives logits. Of two outputs of a binary
    model the second is its label's probability. A row's outputs depend on that row alone.
    """
    return np.ascontiguousarray(activated(raw, card)[:, -card.outputs :])


def activated(raw: np.ndarray, card: ScorerCard) -> np.ndarray:
    """float32 (rows, outputs of the network), with the card's activation applied."""
    if card.output_activation == "sigmoid":
        return _sigmoid(raw.astype(np.float64))
    if card.output_activation == "softmax":
        powers = np.exp(raw.astype(np.float64) - raw.max(axis=1, keepdims=True))
        shares: np.ndarray = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares
    return raw


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """float32: 1 / (1 + e^-x), without an overflow."""
    shrunk = np.exp(-np.abs(logits))
    shares: np.ndarray = (np.where(logits >= 0, 1, shrunk) / (1 + shrunk)).astype(np.float32)
    return shares


def output_schema(card: ScorerCard, options: OutputOptions) -> pa.Schema:
    """Names and types of the appended columns, in order.

    Raises UsageError for a threshold where the task takes none.
    """
    if options.top is not None and card.task.truth is not Truth.CLASS:
        raise UsageError(
            f"--top is for models that predict one label; {card.name}@{card.version} is {card.task}"
        )
    fields = card.problem(options.threshold).columns(options)
    if options.diagnostics:
        fields += DIAGNOSTICS
    if options.explain is not None:
        fields.append(EXPLANATION)
    return pa.schema([field.with_name(options.prefix + field.name) for field in fields])


def output_columns(card: ScorerCard, scores: Scores, options: OutputOptions) -> pa.RecordBatch:
    """The appended columns, as in `output_schema`; null where a row was not scored."""
    columns = card.problem(options.threshold).values(scores.outputs, scores.scored, options)
    if options.diagnostics:
        share = scores.n_oov / np.maximum(scores.n_tokens, 1)
        columns += [
            pa.array(scores.n_tokens),
            pa.array(share.astype(np.float32), mask=~scores.scored),
            pa.array(scores.truncated),
        ]
    if scores.words is not None:
        columns.append(scores.words)
    return pa.record_batch(columns, schema=output_schema(card, options))
