"""The settings of a layer against its declaration.

Every setting is kept (inference needs it), fixed (one value only) or dropped (training alone uses
it). Anything else is refused by name, so nothing of a stranger's configuration reaches Keras: the
keras engine builds its layers from what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scorer.bundle.config.normal import POLICIES, policy_name
from scorer.bundle.config.tensors import mapping
from scorer.bundle.dangers import OWN_CLASS
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers import KINDS, LayerKind, LayerSpec
from scorer.layers.spec import REQUIRED, Check, one_of


def _precision(value: Any) -> bool:
    """float32, or one that is computed in float32: see `Bundle.policies`."""
    return value is None or policy_name(value) in ("float32", *POLICIES)


_NO, _NONE = one_of(False), one_of(None)
_FIXED: dict[str, Check] = {
    "dtype": _precision,
    "quantization_config": _NONE,
    "return_state": _NO,
    "stateful": _NO,
    "data_format": one_of("channels_last"),
    "use_gate": _NO,
    "sliding_window": _NONE,
    "attention_axes": one_of([1], None),
    "flash_attention": _NONE,
    "sparse": _NO,
    "pad_to_max_tokens": _NO,
    "idf_weights": _NONE,
    "oov_method": one_of("floormod", None),
    "invert": _NO,
    "salt": _NONE,
    "synchronized": _NO,
    "renorm": _NO,
    "rms_scaling": _NO,
    "noise_shape": _NONE,
    "lora_rank": _NONE,
}
#: a setting that is refused -> what to do
_WAYS_OUT = {
    "stateful": ": a row would depend on the rows before it; build the model with stateful=False, "
    "set the same weights and save again",
    "return_state": ": build the layer without it and save again",
    "dtype": f": float32 is, and {', '.join(POLICIES)}, which are computed in float32",
}
_DROPPED = re.compile(
    r"trainable|seed|rate|stddev|unroll|unit_forget_bias|batch_input_shape"
    r"|dropout|recurrent_dropout|input_length|l1|l2"
    r"|momentum|renorm_clipping|renorm_momentum|num_bins|max_tokens|vocabulary_size|vocabulary_dtype"
    r"|\w+_(initializer|regularizer|constraint)"
)
#: a layer of Keras that is not run -> what to use
_OF_KERAS = {
    "EinsumDense": "Dense works on the last dimension, as EinsumDense('abc,cd->abd') does",
    "Conv1DTranspose": "use UpSampling1D and Conv1D",
    "Conv2DTranspose": "use UpSampling1D and Conv1D over the sequence",
    "HashedCrossing": "join the columns' values in one column of the table, and use Hashing",
    "LocallyConnected1D": "use Conv1D",
    **dict.fromkeys(("SeparableConv2D", "DepthwiseConv2D"), "use Conv2D"),
    **dict.fromkeys(("Conv3D", "MaxPooling3D", "GlobalMaxPooling3D"), "use Conv1D or Conv2D"),
    **dict.fromkeys(
        ("ZeroPadding2D", "Cropping2D", "UpSampling2D"),
        "use the layer of one dimension over the sequence",
    ),
    "ConvLSTM1D": "use Conv1D and LSTM",
    "ConvLSTM2D": "use Conv1D and LSTM",
    "SpectralNormalization": "use the layer that it wraps, with its weights",
    "RandomFourierFeatures": "use Dense",
}
#: of a layer around a layer
_WRAPPER = {"layer", "backward_layer"}


def checked(kind: str, settings: dict[str, Any], name: str) -> LayerSpec:
    """The layer with the settings that inference needs.

    Raises UnsupportedModel naming the layer or the setting, BundleError for one that is not there.
    """
    if kind == "RNN":
        kind, settings = _of_its_cell(settings, name)
    declared = KINDS.get(kind)
    if kind in _OF_KERAS:
        raise UnsupportedModel(
            f"layer {name}: Keras' {kind} is not run: {_OF_KERAS[kind]}, train and save again"
        )
    if declared is None and kind[:1].islower():  # a function: classes are capitalised
        raise UnsupportedModel(
            f"layer {name}: {kind[:60]!r} is not among the operations supported: build the model "
            "with layers, or with operations that are (add, matmul, mean, softmax, x[:, -1] and "
            "others), and save that model"
        )
    if declared is None:
        raise UnsupportedModel(
            f"layer {name}: {kind[:60]!r} is not among the layers supported. Where it is of your "
            f"program, {OWN_CLASS}"
        )
    own = {k: v for k, v in settings.items() if not (declared.wraps and k in _WRAPPER)}
    kept = _kept(declared, name, own)
    return LayerSpec(kind, name, kept | _wrapped(declared, settings, name))


def _of_its_cell(settings: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """`RNN(LSTMCell(8))` as `LSTM(8)`, which computes the same of the same weights."""
    cell = mapping(settings.get("cell"), f"the cell of {name}")
    kind = str(cell.get("class_name"))
    if kind not in ("LSTMCell", "GRUCell", "SimpleRNNCell"):
        what = f"the cell {_short(kind)} is not supported"
        if kind == "StackedRNNCells":  # elsewhere these are layers by now
            what = (
                "several cells in one Bidirectional are not supported: build the model with a "
                "Bidirectional layer for each cell, train and save again"
            )
        raise UnsupportedModel(f"layer {name} (RNN): {what}")
    own = {key: value for key, value in settings.items() if key != "cell"}
    return kind.removesuffix("Cell"), mapping(cell.get("config"), f"the cell of {name}") | own


def _kept(declared: LayerKind, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    where = f"layer {name} ({declared.name})"
    for key, value in settings.items():
        setting = declared.settings.get(key)
        if key == "name" or (not setting and key not in _FIXED and _DROPPED.fullmatch(key)):
            continue
        check = setting.check if setting else _FIXED.get(key)
        if check is None:
            raise UnsupportedModel(f"{where}: the setting {key!r} is not supported")
        if not check(value):
            way_out = _WAYS_OUT.get(key, "")
            raise UnsupportedModel(f"{where}: {key}={_short(value)} is not supported{way_out}")
    kept = {}
    for key, setting in declared.settings.items():
        kept[key] = settings.get(key, setting.default)
        if kept[key] is REQUIRED:
            raise BundleError(f"config.json: {where} lacks the setting {key!r}")
    return kept


def _wrapped(declared: LayerKind, settings: dict[str, Any], name: str) -> dict[str, Any]:
    """The layer inside a wrapper, as `{"layer": LayerSpec}`.

    Where there is a backward layer, it must be the same one mirrored.
    """
    if not declared.wraps:
        return {}
    inner = _inner(declared, settings.get("layer"), name)
    if settings.get("backward_layer") is not None:
        other = _inner(declared, settings["backward_layer"], name)
        back = other.settings.get("go_backwards")
        if (other.kind, {**other.settings, "go_backwards": not back}) != (
            inner.kind,
            inner.settings,
        ):
            raise UnsupportedModel(
                f"layer {name}: its two directions differ in more than direction"
            )
    return {"layer": inner}


def _inner(declared: LayerKind, value: Any, name: str) -> LayerSpec:
    entry = mapping(value, f"the layer inside {name}")
    settings = mapping(entry.get("config"), f"the layer inside {name}")
    kind = str(entry.get("class_name"))
    if kind == "RNN":
        kind, settings = _of_its_cell(settings, name)
    if kind not in declared.wraps:
        raise UnsupportedModel(
            f"layer {name}: {declared.name}({_short(kind)}) is not supported; supported inside it: "
            f"{', '.join(declared.wraps)}"
        )
    return checked(kind, settings, str(settings.get("name", name))[:128])


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and value.get("class_name") == "__tensor__":
        return "a constant tensor, which the program computed before the model was built,"
    policy = value.get("config") if isinstance(value, Mapping) else None
    if isinstance(policy, Mapping) and "name" in policy:
        value = policy["name"]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
