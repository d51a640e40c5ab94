"""The configuration of any version of Keras in the one form of Keras 3, before it is checked.

Keras 2 wrote other names of modules and settings, and settings that Keras 3 dropped; an `.h5` file
has the same, without modules. What inference never reads (how the model was compiled and built) is
left out, so that a program's own loss or metric keeps no model away. Everything else stays as it
is: what is dangerous or unknown is found, and refused, after this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scorer.bundle.config.masks import OPERATIONS as MASK_OPERATIONS
from scorer.bundle.config.operations import function_of
from scorer.bundle.keras2.calls import OPERATION_LAYERS, OPERATIONS_OF_KERAS, operation
from scorer.bundle.keras2.cudnn import LAYERS as CUDNN_LAYERS
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers import KINDS
from scorer.vectorizer.textvectorization import STANDARDIZE

Entry = dict[str, Any]
MAX_DEPTH = 64
_MODELS = ("Sequential", "Functional", "Model")
#: of a model or a layer: how Keras trained and built it
_UNREAD = ("compile_config", "shared_object_id")
#: Keras 2's module -> Keras 3's
_MODULES = {
    "keras._legacy.layers": "keras.layers",  # which tf.keras has of Keras 3
    **{
        f"keras{src}.engine.{kind}": f"keras.src.models.{kind}"
        for src in ("", ".src")
        for kind in ("functional", "sequential")
    },
}
#: settings of any layer that Keras 2 had and that change no answer
_DROPPED = frozenset(
    (
        *("implementation", "batch_input_shape", "input_length", "input_dtype"),
        *("query_shape", "key_shape", "value_shape"),
    )
)
#: settings of Keras 2 that must have this value
_FIXED = {"time_major": False, "causal": False, "sparse": False, "ragged": False}
#: convolutions that Keras 2 gave a setting `groups`, of which it takes 1 alone
_UNGROUPED = ("SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D")
#: a setting of Keras 2 -> the same of Keras 3, by layer
_RENAMED = {
    ("LeakyReLU", "alpha"): "negative_slope",
    ("ReLU", "theta"): "threshold",
}
#: a layer of Keras 2 -> the one that computes the same, and the settings that it then has
_LAYERS = {**CUDNN_LAYERS, "ThresholdedReLU": ("ReLU", {"max_value": None, "negative_slope": 0.0})}
#: precisions of a layer beside float32, all of which are computed in float32
POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "float64")


def normalised(config: Any, *, replaced_standardize: bool = False) -> Any:
    """A copy of `config` in Keras 3's form.

    replaced_standardize   the card says what the `standardize` function of a vectorizer does, so
                           that the function's name is left out
    Raises UnsupportedModel for a function that nothing stands for, BundleError for what is nested
    without end.
    """
    return _Form(replaced_standardize).value(config, 0)


def policies(model: Entry) -> tuple[str, ...]:
    """The precisions other than float32 of a model's layers."""
    names = (policy_name(layer.get("dtype")) for layer in _settings(model))
    return tuple(sorted({name for name in names if name in POLICIES}))


def policy_name(value: Any) -> Any:
    """The name of a layer's precision, as any version of Keras writes it."""
    if not isinstance(value, dict):
        return value
    config = value.get("config")
    if value.get("class_name") not in ("DTypePolicy", "Policy") or not isinstance(config, dict):
        return None
    return config.get("name") if config.keys() <= {"name"} else None


def _settings(model: Any) -> Iterator[Entry]:
    """The settings of every layer, nested ones too."""
    stack = [model]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(value.get("config"), dict) and "class_name" in value:
                yield value["config"]
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(item for item in value if isinstance(item, dict | list))


