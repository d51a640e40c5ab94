"""From a corpus to trained arrays: vocabulary, targets, network or regression, and its scores."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from scorer.vectorizer import TokenBatch
from scripts.training.corpus import Corpus, hold_out
from scripts.training.fit import Epoch, Fit, judge
from scripts.training.linear import bag_of_words, fit_logistic
from scripts.training.network import (
    Network,
    Tokens,
    build_layers,
    probabilities,
)
from scripts.training.recipe import Recipe
from scripts.training.types import AnyArray, Floats, Ints
from scripts.training.vocabulary import (
    Vocabulary,
    learn_vocabulary,
    pretrained_table,
    random_table,
)
from scripts.training.wide import Grams, Linear, Mix, fit_mix, fit_wide, learn_grams

Log = Callable[[str], None]


class Scorer(Protocol):
    """What training leaves behind: outputs as the exported model gives them, and its arrays."""

    def outputs(self, texts: pa.Array, tokens: TokenBatch) -> Floats:
        """float32 (rows, outputs), after the head's activation."""
        ...

    def arrays(self) -> list[Floats]:
        """The weights in Keras' order."""
        ...


@dataclass(frozen=True)
class Parts:
    """What a fit begins from."""

    recipe: Recipe
    labels: tuple[str, ...]
    vocabulary: Vocabulary
    train: Corpus
    validation: Corpus
    soft: Corpus | None = None  # its labels are probabilities
    grams: Grams | None = None


@dataclass(frozen=True)
class Trained:
    """One trained model with what its card tells. `vectors_found` is a share of the words."""

    parts: Parts
    scorer: Scorer
    curve: tuple[Epoch, ...]
    vectors_found: float | None = None

    def outputs(self, texts: pa.Array) -> tuple[Floats, TokenBatch]:
        tokens = self.parts.vocabulary.tokenize(texts)
        return self.scorer.outputs(texts, tokens), tokens


def train(
    recipe: Recipe,
    corpus: Corpus,
    vectors: Path | None,
    folder: Path,
    log: Log,
    soft: Corpus | None = None,
) -> Trained:
    """Holds out a validation part, learns vocabulary and weights. Resumes from `folder`.

    The rows of `soft`, whose labels are a teacher's probabilities, join the training part.
    """
    groups = corpus.columns[recipe.data.split_by] if recipe.data.split_by else None
    seed = (recipe.seed, 0)
    kept, held = hold_out(len(corpus), groups, recipe.data.validation, seed)
    part, validation = corpus.take(kept), corpus.take(held)
    labels = label_names(recipe.task, corpus.labels)
    texts = part.texts if soft is None else pa.concat_arrays([part.texts, soft.texts])
    vocabulary = learn_vocabulary(recipe.vectorizer, texts)
    grams = None if recipe.wide is None else learn_grams(recipe.wide, texts)
    log(f"{len(part)} rows to train on, {len(validation)} to validate on")
    parts = Parts(recipe, labels, vocabulary, part, validation, soft, grams)
    if recipe.training.optimizer == "lbfgs":
        return _fit_linear(parts, log)
    return _fit_network(parts, vectors, folder, log)


def label_names(task: str, labels: AnyArray) -> tuple[str, ...]:
    """Classes in output order, which is the alphabet's: "negative" before "positive"."""
    if task == "regression":
        return ()
    return tuple(sorted({str(label) for label in labels}))


def class_codes(labels: AnyArray, names: tuple[str, ...]) -> Ints:
    """int64 (rows,): where each label stands among the names."""
    return np.searchsorted(np.array(names), labels.astype(str)).astype(np.int64)


def _targets(task: str, labels: AnyArray, names: tuple[str, ...]) -> Floats:
    """(rows, outputs): probabilities of the classes, or the values."""
    if task == "regression":
        return labels.astype(np.float32)[:, None]
    codes = class_codes(labels, names)
    if task == "binary":
        return codes.astype(np.float32)[:, None]
    return np.eye(len(names), dtype=np.float32)[codes]


