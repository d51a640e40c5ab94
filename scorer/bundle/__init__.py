"""Reads and checks a `.keras` archive: raw text in, known layers, plain weights.

A bundle is untrusted input. It is read once into memory; its members, its configuration and its
weights are checked against allow-lists, and what leaves this package are plain values and NumPy
arrays: settings that inference needs and nothing else. Neither Keras nor TensorFlow is imported.

    archive.py   the zip: expected members, capped sizes, no tricks
    dangers.py   config.json: nothing in it names code, files or addresses
    graph.py     config.json: calls of layers in order, nested models unpacked
    settings.py config.py
                 declared layers and settings only
    annotate.py  one walk: what every call gives, and the weights that it needs
    hdf5.py hdf5_messages.py
                 HDF5 in plain Python: what Keras writes, and nothing outside the file
    weights.py   model.weights.h5: stored bytes, expected shapes, finite values
    network.py   what comes out: inputs, nodes, layers with their weights
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scorer.bundle.annotate import annotate
from scorer.bundle.archive import Members, read_members
from scorer.bundle.config import ModelSpec, VectorizerCall, parse_config
from scorer.bundle.hdf5 import opened
from scorer.bundle.network import Branch, Input, Layer, Node, branches, head, vectorizer_of
from scorer.bundle.weights import WEIGHTS, Stored, with_weights
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers import TRAINING_ONLY, LayerSpec
from scorer.layers.spec import Padding, TensorSpec
from scorer.vectorizer import VectorizerSpec, spec_from_config

__all__ = [
    "TRAINING_ONLY",
    "Branch",
    "Bundle",
    "Input",
    "Layer",
    "LayerSpec",
    "Node",
    "input_of",
    "read_bundle",
]

MAX_VOCABULARY = 5_000_000


@dataclass(frozen=True)
class Bundle:
    """A checked model.

    digest  the file's SHA-256
    inputs  what engines are given, in the order in which they are given it
    nodes   calls of layers, annotated, in the order in which they can run; the last one's output
            is the model's, one vector a row
    """

    path: Path
    digest: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...] = ()

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
        return sum(int(w.size) for layer in self.layers for w in layer.weights)

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for a row."""
        return self.nodes[-1].spec.width


def read_bundle(
    path: Path,
    *,
    digest: str | None = None,
    vectorizers: Mapping[str, VectorizerSpec | None] | None = None,
    sequence_length: int | None = None,
) -> Bundle:
    """Read the archive at `path`. With `digest`, its SHA-256 must match before anything is parsed.

    vectorizers      what is given to an input of the archive that no vectorizer in it reads, by the
                     input's name; None for plain numbers
    sequence_length  the number of positions that token ids are padded or cut to, where the archive
                     sets none
    Raises BundleError naming the member and the rule, UnsupportedModel naming layer and setting.
    """
    try:
        members, found = read_members(path, digest)
        model = parse_config(members.config)
        names = _read_by_layers(model, vectorizers or {})
        with opened(members.weights, WEIGHTS) as file:
            stored = Stored(file)
            inside = _vectorizers(model, members, stored)
            inputs = _inputs(names, model, inside, vectorizers or {}, sequence_length)
            nodes = annotate(inputs, model.calls)
            _check_nodes(inputs, nodes)
            nodes = with_weights(nodes, stored)
    except (BundleError, UnsupportedModel) as error:
        raise type(error)(f"{path}: {error}") from error
    return Bundle(path=path, digest=found, inputs=inputs, nodes=nodes)


def input_of(name: str, vectorizer: VectorizerSpec, source: str = "text") -> Input:
    """The input of a network that a vectorizer feeds."""
    if vectorizer.output_mode == "int":
        shape = (vectorizer.output_sequence_length,)
        return Input(name, vectorizer, TensorSpec(shape, "ids", Padding(name)), source)
    return Input(name, vectorizer, TensorSpec((vectorizer.columns,), "bag"), source)


def _read_by_layers(model: ModelSpec, beside: Mapping[str, Any]) -> list[str]:
    """What calls read and no call makes, in the order in which they read it.

    Raises UnsupportedModel where nothing turns text into it.
    """
    made = {call.name for call in model.calls}
    names = dict.fromkeys(n for call in model.calls for n in call.inputs if n not in made)
    for name in names:
        if name not in model.vectorizers and name not in beside:
            raise UnsupportedModel(
                "the first layer must be TextVectorization: the model takes text"
            )
    return list(names)


