"""The linear part of a wide and deep model: bags of n-grams, added to the network's logits.

Cheng et al. 2016 ("Wide & Deep Learning"), except that each part is trained alone and weights found
on the validation rows put them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.optimize import minimize

from scripts.training.heads import head_of
from scripts.training.ngrams import id_bits, ngram_keys
from scripts.training.recipe import Wide
from scripts.training.types import AnyArray, Floats, Ints
from scripts.training.vocabulary import learn_vocabulary, tokenize

_BASE = 100_000  # n-grams are made of that many of the most frequent words or characters


@dataclass(frozen=True)
class Grams:
    """The n-grams that a bag knows, most texts first, and in how many texts each is."""

    settings: Wide
    grams: tuple[str, ...]
    texts: Ints

    def bags(self, texts: pa.Array) -> sp.csr_matrix:
        """(rows, columns): how often, or whether, a text has an n-gram; column 0 is any unknown
        one. With the setting `unit` each row is brought to length 1."""
        settings = self.settings.vectorizer
        tokens = tokenize(settings, self.grams, texts)
        ones = np.ones(tokens.ids.size, np.float32)
        shape = (tokens.offsets.size - 1, len(self.grams) + 1)
        bags = sp.csr_matrix((ones, tokens.ids - 1, tokens.offsets), shape=shape)
        bags.sum_duplicates()
        if settings.output_mode == "multi_hot":
            bags.data[:] = 1
        if self.settings.unit:
            squares = np.asarray(bags.multiply(bags).sum(axis=1)).ravel()
            bags = sp.diags(1 / np.sqrt(np.maximum(squares, 1)).astype(np.float32)) @ bags
        return bags.tocsr()


def learn_grams(settings: Wide, texts: pa.Array) -> Grams:
    """The n-grams that most texts have, made of the most frequent words or characters."""
    wanted = settings.vectorizer
    most_base = min(_BASE, 1 << id_bits(wanted.ngrams))
    single = {"ngrams": 1, "output_mode": "int", "max_tokens": most_base}
    base = learn_vocabulary(wanted.model_copy(update=single), texts)
    tokens = base.tokenize(texts)
    keys = _keys(tokens.ids, tokens.offsets, wanted.ngrams)
    found, texts_of = np.unique(keys, return_counts=True)
    most = np.argsort(-texts_of, kind="stable")[: wanted.max_tokens - 1]
    grams = _spelt(found[most], base.words, id_bits(wanted.ngrams))
    return Grams(settings, tuple(grams), texts_of[most])


def _keys(ids: AnyArray, offsets: AnyArray, most: int) -> AnyArray:
    """uint64: each text's different n-grams of known words, whose ids begin at 2."""
    text = np.repeat(np.arange(offsets.size - 1, dtype=np.int32), np.diff(offsets))
    found = ngram_keys(np.where(ids > 1, ids, 0), text, most)
    return np.concatenate([_once_a_text(key[w], text[: key.size][w]) for key, w in found])


def _once_a_text(keys: AnyArray, text: AnyArray) -> AnyArray:
    """The keys without repeats in one text; `text` ascends."""
    order = np.argsort(keys, kind="stable")
    keys, text = keys[order], text[order]
    first = np.ones(keys.size, np.bool_)
    first[1:] = (keys[1:] != keys[:-1]) | (text[1:] != text[:-1])
    return keys[first]


def _spelt(keys: AnyArray, words: Sequence[str], bits: int) -> list[str]:
    mask = (1 << bits) - 1
    spelt = []
    for key in keys.tolist():
        parts = []
        while key:
            parts.append(words[(key & mask) - 2])
            key >>= bits
        spelt.append(" ".join(reversed(parts)))
    return spelt


@dataclass(frozen=True)
class Linear:
    """kernel (columns, outputs), bias (outputs,)."""

    kernel: Floats
    bias: Floats

    def logits(self, bags: sp.csr_matrix) -> Floats:
        logits: Floats = (bags @ self.kernel + self.bias).astype(np.float32)
        return logits


