"""Reads and checks a `.keras` archive: raw text in, known layers, plain weights.

A bundle is untrusted input. It is read once into memory; its members, its configuration and its
weights are checked against allow-lists, and what leaves this package are plain values and NumPy
arrays: settings that inference needs and nothing else. Neither Keras nor TensorFlow is imported.

    archive.py   the zip: expected members, capped sizes, no tricks
    graph.py     config.json: one chain of layers, or branches that are merged once
    config.py    config.json: allowed layers and settings only
    hdf5.py hdf5_messages.py
                 HDF5 in plain Python: what Keras writes, and nothing outside the file
    weights.py   model.weights.h5: hard links, stored bytes, expected shapes, finite values
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorer.bundle.archive import read_members
from scorer.bundle.config import TRAINING_ONLY, BranchSpec, LayerSpec, ModelSpec, parse_config
from scorer.bundle.weights import BranchWeights, Weights, read_weights
from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer import VectorizerSpec, spec_from_config

__all__ = ["TRAINING_ONLY", "Branch", "Bundle", "Layer", "LayerSpec", "read_bundle"]

MAX_VOCABULARY = 5_000_000


@dataclass(frozen=True)
class Layer(LayerSpec):
    """A layer after the vectorizer, with its weights (float32, in Keras' own order).

    Bidirectional has the forward layer's weights, then the backward layer's.
    """

    weights: Weights


@dataclass(frozen=True)
class Branch:
    """A vectorizer and the layers that follow it, in order."""

    vectorizer: VectorizerSpec
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Bundle:
    """A checked model: branches that read the same text, and what makes one output of their ends.

    digest    the file's SHA-256
    branches  one, or several in the order in which they are merged
    head      the layer that merges them and the layers after it; empty for one branch
    """

    path: Path
    digest: str
    branches: tuple[Branch, ...]
    head: tuple[Layer, ...] = ()

    @property
    def vectorizer(self) -> VectorizerSpec:
        """The first branch's, whose tokens stand for the text where words are counted."""
        return self.branches[0].vectorizer

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers: each branch's in turn, then the head's."""
        return (*(layer for branch in self.branches for layer in branch.layers), *self.head)

    @property
    def parameters(self) -> int:
        return sum(int(w.size) for layer in self.layers for w in layer.weights)


def read_bundle(path: Path, *, digest: str | None = None) -> Bundle:
    """Read the archive at `path`. With `digest`, its SHA-256 must match before anything is parsed.

    Raises BundleError naming the member and the rule, UnsupportedModel naming layer and setting.
    """
    try:
        members, found = read_members(path, digest)
        model = parse_config(members.config)
        weights, head = read_weights(members.weights, model)
        vocabularies = _vocabularies(members.vocabularies, model)
        branches = tuple(map(_branch, model.branches, weights, vocabularies))
    except (BundleError, UnsupportedModel) as error:
        raise type(error)(f"{path}: {error}") from error
    return Bundle(path=path, digest=found, branches=branches, head=_layers(model.head, head))


def _branch(branch: BranchSpec, weights: BranchWeights, vocabulary: list[str]) -> Branch:
    spec = spec_from_config(branch.vectorizer, vocabulary, weights.idf)
    _check_ids_fit(spec, branch.layers, weights.layers)
    return Branch(spec, _layers(branch.layers, weights.layers))


def _layers(specs: tuple[LayerSpec, ...], weights: list[Weights]) -> tuple[Layer, ...]:
    return tuple(
        Layer(layer.kind, layer.name, layer.config, arrays)
        for layer, arrays in zip(specs, weights, strict=True)
    )


def _vocabularies(assets: dict[str, bytes], model: ModelSpec) -> list[list[str]]:
    """Each branch's words. Raises BundleError where a vectorizer or a file lacks the other."""
    names = [model.stored[branch.vectorizer["name"]] for branch in model.branches]
    for name in sorted(assets.keys() - names):
        raise BundleError(f"{name}/vocabulary.txt: the model has no such vectorizer")
    pairs = zip(names, model.branches, strict=True)
    return [_vocabulary(assets.get(name), name, branch.vectorizer) for name, branch in pairs]


def _vocabulary(asset: bytes | None, name: str, settings: Mapping[str, Any]) -> list[str]:
    """The words, special tokens included where the archive stores them so.

    Keras splits its vocabulary file with `str.splitlines`, so a word that holds a separator such
    as U+0085 would shift every word after it; the stored size shows that, and it is refused.
    """
    listed = settings.get("vocabulary")
    if listed is not None:
        if asset is not None:
            raise BundleError("config.json: a vocabulary in the settings and in a file")
        words = listed
    elif asset is None:
        raise BundleError(f"the archive has no vocabulary for {name}")
    else:
        try:
            words = asset.decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise BundleError(f"{name}/vocabulary.txt: not UTF-8 (byte {error.start})") from error
        while words and words[-1] == "":
            words.pop()
        size = settings.get("vocabulary_size")
        if size is not None and size != len(words):
            raise BundleError(f"{name}/vocabulary.txt: {len(words)} words, config.json says {size}")
    if len(words) > MAX_VOCABULARY:
        raise BundleError(f"the vocabulary has {len(words)} words, at most {MAX_VOCABULARY}")
    return list(words)


def _check_ids_fit(
    spec: VectorizerSpec, layers: tuple[LayerSpec, ...], weights: list[Weights]
) -> None:
    """The first layer with weights must have a row for every id that the vectorizer can give."""
    first = next((i for i, arrays in enumerate(weights) if arrays), None)
    if first is None:
        raise UnsupportedModel("the model has no weights")
    wanted = "Embedding" if spec.output_mode == "int" else "Dense"
    layer, rows = layers[first], len(weights[first][0])
    if layer.kind != wanted:
        raise UnsupportedModel(
            f"layer {layer.name} ({layer.kind}): after TextVectorization in mode "
            f"{spec.output_mode!r} comes {wanted}"
        )
    needed = len(spec.vocabulary) + 2 if wanted == "Embedding" else spec.columns
    if rows < needed or (wanted == "Dense" and rows != needed):
        raise BundleError(
            f"layer {layer.name}: {rows} rows of weights, the vocabulary needs {needed}"
        )
