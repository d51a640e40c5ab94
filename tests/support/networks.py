"""Random networks and token batches for the engines' tests, and recurrent layers in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scorer.bundle import Bundle, Layer, LayerSpec, input_of
from scorer.bundle.annotate import annotate
from scorer.bundle.network import Call
from scorer.vectorizer import TokenBatch, VectorizerSpec


def batch(rows: Sequence[Sequence[int]]) -> TokenBatch:
    """A TokenBatch of these rows of ids."""
    counts = np.array([len(row) for row in rows], dtype=np.int32)
    ids = np.array([i for row in rows for i in row], dtype=np.int32)
    oov = np.array([list(row).count(1) for row in rows], dtype=np.int32)
    return TokenBatch(ids, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), counts, oov)


def random_rows(rng: np.random.Generator, lengths: Sequence[int], words: int) -> list[list[int]]:
    """Rows of ids from 1 (unknown) to words + 1."""
    return [rng.integers(1, words + 2, n).tolist() for n in lengths]


def spec(words: int, *, length: int | None = None, mode: str = "int") -> VectorizerSpec:
    """A vectorizer of that many words."""
    vocabulary = tuple(f"w{i}" for i in range(words))
    idf = np.linspace(0.5, 2, words + 1, dtype=np.float32) if mode == "tf_idf" else None
    return VectorizerSpec("lower", "whitespace", mode, length, vocabulary, idf_weights=idf)


@dataclass(frozen=True)
class Branch:
    """A vectorizer and the layers that follow it, one after another."""

    vectorizer: VectorizerSpec
    layers: tuple[Layer, ...]


def bundle(vectorizer: VectorizerSpec, *layers: Layer) -> Bundle:
    return merged(Branch(vectorizer, layers))


def merged(*branches: Branch, head: tuple[Layer, ...] = ()) -> Bundle:
    """Branches whose ends the head's first layer takes, its others following."""
    inputs = tuple(input_of(f"text{i}", branch.vectorizer) for i, branch in enumerate(branches))
    calls: list[Call] = []

    def chain(ends: tuple[str, ...], layers: tuple[Layer, ...]) -> tuple[str, ...]:
        for layer in layers:
            calls.append(Call(f"call{len(calls)}", layer, ends))
            ends = (calls[-1].name,)
        return ends

    pairs = zip(inputs, branches, strict=True)
    ends = [end for given, branch in pairs for end in chain((given.name,), branch.layers)]
    chain(tuple(ends), head)
    return Bundle(Path("model.keras"), "0" * 64, inputs, annotate(inputs, calls))


def merge(kind: str) -> Layer:
    """Concatenate or Add."""
    return Layer(kind, "merge", {"axis": -1} if kind == "Concatenate" else {}, ())


def activation(kind: str) -> Layer:
    return Layer("Activation", "activation", {"activation": kind}, ())


