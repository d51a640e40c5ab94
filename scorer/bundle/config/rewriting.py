"""Calls that Keras makes at once, as calls of declared layers one after another.

return_state            a recurrent layer's last state: the layer again, giving that state alone
activation=LeakyReLU()  a layer in the place of an activation: a call of its own
RNN([cell, cell])       a recurrent layer for each cell, of which the first ones give every state
EinsumDense             a Dense layer, where it works on the last dimension
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scorer.bundle.config.graph import (
    MAX_LAYERS,
    Entry,
    RawCall,
    gives_states,
    name_of,
    stored_names,
)
from scorer.bundle.config.tensors import Reference, mapping
from scorer.bundle.network import Call, Layer
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers.activations import ACTIVATION_LAYERS
from scorer.layers.spec import LayerSpec

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional")
#: PReLU has weights, which Keras does not save there
_ACTIVATIONS = frozenset(kind.name for kind in ACTIVATION_LAYERS) - {"PReLU"}
#: an equation that multiplies a tensor's last dimension, and that alone
_LAST_TO_LAST = re.compile(
    r"(?P<rest>[a-z]+|\.\.\.)(?P<into>[a-z]),(?P=into)(?P<out>[a-z])->(?P=rest)(?P=out)"
)
_ALL = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}


def without_states(call: RawCall) -> RawCall:
    """The call of a recurrent layer that gives its states, as one that does not."""
    return replace(call, settings=_stateless(call.settings)) if call.kind in _RECURRENT else call


def _stateless(settings: Entry) -> Entry:
    own = {k: v for k, v in settings.items() if k != "return_state" or v is not True}
    for key in ("layer", "backward_layer"):
        inner = own.get(key)
        if isinstance(inner, dict) and isinstance(inner.get("config"), dict):
            own[key] = {**inner, "config": _stateless(inner["config"])}
    return own


def apart(call: RawCall) -> tuple[RawCall, ...]:
    """The calls that do one after another what `call` does at once; the last has its name."""
    cells = cells_of(call.settings) if call.kind == "RNN" else ()
    return _of_cells(call, cells) if cells else _activation_apart(_as_dense(call))


def _as_dense(call: RawCall) -> RawCall:
    """EinsumDense('abc,cd->abd', bias_axes='d') as Dense, which computes the same."""
    settings = dict(call.settings)
    equation = str(settings.pop("equation", "")).replace(" ", "")
    bias, shape = settings.pop("bias_axes", None), settings.pop("output_shape", None)
    found = _LAST_TO_LAST.fullmatch(equation)
    if call.kind != "EinsumDense" or found is None or bias not in (None, found["out"]):
        return call
    letters = found["rest"].strip(".") + found["into"] + found["out"]
    if len(set(letters)) < len(letters):  # a diagonal
        return call
    units = shape[-1] if isinstance(shape, list) and shape else shape
    own = {"units": units, "use_bias": bias is not None}
    return replace(call, kind="Dense", settings=settings | own)


def cells_of(settings: Entry) -> tuple[Entry, ...]:
    """The cells of `RNN([cell, cell])`; none of an RNN of one cell."""
    cell = settings.get("cell")
    config = cell.get("config") if isinstance(cell, dict) else None
    if not isinstance(cell, dict) or not isinstance(config, dict):
        return ()
    if cell.get("class_name") != "StackedRNNCells":
        return ()
    cells = config.get("cells")
    return tuple(mapping(each, "a cell") for each in cells) if isinstance(cells, list) else ()


def _of_cells(call: RawCall, cells: Sequence[Entry]) -> tuple[RawCall, ...]:
    """Raises UnsupportedModel where the cells read backwards: Keras turns no mask around."""
    if call.settings.get("go_backwards") is True or gives_states(call.settings):
        raise UnsupportedModel(
            f"layer {call.layer} (RNN): several cells with go_backwards or return_state are not "
            "supported: use a layer for each cell, LSTM(8, return_sequences=True) and LSTM(4), "
            "set the same weights and save again"
        )
    names = [name_of(cell) for cell in cells]
    if len(set(names)) < len(names) or len(cells) > MAX_LAYERS:
        raise BundleError(
            f"config.json: layer {call.layer}: two of its cells have the same name, or they are "
            f"more than {MAX_LAYERS}"
        )
    stored = stored_names(cell["class_name"] for cell in cells)
    calls: list[RawCall] = []
    for name, place, cell in zip(names, stored, cells, strict=True):
        settings = {**call.settings, "cell": cell}
        one = replace(call, layer=f"{call.layer}/{name}", place=f"{call.place}/cell/cells/{place}")
        if calls:
            one = replace(one, arguments=(Reference(calls[-1].name),), keywords={})
        if len(calls) < len(cells) - 1:
            name, settings = f"{call.name}/{name}", {**settings, "return_sequences": True}
            one = replace(one, name=name)
        calls.append(replace(one, settings=settings))
    return tuple(calls)


def _activation_apart(call: RawCall) -> tuple[RawCall, ...]:
    """The call without an activation that is a layer, and that layer's own call after it."""
    found = call.settings.get("activation")
    kind = found.get("class_name") if isinstance(found, dict) else None
    settings = found.get("config") if isinstance(found, dict) else None
    if call.kind in (*_RECURRENT, "Activation") or kind not in _ACTIVATIONS:
        return (call,)
    if not isinstance(settings, dict):
        return (call,)
    linear = replace(
        call, name=f"{call.name}/linear", settings={**call.settings, "activation": "linear"}
    )
    after = RawCall(
        call.name, str(kind), settings, f"{call.layer}/activation", f"{call.place}/activation",
        (Reference(linear.name),), {},
    )  # fmt: skip
    return linear, after


