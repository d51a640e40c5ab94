"""Attention: each position of a query reads all positions of a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scorer.layers.spec import (
    UNITS,
    Arity,
    Content,
    Inputs,
    LayerKind,
    Padding,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    Unfit,
    either,
    filled,
    flag,
    listed,
    number,
    one_of,
    sequence,
    shown,
    unless_masked,
)


def _attended(settings: Settings, inputs: Inputs) -> TensorSpec:
    """The query's positions and mask, the value's width."""
    query, value, key = _three(inputs)
    if query.width != key.width:
        raise Unfit(f"it compares {shown(query.shape)} with {shown(key.shape)}")
    return filled(replace(query, shape=(query.shape[0], value.width)), Content.WORDS)


def _three(inputs: Inputs) -> tuple[TensorSpec, TensorSpec, TensorSpec]:
    """Query, value and key, which is the value where it is left out."""
    if not 2 <= len(inputs) <= 3:
        raise Unfit(f"it is called on {len(inputs)} tensors, it takes a query, a value and a key")
    query, value, *rest = map(sequence, inputs)
    key = rest[0] if rest else value
    if key.shape[0] != value.shape[0] or key.open != value.open:
        raise Unfit(
            f"its value {shown(value.shape)} and key {shown(key.shape)} differ in positions"
        )
    return query, value, key


def _scale(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    count = int(settings["use_scale"]) + int(settings["score_mode"] == "concat")
    return {f"vars/{number}": () for number in range(count)}


def _additive_scale(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    return {"vars/0": (inputs[0].width,)} if settings["use_scale"] else {}


def _by_heads(settings: Settings, inputs: Inputs) -> TensorSpec:
    query, _, _ = _three(inputs)
    padding = query.padding and Padding(query.padding.source, query.masked)
    return TensorSpec((query.shape[0], _output(settings, query)), padding=padding)


def _output(settings: Settings, query: TensorSpec) -> int:
    shape = settings["output_shape"]
    if shape is None:
        return query.width
    width: int = shape[0] if isinstance(shape, list) else shape
    return width


def _head_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    query, value, key = _three(inputs)
    heads, wide = settings["num_heads"], settings["key_dim"]
    deep = settings["value_dim"] or wide
    out = _output(settings, query)
    kernels = {
        "query_dense": ((query.width, heads, wide), (heads, wide)),
        "key_dense": ((key.width, heads, wide), (heads, wide)),
        "value_dense": ((value.width, heads, deep), (heads, deep)),
        "output_dense": ((heads, deep, out), (out,)),
    }
    return _dense_weights(kernels, settings["use_bias"])


def _dense_weights(kernels: Mapping[str, tuple[Shape, Shape]], bias: bool) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for name, (kernel, own) in kernels.items():
        shapes |= {f"{name}/vars/0": kernel} | ({f"{name}/vars/1": own} if bias else {})
    return shapes


def _grouped(settings: Settings, inputs: Inputs) -> TensorSpec:
    query, _, _ = _three(inputs)
    if settings["num_query_heads"] % settings["num_key_value_heads"]:
        raise Unfit("its query heads do not part into its key and value heads")
    padding = query.padding and Padding(query.padding.source, query.masked)
    return TensorSpec(query.shape, padding=padding)


def _grouped_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    query, value, key = _three(inputs)
    wide, heads = settings["head_dim"], settings["num_query_heads"]
    fewer = settings["num_key_value_heads"]
    kernels = {
        "_query_dense": ((query.width, heads, wide), (heads, wide)),
        "_key_dense": ((key.width, fewer, wide), (fewer, wide)),
        "_value_dense": ((value.width, fewer, wide), (fewer, wide)),
        "_output_dense": ((heads, wide, query.width), (query.width,)),
    }
    return _dense_weights(kernels, settings["use_bias"])


def _share(value: Any) -> bool:
    return number(value) and 0 <= value < 1


_CAUSAL = {"use_causal_mask": Setting(flag, default=False)}
#: what a query gets whose every value is masked depends on it: Keras then takes another softmax
_DROPOUT = {"dropout": Setting(_share, default=0.0)}
_TENSORS = ("query", "value", "key")
_OPTIONAL = either(one_of(None), UNITS)
ATTENTION = (
    LayerKind(
        "Attention",
        _attended,
        {
            "use_scale": Setting(flag, default=False),
            "score_mode": Setting(one_of("dot", "concat"), default="dot"),
            **_CAUSAL,
        },
        _scale,
        reads_padding=unless_masked,
        arity=Arity.LIST,
        at_call=tuple(_CAUSAL),
    ),
    LayerKind(
        "AdditiveAttention",
        _attended,
        {"use_scale": Setting(flag, default=True), **_CAUSAL},
        _additive_scale,
        reads_padding=unless_masked,
        arity=Arity.LIST,
        at_call=tuple(_CAUSAL),
    ),
    LayerKind(
        "MultiHeadAttention",
        _by_heads,
        {
            "num_heads": Setting(UNITS),
            "key_dim": Setting(UNITS),
            "value_dim": Setting(_OPTIONAL, default=None),
            "use_bias": Setting(flag, default=True),
            "output_shape": Setting(either(_OPTIONAL, listed(UNITS, 1, 1)), default=None),
            **_DROPOUT,
            **_CAUSAL,
        },
        _head_weights,
        reads_padding=unless_masked,
        arity=Arity.SEVERAL,
        parameters=_TENSORS,
        at_call=tuple(_CAUSAL),
    ),
    LayerKind(
        "GroupQueryAttention",
        _grouped,
        {
            "head_dim": Setting(UNITS),
            "num_query_heads": Setting(UNITS),
            "num_key_value_heads": Setting(UNITS),
            "use_bias": Setting(flag, default=True),
            **_DROPOUT,
            **_CAUSAL,
        },
        _grouped_weights,
        reads_padding=unless_masked,
        arity=Arity.SEVERAL,
        parameters=_TENSORS,
        at_call=tuple(_CAUSAL),
    ),
)
