"""Explains the scores of many texts: sums where they are sums, occlusion elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from scorer.bundle import Bundle
from scorer.card import Card
from scorer.engines import Engine, load_engine
from scorer.errors import UsageError
from scorer.explain.explanation import Explanation, words_of
from scorer.explain.linear import shares
from scorer.explain.occlusion import Occlusion, Variants, effects
from scorer.explain.parts import Parts, split
from scorer.explain.words import Text, read_words
from scorer.feeding import Fed, Feeding
from scorer.scores import Scores

#: variants of texts that are run in one batch
BATCH = 4096

Table: TypeAlias = pa.RecordBatch | pa.Table


class Explained(Protocol):
    """What is explained: a model."""

    card: Card
    bundle: Bundle
    engine: Engine

    @property
    def feeding(self) -> Feeding: ...

    def score(self, texts: pa.Array, table: Table | None = None) -> Scores: ...


@dataclass(frozen=True)
class _Row:
    """A text at work: its words, what the network is given of it, and its variants."""

    number: int
    text: Text
    fed: Fed
    variants: Variants | None


class Explainer:
    """Explains what a model says. Thread-safe. The first call builds the network that it needs."""

    def __init__(self, model: Explained) -> None:
        self._model = model
        self._lock = Lock()

    @cached_property
    def _parts(self) -> Parts:
        card, feeding = self._model.card.scorer, self._model.feeding
        reads_text = [reader is not None for reader in feeding.text_readers]
        return split(self._model.bundle, reads_text, has_logits=bool(card.labels))

    @cached_property
    def _occlusion(self) -> Occlusion | None:
        """What runs the rest of the network."""
        rest, feeding = self._parts.rest, self._model.feeding
        if rest is None:
            return None
        engine = self._model.engine
        if rest is not self._model.bundle:
            engine = load_engine(rest, engine=engine.name, precision=engine.precision)
        return Occlusion(
            engine,
            tuple(feeding.text_readers[number] for number in self._parts.rest_inputs),
        )

    def __call__(
        self, texts: pa.Array, table: Table | None = None, label: str | None = None
    ) -> list[Explanation | None]:
        """One explanation for each text; None where the text is not scored.

        texts   strings, as the model reads them
        table   the columns beside the text, as for `Model.score`
        label   what the weights speak for; None: a binary model's last label, the predicted label
                of a multiclass model, the most probable one of a multilabel model
        Raises UsageError where the model has no such label.
        """
        asked = self._code(label)
        with self._lock:
            self._occlusion  # noqa: B018  built once, whichever thread comes first
        scores = self._model.score(texts, table)
        codes = self._model.card.scorer.task.explained(scores.outputs)
        found: list[Explanation | None] = [None] * len(texts)
        for rows in self._batches(texts, table, scores.scored):
            for row, base, total, weights in self._weighed(rows):
                code = int(codes[row.number]) if asked is None else asked
                margin = self._margin(code, len(total))
                found[row.number] = self._explanation(
                    row.text,
                    self._said(scores, row.number),
                    code,
                    float(total @ margin),
                    float(base @ margin),
                    (weights @ margin).tolist(),
                )
        return found

    def _code(self, label: str | None) -> int | None:
        problem = self._model.card.scorer.problem()
        if label is None:
            return None
        if label not in problem.labels:
            known = (
                f"its labels are {', '.join(problem.labels)}" if problem.labels else "it has none"
            )
            raise UsageError(f"{self._model.card.ref} has no label {label!r}: {known}")
        return problem.labels.index(label)

    def _batches(
        self, texts: pa.Array, table: Table | None, scored: np.ndarray
    ) -> Iterator[list[_Row]]:
        """The scored rows, as many at a time as are run in one batch."""
        rows: list[_Row] = []
        waiting = 0
        for number in np.flatnonzero(scored).tolist():
            beside = None if table is None else table.slice(number, 1)
            fed = self._model.feeding(texts.slice(number, 1), beside)
            text = read_words(texts[number].as_py())
            variants = None if self._occlusion is None else self._occlusion.variants(text)
            size = 1 if variants is None else len(variants.texts)
            if rows and waiting + size > BATCH:
                yield rows
                rows, waiting = [], 0
            rows.append(_Row(number, text, fed, variants))
            waiting += size
        if rows:
            yield rows

    def _weighed(
        self, rows: Sequence[_Row]
    ) -> Iterator[tuple[_Row, np.ndarray, np.ndarray, np.ndarray]]:
        """Of each row: the outputs without a known word, the outputs, and the words' weights.

        float64 (outputs,), (outputs,), (words, outputs).
        """
        parts, feeding = self._parts, self._model.feeding
        outputs = self._run(rows)
        for place, row in enumerate(rows):
            base, total = parts.constant.copy(), parts.constant.copy()
            weights = np.zeros((len(row.text.spans), len(base)))
            for bag in parts.bags:
                vectorizer, tokens = feeding.text_readers[bag.number], row.fed.given[bag.number]
                assert vectorizer is not None, "a bag is made by a vectorizer"
                assert not isinstance(tokens, np.ndarray), "a bag is made of tokens"
                more, found = shares(bag, vectorizer, row.text, tokens)
                weights += more
                total += found
            if row.variants is not None:
                said = outputs[place]
                weights += effects(row.variants, said, len(weights))
                total += said[0]
                base += said[-1]
            yield row, base, total, weights

    def _run(self, rows: Sequence[_Row]) -> list[np.ndarray]:
        if self._occlusion is None:
            return []
        variants = [row.variants for row in rows if row.variants is not None]
        fed = [row.fed for row in rows]
        return self._occlusion.run(variants, fed, self._parts.rest_inputs)

    @property
    def _activation(self) -> str | None:
        return self._parts.activation or self._model.card.scorer.output_activation

    def _margin(self, code: int, width: int) -> np.ndarray:
        return self._model.card.scorer.task.margin(code, width, self._activation)

    def _said(self, scores: Scores, number: int) -> str:
        problem = self._model.card.scorer.problem()
        return problem.task.in_words(problem, scores.outputs[number].tolist())

    def _explanation(
        self, text: Text, said: str, code: int, score: float, base: float, weights: list[float]
    ) -> Explanation:
        labels = self._model.card.scorer.problem().labels
        return Explanation(
            model=self._model.card.ref,
            text=text.text,
            prediction=said,
            label=labels[code] if labels else None,
            scale="output" if self._activation is None else "logit",
            score=score,
            base=base,
            exact=self._parts.rest is None,
            words=words_of(text, weights),
        )