def state_calls(made: Call, number: int, name: str) -> tuple[Call, ...]:
    """The calls that give output `number` of a recurrent layer's call, the last one by `name`.

    Raises UnsupportedModel for an output that the layer does not have, and for one of a layer that
    begins with states: a row without a word would keep these.
    """
    layer = made.layer
    if len(made.inputs) > 1:
        raise UnsupportedModel(
            f"layer {layer.name} ({layer.kind}): it begins with the states of another layer, and "
            "its own states are read, which is not supported: read its output, train and save again"
        )
    inner = layer.settings.get("layer", layer)
    each = 2 if inner.kind == "LSTM" else 1  # states of a direction: the output, and the cell's
    direction, which = divmod(number - 1, each)
    if direction > (inner is not layer):
        raise UnsupportedModel(f"layer {layer.name} ({layer.kind}): it has no output {number}")
    alone = {"return_sequences": False} | ({"return_state": True} if which else {})
    if inner is layer:
        return (_last(made, name, alone),)
    last = LayerSpec(inner.kind, inner.name, {**inner.settings, **alone})
    both = _last(made, f"{name}/both", {"merge_mode": "concat", "layer": last})
    return both, Call(name, _half(inner.settings["units"], direction, layer.name), (both.name,))


def _last(made: Call, name: str, settings: dict[str, Any]) -> Call:
    """A call of the same layer with other settings, which has the same weights."""
    layer = made.layer
    return replace(made, name=name, layer=replace(layer, settings={**layer.settings, **settings}))


def _half(units: int, direction: int, name: str) -> Layer:
    """The operation `x[:, :units]`, or `x[:, units:]`."""
    start, stop = (units, None) if direction else (None, units)
    part = {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": None}}
    return Layer("get_item", f"{name}/state", {"key": [_ALL, part]})


def needed(calls: list[Call], last: str | None) -> tuple[Call, ...]:
    """The calls that the output needs: of a layer, an output may be left that nothing reads."""
    wanted: set[str] = {last} if last is not None else set()
    for call in reversed(calls):
        if call.name in wanted:
            wanted.update(call.inputs)
    return tuple(call for call in calls if call.name in wanted)
