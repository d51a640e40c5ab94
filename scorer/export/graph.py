"""An ONNX graph in the making."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scorer.bundle import Node
from scorer.errors import UnsupportedModel
from scorer.layers.spec import TensorSpec


@dataclass
class Graph:
    """Nodes and weights while the network is walked.

    lengths, ids  for each of the network's inputs, the names of the graph's that hold them
    """

    onnx: Any
    lengths: dict[str, str]
    ids: dict[str, str]
    used: set[str] = field(default_factory=set)
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(self.onnx.numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Append a node; returns its last output, which is the one wanted everywhere here."""
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), names, **attributes))
        return names[-1]

    def number(self, value: float) -> str:
        """A constant float32."""
        return self.constant(np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        """A constant list of int64."""
        return self.constant(np.array(values, np.int64))

    def mask(self, given: TensorSpec) -> str | None:
        """The name of bool (rows, positions) for what a node reads, where a mask comes with it."""
        if given.padding is None or not given.padding.masked:
            return None
        return self.node("Greater", self.ids[given.padding.source], self.whole(0))

    def tokens_of(self, node: Node) -> str | None:
        """Where a node's first input is masked, the name of how many tokens each row has."""
        padding = node.given[0].padding
        if padding is None or not padding.masked:
            return None
        self.used.add(self.lengths[padding.source])
        return self.lengths[padding.source]


#: the graph, the annotated node and the values that it reads, to the value that it makes
Writer = Callable[..., str]


def refuse(node: Node, why: str) -> UnsupportedModel:
    """The error for a layer that is not written; raise it."""
    return UnsupportedModel(f"layer {node.layer.name} ({node.layer.kind}): {why}")
