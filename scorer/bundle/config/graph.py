"""config.json's layers as calls in order, from the inputs to the one output.

    Sequential    a chain
    Functional    any graph without circles; Keras 3 and Keras 2 write calls in two ways
    nested        a model that stands as a layer is unpacked: its layers are called where it is

Nothing is known here of what layers do. Calls come in the order in which the output needs them, so
that inputs are numbered as the output reads them. Names of calls are those of the layers, inside a
nested model after the model's; a further call of the same layer has a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scorer.bundle.config.tensors import (
    MOST_OUTPUTS,
    Key,
    Reference,
    Tensor,
    listed,
    mapping,
    parsed,
    references,
    resolved,
    tensors_in,
)
from scorer.errors import BundleError, UnsupportedModel

MAX_LAYERS = 128
MAX_CALLS = 256
_MODELS = ("Sequential", "Functional", "Model")
#: a layer that Keras exports under another name than its class has
_RENAMED = {"GroupQueryAttention": "GroupedQueryAttention"}
_NAME = re.compile(r"\w[\w .-]{0,127}")

Entry = dict[str, Any]  # a layer as config.json has it


@dataclass(frozen=True)
class RawCall:
    """A call as config.json has it.

    kind, settings  Keras' class and its settings, unchecked
    operation       it is not a layer but a function such as `x + y`
    layer           names the layer; two calls of one layer share it
    place           where the archive keeps the layer's weights and files
    arguments       references, lists of them, and constants
    keywords        the same, by name
    """

    name: str
    kind: str
    settings: Entry
    layer: str
    place: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    operation: bool = False


@dataclass(frozen=True)
class RawGraph:
    """inputs: the archive's own, name -> settings, where anything reads them; calls, in order."""

    inputs: dict[str, Entry]
    calls: tuple[RawCall, ...]
    output: str


def read_graph(model: Entry) -> RawGraph:
    """The model's calls, put in order. Raises BundleError or UnsupportedModel."""
    if model.get("class_name") not in _MODELS:
        raise UnsupportedModel(
            f"a model of class {str(model.get('class_name'))[:60]!r}: "
            "only Sequential and Functional ones are read"
        )
    walk = _Walk()
    output = walk.model(model, None, "", "layers/")
    return RawGraph(walk.inputs, tuple(walk.calls), output.name)


@dataclass
class _Walk:
    """What was met so far, over all nested models."""

    inputs: dict[str, Entry] = field(default_factory=dict)
    calls: list[RawCall] = field(default_factory=list)
    layers: int = 0
    called: dict[str, int] = field(default_factory=dict)

    def model(
        self, model: Entry, given: list[Reference] | None, prefix: str, place: str
    ) -> Reference:
        """Append a model's calls. given: what a nested one is called on; None for the outermost."""
        config = mapping(model.get("config"), "the model's config")
        entries = config.get("layers")
        if not isinstance(entries, list):
            raise BundleError("config.json: the model has no list of layers")
        level = _Level([mapping(entry, "a layer") for entry in entries], prefix, place)
        self.layers += len(entries)
        if self.layers > MAX_LAYERS:
            raise BundleError(f"config.json: {self.layers} layers, at most {MAX_LAYERS}")
        form = _Sequential if model["class_name"] == "Sequential" else _Functional
        return self._walked(form(level, config), level, given)

    def _walked(
        self, form: _Sequential | _Functional, level: _Level, given: list[Reference] | None
    ) -> Reference:
        """Depth first from the output, so that what is read first is called first."""
        found: dict[Key, Reference] = self._given(form, level, given)
        stack, path = [form.output], {form.output}
        while stack:
            key = stack[-1]
            waiting = [k for k in form.sources(key) if k not in found] if key not in found else []
            if not waiting:
                if key not in found:
                    found[key] = self._call(form, level, key, found)
                path.discard(stack.pop())
            elif waiting[0] in path:
                raise UnsupportedModel(f"layer {waiting[0][0]}: its output comes back as its input")
            else:
                stack.append(waiting[0])
                path.add(waiting[0])
        for name in level.entries:
            if not any(key[0] == name for key in found):
                raise UnsupportedModel(f"layer {name}: nothing reads it")
        return found[form.output]

    def _given(
        self, form: _Sequential | _Functional, level: _Level, given: list[Reference] | None
    ) -> dict[Key, Reference]:
        """The references of a model's own inputs."""
        if given is None:
            for name in form.inputs:
                self.inputs[name] = level.entries.get(name, {"config": {}})["config"]
            return {(name, 0): Reference(name) for name in form.inputs}
        if len(given) != len(form.inputs):
            raise UnsupportedModel(
                f"model {level.prefix.rstrip('/')}: called on {len(given)} tensors, "
                f"it has {len(form.inputs)} inputs"
            )
        return {(name, 0): there for name, there in zip(form.inputs, given, strict=True)}

    def _call(
        self,
        form: _Sequential | _Functional,
        level: _Level,
        key: Key,
        found: dict[Key, Reference],
    ) -> Reference:
        name, entry = key[0], level.entries[key[0]]
        arguments, keywords = form.arguments(key)
        arguments = tuple(resolved(value, found) for value in arguments)
        layer, place = level.prefix + name, level.place + level.stored[name]
        if entry["class_name"] in _MODELS:
            given = list(references(arguments))
            return Reference(self.model(entry, given, f"{layer}/", f"{place}/layers/").name)
        count = self.called[layer] = self.called.get(layer, -1) + 1
        call = RawCall(
            name=f"{layer}:{count}" if count else layer,
            kind=entry["class_name"],
            settings=entry["config"],
            layer=layer,
            place=place,
            arguments=arguments,
            keywords={k: resolved(value, found) for k, value in keywords.items()},
            operation=str(entry.get("module")).startswith("keras.src.ops."),
        )
        self.calls.append(call)
        if len(self.calls) > MAX_CALLS:
            raise BundleError(f"config.json: more than {MAX_CALLS} calls of layers")
        return Reference(call.name, MOST_OUTPUTS if gives_states(call.settings) else 1)