def _inputs(
    names: list[str],
    model: ModelSpec,
    inside: Mapping[str, VectorizerSpec],
    beside: Mapping[str, VectorizerSpec | None],
    length: int | None,
) -> tuple[Input, ...]:
    """The network's inputs, in the order of their names."""
    inputs = []
    for name in names:
        vectorizer = inside.get(name) or beside.get(name)
        source = model.vectorizers[name].source if name in inside else name
        if vectorizer is None:
            inputs.append(Input(name, None, _numbers(model.inputs[name], name), source))
        else:
            inputs.append(input_of(name, _of_length(vectorizer, length), source))
    return tuple(inputs)


def _of_length(vectorizer: VectorizerSpec, length: int | None) -> VectorizerSpec:
    if vectorizer.output_mode != "int" or vectorizer.output_sequence_length is not None:
        return vectorizer
    return replace(vectorizer, output_sequence_length=length)


def _numbers(settings: Mapping[str, Any], name: str) -> TensorSpec:
    """Of an input of plain numbers: how many there are, from its settings."""
    shape = settings.get("batch_shape") or settings.get("batch_input_shape")
    if not isinstance(shape, list) or len(shape) != 2 or type(shape[1]) is not int:
        raise UnsupportedModel(f"input {name}: it does not say how many numbers it takes")
    return TensorSpec((shape[1],))


def _check_nodes(inputs: tuple[Input, ...], nodes: tuple[Node, ...]) -> None:
    if not any(node.shapes for node in nodes):
        raise UnsupportedModel("the model has no weights")
    last = nodes[-1]
    if len(last.spec.shape) != 1:
        raise UnsupportedModel(
            f"layer {last.layer.name} ({last.layer.kind}): the model's last layer gives one vector "
            "for every position, not one for the text"
        )
    by_name = {each.name: each.vectorizer for each in inputs}
    for node in nodes:
        vectorizer = by_name.get(node.inputs[0])
        if node.layer.kind == "Embedding" and vectorizer is not None:
            rows, needed = node.layer.settings["input_dim"], len(vectorizer.vocabulary) + 2
            if rows < needed:
                raise BundleError(
                    f"layer {node.layer.name}: {rows} rows of weights, "
                    f"the vocabulary needs {needed}"
                )


def _vectorizers(model: ModelSpec, members: Members, stored: Stored) -> dict[str, VectorizerSpec]:
    """The archive's own vectorizers, by the name under which calls read them.

    Raises BundleError where a vectorizer or a file lacks the other.
    """
    places = {call.place for call in model.vectorizers.values()}
    for place in sorted(members.vocabularies.keys() - places):
        raise BundleError(f"{_file(place)}: the model has no such vectorizer")
    return {
        name: spec_from_config(
            call.settings,
            _vocabulary(members.vocabularies.get(call.place), call),
            _idf(stored, call),
        )
        for name, call in model.vectorizers.items()
    }


def _idf(stored: Stored, call: VectorizerCall) -> np.ndarray | None:
    path = f"{call.place}/_lookup_layer/vars/idf_weights"
    if call.settings.get("output_mode") == "tf_idf" and path in stored:
        return stored.array(path, None)
    return None


def _file(place: str) -> str:
    return f"{place.removeprefix('layers/')}/vocabulary.txt"


def _vocabulary(asset: bytes | None, call: VectorizerCall) -> list[str]:
    """The words, special tokens included where the archive stores them so.

    Keras splits its vocabulary file with `str.splitlines`, so a word that holds a separator such
    as U+0085 would shift every word after it; the stored size shows that, and it is refused.
    """
    settings, file = call.settings, _file(call.place)
    listed = settings.get("vocabulary")
    if listed is not None:
        if asset is not None:
            raise BundleError("config.json: a vocabulary in the settings and in a file")
        words = listed
    elif asset is None:
        raise BundleError(
            f"the archive has no vocabulary for {file.removesuffix('/vocabulary.txt')}"
        )
    else:
        try:
            words = asset.decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise BundleError(f"{file}: not UTF-8 (byte {error.start})") from error
        while words and words[-1] == "":
            words.pop()
        size = settings.get("vocabulary_size")
        if size is not None and size != len(words):
            raise BundleError(f"{file}: {len(words)} words, config.json says {size}")
    if len(words) > MAX_VOCABULARY:
        raise BundleError(f"the vocabulary has {len(words)} words, at most {MAX_VOCABULARY}")
    return list(words)