def _weights(rng: np.random.Generator, *shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Normal, and small enough that an LSTM does not amplify rounding from step to step."""
    scales = (min(0.4, 1 / np.sqrt(shape[-2])) if len(shape) > 1 else 0.4 for shape in shapes)
    return tuple(
        rng.normal(0, scale, shape).astype(np.float32)
        for scale, shape in zip(scales, shapes, strict=True)
    )


def embedding(rng: np.random.Generator, words: int, width: int, *, mask: bool = True) -> Layer:
    settings = {"input_dim": words + 2, "output_dim": width, "mask_zero": mask}
    return Layer("Embedding", "embedding", settings, _weights(rng, (words + 2, width)))


def _lstm_settings(units: int, **settings: Any) -> dict[str, Any]:
    return {
        "units": units,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": True,
        "return_sequences": False,
        "go_backwards": False,
        "zero_output_for_mask": False,
        **settings,
    }


def lstm(rng: np.random.Generator, width: int, units: int, **settings: Any) -> Layer:
    weights = _weights(rng, (width, 4 * units), (units, 4 * units), (4 * units,))
    return Layer("LSTM", "lstm", _lstm_settings(units, **settings), weights)


def bilstm(
    rng: np.random.Generator, width: int, units: int, merge: str = "concat", **settings: Any
) -> Layer:
    inner = LayerSpec("LSTM", "inner", _lstm_settings(units, **settings))
    shapes = ((width, 4 * units), (units, 4 * units), (4 * units,))
    both = {"merge_mode": merge, "layer": inner}
    return Layer("Bidirectional", "bidirectional", both, _weights(rng, *shapes, *shapes))


def gru(
    rng: np.random.Generator, width: int, units: int, *, reset_after: bool = True, **settings: Any
) -> Layer:
    bias = (2, 3 * units) if reset_after else (3 * units,)
    weights = _weights(rng, (width, 3 * units), (units, 3 * units), bias)
    return Layer(
        "GRU", "gru", {**_lstm_settings(units, **settings), "reset_after": reset_after}, weights
    )


def simple_rnn(rng: np.random.Generator, width: int, units: int, **settings: Any) -> Layer:
    weights = _weights(rng, (width, units), (units, units), (units,))
    whole = _lstm_settings(units, **settings)
    del whole["recurrent_activation"]
    return Layer("SimpleRNN", "simple_rnn", whole, weights)


def both_ways(forward: Layer, backward: Layer, merge: str = "concat") -> Layer:
    """Bidirectional around two recurrent layers of the same settings."""
    inner = LayerSpec(forward.kind, "inner", forward.settings)
    weights = *forward.weights, *backward.weights
    return Layer("Bidirectional", "both_ways", {"merge_mode": merge, "layer": inner}, weights)


def dense(rng: np.random.Generator, width: int, units: int, activation: str = "sigmoid") -> Layer:
    settings = {"units": units, "activation": activation, "use_bias": True}
    return Layer("Dense", "dense", settings, _weights(rng, (width, units), (units,)))


def conv(rng: np.random.Generator, width: int, filters: int, size: int, **changes: Any) -> Layer:
    settings = {
        "filters": filters,
        "kernel_size": [size],
        "strides": [1],
        "dilation_rate": [1],
        "groups": 1,
        "padding": "valid",
        "activation": "relu",
        "use_bias": True,
        **changes,
    }
    return Layer("Conv1D", "conv", settings, _weights(rng, (size, width, filters), (filters,)))


def unit() -> Layer:
    return Layer("UnitNormalization", "unit", {"axis": -1}, ())


def pool(kind: str) -> Layer:
    """GlobalMaxPooling1D or GlobalAveragePooling1D."""
    return Layer(kind, "pool", {"keepdims": False}, ())


def reference_lstm(layer: Layer, inputs: np.ndarray) -> np.ndarray:
    """Keras' LSTM in float64 over one row, float64 (steps, width): all states (steps, units)."""
    kernel, recurrent, bias = (w.astype(np.float64) for w in layer.weights[:3])
    units = len(recurrent)
    h, c, states = np.zeros(units), np.zeros(units), []
    for x in inputs:
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states).reshape(-1, units)


def reference_states(
    layer: Layer, inputs: np.ndarray, dtype: type[np.floating[Any]] = np.float64
) -> np.ndarray:
    """Keras' LSTM, GRU or SimpleRNN of any activations in `dtype` over one row, (steps, width)."""
    inputs = inputs.astype(dtype)
    kernel, recurrent, *bias = (w.astype(dtype) for w in layer.weights)
    units, settings = len(recurrent), layer.settings
    act = _FUNCTIONS[settings["activation"]]
    gate = _FUNCTIONS[settings.get("recurrent_activation", "linear")]
    given, added = np.zeros((2, kernel.shape[1]), dtype)
    if bias:
        given, added = (bias[0], added) if bias[0].ndim == 1 else bias[0]
    h, c, states = np.zeros(units, dtype), np.zeros(units, dtype), []
    for x in inputs @ kernel + given:
        own = h @ recurrent + added
        if layer.kind == "SimpleRNN":
            h = act(x + own)
        elif layer.kind == "LSTM":
            i, f, g, o = np.split(x + own, 4)
            c = gate(f) * c + gate(i) * act(g)
            h = gate(o) * act(c)
        else:
            u, r = gate((x + own)[:units]), gate((x + own)[units : 2 * units])
            new = r * own[2 * units :]
            if not settings["reset_after"]:
                new = (r * h) @ recurrent[:, 2 * units :]
            h = u * h + (1 - u) * act(x[2 * units :] + new)
        states.append(h)
    return np.array(states).reshape(-1, units)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


_FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
}