def _rows(tokens: TokenBatch, recipe: Recipe) -> list[Ints]:
    """Each row's ids; before a convolution with the padding it needs (see `conv.py`)."""
    ids, offsets = tokens.ids.astype(np.int64), tokens.offsets
    rows = [ids[a:b] for a, b in itertools.pairwise(offsets)]
    if not recipe.convolution:
        return rows
    padding = np.zeros(recipe.convolution, np.int64)
    limit = recipe.vectorizer.output_sequence_length
    return [np.concatenate([row, padding])[:limit] for row in rows]


def _dataset(recipe: Recipe, tokens: TokenBatch, targets: Floats) -> Tokens:
    rows = _rows(tokens, recipe)
    return Tokens(rows, targets, np.array([row.size for row in rows], np.int64))


class NetworkScorer:
    """A trained network over the library's token batches."""

    def __init__(self, recipe: Recipe, network: Network) -> None:
        self.recipe, self.network = recipe, network

    def logits(self, tokens: TokenBatch) -> Floats:
        empty = np.zeros((tokens.offsets.size - 1, self.recipe.layers[-1].units), np.float32)
        return self.network.logits(_dataset(self.recipe, tokens, empty))

    def outputs(self, texts: pa.Array, tokens: TokenBatch) -> Floats:
        return self.activated(self.logits(tokens))

    def activated(self, logits: Floats) -> Floats:
        out = probabilities(self.recipe.task, logits)
        if self.recipe.task == "regression":
            out = out * np.float32(self.network.scale) + np.float32(self.network.shift)
        return out

    def arrays(self) -> list[Floats]:
        """The last layer takes in the mean and the spread of a regression's targets."""
        arrays = [array.copy() for array in self.network.weights.values()]
        arrays[-2] *= np.float32(self.network.scale)
        arrays[-1] = arrays[-1] * np.float32(self.network.scale) + np.float32(self.network.shift)
        return arrays


class WideDeepScorer:
    """A network and a linear model on n-grams, their logits mixed."""

    def __init__(self, deep: NetworkScorer, grams: Grams, wide: Linear, mix: Mix) -> None:
        self.deep, self.grams, self.wide, self.mix = deep, grams, wide, mix

    def outputs(self, texts: pa.Array, tokens: TokenBatch) -> Floats:
        wide = self.wide.logits(self.grams.bags(texts))
        return self.deep.activated(self.mix(self.deep.logits(tokens), wide))

    def arrays(self) -> list[Floats]:
        """The network's, whose head takes in the mix and both biases, then the wide kernel."""
        network, mix = self.deep.network, self.mix
        scale = np.float32(network.scale)
        arrays = [array.copy() for array in network.weights.values()]
        arrays[-2] *= np.float32(mix.deep) * scale
        bias = mix(arrays[-1], self.wide.bias) * scale + np.float32(network.shift)
        return [*arrays[:-1], bias, self.wide.kernel * np.float32(mix.wide) * scale]


class LinearScorer:
    """Logistic regression on a bag of words."""

    def __init__(self, vocabulary: Vocabulary, kernel: Floats, bias: Floats) -> None:
        self.vocabulary, self.kernel, self.bias = vocabulary, kernel, bias

    def outputs(self, texts: pa.Array, tokens: TokenBatch) -> Floats:
        logits = bag_of_words(tokens, self.vocabulary) @ self.kernel + self.bias
        return probabilities("binary", logits.astype(np.float32))

    def arrays(self) -> list[Floats]:
        return [self.kernel, self.bias]


def _initial_table(
    parts: Parts, vectors: Path | None, rng: np.random.Generator
) -> tuple[Floats, float | None]:
    embedding = parts.recipe.layers[0]
    if embedding.vectors is None:
        return random_table(parts.vocabulary.ids, embedding.units, rng), None
    if vectors is None:
        raise ValueError(f"{parts.recipe.name} begins from {embedding.vectors} word vectors")
    return pretrained_table(parts.vocabulary, vectors, rng)


