"""A model's network as a small graph: what it reads, calls of layers in order, and one output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from scorer.errors import UnsupportedModel
from scorer.layers.spec import LayerSpec, Shape, TensorSpec
from scorer.vectorizer import VectorizerSpec

Weights = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Layer(LayerSpec):
    """A layer and its weights, float32, in the order of Keras' `get_weights()`.

    A layer that is called several times is one object.
    """

    weights: Weights = ()


@dataclass(frozen=True)
class Input:
    """What an engine is given for each row.

    name        of the vectorizer, or of the archive's own input where it holds no vectorizer
    vectorizer  what makes the token ids, or the bag of words, of a text; None for plain numbers
    spec        what comes out of it for a row
    source      the archive's input that the text or the numbers come in by
    """

    name: str
    vectorizer: VectorizerSpec | None
    spec: TensorSpec
    source: str = "text"


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer. `inputs` are names of inputs and of earlier calls; so are `masks`, which
    the archive hands to the layer explicitly. `place` is the layer's in the archive's files."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    masks: tuple[str, ...] = ()
    place: str = ""


@dataclass(frozen=True, eq=False)
class Node(Call):
    """A call, annotated.

    given          what comes in, for each of `inputs`
    spec           what it gives for a row
    shapes         of its weights, by their place in the layer's part of the archive
    reads_padding  a row's output would depend on how far its neighbours make Keras pad it
    region         the number of the one input that it depends on; None where there are several
    """

    given: tuple[TensorSpec, ...] = ()
    spec: TensorSpec = field(default_factory=lambda: TensorSpec(()))
    shapes: dict[str, Shape] = field(default_factory=dict)
    reads_padding: bool = False
    region: int | None = None


@dataclass(frozen=True)
class Branch:
    """An input, and the layers that work on nothing else, in order."""

    given: Input
    layers: tuple[Layer, ...]

    @property
    def vectorizer(self) -> VectorizerSpec:
        """The input's. Raises UnsupportedModel where it takes numbers."""
        return vectorizer_of(self.given)


def vectorizer_of(given: Input) -> VectorizerSpec:
    """What makes the input of a text. Raises UnsupportedModel where it takes numbers."""
    if given.vectorizer is None:
        raise UnsupportedModel(f"input {given.name}: it takes numbers, not a text")
    return given.vectorizer


def branches(inputs: Sequence[Input], nodes: Sequence[Node]) -> tuple[Branch, ...]:
    """What each input goes through before it meets another one."""
    return tuple(
        Branch(given, _layers(node for node in nodes if node.region == number))
        for number, given in enumerate(inputs)
    )


def head(nodes: Sequence[Node]) -> tuple[Layer, ...]:
    """The layers that work on several inputs, in order."""
    return _layers(node for node in nodes if node.region is None)


def with_layers(nodes: Iterable[Node], change: Callable[[Layer], Layer]) -> tuple[Node, ...]:
    """The nodes with their layers changed: each layer once, so that its calls still share it."""
    changed: dict[int, Layer] = {}
    result = []
    for node in nodes:
        key = id(node.layer)
        if key not in changed:
            changed[key] = change(node.layer)
        result.append(replace(node, layer=changed[key]))
    return tuple(result)


def _layers(nodes: Iterable[Node]) -> tuple[Layer, ...]:
    return tuple({id(node.layer): node.layer for node in nodes}.values())
