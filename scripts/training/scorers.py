"""What training leaves behind: outputs as the exported model gives them, and its arrays."""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np
import pyarrow as pa

from scorer.vectorizer import TokenBatch
from scripts.training.batches import Tokens
from scripts.training.heads import BinaryHead, head_of
from scripts.training.linear import bag_of_words
from scripts.training.network import Network
from scripts.training.recipe import Recipe
from scripts.training.types import Floats, Ints
from scripts.training.vocabulary import Vocabulary
from scripts.training.wide import Bag, Mix


class Scorer(Protocol):
    def outputs(self, texts: pa.Array) -> Floats:
        """float32 (rows, outputs), after the head's activation."""
        ...

    def arrays(self) -> list[Floats]:
        """The weights in Keras' order."""
        ...


def dataset(
    recipe: Recipe, tokens: TokenBatch, targets: Floats, weights: Floats | None = None
) -> Tokens:
    """Each row's ids; before a convolution with as much padding as one window of it reads, so that
    the maximum over a text sees the same windows at any width."""
    ids, offsets = tokens.ids.astype(np.int32), tokens.offsets
    rows: list[Ints] = [ids[a:b] for a, b in itertools.pairwise(offsets)]
    limit = recipe.vectorizer.output_sequence_length
    if recipe.convolution:
        padding = np.zeros(recipe.convolution, np.int32)
        rows = [np.concatenate([row, padding])[:limit] for row in rows]
    if weights is None:
        weights = np.ones(len(rows), np.float32)
    return Tokens(rows, targets, weights, limit)


class NetworkScorer:
    """A trained network behind its vocabulary."""

    def __init__(self, recipe: Recipe, vocabulary: Vocabulary, network: Network) -> None:
        self.recipe, self.vocabulary, self.network = recipe, vocabulary, network

    def logits(self, texts: pa.Array) -> Floats:
        tokens = self.vocabulary.tokenize(texts)
        empty = np.zeros((len(texts), self.recipe.outputs), np.float32)
        return self.network.logits(dataset(self.recipe, tokens, empty))

    def outputs(self, texts: pa.Array) -> Floats:
        return self.activated(self.logits(texts))

    def activated(self, logits: Floats) -> Floats:
        head = head_of(self.recipe.task)
        out = head.activated(logits)
        if head.standardised:
            out = out * np.float32(self.network.scale) + np.float32(self.network.shift)
        return out

    def arrays(self) -> list[Floats]:
        """The last layer takes in the mean and the spread of a regression's targets."""
        arrays = self.network.arrays()
        arrays[-2] *= np.float32(self.network.scale)
        arrays[-1] = arrays[-1] * np.float32(self.network.scale) + np.float32(self.network.shift)
        return arrays


class MixedScorer:
    """Networks and linear models on n-grams, their logits mixed."""

    def __init__(
        self, networks: tuple[NetworkScorer, ...], bags: tuple[Bag, ...], mix: Mix
    ) -> None:
        self.networks, self.bags, self.mix = networks, bags, mix

    def outputs(self, texts: pa.Array) -> Floats:
        parts: list[NetworkScorer | Bag] = [*self.networks, *self.bags]
        logits = [part.logits(texts) for part in parts]
        return self.networks[0].activated(self.mix(*logits))

    def arrays(self) -> list[Floats]:
        """The networks', whose heads take in the mix, then the bags' kernels. The first network's
        bias takes in all others, so that theirs are left out."""
        first = self.networks[0].network
        scale, shift = np.float32(first.scale), np.float32(first.shift)
        stored = [scorer.network.arrays() for scorer in self.networks]
        linear = [bag.linear for bag in self.bags]
        biases = [*(own[-1] for own in stored), *(part.bias for part in linear)]
        kernels = [*(own[-2] for own in stored), *(part.kernel for part in linear)]
        scaled = [k * np.float32(w) * scale for k, w in zip(kernels, self.mix.weights, strict=True)]
        arrays = [[*own[:-2], kernel] for own, kernel in zip(stored, scaled, strict=False)]
        arrays[0].append(self.mix(*biases) * scale + shift)
        return [*itertools.chain(*arrays), *scaled[len(stored) :]]


class LinearScorer:
    """Logistic regression on a bag of words."""

    def __init__(self, vocabulary: Vocabulary, kernel: Floats, bias: Floats) -> None:
        self.vocabulary, self.kernel, self.bias = vocabulary, kernel, bias

    def outputs(self, texts: pa.Array) -> Floats:
        bags = bag_of_words(self.vocabulary.tokenize(texts), self.vocabulary)
        logits = bags @ self.kernel + self.bias
        return BinaryHead().activated(logits.astype(np.float32))

    def arrays(self) -> list[Floats]:
        return [self.kernel, self.bias]
