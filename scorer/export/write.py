"""Writes a model to a file once ONNX Runtime's answers are the card's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scorer.bundle import Bundle
from scorer.card import Card, ScorerCard
from scorer.errors import ScorerError, UnsupportedModel
from scorer.export.checks import (
    fed,
    onnx_inputs,
    random_texts,
    session,
    text_inputs,
    text_read_otherwise,
)
from scorer.export.model import to_onnx
from scorer.feeding import feeding
from scorer.files import write_whole
from scorer.verify import golden_inputs, tolerance


@dataclass(frozen=True)
class Written:
    """What a file holds.

    gap     the largest difference of its scores from the card's golden rows
    inputs  the names of the graph's inputs
    why_ids why the graph reads token ids, not texts; None: it reads texts
    """

    gap: float
    inputs: tuple[str, ...]
    why_ids: str | None = None


def write_onnx(card: Card, bundle: Bundle, target: Path, *, ids: bool = False) -> Written:
    """Write the model to `target` once ONNX Runtime replays the card's golden rows with it.

    ids   begin where the vectorizers end, even where the graph could read texts
    Raises UnsupportedModel for a layer that is not written, ScorerError where a score is further
    from the card's than engines may be.
    """
    model, why_ids = (None, "asked for") if ids else _reading_texts(bundle, card.scorer)
    if model is None:
        model = to_onnx(bundle, card.scorer)
    raw = model.SerializeToString()
    gap = _golden_gap(raw, bundle, card.scorer, ids=why_ids is not None)
    if gap > tolerance(bundle):
        raise ScorerError(f"{target}: not written: ONNX Runtime is {gap:.1e} from the golden rows")
    with write_whole(target) as file:
        file.write(raw)
    return Written(gap, tuple(each.name for each in model.graph.input), why_ids)


def _reading_texts(bundle: Bundle, card: ScorerCard) -> tuple[Any | None, str | None]:
    """The model that reads texts, or why there is none."""
    to_onnx(bundle, card)  # a layer that is not written is not the vectorizer's fault
    try:
        model = to_onnx(bundle, card, texts=True)
    except UnsupportedModel as error:
        return None, str(error)
    specs = [each.vectorizer for each in bundle.inputs if each.vectorizer is not None]
    text = text_read_otherwise(bundle, card, random_texts(specs))
    if text is not None:
        return None, f"ONNX Runtime reads {text[:60]!r} otherwise than the vectorizer"
    return model, None


def _golden_gap(raw: bytes, bundle: Bundle, card: ScorerCard, *, ids: bool) -> float:
    """How far the golden rows' scores are, in units of the largest where that is over 1."""
    rows = [row for row in card.golden if row.output is not None]
    given = golden_inputs(card, rows)
    if ids:
        feeds = onnx_inputs(bundle, *feeding(card, bundle)(*given).given)
    else:
        feeds = text_inputs(bundle, card, *given)
    scores = fed(session(raw), feeds)[0]
    wanted = np.asarray([row.output for row in rows])
    if scores.shape != wanted.shape:
        return float("inf")
    return float(np.abs(scores - wanted).max() / max(1.0, float(np.abs(wanted).max())))
