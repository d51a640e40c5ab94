"""ONNX Runtime at work on what is written: its answers, and where they differ from ours."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.bundle import Bundle
from scorer.card import ScorerCard
from scorer.engines.encode import bag_of_words, padded_ids
from scorer.export.model import input_name, lengths_name, load, text_name, vectorizers_to_onnx
from scorer.feeding import Given, feeding
from scorer.vectorizer import Vectorizer, VectorizerSpec

RANDOM_TEXTS = 200
_ROWS = 25  # at a time
#: between words, and within them: what vectorizers treat apart
_AWKWARD = (
    *string.punctuation,
    *("\t", "\n", "\r", "\v", "\f", "\x85", "\xa0", "\u2003", "\u3000", "<br />", "--", " "),
    *("É", "ß", "İ", "ǅ", "Ω", "Ж", "“", "’", "…", "日本", "🎬", "A", "Z", "0", "9", "\u0301"),
)


def onnx_inputs(bundle: Bundle, *inputs: Given) -> dict[str, np.ndarray]:
    """The inputs of a graph of ids, for what is given to each input of the network."""
    feeds = {}
    for number, (to, given) in enumerate(zip(bundle.inputs, inputs, strict=True)):
        name = input_name(bundle, number)
        if isinstance(given, np.ndarray):
            feeds[name] = given.astype(np.float32)
        elif to.vectorizer is not None and to.spec.dtype == "bag":
            feeds[name] = bag_of_words(to.vectorizer, given)
        else:
            feeds[name] = padded_ids(given, to.spec.shape[0]).astype(np.int64)
            feeds[lengths_name(bundle, number)] = np.diff(given.offsets).astype(np.int32)
    return feeds


def text_inputs(
    bundle: Bundle, card: ScorerCard, texts: pa.Array, table: pa.Table | None = None
) -> dict[str, np.ndarray]:
    """The inputs of a graph of texts; `table` holds the columns beside them."""
    told = feeding(card, bundle)
    feeds = {}
    for number, (to, columns) in enumerate(zip(bundle.inputs, told.columns, strict=True)):
        if to.vectorizer is not None:
            column = texts if not columns or table is None else table[columns[0]]
            words = ["" if text is None else str(text) for text in column.to_pylist()]
            feeds[text_name(bundle, number, columns)] = np.array(words, object)
    for number, given in enumerate(told(texts, table).given):
        if isinstance(given, np.ndarray):
            feeds[input_name(bundle, number)] = given.astype(np.float32)
    return feeds


def session(raw: bytes) -> Any:
    """ONNX Runtime with a model, on the processor."""
    return load("onnxruntime").InferenceSession(raw, providers=["CPUExecutionProvider"])


def fed(running: Any, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a session, which takes of the feeds what its model has."""
    wanted = {node.name for node in running.get_inputs()}
    made: list[np.ndarray] = running.run(None, {k: v for k, v in feeds.items() if k in wanted})
    return made


def run_onnx(raw: bytes, bundle: Bundle, *inputs: Given) -> np.ndarray:
    """ONNX Runtime's scores for a batch, float32 (rows, outputs), by a graph of ids."""
    return fed(session(raw), onnx_inputs(bundle, *inputs))[0]


def text_read_otherwise(bundle: Bundle, card: ScorerCard, texts: pa.Array) -> str | None:
    """A text of which the graph makes other ids, or another bag, than we do. None: of none."""
    running = session(vectorizers_to_onnx(bundle, card).SerializeToString())
    names = [made.name for made in running.get_outputs()]
    read = [Vectorizer(each.vectorizer) if each.vectorizer else None for each in bundle.inputs]
    for start in range(0, len(texts), _ROWS):
        some = texts.slice(start, _ROWS)
        strings = np.array(some.to_pylist(), object)
        made = fed(running, {node.name: strings for node in running.get_inputs()})
        none = np.zeros((len(some), 1))
        ours = onnx_inputs(bundle, *(none if each is None else each(some) for each in read))
        for name, found in zip(names, made, strict=True):
            row = _first_difference(found, ours[name])
            if row is not None:
                return str(strings[row])
    return None


def _first_difference(found: np.ndarray, wanted: np.ndarray) -> int | None:
    if found.shape != wanted.shape:
        return 0
    apart = ~np.isclose(found, wanted, rtol=1e-6, atol=0).reshape(len(found), -1).all(axis=1)
    return int(np.argmax(apart)) if apart.any() else None


def random_texts(specs: Sequence[VectorizerSpec], seed: int = 0) -> pa.Array:
    """Texts of words of the vocabularies and of signs that vectorizers treat apart."""
    rng = random.Random(seed)
    words = [word for spec in specs for word in rng.choices(spec.vocabulary, k=200)]
    return pa.array("".join(_pieces(rng, words)) for _ in range(RANDOM_TEXTS))


def _pieces(rng: random.Random, words: Sequence[str]) -> Iterator[str]:
    """Of a text: as often as not a short one; one in ten is longer than most models read."""
    most = rng.choice((0, 2, 5, 10, 10, 30, 30, 60, 60, 400))
    for _ in range(rng.randint(0, most)):
        word = rng.choice(words)
        yield rng.choice((word, word, word.upper(), word.title(), word + rng.choice(_AWKWARD)))
        yield rng.choice((" ", " ", " ", *rng.choices(_AWKWARD, k=2), ""))
