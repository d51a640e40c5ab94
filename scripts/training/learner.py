"""From a corpus to trained arrays: vocabulary, targets, network or regression, and its scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from scorer.vectorizer import TokenBatch
from scripts.training.corpus import Corpus, hold_out, measurable, row_weights
from scripts.training.fit import Epoch, Fit, Log, best_epoch
from scripts.training.heads import class_codes, head_of, judge
from scripts.training.linear import bag_of_words, fit_logistic
from scripts.training.network import Network, build_logits
from scripts.training.recipe import Recipe
from scripts.training.scorers import LinearScorer, MixedScorer, NetworkScorer, Scorer, dataset
from scripts.training.start import start_from
from scripts.training.types import Floats
from scripts.training.vocabulary import (
    Vocabulary,
    learn_vocabulary,
    pretrained_table,
    random_table,
)
from scripts.training.wide import Bag, Mix, fit_mix, learn_bag


@dataclass(frozen=True)
class Parts:
    """What a fit begins from."""

    recipe: Recipe
    labels: tuple[str, ...]
    train: Corpus
    validation: Corpus
    soft: Corpus | None = None  # its labels are probabilities

    @property
    def texts(self) -> pa.Array:
        """All that is learnt from: the training part, then what teachers labelled."""
        if self.soft is None:
            return self.train.texts
        return pa.concat_arrays([self.train.texts, self.soft.texts])


@dataclass(frozen=True)
class Learnt:
    """How one network (or regression) was learnt. `vectors_found` is a share of the words."""

    recipe: Recipe
    vocabulary: Vocabulary
    curve: tuple[Epoch, ...]
    vectors_found: float | None = None


@dataclass(frozen=True)
class Trained:
    """One trained model with what its card tells."""

    parts: Parts
    scorer: Scorer
    learnt: tuple[Learnt, ...]
    before: Trained | None = None  # what a model that was trained once more was before

    @property
    def judged(self) -> Trained:
        """The model that has not met the validation rows."""
        return self.before or self

    def outputs(self, texts: pa.Array) -> tuple[Floats, TokenBatch]:
        """The scores, and the tokens of the first network."""
        return self.scorer.outputs(texts), self.learnt[0].vocabulary.tokenize(texts)


@dataclass(frozen=True)
class Given:
    """Files that a recipe may start from: word vectors, and the archive of its `start`."""

    vectors: Path | None = None
    archive: Path | None = None


def train(
    recipe: Recipe, corpus: Corpus, given: Given, folder: Path, log: Log, soft: Corpus | None = None
) -> Trained:
    """Holds out a validation part, learns vocabulary and weights. Resumes from `folder`.

    The rows of `soft`, whose labels are a teacher's probabilities, join the training part.
    """
    groups = corpus.columns[recipe.data.split_by] if recipe.data.split_by else None
    seed = (recipe.seed, 0)
    kept, held = hold_out(len(corpus), groups, recipe.data.validation, seed)
    if recipe.data.met:
        kept, met = (kept[rows] for rows in hold_out(kept.size, None, recipe.data.met, (*seed, 1)))
        held = np.concatenate([held, met])
    part, validation = corpus.take(kept), measurable(corpus.take(held), recipe.data)
    labels = head_of(recipe.task).label_names(corpus.labels)
    log(f"{len(part)} rows to train on, {len(validation)} to validate on")
    parts = Parts(recipe, labels, part, validation, soft)
    if recipe.training.optimizer == "lbfgs":
        return _fit_linear(parts, log)
    trained = _fit_networks(parts, given, folder, log)
    if not recipe.data.refit:
        return trained
    log("once more, on all rows; those of validation are learnt too now")
    return _fit_networks(replace(parts, train=corpus), given, folder / "whole", log, trained)


def _initial_table(
    recipe: Recipe, vocabulary: Vocabulary, vectors: Path | None, rng: np.random.Generator
) -> tuple[Floats, float | None]:
    embedding = recipe.layers[0]
    width = embedding.arguments["output_dim"]
    if embedding.vectors is None:
        return random_table(vocabulary.ids, width, rng), None
    if vectors is None:
        raise ValueError(f"{recipe.name} begins from {embedding.vectors} word vectors")
    return pretrained_table(vocabulary, vectors, width, rng)


@dataclass(frozen=True)
class _Examples:
    """Training and validation texts with their targets, standardized for a regression, and how
    much each counts."""

    texts: tuple[pa.Array, pa.Array]
    targets: tuple[Floats, Floats]
    weights: tuple[Floats, Floats]
    shift: float = 0.0
    scale: float = 1.0


def _examples(parts: Parts) -> _Examples:
    head = head_of(parts.recipe.task)
    texts = parts.texts, parts.validation.texts
    own, held = (head.targets(c.labels, parts.labels) for c in (parts.train, parts.validation))
    data = parts.recipe.data
    weights, judged = row_weights(parts.train, data), np.ones(len(held), np.float32)
    if data.balanced_mix:
        judged = row_weights(parts.validation, data)
    if parts.soft is not None:
        own = np.concatenate([own, parts.soft.labels.astype(np.float32)[:, None]])
        weights = np.concatenate([weights, np.ones(len(parts.soft), np.float32)])
    if not head.standardised:
        return _Examples(texts, (own, held), (weights, judged))
    shift, scale = float(own.mean()), float(own.std())
    own, held = ((t - np.float32(shift)) / np.float32(scale) for t in (own, held))
    return _Examples(texts, (own, held), (weights, judged), shift, scale)


def _fit_networks(
    parts: Parts, given: Given, folder: Path, log: Log, before: Trained | None = None
) -> Trained:
    """Each network alone, then each bag of n-grams, then the mix of all.

    What was trained `before` on fewer rows says for how many epochs, and has the mix.
    """
    examples = _examples(parts)
    texts = examples.texts[0]
    networks: list[NetworkScorer] = []
    learnt = []
    for number, recipe in enumerate(parts.recipe.networks):
        vocabulary = learn_vocabulary(recipe.vectorizer, texts)
        rng = np.random.default_rng([recipe.seed, 1 + 10 * number])
        table, found = _initial_table(recipe, vocabulary, given.vectors, rng)
        model = build_logits(recipe, table, recipe.seed + 10 * number)
        if given.archive is not None:
            found = start_from(given.archive, recipe, vocabulary, model, recipe.seed)
        network = Network(recipe.task, model, scale=examples.scale, shift=examples.shift)
        networks.append(NetworkScorer(recipe, vocabulary, network))
        earlier = before.learnt[number].curve if before else None
        place = folder / "beside" if number else folder
        curve = _fit(networks[-1], examples, place, log, earlier)
        learnt.append(Learnt(recipe, vocabulary, earlier or curve, found))
    scorer: Scorer = networks[0]
    if parts.recipe.wide:
        mix = before.scorer.mix if before and isinstance(before.scorer, MixedScorer) else None
        scorer = _mixed(parts.recipe, tuple(networks), examples, log, mix)
    return Trained(parts, scorer, tuple(learnt), before)


def _fit(
    scorer: NetworkScorer,
    examples: _Examples,
    folder: Path,
    log: Log,
    earlier: tuple[Epoch, ...] | None,
) -> tuple[Epoch, ...]:
    """The learning curve. An `earlier` one says for how many epochs."""
    recipe = scorer.recipe
    sets = []
    for texts, target, weights in zip(
        examples.texts, examples.targets, examples.weights, strict=True
    ):
        data = dataset(recipe, scorer.vocabulary.tokenize(texts), target, weights)
        sets.append(data.take(np.flatnonzero(data.lengths > 0)))
    fit = Fit(scorer.network, recipe.training, recipe.seed, folder, len(sets[0].rows))
    fit.run(sets[0], sets[1], log, best_epoch(earlier) if earlier else None)
    return tuple(fit.curve)


def _mixed(
    recipe: Recipe,
    networks: tuple[NetworkScorer, ...],
    examples: _Examples,
    log: Log,
    mix: Mix | None,
) -> MixedScorer:
    """The networks with linear models on n-grams beside them, mixed on the validation rows if not
    by a mix that is given."""
    first = networks[0].network
    (train, validation), (own, held) = examples.texts, examples.targets
    bags = tuple(
        learn_bag(first.task, settings, train, own, examples.weights[0]) for settings in recipe.wide
    )
    parts: list[NetworkScorer | Bag] = [*networks, *bags]
    logits = [part.logits(validation) for part in parts]
    mix = mix or fit_mix(first.task, logits, held, examples.weights[1])
    names = ["network", "second network"][: len(networks)]
    names += [settings.title for settings in recipe.wide] + ["all"]
    for name, part in zip(names, [*logits, mix(*logits)], strict=True):
        loss, score = judge(first.task, part, held, first.scale)
        log(f"{name}: validation loss {loss:.4f}, score {score:.4f}")
    log(f"mix: {', '.join(f'{weight:.3f}' for weight in mix.weights)}")
    return MixedScorer(networks, bags, mix)


def _fit_linear(parts: Parts, log: Log) -> Trained:
    started = time.monotonic()
    recipe = parts.recipe
    vocabulary = learn_vocabulary(recipe.vectorizer, parts.texts)
    bags = bag_of_words(vocabulary.tokenize(parts.train.texts), vocabulary)
    codes = class_codes(parts.train.labels, parts.labels)
    scorer = LinearScorer(vocabulary, *fit_logistic(bags, codes, recipe.training.inverse_l2))
    losses = []
    for corpus in (parts.train, parts.validation):
        out = scorer.outputs(corpus.texts)[:, 0]
        truth = class_codes(corpus.labels, parts.labels)
        right = np.where(truth == 1, out, 1 - out)
        losses.append(float(-np.log(np.maximum(right, 1e-12)).mean()))
    score = float(((out >= 0.5) == truth).mean())
    line = Epoch(1, losses[0], losses[1], score, time.monotonic() - started)
    log(f"validation loss {line.loss:.4f}, score {score:.4f}, {line.seconds:.0f} s")
    return Trained(parts, scorer, (Learnt(recipe, vocabulary, (line,)),))