def gives_states(settings: Entry) -> bool:
    """Whether a recurrent layer, or one around it, gives its states beside its output."""
    inner = settings.get("layer")
    own = inner.get("config") if isinstance(inner, dict) else settings
    return isinstance(own, dict) and own.get("return_state") is True


class _Level:
    """The layers of one model by name, and the names that Keras gives them in its files."""

    def __init__(self, entries: list[Entry], prefix: str, place: str) -> None:
        self.prefix, self.place = prefix, place
        names = [name_of(entry) for entry in entries]
        if len(set(names)) < len(names):
            raise BundleError("config.json: two layers have the same name")
        self.entries = dict(zip(names, entries, strict=True))
        kinds = [str(entry["class_name"]) for entry in entries]
        self.stored = dict(zip(names, stored_names(kinds), strict=True))


def name_of(entry: Entry) -> str:
    """A layer's own name. Raises BundleError where it may not be one."""
    if not isinstance(entry.get("class_name"), str):
        raise BundleError("config.json: a layer has no class name")
    settings = mapping(entry.get("config"), "a layer's config")
    name = settings.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BundleError(f"config.json: the layer name {str(name)[:60]!r} is not allowed")
    if entry.get("name", name) != name:
        raise BundleError(f"config.json: the layer {name!r} has a second name")
    return name


def stored_names(kinds: Iterable[str]) -> list[str]:
    """The names that Keras gives layers in its files: snake case, numbered by class."""
    used: dict[str, int] = {}
    stored = []
    for kind in kinds:
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", _RENAMED.get(kind, kind))
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        count = used[name] = used.get(name, -1) + 1
        stored.append(f"{name}_{count}" if count else name)
    return stored


class _Sequential:
    """A chain. Its input may be left out."""

    def __init__(self, level: _Level, config: Entry) -> None:
        names = list(level.entries)
        kinds = [entry["class_name"] for entry in level.entries.values()]
        if "InputLayer" in kinds[1:]:
            raise UnsupportedModel("the model has an input in the middle")
        if kinds[:1] != ["InputLayer"]:
            names.insert(0, "input")
            if "input" in level.entries:
                raise BundleError("config.json: a layer without an input before it is named input")
        if len(names) < 2:
            raise UnsupportedModel("the model has no layers")
        self.inputs = names[:1]
        self.output: Key = (names[-1], 0)
        self._before = dict(zip(names[1:], names, strict=False))

    def sources(self, key: Key) -> list[Key]:
        return [(self._before[key[0]], 0)]

    def arguments(self, key: Key) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((Tensor(self._before[key[0]], 0),), {})


class _Functional:
    """A graph, whose every layer lists its calls."""

    def __init__(self, level: _Level, config: Entry) -> None:
        self._entries = level.entries
        self.inputs = [tensor.layer for tensor in listed(config.get("input_layers"), "input")]
        outputs = list(listed(config.get("output_layers"), "output"))
        if len(outputs) != 1:
            raise UnsupportedModel(
                f"the model has {len(outputs)} outputs, of which one is scored: save a model of "
                "that one, keras.Model(model.inputs, model.outputs[0]).save('model.keras')"
            )
        if outputs[0].output:
            raise UnsupportedModel(
                f"the model's output is a state of layer {outputs[0].layer}: build the layer "
                "without return_state, which gives its last state as its output"
            )
        for name in self.inputs:
            if level.entries.get(name, {}).get("class_name") != "InputLayer":
                raise BundleError(f"config.json: the model's input {name[:60]!r} is not an input")
        self.output: Key = (outputs[0].layer, outputs[0].call)
        self._calls: dict[Key, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._from_one = _counted_from_one(level.entries, outputs)

    def arguments(self, key: Key) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and the named arguments of a call, tensors as Tensor."""
        if key not in self._calls:
            name, number = key
            if name not in self._entries:
                raise BundleError(f"config.json: no layer is named {name[:60]!r}")
            nodes = self._entries[name].get("inbound_nodes")
            number -= name in self._from_one
            if not isinstance(nodes, list) or not 0 <= number < len(nodes) <= MAX_CALLS:
                raise BundleError(f"config.json: layer {name}: it has no call {key[1]}")
            self._calls[key] = parsed(nodes[number])
        return self._calls[key]

    def sources(self, key: Key) -> list[Key]:
        arguments, keywords = self.arguments(key)
        tensors = list(tensors_in([*arguments, *keywords.values()]))
        if len(tensors) > MAX_CALLS:
            raise BundleError(f"config.json: layer {key[0]}: called on {len(tensors)} tensors")
        return [(tensor.layer, tensor.call) for tensor in tensors]


def _counted_from_one(entries: dict[str, Entry], outputs: list[Tensor]) -> set[str]:
    """The nested models whose calls are counted from 1.

    Keras counts the call that made a model as its first, and does not list it. Every call that is
    listed is read, so the last one's number tells.
    """
    models = {
        name: len(nodes)
        for name, entry in entries.items()
        if entry["class_name"] in _MODELS and isinstance(nodes := entry.get("inbound_nodes"), list)
    }
    if not models:
        return set()
    tensors = list(outputs)
    for entry in entries.values():
        nodes = entry.get("inbound_nodes")
        for node in nodes if isinstance(nodes, list) else []:
            arguments, keywords = parsed(node)
            tensors += tensors_in([*arguments, *keywords.values()])
    return {tensor.layer for tensor in tensors if models.get(tensor.layer) == tensor.call}
