"""LSTM, GRU, and Bidirectional around them."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    ACTIVATION,
    UNITS,
    Content,
    Inputs,
    LayerKind,
    LayerSpec,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    filled,
    flag,
    one_of,
    sequence,
    unless_masked,
)


def _states(settings: Settings, inputs: Inputs) -> TensorSpec:
    return _given(settings["units"], settings["return_sequences"], inputs)


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


_SETTINGS = {
    "units": Setting(UNITS),
    "activation": Setting(ACTIVATION),
    "recurrent_activation": Setting(ACTIVATION),
    "use_bias": Setting(flag),
    "return_sequences": Setting(flag),
    "go_backwards": Setting(flag),
    "zero_output_for_mask": Setting(flag, default=False),
}
LSTM = LayerKind(
    "LSTM",
    _states,
    _SETTINGS,
    lambda settings, inputs: _cell(4, settings, inputs),
    reads_padding=unless_masked,
)
GRU = LayerKind(
    "GRU",
    _states,
    {**_SETTINGS, "reset_after": Setting(flag)},
    lambda settings, inputs: _cell(3, settings, inputs),
    reads_padding=unless_masked,
)
_CELLS = {kind.name: kind for kind in (LSTM, GRU)}


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
RECURRENT = (LSTM, GRU, BIDIRECTIONAL)
