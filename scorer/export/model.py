"""Puts a bundle's network, and where it may be what makes its inputs, into one ONNX model."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from scorer.bundle import Bundle, Input, masked_apart
from scorer.card import ScorerCard
from scorer.errors import EngineError, pip_install
from scorer.export.graph import Graph, refuse
from scorer.export.strings import written_bag, written_ids
from scorer.export.table import UNWRITTEN, WRITERS
from scorer.feeding import feeding
from scorer.vectorizer import Padding
from scorer.vectorizer.preparation import Lower, Replace, Step, as_re2

OPSET, ML_OPSET, IR_VERSION = 20, 3, 9


def to_onnx(bundle: Bundle, card: ScorerCard | None = None, *, texts: bool = False) -> Any:
    """The model as an `onnx.ModelProto`.

    card    `scores` are then the outputs that its task speaks of, not the network's own
    texts   the vectorizers are in the graph, which reads texts; this takes a card
    Raises UnsupportedModel naming the layer, or what of a vectorizer has no operators.
    """
    parts = _Parts(bundle, load("onnx"), card, texts)
    parts.check_masks()
    values = dict(parts.graph.ids)
    for node in bundle.nodes:
        kind = node.layer.kind
        if kind not in WRITERS:
            raise refuse(node, UNWRITTEN[kind])
        given = (values[name] for name in node.inputs)
        values[node.name] = WRITERS[kind](parts.graph, node, *given)
    scores = values[bundle.nodes[-1].name]
    parts.declare_fed()
    scores = scores if card is None else _final(parts.graph, card, scores, bundle.outputs)
    return parts.model(outputs={"scores": scores})


def vectorizers_to_onnx(bundle: Bundle, card: ScorerCard) -> Any:
    """The vectorizers alone, whose outputs are what `onnx_inputs` feeds a network.

    Raises UnsupportedModel saying what has no operators.
    """
    parts = _Parts(bundle, load("onnx"), card, texts=True)
    made = {}
    for number, given in enumerate(bundle.inputs):
        if given.vectorizer is not None:
            made[input_name(bundle, number)] = parts.graph.ids[given.name]
            if given.spec.dtype == "ids":
                made[lengths_name(bundle, number)] = parts.graph.lengths[given.name]
    return parts.model(outputs=made)


def input_name(bundle: Bundle, number: int) -> str:
    """The name of one of the network's inputs in the graph."""
    kind = bundle.inputs[number].spec.dtype
    return {"ids": "ids", "bag": "bag"}.get(kind, "numbers") + _suffix(bundle, number)


def lengths_name(bundle: Bundle, number: int) -> str:
    return "lengths" + _suffix(bundle, number)


def text_name(bundle: Bundle, number: int, columns: tuple[str, ...]) -> str:
    """The name of the text that one of the network's inputs reads; `columns` as in Feeding."""
    return f"text{_suffix(bundle, number)}" if columns else "text"


def _suffix(bundle: Bundle, number: int) -> str:
    return f"_{number}" if len(bundle.inputs) > 1 else ""


