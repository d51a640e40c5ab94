"""LSTM, GRU and SimpleRNN, Bidirectional around them, and one layer at each position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scorer.layers.activations import ACTIVATION_LAYER
from scorer.layers.core import DENSE, TRAINING
from scorer.layers.spec import (
    ACTIVATION,
    UNITS,
    Arity,
    Content,
    Inputs,
    LayerKind,
    LayerSpec,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    Unfit,
    filled,
    flag,
    floats,
    one_of,
    sequence,
    shown,
    unless_masked,
)


def _states(count: int) -> Callable[[Settings, Inputs], TensorSpec]:
    """What a layer gives whose cell has `count` states, which it may be told to begin with."""

    def output(settings: Settings, inputs: Inputs) -> TensorSpec:
        units, begun = settings["units"], [given.shape for given in inputs[1:]]
        if begun not in ([], [(units,)] * count):
            raise Unfit(
                f"it begins with {' and '.join(map(shown, begun))}, its states are {count} of the "
                f"shape {shown((units,))}"
            )
        return _given(units, settings["return_sequences"], inputs)

    return output


def _given(width: int, sequences: bool, inputs: Inputs) -> TensorSpec:
    """All states of `width` numbers, or the last alone."""
    given = sequence(inputs[0])
    if not sequences:
        return TensorSpec((width,))
    content = Content.STATES if given.masked else Content.WORDS
    return filled(replace(given, shape=(given.shape[0], width)), content)


def _cell(gates: int, settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    """Kernel (width, gates * units), recurrent kernel (units, gates * units), and bias."""
    units = settings["units"]
    shapes: dict[str, Shape] = {
        "cell/vars/0": (inputs[0].width, gates * units),
        "cell/vars/1": (units, gates * units),
    }
    if settings["use_bias"]:
        double = settings.get("reset_after", False)
        shapes["cell/vars/2"] = (2, gates * units) if double else (gates * units,)
    return shapes


_SIMPLE = {
    "units": Setting(UNITS),
    "activation": Setting(ACTIVATION),
    "use_bias": Setting(flag),
    "return_sequences": Setting(flag),
    "go_backwards": Setting(flag),
    "zero_output_for_mask": Setting(flag, default=False),
}
_SETTINGS = {**_SIMPLE, "recurrent_activation": Setting(ACTIVATION)}
#: it gives its last cell state alone, in place of its output
_CELL_STATE = {"return_state": Setting(flag, default=False)}
LSTM = LayerKind(
    "LSTM",
    _states(2),
    {**_SETTINGS, **_CELL_STATE},
    lambda settings, inputs: _cell(4, settings, inputs),
    reads_padding=unless_masked,
    arity=Arity.STATES,
    parameters=("initial_state",),
)
GRU = LayerKind(
    "GRU",
    _states(1),
    {**_SETTINGS, "reset_after": Setting(flag)},
    lambda settings, inputs: _cell(3, settings, inputs),
    reads_padding=unless_masked,
    arity=Arity.STATES,
    parameters=("initial_state",),
)
SIMPLE_RNN = LayerKind(
    "SimpleRNN",
    _states(1),
    _SIMPLE,
    lambda settings, inputs: _cell(1, settings, inputs),
    reads_padding=unless_masked,
    arity=Arity.STATES,
    parameters=("initial_state",),
)
_CELLS = {kind.name: kind for kind in (LSTM, GRU, SIMPLE_RNN)}


def _both_ways(settings: Settings, inputs: Inputs) -> TensorSpec:
    inner: LayerSpec = settings["layer"]
    width = inner.settings["units"] * (2 if settings["merge_mode"] == "concat" else 1)
    return _given(width, inner.settings["return_sequences"], inputs)


def _both_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    inner: LayerSpec = settings["layer"]
    one = _CELLS[inner.kind].weights(inner.settings, inputs)
    directions = ("forward_layer", "backward_layer")
    return {f"{way}/{place}": shape for way in directions for place, shape in one.items()}


BIDIRECTIONAL = LayerKind(
    "Bidirectional",
    _both_ways,
    {"merge_mode": Setting(one_of("concat", "sum", "mul", "ave"))},
    _both_weights,
    reads_padding=unless_masked,
    wraps=tuple(_CELLS),
)


#: those that work on one position's vector as well as on a sequence's
_AT_EACH = {kind.name: kind for kind in (DENSE, ACTIVATION_LAYER, *TRAINING)}


def _at_each(settings: Settings, inputs: Inputs) -> TensorSpec:
    """The mask stays; a longer neighbour changes no position."""
    given, inner = floats(inputs[0]), settings["layer"]
    if len(given.shape) < 2:
        raise Unfit(f"it expects several positions, not the shape {shown(given.shape)}")
    one = _AT_EACH[inner.kind].output(inner.settings, [TensorSpec(given.shape[1:])])
    after = replace(given, shape=(given.shape[0], *one.shape))
    return filled(after, Content.WORDS)


def _at_each_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    inner: LayerSpec = settings["layer"]
    shapes = _AT_EACH[inner.kind].weights(inner.settings, inputs)
    return {f"layer/{place}": shape for place, shape in shapes.items()}


TIME_DISTRIBUTED = LayerKind(
    "TimeDistributed", _at_each, weights=_at_each_weights, wraps=tuple(_AT_EACH)
)
RECURRENT = (LSTM, GRU, SIMPLE_RNN, BIDIRECTIONAL, TIME_DISTRIBUTED)
