"""Embedding, Dense, activations, and the layers that act in training alone."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    ACTIVATION,
    MAX_WORDS,
    UNITS,
    Content,
    Inputs,
    LayerKind,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    Unfit,
    filled,
    flag,
    floats,
    one_of,
    unchanged,
    whole,
)


def _embedded(settings: Settings, inputs: Inputs) -> TensorSpec:
    (ids,) = inputs
    if ids.dtype != "ids" or ids.padding is None:
        raise Unfit("it expects token ids: it comes right after the vectorizer or the input")
    padding = replace(ids.padding, masked=settings["mask_zero"], content=Content.WORDS)
    return TensorSpec((*ids.shape, settings["output_dim"]), padding=padding)


def _embedding_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    return {"vars/0": (settings["input_dim"], settings["output_dim"])}


EMBEDDING = LayerKind(
    "Embedding",
    _embedded,
    {
        "input_dim": Setting(whole(MAX_WORDS)),
        "output_dim": Setting(UNITS),
        "mask_zero": Setting(flag),
    },
    _embedding_weights,
)


def _dense(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = floats(inputs[0])
    shape = (*given.shape[:-1], settings["units"])
    return filled(replace(given, shape=shape, dtype="float"), Content.WORDS)


def _dense_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {"vars/0": (inputs[0].width, settings["units"])}
    return shapes | ({"vars/1": (settings["units"],)} if settings["use_bias"] else {})


DENSE = LayerKind(
    "Dense",
    _dense,
    {"units": Setting(UNITS), "activation": Setting(ACTIVATION), "use_bias": Setting(flag)},
    _dense_weights,
)


def _activated(settings: Settings, inputs: Inputs) -> TensorSpec:
    given = floats(inputs[0])
    if settings.get("activation", "relu") == "relu":
        return _rectified(given)
    return filled(given, Content.WORDS)


def _rectified(given: TensorSpec) -> TensorSpec:
    held = given.padding is not None and given.padding.content is not Content.WORDS
    return filled(given, Content.RECTIFIED) if held else given


ACTIVATION_LAYER = LayerKind("Activation", _activated, {"activation": Setting(ACTIVATION)})
RELU = LayerKind(
    "ReLU",
    _activated,
    {
        "max_value": Setting(one_of(None)),
        "negative_slope": Setting(one_of(0, 0.0)),
        "threshold": Setting(one_of(0, 0.0)),
    },
)
# Makes floats of a bag's whole numbers, which UnitNormalization takes none of.
RESCALING = LayerKind(
    "Rescaling", unchanged, {"scale": Setting(one_of(1, 1.0)), "offset": Setting(one_of(0, 0.0))}
)
CORE = (EMBEDDING, DENSE, ACTIVATION_LAYER, RELU, RESCALING)

TRAINING = tuple(
    LayerKind(name, unchanged, training_only=True)
    for name in (
        "Dropout",
        "SpatialDropout1D",
        "GaussianDropout",
        "GaussianNoise",
        "ActivityRegularization",
    )
)
