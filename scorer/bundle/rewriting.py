"""Calls that Keras makes at once, as calls of declared layers one after another.

return_state            a recurrent layer's last state: the layer again, giving its last output
activation=LeakyReLU()  a layer in the place of an activation: a call of its own
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scorer.bundle.graph import Entry, RawCall
from scorer.bundle.network import Call, Layer
from scorer.errors import UnsupportedModel
from scorer.layers.activations import ACTIVATION_LAYERS
from scorer.layers.spec import LayerSpec

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional")
#: PReLU has weights, which Keras does not save there
_ACTIVATIONS = frozenset(kind.name for kind in ACTIVATION_LAYERS) - {"PReLU"}
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


def activation_apart(call: RawCall) -> tuple[RawCall, RawCall | None]:
    """The call without an activation that is a layer, and that layer's own call after it."""
    found = call.settings.get("activation")
    kind = found.get("class_name") if isinstance(found, dict) else None
    settings = found.get("config") if isinstance(found, dict) else None
    if call.kind in (*_RECURRENT, "Activation") or kind not in _ACTIVATIONS:
        return call, None
    if not isinstance(settings, dict):
        return call, None
    linear = replace(
        call, name=f"{call.name}/linear", settings={**call.settings, "activation": "linear"}
    )
    after = RawCall(
        call.name, str(kind), settings, f"{call.layer}/activation", f"{call.place}/activation",
        (), {},
    )  # fmt: skip
    return linear, after


def state_calls(made: Call, number: int, name: str) -> tuple[Call, ...]:
    """The calls that give output `number` of a recurrent layer's call, the last one by `name`.

    Raises UnsupportedModel for what is not a last output of a direction.
    """
    layer = made.layer
    inner = layer.settings.get("layer", layer)
    each = 2 if inner.kind == "LSTM" else 1  # states of a direction: the output, and the cell's
    direction, which = divmod(number - 1, each)
    if which or direction > (inner is not layer):
        what = "its cell state" if which else f"its output {number}"
        raise UnsupportedModel(
            f"layer {layer.name} ({layer.kind}): {what} is read, and of its states only the last "
            "output of a direction is known: use the state before it, state_h, train and save again"
        )
    if inner is layer:
        return (_last(made, name, {"return_sequences": False}),)
    last = LayerSpec(inner.kind, inner.name, {**inner.settings, "return_sequences": False})
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
