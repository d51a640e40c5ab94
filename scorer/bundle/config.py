"""config.json of a bundle against an allow-list of layers and settings.

Every setting of a layer is kept (inference needs it), fixed (one value only) or dropped (training
alone uses it). Anything else is refused by name, so nothing of a stranger's configuration reaches
Keras: the keras engine builds its layers from what is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scorer.errors import BundleError, UnsupportedModel

MAX_DEPTH = 32
MAX_LAYERS = 64
MAX_UNITS = 1 << 16
MAX_WORDS = 5_000_000

Check = Callable[[Any], bool]
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MODULE = re.compile(
    r"keras(\.(layers|initializers|regularizers|constraints|optimizers|losses|metrics))?"
    r"|keras\.src\.(models\.(functional|sequential)|ops\.numpy)"
)


@dataclass(frozen=True)
class LayerSpec:
    """A layer: its Keras class, its name, and the settings that inference needs."""

    kind: str
    name: str
    config: dict[str, Any]


@dataclass(frozen=True)
class ModelSpec:
    """A checked configuration. `stored` names each layer as the weights file does."""

    vectorizer: dict[str, Any]
    layers: tuple[LayerSpec, ...]
    stored: tuple[str, ...]


def _one_of(*values: Any) -> Check:
    return lambda value: any(type(value) is type(v) and value == v for v in values)


def _whole(most: int) -> Check:
    return lambda value: type(value) is int and 0 < value <= most


def _flag(value: Any) -> bool:
    return type(value) is bool


def _size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1 and _whole(MAX_UNITS)(value[0])


def _float32(value: Any) -> bool:
    if isinstance(value, Mapping):
        return value.get("class_name") == "DTypePolicy" and value.get("config") == {
            "name": "float32"
        }
    return value in ("float32", None)


_ACTIVATION = _one_of("linear", "sigmoid", "tanh", "relu", "softmax")
_UNITS = _whole(MAX_UNITS)
_NO, _NONE = _one_of(False), _one_of(None)
_FIXED: dict[str, Check] = {
    "dtype": _float32,
    "quantization_config": _NONE,
    "return_state": _NO,
    "stateful": _NO,
    "data_format": _one_of("channels_last"),
    "groups": _one_of(1),
    "keepdims": _NO,
    "noise_shape": _NONE,
    "lora_rank": _NONE,
}
_DROPPED = re.compile(
    r"trainable|seed|rate|stddev|unroll|zero_output_for_mask|unit_forget_bias|batch_input_shape"
    r"|dropout|recurrent_dropout|input_length|l1|l2"
    r"|\w+_(initializer|regularizer|constraint)"
)
_LSTM: dict[str, Check] = {
    "units": _UNITS,
    "activation": _ACTIVATION,
    "recurrent_activation": _ACTIVATION,
    "use_bias": _flag,
    "return_sequences": _flag,
    "go_backwards": _flag,
}
#: layer -> the settings that are kept, each with the check of its value
LAYERS: dict[str, dict[str, Check]] = {
    "Embedding": {"input_dim": _whole(MAX_WORDS), "output_dim": _UNITS, "mask_zero": _flag},
    "LSTM": _LSTM,
    "GRU": {**_LSTM, "reset_after": _flag},
    "Dense": {"units": _UNITS, "activation": _ACTIVATION, "use_bias": _flag},
    "Conv1D": {
        "filters": _UNITS,
        "kernel_size": _size,
        "strides": _size,
        "dilation_rate": _size,
        "padding": _one_of("valid", "same", "causal"),
        "activation": _ACTIVATION,
        "use_bias": _flag,
    },
    "GlobalMaxPooling1D": {},
    "GlobalAveragePooling1D": {},
    "Dropout": {},
    "SpatialDropout1D": {},
    "GaussianDropout": {},
    "GaussianNoise": {},
    "ActivityRegularization": {},
}
RECURRENT = ("LSTM", "GRU")
_MERGES = _one_of("concat", "sum", "mul", "ave")


def parse_config(raw: bytes) -> ModelSpec:
    """The model that config.json describes. Raises BundleError or UnsupportedModel."""
    try:
        model = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError("config.json: not readable JSON, or nested too deep") from error
    _check_tree(model)
    layers = list(_layers(_mapping(model, "the model")))
    if len(layers) > MAX_LAYERS:
        raise BundleError(f"config.json: {len(layers)} layers, at most {MAX_LAYERS}")
    if not layers or layers[0]["class_name"] != "TextVectorization":
        raise UnsupportedModel("the first layer must be TextVectorization: the model takes text")
    names = [str(layer["config"]["name"]) for layer in layers]
    if len(set(names)) < len(names):
        raise BundleError("config.json: two layers have the same name")
    return ModelSpec(
        vectorizer=layers[0]["config"],
        layers=tuple(_layer_spec(layer) for layer in layers[1:]),
        stored=tuple(_stored_names(str(layer["class_name"]) for layer in layers)),
    )


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BundleError(f"config.json: {what} is not a mapping")
    return value


def _check_tree(root: Any) -> None:
    """Walk everything, kept or not: no code, no foreign modules, no paths or URLs, no depth."""
    stack: list[tuple[Any, str, int]] = [(root, "config", 0)]
    while stack:
        value, where, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise BundleError(f"config.json: nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            _check_object(value, where)
            stack.extend((v, f"{where}.{k}"[:200], depth + 1) for k, v in value.items())
        elif isinstance(value, list):
            # A vocabulary is data: its words are compared, never interpreted.
            if not where.endswith(".vocabulary"):
                stack.extend((v, where, depth + 1) for v in value)
        elif isinstance(value, str) and not _plain(value):
            raise BundleError(f"config.json: {where}: the text {value[:60]!r} is not allowed")


def _plain(text: str) -> bool:
    return len(text) <= 256 and not re.search(r"[/\\\x00-\x1f]|\.\.", text)


def _check_object(value: dict[str, Any], where: str) -> None:
    kind = value.get("class_name")
    if kind in ("Lambda", "__lambda__", "function", "__typespec__", "__numpy__"):
        raise BundleError(f"config.json: {where}: {kind} can hold code and is never loaded")
    module = value.get("module")
    if module is not None and not (isinstance(module, str) and _MODULE.fullmatch(module)):
        raise BundleError(f"config.json: {where}: objects of module {module!r} are not loaded")
    registered = value.get("registered_name")
    if registered not in (None, "Functional", "Sequential", "NotEqual"):
        raise BundleError(f"config.json: {where}: the custom object {registered!r} is not loaded")
    if isinstance(value.get("vocabulary"), str):
        raise BundleError(f"config.json: {where}: a vocabulary must be a list, not a file name")


def _layers(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The layers in order, input layers left out. The graph must be one chain."""
    kind = model.get("class_name")
    if kind not in ("Sequential", "Functional"):
        raise UnsupportedModel(f"a model of class {kind!r}: only Sequential and Functional chains")
    config = _mapping(model.get("config"), "the model's config")
    layers = config.get("layers")
    if not isinstance(layers, list):
        raise BundleError("config.json: the model has no list of layers")
    previous: str | None = None
    for entry in layers:
        layer = _mapping(entry, "a layer")
        settings = _mapping(layer.get("config"), "a layer's config")
        name = settings.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BundleError(f"config.json: the layer name {name!r} is not allowed")
        if kind == "Functional" and layer.get("class_name") == "NotEqual":
            continue  # how a Functional model writes an Embedding's mask down
        if kind == "Functional" and previous is not None:
            _check_chain(layer, name, previous)
        previous = name
        if layer.get("class_name") != "InputLayer":
            yield layer


