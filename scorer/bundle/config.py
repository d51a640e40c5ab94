"""config.json of a bundle against an allow-list of layers and settings.

Every setting of a layer is kept (inference needs it), fixed (one value only) or dropped (training
alone uses it). Anything else is refused by name, so nothing of a stranger's configuration reaches
Keras: the keras engine builds its layers from what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scorer.bundle.dangers import load_json, tree_faults
from scorer.bundle.graph import Graph, mapping, read_graph
from scorer.errors import BundleError, UnsupportedModel

MAX_LAYERS = 64
MAX_UNITS = 1 << 16
MAX_WORDS = 5_000_000

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class LayerSpec:
    """A layer: its Keras class, its name, and the settings that inference needs."""

    kind: str
    name: str
    config: dict[str, Any]


@dataclass(frozen=True)
class BranchSpec:
    """A vectorizer's settings as config.json has them, and the layers that follow it."""

    vectorizer: dict[str, Any]
    layers: tuple[LayerSpec, ...]


@dataclass(frozen=True)
class ModelSpec:
    """A checked configuration. `stored` gives for each layer's name the one it has in the files."""

    branches: tuple[BranchSpec, ...]
    head: tuple[LayerSpec, ...]
    stored: dict[str, str]


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
    r"trainable|seed|rate|stddev|unroll|unit_forget_bias|batch_input_shape"
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
    "zero_output_for_mask": _flag,
}
#: layers that do nothing outside training
TRAINING_ONLY = frozenset(
    ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "ActivityRegularization")
)
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
    "UnitNormalization": {"axis": _one_of(-1)},
    # Makes floats of a bag's whole numbers, which UnitNormalization takes none of.
    "Rescaling": {"scale": _one_of(1, 1.0), "offset": _one_of(0, 0.0)},
    **{kind: {} for kind in TRAINING_ONLY},
    "Activation": {"activation": _ACTIVATION},
    "ReLU": {
        "max_value": _one_of(None),
        "negative_slope": _one_of(0, 0.0),
        "threshold": _one_of(0, 0.0),
    },
}
#: the same for the layers that merge branches
_MERGES: dict[str, dict[str, Check]] = {"Concatenate": {"axis": _one_of(-1)}, "Add": {}}
#: settings that an archive may lack, and what Keras then takes
_DEFAULTS = {"zero_output_for_mask": False}
RECURRENT = ("LSTM", "GRU")
_DIRECTIONS = _one_of("concat", "sum", "mul", "ave")


def parse_config(raw: bytes) -> ModelSpec:
    """The model that config.json describes. Raises BundleError or UnsupportedModel."""
    model = load_json(raw)
    for fault in tree_faults(model):
        raise BundleError(fault)
    graph = read_graph(mapping(model, "the model"))
    if len(graph.entries) > MAX_LAYERS:
        raise BundleError(f"config.json: {len(graph.entries)} layers, at most {MAX_LAYERS}")
    spec = ModelSpec(
        branches=tuple(_branch_spec(chain) for chain in graph.branches),
        head=tuple(
            _layer_spec(layer, LAYERS if i else _MERGES) for i, layer in enumerate(graph.head)
        ),
        stored=_stored_names(graph),
    )
    for branch in spec.branches if spec.head else ():
        _refuse_sequence(branch, spec.head[0])
    return spec


def _branch_spec(chain: list[dict[str, Any]]) -> BranchSpec:
    if not chain or chain[0]["class_name"] != "TextVectorization":
        raise UnsupportedModel("the first layer must be TextVectorization: the model takes text")
    return BranchSpec(chain[0]["config"], tuple(_layer_spec(layer, LAYERS) for layer in chain[1:]))


def _refuse_sequence(branch: BranchSpec, merge: LayerSpec) -> None:
    """What is merged is one vector a row: sequences of two vectorizers have no common positions."""
    sequence = branch.vectorizer.get("output_mode") == "int"
    for layer in branch.layers:
        inner = layer.config.get("layer", layer)
        returns = inner.config.get("return_sequences")
        sequence = returns if returns is not None else sequence
        sequence = sequence and not layer.kind.startswith("Global")
    if sequence or not branch.layers:
        name = branch.layers[-1].name if branch.layers else branch.vectorizer["name"]
        raise UnsupportedModel(
            f"layer {merge.name} ({merge.kind}): it merges the output of {name}, "
            "which is not one vector a row"
        )


def _layer_spec(layer: dict[str, Any], known: dict[str, dict[str, Check]]) -> LayerSpec:
    kind, settings = layer["class_name"], layer["config"]
    name = settings["name"]
    if kind == "Bidirectional":
        return LayerSpec("Bidirectional", name, _bidirectional(name, settings))
    if kind not in known:
        raise UnsupportedModel(
            f"layer {name}: {str(kind)[:60]!r} is not among the layers supported"
        )
    return LayerSpec(kind, name, _kept(kind, name, settings, known[kind]))


def _kept(
    kind: str, name: str, settings: dict[str, Any], checks: dict[str, Check]
) -> dict[str, Any]:
    """The settings of one layer that inference needs, each checked."""
    for key, value in settings.items():
        if key == "name" or (key not in checks and key not in _FIXED and _DROPPED.fullmatch(key)):
            continue
        check = checks.get(key) or _FIXED.get(key)
        if check is None:
            raise UnsupportedModel(f"layer {name} ({kind}): the setting {key!r} is not supported")
        if not check(value):
            raise UnsupportedModel(f"layer {name} ({kind}): {key}={_short(value)} is not supported")
    settings = {**_DEFAULTS, **settings}
    missing = sorted(checks.keys() - settings.keys())
    if missing:
        raise BundleError(f"config.json: layer {name} ({kind}) lacks the setting {missing[0]!r}")
    return {key: settings[key] for key in checks}


def _bidirectional(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """`{"merge_mode", "layer": LayerSpec}`; both directions must be the same layer, mirrored."""
    known = {"name", "trainable", "dtype", "merge_mode", "layer", "backward_layer"}
    for key in sorted(settings.keys() - known):
        if not _FIXED.get(key, _NO)(settings[key]):
            raise UnsupportedModel(f"layer {name} (Bidirectional): {key!r} is not supported")
    if not _DIRECTIONS(settings.get("merge_mode")):
        raise UnsupportedModel(
            f"layer {name} (Bidirectional): merge_mode={_short(settings.get('merge_mode'))} "
            "is not supported"
        )
    inner = mapping(settings.get("layer"), f"the layer inside {name}")
    forward = _inner(name, inner)
    if settings.get("backward_layer") is not None:
        other = _inner(name, mapping(settings["backward_layer"], f"the layer inside {name}"))
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
    settings = mapping(layer.get("config"), f"the layer inside {name}")
    inner = str(settings.get("name", name))
    return LayerSpec(kind, inner, _kept(kind, inner, settings, LAYERS[kind]))


def _stored_names(graph: Graph) -> dict[str, str]:
    """The names that Keras gives layers in its files: snake case, numbered by class."""
    used: dict[str, int] = {}
    stored: dict[str, str] = {}
    for layer in graph.entries:
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", str(layer["class_name"]))
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        count = used[name] = used.get(name, -1) + 1
        stored[layer["config"]["name"]] = f"{name}_{count}" if count else name
    return stored


def _short(value: Any) -> str:
    policy = value.get("config") if isinstance(value, Mapping) else None
    if isinstance(policy, Mapping) and "name" in policy:
        value = policy["name"]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