def _fit_network(parts: Parts, vectors: Path | None, folder: Path, log: Log) -> Trained:
    recipe, corpora = parts.recipe, [parts.train, parts.validation]
    rng = np.random.default_rng([recipe.seed, 1])
    table, found = _initial_table(parts, vectors, rng)
    targets = [_targets(recipe.task, c.labels, parts.labels) for c in corpora]
    if parts.soft is not None:
        corpora[0], targets[0] = _with_soft(parts.train, targets[0], parts.soft)
    shift, scale = 0.0, 1.0
    if recipe.task == "regression":
        shift, scale = float(targets[0].mean()), float(targets[0].std())
        targets = [(t - np.float32(shift)) / np.float32(scale) for t in targets]
    sets = []
    for corpus, target in zip(corpora, targets, strict=True):
        data = _dataset(recipe, parts.vocabulary.tokenize(corpus.texts), target)
        sets.append(data.take(np.flatnonzero(data.lengths > 0)))
    network = Network(recipe.task, build_layers(recipe, table, rng), scale=scale, shift=shift)
    fit = Fit(network, recipe.training, recipe.seed, folder, len(sets[0].rows))
    fit.run(sets[0], sets[1], log)
    scorer: Scorer = NetworkScorer(recipe, network)
    if parts.grams is not None:
        scorer = _widened(NetworkScorer(recipe, network), parts, corpora, targets, log)
    return Trained(parts, scorer, tuple(fit.curve), found)


def _with_soft(train: Corpus, targets: Floats, soft: Corpus) -> tuple[Corpus, Floats]:
    """Training rows and targets with the teacher's behind them."""
    texts = pa.concat_arrays([train.texts, soft.texts])
    together = np.concatenate([targets, soft.labels.astype(np.float32)[:, None]])
    return Corpus(texts, np.concatenate([train.labels, np.full(len(soft), "")]), {}), together


def _widened(
    deep: NetworkScorer, parts: Parts, corpora: list[Corpus], targets: list[Floats], log: Log
) -> WideDeepScorer:
    """The network with a linear model on n-grams beside it, mixed on the validation rows."""
    task, grams = parts.recipe.task, parts.grams
    assert grams is not None
    wide = fit_wide(task, grams.bags(corpora[0].texts), targets[0], grams)
    beside = wide.logits(grams.bags(corpora[1].texts))
    own = deep.logits(parts.vocabulary.tokenize(corpora[1].texts))
    mix = fit_mix(task, own, beside, targets[1], grams.settings.share)
    both = mix(own, beside)
    for name, logits in (("network", own), ("n-grams", beside), ("both", both)):
        loss, score = judge(deep.network, logits, targets[1])
        log(f"{name}: validation loss {loss:.4f}, score {score:.4f}")
    log(f"mix: {mix.deep:.3f} of the network, {mix.wide:.3f} of the n-grams")
    return WideDeepScorer(deep, grams, wide, mix)


def _fit_linear(parts: Parts, log: Log) -> Trained:
    started = time.monotonic()
    vocabulary, settings = parts.vocabulary, parts.recipe.training
    bags = bag_of_words(vocabulary.tokenize(parts.train.texts), vocabulary)
    codes = class_codes(parts.train.labels, parts.labels)
    scorer = LinearScorer(vocabulary, *fit_logistic(bags, codes, settings.inverse_l2))
    losses = []
    for corpus in (parts.train, parts.validation):
        out = scorer.outputs(corpus.texts, vocabulary.tokenize(corpus.texts))[:, 0]
        truth = class_codes(corpus.labels, parts.labels)
        right = np.where(truth == 1, out, 1 - out)
        losses.append(float(-np.log(np.maximum(right, 1e-12)).mean()))
    score = float(((out >= 0.5) == truth).mean())
    line = Epoch(1, losses[0], losses[1], score, time.monotonic() - started)
    log(f"validation loss {line.loss:.4f}, score {score:.4f}, {line.seconds:.0f} s")
    return Trained(parts, scorer, (line,))
