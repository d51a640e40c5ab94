"""A network as a sum: bags of words with one weight a word, and whatever cannot be split so.

A logit that is the sum of several layers' outputs (Add) is split into them. A Dense layer over a
bag of words is itself a sum over the words. Everything else stays together as one smaller network,
which an engine runs like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scorer.bundle import TRAINING_ONLY, Bundle, Layer, Node
from scorer.bundle.annotate import annotate
from scorer.bundle.network import Call
from scorer.engines.encode import bag_of_words
from scorer.vectorizer import TokenBatch, VectorizerSpec

_PASSES = frozenset({*TRAINING_ONLY, "Identity"})
_SUMS = ("Add", "add")
_LAST = ("sigmoid", "softmax")
_TOGETHER = "sum_of_the_rest"


@dataclass(frozen=True, eq=False)
class Bag:
    """A Dense layer over a bag of words, without its bias.

    number  of the network's input
    factor  what the bag is multiplied by before it is brought to length 1
    unit    it is brought to length 1
    kernel  float64 (columns, outputs)
    """

    number: int
    spec: VectorizerSpec
    factor: float
    unit: bool
    kernel: np.ndarray

    def values(self, tokens: TokenBatch) -> np.ndarray:
        """float64 (rows, columns): what the layer multiplies by its kernel."""
        bag = bag_of_words(self.spec, tokens).astype(np.float64) * self.factor
        if self.unit:
            length = np.sqrt(np.square(bag).sum(axis=1, keepdims=True))
            bag /= np.where(length > 0, length, 1)
        return bag


@dataclass(frozen=True, eq=False)
class Parts:
    """What adds up to a network's outputs before their last activation.

    activation   sigmoid or softmax, where it was taken off the network's end; else None
    bags         the parts that are exact
    constant     float64 (outputs,): the biases of those
    rest         the network of all others, whose outputs are as many; None where there are none
    rest_inputs  the numbers of the network's inputs that `rest` reads
    """

    activation: str | None
    bags: tuple[Bag, ...]
    constant: np.ndarray
    rest: Bundle | None
    rest_inputs: tuple[int, ...] = ()


def split(bundle: Bundle, reads_text: Sequence[bool], *, has_logits: bool) -> Parts:
    """Split a network.

    reads_text  for each input, whether it reads the text itself
    has_logits  its outputs are of labels, so that a sigmoid or softmax at its end is taken off
    """
    whole = Parts(None, (), np.zeros(bundle.outputs), bundle, tuple(range(len(bundle.inputs))))
    if not bundle.nodes:
        return whole
    nodes = {node.name: node for node in bundle.nodes}
    top, taken = _without_last(nodes, bundle.nodes[-1]) if has_logits else (None, None)
    top = top or bundle.nodes[-1].name
    if top not in nodes:
        return whole
    walk = _Walk(nodes, _text_bags(bundle, reads_text), np.zeros(bundle.outputs))
    walk.add(top)
    if any(name not in nodes for name in walk.others):
        walk = _Walk(nodes, {}, np.zeros(bundle.outputs), [top])
    if walk.others == [bundle.nodes[-1].name] and not taken:
        return whole
    rest, numbers = _network(bundle, nodes, walk.others)
    return Parts(taken, tuple(walk.bags), walk.constant, rest, numbers)


def _without_last(nodes: dict[str, Node], last: Node) -> tuple[str, str | None]:
    """The node whose outputs are logits, and the activation that was taken off."""
    layer = last.layer
    if layer.kind.lower() in _LAST and len(last.inputs) == 1:
        return last.inputs[0], layer.kind.lower()
    activation = layer.settings.get("activation")
    if activation not in _LAST or layer.kind not in ("Activation", "Dense"):
        return last.name, None
    if layer.kind == "Activation":
        return last.inputs[0], activation
    nodes[last.name] = _changed(last, activation="linear")
    return last.name, activation


def _changed(node: Node, **settings: Any) -> Node:
    layer = node.layer
    return replace(node, layer=replace(layer, settings={**layer.settings, **settings}))


def _text_bags(bundle: Bundle, reads_text: Sequence[bool]) -> dict[str, tuple[int, VectorizerSpec]]:
    """The inputs that are bags of the text's words."""
    pairs = enumerate(zip(bundle.inputs, reads_text, strict=True))
    return {
        given.name: (number, given.vectorizer)
        for number, (given, reads) in pairs
        if reads and given.vectorizer is not None and given.vectorizer.output_mode != "int"
    }


@dataclass
class _Walk:
    """From the logits towards the inputs, as far as they are sums."""

    nodes: Mapping[str, Node]
    texts: Mapping[str, tuple[int, VectorizerSpec]]
    constant: np.ndarray
    others: list[str] = field(default_factory=list)
    bags: list[Bag] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Take in what a node gives."""
        node = self.nodes.get(name)
        if node is None:
            self.others.append(name)
        elif _passes(node):
            self.add(node.inputs[0])
        elif node.layer.kind in _SUMS and all(g.shape == node.spec.shape for g in node.given):
            for term in node.inputs:
                self.add(term)
        elif (bag := self._bag(node)) is not None:
            self.bags.append(bag)
            for bias in node.layer.weights[1:]:
                self.constant = self.constant + bias
        else:
            self.others.append(name)

    def _bag(self, node: Node) -> Bag | None:
        """A linear Dense layer over a bag of the text's words."""
        if node.layer.kind != "Dense" or node.layer.settings["activation"] != "linear":
            return None
        name, unit, factor = node.inputs[0], False, 1.0
        while name not in self.texts:
            before = self.nodes.get(name)
            if before is None:
                return None
            if before.layer.kind == "Rescaling" and before.layer.settings["offset"] == 0:
                factor *= float(before.layer.settings["scale"])
            elif before.layer.kind == "UnitNormalization" and not unit and factor == 1:
                unit = True
            elif not _passes(before):
                return None
            name = before.inputs[0]
        number, spec = self.texts[name]
        return Bag(number, spec, factor, unit, node.layer.weights[0].astype(np.float64))


def _passes(node: Node) -> bool:
    """Whether a node gives what it is given."""
    layer = node.layer
    linear = layer.kind == "Activation" and layer.settings["activation"] == "linear"
    return layer.kind in _PASSES or linear


def _network(
    bundle: Bundle, nodes: Mapping[str, Node], ends: Sequence[str]
) -> tuple[Bundle | None, tuple[int, ...]]:
    """The part of a network that gives the sum of `ends`, and the numbers of its inputs."""
    if not ends:
        return None, ()
    needed = _needed(nodes, ends)
    numbers = tuple(i for i, given in enumerate(bundle.inputs) if given.name in needed)
    inputs = tuple(bundle.inputs[i] for i in numbers)
    calls: list[Call] = [nodes[n.name] for n in bundle.nodes if n.name in needed]
    if len(ends) > 1:
        calls.append(Call(_TOGETHER, Layer("Add", _TOGETHER, {}), tuple(ends)))
    return replace(bundle, inputs=inputs, nodes=annotate(inputs, calls)), numbers


def _needed(nodes: Mapping[str, Node], ends: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += nodes[name].inputs if name in nodes else ()
    return found