@dataclass
class _Parts:
    """A graph, its inputs, and what its metadata says."""

    bundle: Bundle
    onnx: Any
    card: ScorerCard | None
    texts: bool
    graph: Graph = field(init=False)
    inputs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = list(enumerate(self.bundle.inputs))
        lengths = {given.name: lengths_name(self.bundle, number) for number, given in named}
        ids = {given.name: input_name(self.bundle, number) for number, given in named}
        self.graph = Graph(self.onnx, lengths, ids)
        if self.texts:
            assert self.card is not None, "it says which column an input reads"
            columns = feeding(self.card, self.bundle).columns
            for number, given in named:
                if given.vectorizer is not None:
                    self._write_text(number, given, columns[number])

    def _write_text(self, number: int, given: Input, columns: tuple[str, ...]) -> None:
        spec, name = given.vectorizer, text_name(self.bundle, number, columns)
        assert spec is not None
        self._declare(name, self.onnx.TensorProto.STRING, ["rows"])
        if given.spec.dtype == "bag":
            self.graph.ids[given.name] = written_bag(self.graph, spec, name)
            return
        ids, lengths = written_ids(self.graph, spec, name)
        self.graph.ids[given.name], self.graph.lengths[given.name] = ids, lengths

    def _declare(self, name: str, kind: int, shape: list[str | int | None]) -> None:
        self.inputs[name] = self.onnx.helper.make_tensor_value_info(name, kind, shape)

    def check_masks(self) -> None:
        """Refuse a mask that ONNX' recurrent layers cannot be told: they take lengths alone."""
        node = masked_apart(self.bundle.inputs, self.bundle.nodes)
        if node is not None:
            raise refuse(
                node, "a mask over ids of 0 before or among a row's is not written to ONNX"
            )

    def model(self, outputs: dict[str, str]) -> Any:
        """The graph as a checked model; `outputs` names values."""
        helper, types = self.onnx.helper, self.onnx.TensorProto
        graph, made = self.graph, []
        for name, value in outputs.items():
            graph.nodes.append(helper.make_node("Identity", [value], [name]))
            flat, whole = name.startswith("lengths"), name.startswith("ids")
            kind = types.INT32 if flat else types.INT64 if whole else types.FLOAT
            shape = ["rows"] if flat else ["rows", None]
            made.append(helper.make_tensor_value_info(name, kind, shape))
        body = helper.make_graph(
            graph.nodes, "network", list(self.inputs.values()), made, graph.weights
        )
        versions = {"": OPSET, "ai.onnx.ml": ML_OPSET, "com.microsoft": 1}
        used = {"", *(node.domain for node in graph.nodes)}
        opsets = [helper.make_opsetid(domain, versions[domain]) for domain in sorted(used)]
        model = helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION)
        helper.set_model_props(model, self._properties())
        if used == {""}:  # the checker knows no operators of ONNX Runtime's own
            self.onnx.checker.check_model(model)
        return model

    def declare_fed(self) -> None:
        """The graph's inputs that are neither texts nor made of them."""
        types = self.onnx.TensorProto
        for number, given in enumerate(self.bundle.inputs):
            if self.texts and given.vectorizer is not None:
                continue
            ids, name = given.spec.dtype == "ids", input_name(self.bundle, number)
            wide = f"tokens{_suffix(self.bundle, number)}" if ids else None
            self._declare(name, types.INT64 if ids else types.FLOAT, ["rows", wide])
            if (lengths := lengths_name(self.bundle, number)) in self.graph.used:
                self._declare(lengths, types.INT32, ["rows"])

    def _properties(self) -> dict[str, str]:
        if self.texts:
            return {"digest": self.bundle.digest}
        settings = [_settings(given) for given in self.bundle.inputs]
        stated = {"vectorizers": settings} if len(settings) > 1 else {"vectorizer": settings[0]}
        properties = {key: json.dumps(value) for key, value in stated.items()}
        return {**properties, "digest": self.bundle.digest}


def _final(graph: Graph, card: ScorerCard, scores: str, width: int) -> str:
    """The outputs that the card's task speaks of: see `scorer.scores.final_outputs`."""
    if card.output_activation == "sigmoid":
        scores = graph.node("Sigmoid", scores)
    if card.output_activation == "softmax":
        scores = graph.node("Softmax", scores, axis=-1)
    if width == card.outputs:
        return scores
    ends = graph.whole(width - card.outputs), graph.whole(width), graph.whole(1)
    return graph.node("Slice", scores, *ends)


def _settings(given: Input) -> dict[str, Any] | None:
    """A vectorizer's settings for the metadata; None for an input of numbers.

    The first six are TextVectorization's own. Those that only other vectorizers have are left out
    where they say nothing.
    """
    spec = given.vectorizer
    if spec is None:
        return None
    own = {
        "standardize": spec.standardize,
        "split": spec.split,
        "ngrams": list(spec.ngrams),
        "output_mode": spec.output_mode,
        "output_sequence_length": spec.output_sequence_length,
        "vocabulary": list(spec.vocabulary),
    }
    others = {
        "separators": spec.separators.decode() or None,
        "preparation": [_step(step) for step in spec.preparation.steps] or None,
        "word_ids": None if spec.word_ids is None else spec.word_ids.tolist(),
        "unknown_id": spec.unknown_id,
        "start_id": spec.start_id,
        "padding": None if spec.padding == Padding() else asdict(spec.padding),
        "category": None if spec.category is None else asdict(spec.category),
    }
    if spec.word_ids is None:
        del others["unknown_id"]
    return own | {key: value for key, value in others.items() if value is not None}


def _step(step: Step) -> dict[str, str]:
    """A step of a preparation for the metadata."""
    if isinstance(step, Lower):
        return {"lower": "unicode" if step.unicode else "ascii"}
    assert isinstance(step, Replace), "there is no other step"
    return {"replace": as_re2(step.pattern) if step.python else step.pattern, "by": step.text}


def load(name: str) -> Any:
    """A package of the extra `onnx`. Raises EngineError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(f"{name} is not installed: {pip_install('onnx')}") from error
