"""Reads and checks a model as Keras saved it: raw text in, known layers, plain weights.

A bundle is untrusted input. It is read once into memory; its members, its configuration and its
weights are checked against allow-lists, and what leaves this package are plain values and NumPy
arrays: settings that inference needs and nothing else. Neither Keras nor TensorFlow is imported.

    archive.py   a .keras archive, a zip: expected members, capped sizes, no tricks
    hdf5/        HDF5 in plain Python: what Keras writes, and nothing outside the file
    keras2/      what Keras 2 saves and computes otherwise than Keras 3
    config/      config.json to calls of declared layers, with declared settings and no others
    dangers.py   config.json: nothing in it names code, files or addresses
    foreign.py   what other files are, and the way out
    explain.py   everything that is wrong with an archive
    annotate.py  one walk: what every call gives, and the weights that it needs
    weights.py   model.weights.h5: stored bytes, expected shapes, finite values
    vectorizers.py words.py alone.py pieces.py
                 what turns a text into ids: in the archive, or in a file beside it
    inputs.py lookups.py
                 what feeds each input of the network
    network.py   what comes out: inputs, nodes, layers with their weights
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorer.bundle.annotate import annotate
from scorer.bundle.archive import members_of, read_archive
from scorer.bundle.config.read import ModelSpec, parse_config
from scorer.bundle.dangers import load_json
from scorer.bundle.foreign import HDF5
from scorer.bundle.hdf5.reader import opened
from scorer.bundle.inputs import (
    check_ids,
    input_of,
    masked_apart,
    network_inputs,
    with_masks,
    with_numbers,
)
from scorer.bundle.keras2.archive import H5, Named, config_of
from scorer.bundle.keras2.attention import without_dropout
from scorer.bundle.keras2.sigmoid import of_keras_2
from scorer.bundle.network import Branch, Input, Layer, Node, branches, head, vectorizer_of
from scorer.bundle.pieces import Pieces
from scorer.bundle.vectorizers import lack_words, own_vectorizers
from scorer.bundle.weights import WEIGHTS, Stored, with_weights
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers import TRAINING_ONLY, LayerSpec
from scorer.vectorizer import VectorizerSpec
from scorer.zoo import Entry

__all__ = [
    "TRAINING_ONLY",
    "Branch",
    "Bundle",
    "Input",
    "Layer",
    "LayerSpec",
    "Node",
    "Pieces",
    "input_of",
    "masked_apart",
    "read_bundle",
    "read_entry",
]


@dataclass(frozen=True)
class Bundle:
    """A checked model.

    digest  the file's SHA-256
    inputs  what engines are given, in the order in which they are given it
    nodes   calls of layers, annotated, in the order in which they can run; the last one's output
            is the model's, one vector a row
    policies  the precisions other than float32 in which Keras computed layers; engines compute all
            of them in float32
    """

    path: Path
    digest: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...] = ()
    policies: tuple[str, ...] = ()

    @property
    def vectorizers(self) -> list[VectorizerSpec]:
        """Of each input. Raises UnsupportedModel where one is made of numbers."""
        return [vectorizer_of(each) for each in self.inputs]

    @property
    def vectorizer(self) -> VectorizerSpec:
        """The first, whose tokens stand for the text where words are counted."""
        return self.vectorizers[0]

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Each input and the layers that work on it alone."""
        return branches(self.inputs, self.nodes)

    @property
    def head(self) -> tuple[Layer, ...]:
        """The layers that work on several inputs."""
        return head(self.nodes)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, each once: each branch's in turn, then the head's."""
        found = (*(layer for branch in self.branches for layer in branch.layers), *self.head)
        return tuple({id(layer): layer for layer in found}.values())

    @property
    def parameters(self) -> int:
        weights = {id(w): int(w.size) for layer in self.layers for w in layer.weights}
        return sum(weights.values())

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for a row."""
        return self.nodes[-1].spec.width


def read_bundle(path: Path, *, digest: str | None = None, pieces: Pieces | None = None) -> Bundle:
    """Read the archive at `path`. With `digest`, its SHA-256 must match before anything is parsed.

    pieces   what lies beside the archive and what the card says of it; None where it is whole
    Raises BundleError naming the member and the rule, UnsupportedModel naming layer and setting.
    """
    pieces = pieces or Pieces()
    try:
        data, found = read_archive(path, digest)
        inputs, nodes, policies = _read(data, pieces)
    except (BundleError, UnsupportedModel) as error:
        raise type(error)(f"{path}: {error}") from error
    return Bundle(path=path, digest=found, inputs=inputs, nodes=nodes, policies=policies)


def read_entry(entry: Entry) -> Bundle:
    """The model of a zoo's entry: its archive, and what its card says lies beside it."""
    card = entry.card.scorer
    pieces = Pieces(
        card.vectorizer, entry.vectorizer_path, entry.vectorizer_digest, tuple(card.inputs)
    )
    return read_bundle(entry.model_path, digest=entry.digest, pieces=pieces)


Parts = tuple[tuple[Input, ...], tuple[Node, ...], tuple[str, ...]]


def _read(data: bytes, pieces: Pieces) -> Parts:
    """An archive in memory. What it is, its first bytes say."""
    replaced = pieces.stands_for_standardize
    if data.startswith(HDF5):
        with opened(data, H5) as file:
            config = load_json(config_of(file))
            model = parse_config(config, replaced_standardize=replaced)
            parts = _network(model, {}, Named(file, config), pieces)
            return _as_keras_3(parts, file.root.attributes.get("keras_version", "1"))
    members = members_of(data)
    model = parse_config(load_json(members.config), replaced_standardize=replaced)
    with opened(members.weights, WEIGHTS) as file:
        parts = _network(model, members.vocabularies, Stored(file), pieces)
    metadata = load_json(members.metadata)
    return _as_keras_3(parts, metadata.get("keras_version") if isinstance(metadata, dict) else "")


def _as_keras_3(parts: Parts, version: Any) -> Parts:
    """The parts of a model that this version of Keras wrote, giving its answers in Keras 3."""
    inputs, nodes, policies = parts
    old = isinstance(version, str) and version.startswith(("1", "2."))
    return (inputs, without_dropout(of_keras_2(nodes)), policies) if old else parts


def _network(
    model: ModelSpec, vocabularies: Mapping[str, bytes], stored: Stored, pieces: Pieces
) -> Parts:
    bare = lack_words(model, vocabularies)
    beside = pieces.vocabulary() if bare else None
    inside = own_vectorizers(model, vocabularies, stored, beside)
    if not model.calls:
        raise UnsupportedModel(
            "the archive holds a vectorizer and no network: give it with --vectorizer, beside the "
            "model"
        )
    inputs = network_inputs(model, inside, pieces, uses_file=beside is not None)
    nodes = annotate(inputs, with_numbers(inputs, model, pieces))
    _check_output(nodes)
    check_ids(inputs, nodes)
    return with_masks(inputs, nodes), with_weights(nodes, stored), model.policies


def _check_output(nodes: tuple[Node, ...]) -> None:
    if not any(node.shapes for node in nodes):
        raise UnsupportedModel("the model has no weights")
    last = nodes[-1]
    if len(last.spec.shape) != 1:
        raise UnsupportedModel(
            f"layer {last.layer.name} ({last.layer.kind}): the model's last layer gives one vector "
            "for every position, not one for the text, and a text gets one score: end the model "
            "with GlobalMaxPooling1D, GlobalAveragePooling1D or an LSTM without return_sequences"
        )
