"""config.json to the calls of a network: layers and settings that are declared, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from scorer.bundle.config.graph import Entry, RawCall, RawGraph, gives_states, read_graph
from scorer.bundle.config.masks import OPERATIONS, Mask, mask_of
from scorer.bundle.config.normal import normalised, policies
from scorer.bundle.config.operations import function_of, operands
from scorer.bundle.config.rewriting import apart, needed, state_calls, without_states
from scorer.bundle.config.settings import checked
from scorer.bundle.config.tensors import Reference, mapping, references
from scorer.bundle.dangers import tree_faults
from scorer.bundle.network import Call, Layer
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers import KINDS
from scorer.layers.spec import Arity
from scorer.vectorizer import LOOKUPS

_VECTORIZER = "TextVectorization"
#: what a layer may be called with where it is False
_SWITCHED_OFF = ("training", "return_attention_scores")


@dataclass(frozen=True)
class VectorizerCall:
    """A vectorizer in the archive: its settings as config.json has them, where its files lie there,
    and the archive's input whose text it reads."""

    settings: Entry
    place: str
    source: str
    kind: str = _VECTORIZER


@dataclass(frozen=True)
class ModelSpec:
    """A checked configuration.

    inputs       the archive's own, name -> settings, unchecked
    vectorizers  by the name under which calls read their output
    calls        in order; the last one's output is the model's; none where a vectorizer is alone
    policies     the precisions other than float32 in which Keras computed it
    """

    inputs: dict[str, Entry]
    vectorizers: dict[str, VectorizerCall]
    calls: tuple[Call, ...]
    policies: tuple[str, ...] = ()


def parse_config(config: Any, *, replaced_standardize: bool = False) -> ModelSpec:
    """The model that a configuration describes, in the form of any version of Keras.

    replaced_standardize   the card says what a vectorizer's `standardize` function does
    Raises BundleError or UnsupportedModel.
    """
    model = normalised(config, replaced_standardize=replaced_standardize)
    for fault in tree_faults(model):
        raise BundleError(fault)
    return read_model(mapping(model, "the model"))


def read_model(model: Entry) -> ModelSpec:
    """The same of a configuration whose every value was walked."""
    graph = read_graph(model)
    calls = _Calls(graph)
    for call in graph.calls:
        calls.add(call)
    last = calls.calls[-1].name if calls.calls else None
    if graph.output not in (last, *calls.vectorizers):
        raise UnsupportedModel(f"the model's output {graph.output} is not one of a layer")
    return ModelSpec(graph.inputs, calls.vectorizers, needed(calls.calls, last), policies(model))


class _Calls:
    """Raw calls turned into calls of declared layers."""

    def __init__(self, graph: RawGraph) -> None:
        self._inputs = graph.inputs
        self._masks: dict[str, Mask] = {}  # by the operation that makes it
        self._layers: dict[tuple[str, str], Layer] = {}
        self._read: dict[tuple[str, str], str] = {}
        self._same: dict[str, str] = {}  # a further call of a vectorizer -> the first
        self._recurrent: dict[str, Call] = {}  # calls that give states, by name
        self._states: set[str] = set()  # of these, the outputs that are read
        self._scalars: set[str] = set()  # lookups that give one id without a dimension
        self.vectorizers: dict[str, VectorizerCall] = {}
        self.calls: list[Call] = []

    def add(self, call: RawCall) -> None:
        if call.kind == _VECTORIZER or self._looks_values_up(call):
            self._add_vectorizer(call)
        elif self._makes_mask(call):
            self._masks[call.name] = mask_of(call, self._masks)
        else:
            self._add_layer(call)

    def _add_layer(self, given: RawCall) -> None:
        """Append a call of a layer or an operation, and what Keras does in one with it."""
        call, *others = (given,) if given.operation else apart(without_states(given))
        read, own = operands(call) if call.operation else (_inputs(call), call.settings)
        layer = self._layer(call, own)
        inputs = tuple(map(self._read_from, read))
        for name in inputs:
            if name in self._masks:
                raise UnsupportedModel(f"layer {call.layer}: it reads the mask {name}")
        masks = () if call.operation else self._masks_of(call)
        made = Call(call.name, layer, inputs, masks, call.place)
        self.calls += _of_rows(made, self._scalars)
        for other in others:
            layer = self._layer(other, other.settings)
            self.calls.append(Call(other.name, layer, tuple(_inputs(other)), (), other.place))
        if gives_states(given.settings):
            self._recurrent[call.name] = made

    def _read_from(self, name: str) -> str:
        """The call that gives what is read by a name in the graph."""
        whose, _, number = name.partition("#")
        if not number:
            return self._same.get(name, name)
        if whose not in self._recurrent:
            raise UnsupportedModel(f"layer {whose}: its output {number} is not known")
        if name not in self._states:
            self._states.add(name)
            self.calls += state_calls(self._recurrent[whose], int(number), name)
        return name

    def _layer(self, call: RawCall, settings: Entry) -> Layer:
        """The layer of a call, the same object for calls that have the same settings."""
        kind = function_of(call.kind) if call.operation else call.kind
        given = {key: value for key, value in call.keywords.items() if key in _at_call(kind)}
        key = call.layer, repr(given if not call.operation else settings)
        if key not in self._layers:
            spec = checked(kind, settings | given, call.layer)
            self._layers[key] = Layer(spec.kind, spec.name, spec.settings)
        return self._layers[key]

    def _looks_values_up(self, call: RawCall) -> bool:
        """Whether a call looks up the values of a column: texts, or one number a row."""
        if call.operation or call.kind not in LOOKUPS:
            return False
        given = [item for item in call.arguments if isinstance(item, Reference)]
        settings = self._inputs.get(given[0].name) if len(given) == 1 else None
        if settings is None:
            return call.kind == "StringLookup"
        one = input_shape(settings)[1:] in ([], [1])
        return call.kind == "StringLookup" or settings.get("dtype") == "string" or one

    def _add_vectorizer(self, call: RawCall) -> None:
        (source,) = _inputs(call)
        self._masks_of(call)
        if source not in self._inputs:
            raise UnsupportedModel(
                f"layer {call.layer} ({call.kind}): it reads {source}, not an input of the model"
            )
        first = self._read.setdefault((call.layer, source), call.name)
        self._same[call.name] = first
        if call.kind in LOOKUPS and len(input_shape(self._inputs[source])) == 1:
            self._scalars.add(first)
        self.vectorizers[first] = VectorizerCall(call.settings, call.place, source, call.kind)

    def _makes_mask(self, call: RawCall) -> bool:
        """Whether an operation is one of those that make masks, and not one on what layers give."""
        if call.kind not in OPERATIONS or call.kind in ("NotEqual", "ZerosLike", "OnesLike"):
            return call.kind in OPERATIONS
        given = references(call.arguments)
        return call.operation and any(item.name in self._masks for item in given)

    def _masks_of(self, call: RawCall) -> tuple[str, ...]:
        """The masks that a layer is handed. `training=False` and no mask are what a layer does by
        itself; nothing else may be passed."""
        masks = []
        for key, value in call.keywords.items():
            if key in (*_parameters(call.kind), *_at_call(call.kind)):
                continue
            given = [item for item in _flat(value) if item is not None]
            known = [g for g in given if isinstance(g, Reference) and g.name in self._masks]
            if key.endswith("mask") and len(known) == len(given):
                masks += [self._source(self._masks[g.name], call) for g in known]
            elif given and not (key in _SWITCHED_OFF and value is False):
                raise UnsupportedModel(
                    f"layer {call.layer}: it is called with {key[:60]!r}, as none may be"
                )
        return tuple(mask for mask in masks if mask is not None)

    def _source(self, mask: Mask, call: RawCall) -> str | None:
        """The ids of a mask; None where it is everywhere, as without a mask."""
        if mask.nowhere or mask.columns:
            raise UnsupportedModel(f"layer {call.layer}: it is called with another mask")
        return None if mask.source is None else self._same.get(mask.source, mask.source)


