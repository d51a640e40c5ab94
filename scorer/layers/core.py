"""Embedding, Dense, Masking, and the layers that act in training alone."""

from __future__ import annotations

from dataclasses import replace

from scorer.layers.spec import (
    ACTIVATION,
    MAX_WORDS,
    UNITS,
    Content,
    Inputs,
    LayerKind,
    LayerSpec,
    Padding,
    Setting,
    Settings,
    Shape,
    TensorSpec,
    Unfit,
    always,
    filled,
    fixed,
    flag,
    floats,
    number,
    sequence,
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


def zero_of_nothing(layer: LayerSpec) -> bool:
    """Whether a Dense layer's relu makes 0 of what is not a number: of the mean over no words.

    So do the products of TensorFlow that have the bias and relu in them, which `model.predict`
    compiles on a CPU; relu alone does not.
    """
    rectified = layer.settings.get("activation") == "relu"
    return layer.kind == "Dense" and rectified and bool(layer.settings["use_bias"])


IDENTITY = LayerKind("Identity", unchanged)


def _masked(settings: Settings, inputs: Inputs) -> TensorSpec:
    """The mask that it makes follows the values, so it is told from padding by them alone."""
    given = fixed(sequence(inputs[0]))
    padding = given.padding or Padding("values")
    return replace(given, padding=replace(padding, masked=True, content=Content.WORDS))


MASKING = LayerKind("Masking", _masked, {"mask_value": Setting(number)}, reads_padding=always)
CORE = (EMBEDDING, DENSE, IDENTITY, MASKING)

TRAINING = tuple(
    LayerKind(name, unchanged, training_only=True)
    for name in (
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
        "ActivityRegularization",
    )
)