def _check_chain(layer: dict[str, Any], name: str, previous: str) -> None:
    nodes = layer.get("inbound_nodes")
    try:
        (node,) = nodes  # type: ignore[misc]
        (source,) = node["args"]
        history = source["config"]["keras_history"]
    except (TypeError, ValueError, KeyError) as error:
        raise UnsupportedModel(f"layer {name}: the graph is not one chain of layers") from error
    if history != [previous, 0, 0]:
        raise UnsupportedModel(f"layer {name}: the graph is not one chain of layers")


def _layer_spec(layer: dict[str, Any]) -> LayerSpec:
    kind, settings = layer.get("class_name"), layer["config"]
    name = settings["name"]
    if kind == "Bidirectional":
        return LayerSpec("Bidirectional", name, _bidirectional(name, settings))
    if kind not in LAYERS:
        raise UnsupportedModel(
            f"layer {name}: {str(kind)[:60]!r} is not among the layers supported"
        )
    return LayerSpec(kind, name, _kept(kind, name, settings))


def _kept(kind: str, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of one layer that inference needs, each checked."""
    checks = LAYERS[kind]
    for key, value in settings.items():
        if key == "name" or (key not in checks and key not in _FIXED and _DROPPED.fullmatch(key)):
            continue
        check = checks.get(key) or _FIXED.get(key)
        if check is None:
            raise UnsupportedModel(f"layer {name} ({kind}): the setting {key!r} is not supported")
        if not check(value):
            raise UnsupportedModel(f"layer {name} ({kind}): {key}={_short(value)} is not supported")
    missing = sorted(checks.keys() - settings.keys())
    if missing:
        raise BundleError(f"config.json: layer {name} ({kind}) lacks the setting {missing[0]!r}")
    return {key: settings[key] for key in checks}


def _bidirectional(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """`{"merge_mode", "layer": LayerSpec}`; both directions must be the same layer, mirrored."""
    if not _MERGES(settings.get("merge_mode")):
        raise UnsupportedModel(
            f"layer {name} (Bidirectional): merge_mode={_short(settings.get('merge_mode'))} "
            "is not supported"
        )
    inner = _mapping(settings.get("layer"), f"the layer inside {name}")
    forward = _inner(name, inner)
    if settings.get("backward_layer") is not None:
        other = _inner(name, _mapping(settings["backward_layer"], f"the layer inside {name}"))
        mirrored = {**other.config, "go_backwards": not other.config["go_backwards"]}
        if other.kind != forward.kind or mirrored != forward.config:
            raise UnsupportedModel(
                f"layer {name}: its two directions differ in more than direction"
            )
    return {"merge_mode": settings["merge_mode"], "layer": forward}


def _inner(name: str, layer: dict[str, Any]) -> LayerSpec:
    kind = layer.get("class_name")
    if kind not in RECURRENT:
        raise UnsupportedModel(f"layer {name}: Bidirectional({_short(kind)}) is not supported")
    settings = _mapping(layer.get("config"), f"the layer inside {name}")
    inner = str(settings.get("name", name))
    return LayerSpec(kind, inner, _kept(kind, inner, settings))


def _stored_names(kinds: Iterator[str]) -> Iterator[str]:
    """The names that Keras gives layers in the weights file: snake case, numbered by class."""
    used: dict[str, int] = {}
    for kind in kinds:
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        count = used[name] = used.get(name, -1) + 1
        yield f"{name}_{count}" if count else name


def _short(value: Any) -> str:
    return repr(value)[:60]