def fit_wide(
    task: str, bags: sp.csr_matrix, targets: Floats, grams: Grams, weights: Floats | None = None
) -> Linear:
    """By L-BFGS with an L2 penalty.

    targets (rows, outputs) are probabilities, or standardized values, whose error is squared;
    weights (rows,) say how much each row's loss counts (None: all alike). The
    penalty falls on weights divided by the n-gram's idf: rare ones, which say more, pay less. With
    the setting `rare` above zero they pay still less, so that they learn texts by heart.
    """
    idf = np.log(bags.shape[0] / np.concatenate([[bags.shape[0]], grams.texts]))
    idf *= (idf / idf.mean()) ** grams.settings.rare
    scaled = (bags @ sp.diags(idf.astype(np.float32))).tocsr()
    transposed = scaled.T.tocsr()
    columns, outputs = bags.shape[1], targets.shape[1]
    counts = np.ones(len(targets), np.float32) if weights is None else weights

    def objective(flat: AnyArray) -> tuple[float, AnyArray]:
        kernel, bias = flat[:-outputs].reshape(columns, outputs), flat[-outputs:]
        logits = (scaled @ kernel.astype(np.float32) + bias).astype(np.float32)
        losses, g = head_of(task).smooth_loss(logits, targets)
        loss, g = float(losses @ counts), g * counts[:, None]
        gradient = transposed @ g + np.float32(grams.settings.l2) * kernel
        penalty = 0.5 * grams.settings.l2 * float(np.vdot(kernel, kernel))
        return loss + penalty, np.append(gradient.ravel(), g.sum(axis=0)).astype(np.float64)

    start = np.zeros((columns + 1) * outputs)
    steps = {"maxiter": grams.settings.steps}
    flat = minimize(objective, start, jac=True, method="L-BFGS-B", options=steps).x
    kernel = flat[:-outputs].reshape(columns, outputs) * idf[:, None]
    return Linear(kernel.astype(np.float32), flat[-outputs:].astype(np.float32))


@dataclass(frozen=True)
class Bag:
    """A linear model with the n-grams that it reads."""

    grams: Grams
    linear: Linear

    def logits(self, texts: pa.Array) -> Floats:
        return self.linear.logits(self.grams.bags(texts))


def learn_bag(
    task: str, settings: Wide, texts: pa.Array, targets: Floats, weights: Floats | None = None
) -> Bag:
    grams = learn_grams(settings, texts)
    return Bag(grams, fit_wide(task, grams.bags(texts), targets, grams, weights))


@dataclass(frozen=True)
class Mix:
    """logits = sum of weight * part's logits + bias, over the networks and then the bags."""

    weights: tuple[float, ...]
    bias: Floats

    def __call__(self, *parts: Floats) -> Floats:
        weighted = [np.float32(w) * part for w, part in zip(self.weights, parts, strict=True)]
        mixed: Floats = (np.sum(weighted, axis=0) + self.bias).astype(np.float32)
        return mixed


def fit_mix(task: str, parts: list[Floats], targets: Floats, weights: Floats | None = None) -> Mix:
    """The mix of least mean loss on validation rows; so it calibrates the probabilities too.

    weights (rows,) say how much each row counts (None: all alike).
    """
    count = len(parts)

    def mix(flat: AnyArray) -> Mix:
        return Mix(tuple(flat[:count].tolist()), flat[count:].astype(np.float32))

    def loss(flat: AnyArray) -> float:
        losses = head_of(task).loss(mix(flat)(*parts), targets)[0]
        return float(np.average(losses, weights=weights))

    start = np.concatenate([np.full(count, 1 / count), np.zeros(targets.shape[1])])
    options = {"xatol": 1e-4, "fatol": 1e-7, "maxiter": 2000}
    return mix(minimize(loss, start, method="Nelder-Mead", options=options).x)