class _Form:
    """One copy of a configuration. Objects are told by their class name and their config."""

    def __init__(self, replaced_standardize: bool) -> None:
        self._replaced = replaced_standardize

    def value(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise BundleError("config.json: nested deeper than 32 levels")
        if isinstance(value, list):
            if not any(isinstance(item, dict | list) for item in value):
                return value
            return [self.value(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("class_name")
        if isinstance(kind, str) and isinstance(value.get("config"), dict | list):
            return self._object(value, kind, depth)
        return {key: self.value(item, depth + 1) for key, item in value.items()}

    def _object(self, value: Entry, kind: str, depth: int) -> Entry:
        entry = {key: item for key, item in value.items() if key not in _UNREAD}
        if isinstance(entry.get("module"), str):
            entry["module"] = _MODULES.get(entry["module"], entry["module"])
        settings = entry["config"]
        if kind in _LAYERS and isinstance(settings, dict):
            kind, own = _LAYERS[kind]
            entry["class_name"], settings = kind, {**own, **settings}
        if kind == "Sequential" and isinstance(settings, list):  # before Keras 2.2.3
            settings = {"name": "sequential", "layers": settings}
        if isinstance(settings, dict):
            settings = _renamed(kind, settings)
            change = _CHANGES.get(kind)
            if change is not None:
                settings = change(settings)
            if kind == "TextVectorization":
                settings = self._vectorizer(settings)
        entry["config"] = settings
        if kind == "Policy" and policy_name(value) is not None:
            return {"class_name": "DTypePolicy", "config": dict(settings)}
        if kind in OPERATION_LAYERS:
            entry = operation(entry)
        elif _is_operation(entry, kind):
            entry["module"] = OPERATIONS_OF_KERAS
        return {key: self.value(item, depth + 1) for key, item in entry.items()}

    def _vectorizer(self, settings: Entry) -> Entry:
        """Its settings without the function that the card's steps stand for."""
        function = settings.get("standardize")
        own = isinstance(function, str) and function not in STANDARDIZE
        if not own and not isinstance(function, dict):
            return settings
        if self._replaced:
            return {**settings, "standardize": None}
        raise UnsupportedModel(
            f"layer {str(settings.get('name'))[:60]} (TextVectorization): its standardize is a "
            f"Python function, {function_name(function)}, of which the archive holds the name at "
            "most, and which is never run: say what it does with --standardize and --replace"
        )


def _is_operation(entry: Entry, kind: str) -> bool:
    """Whether a call in an `.h5` file of Keras 3 is one of an operation, as `x + y`.

    The file names no module. Of a layer that has an operation's name, it holds the precision.
    """
    if "module" in entry or not isinstance(entry.get("inbound_nodes"), list):
        return False
    settings = entry["config"]
    declared = KINDS.get(function_of(kind))
    known = kind in MASK_OPERATIONS or (declared is not None and declared.operation)
    plain = isinstance(settings, dict) and not settings.keys() & {"trainable", "dtype"}
    return known and (plain or kind not in KINDS)


def function_name(function: Any) -> str:
    """`'clean'`: the name of a function in a configuration, quoted."""
    name = function.get("config") if isinstance(function, dict) else function
    return repr(name)[:60] if isinstance(name, str) else "without a name"


def _renamed(kind: str, settings: Entry) -> Entry:
    """The settings by Keras 3's names, less those that change no answer."""
    own = {_RENAMED.get((kind, key), key): item for key, item in settings.items()}
    layer = kind not in ("InputLayer", *_MODELS)
    return {
        key: item
        for key, item in own.items()
        if not layer or not (key in _DROPPED or (key in _FIXED and item is _FIXED[key]))
    }


def _input(settings: Entry) -> Entry:
    """`batch_input_shape` is now `batch_shape`."""
    shape = settings.get("batch_input_shape")
    own = {key: item for key, item in settings.items() if key != "batch_input_shape"}
    return own if shape is None else {"batch_shape": shape, **own}


def _ungrouped(settings: Entry) -> Entry:
    """Without `groups`, where it is what it always is."""
    if settings.get("groups") != 1:
        return settings
    return {key: item for key, item in settings.items() if key != "groups"}


def _along_one(settings: Entry) -> Entry:
    """Keras 2 wrote the one axis of a BatchNormalization as a list."""
    axis = settings.get("axis")
    if not isinstance(axis, list) or len(axis) != 1:
        return settings
    return {**settings, "axis": axis[0]}


def _gru(settings: Entry) -> Entry:
    """Before Keras 2.2 there was no `reset_after`."""
    return {"reset_after": False, **settings}


def _both_ways(settings: Entry) -> Entry:
    """Keras gives zeros where both directions of all states are masked; Keras 3 writes it down."""
    changed = dict(settings)
    for key in ("layer", "backward_layer"):
        inner = settings.get(key)
        own = inner.get("config") if isinstance(inner, dict) else None
        if isinstance(inner, dict) and isinstance(own, dict) and own.get("return_sequences"):
            changed[key] = {**inner, "config": {"zero_output_for_mask": True, **own}}
    return changed


_CHANGES: dict[str, Callable[[Entry], Entry]] = {
    "InputLayer": _input,
    "BatchNormalization": _along_one,
    "GRU": _gru,
    "Bidirectional": _both_ways,
    **dict.fromkeys(_UNGROUPED, _ungrouped),
}