def _of_rows(call: Call, scalars: Set[str]) -> tuple[Call, ...]:
    """An Embedding of one id without a dimension, as one of a row of ids that is then squeezed."""
    if call.layer.kind != "Embedding" or call.inputs[0] not in scalars:
        return (call,)
    row = replace(call, name=f"{call.name}/row")
    squeeze = Layer("squeeze", f"{call.layer.name}/squeeze", {"axis": 1})
    return row, Call(call.name, squeeze, (row.name,))


def input_shape(settings: Mapping[str, Any]) -> Any:
    """The shape of an input with the batch, as its settings have it, unchecked."""
    return settings.get("batch_shape", settings.get("shape", [None, None]))


def _tensors(value: Any) -> bool:
    """Whether a value is a tensor, or a list of tensors."""
    return bool(_flat(value)) and all(isinstance(item, Reference) for item in _flat(value))


def _flat(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _inputs(call: RawCall) -> list[str]:
    """The names of what a call reads, as its layer is called: one, a list, or several."""
    kind = KINDS.get(call.kind)
    arity = kind.arity if kind else Arity.ONE
    named = [call.keywords[key] for key in _parameters(call.kind) if key in call.keywords]
    given = [*call.arguments, *(value for value in named if value is not None)]
    if arity is Arity.STATES:  # Keras 2 has them in one list with the sequence
        given = list(references(given)) if all(map(_tensors, given)) else given
    if arity is Arity.LIST:  # a layer has a list, an operation (`x + y`) two arguments
        given = given[0] if len(given) == 1 and isinstance(given[0], list) else given
    fits = {
        Arity.ONE: len(given) == 1,
        Arity.LIST: len(given) > 1,
        Arity.SEVERAL: True,
        Arity.STATES: len(given) > 0,
    }[arity]
    names = [item.name for item in given if isinstance(item, Reference)]
    if not fits or len(names) != len(given):
        raise UnsupportedModel(f"layer {call.layer} ({call.kind[:60]}): {_called(arity)}")
    return names


def _parameters(kind: str) -> tuple[str, ...]:
    """The names of the tensors that a layer may be handed by name, in order."""
    return KINDS[kind].parameters if kind in KINDS else ()


def _at_call(kind: str) -> tuple[str, ...]:
    """The settings that a call of a layer has."""
    return KINDS[kind].at_call if kind in KINDS else ()


def _called(arity: Arity) -> str:
    return {
        Arity.ONE: "it is called on more or less than one tensor",
        Arity.LIST: "it is not called on several tensors",
        Arity.SEVERAL: "it is not called on tensors alone",
        Arity.STATES: "it is not called on a tensor and the states that it begins with alone",
    }[arity]
