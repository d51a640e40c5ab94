"""Layers of Keras 2 that call TensorFlow, as the operations of Keras 3.

    TFOpLambda          a function of TensorFlow (`x + y`, `tf.one_hot(x, 20)`): an operation
    SlicingOpLambda     `x[:, -1]`: the operation `get_item`

A function that keras.ops lacks, or that is called as no one calls it, is refused by name; what its
arguments may be is for the operation's declaration to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scorer.errors import UnsupportedModel

Entry = dict[str, Any]
OPERATION_LAYERS = ("TFOpLambda", "SlicingOpLambda")
#: the module of an operation, which tells it from a layer
OPERATIONS_OF_KERAS = "keras.src.ops.numpy"
#: a function of TensorFlow -> the class of Keras 3's operation
_CLASSES: Mapping[str, str] = {
    **dict.fromkeys(("__operators__.add", "math.add"), "Add"),
    **dict.fromkeys(("__operators__.sub", "math.subtract"), "Subtract"),
    **dict.fromkeys(("__operators__.mul", "math.multiply"), "Multiply"),
    **dict.fromkeys(("math.truediv", "math.divide"), "TrueDivide"),
    "math.pow": "Power",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "math.negative": "Negative",
    "math.abs": "Absolute",
    "math.exp": "Exp",
    "math.sqrt": "Sqrt",
    "math.square": "Square",
    "math.tanh": "Tanh",
    "math.sigmoid": "Sigmoid",
    "math.softplus": "Softplus",
    "nn.relu": "Relu",
    "nn.silu": "Silu",
    "nn.gelu": "Gelu",
    "nn.softmax": "Softmax",
    "math.reduce_mean": "Mean",
    "math.reduce_sum": "Sum",
    "math.reduce_max": "Max",
    "math.reduce_min": "Min",
    "expand_dims": "ExpandDims",
    **dict.fromkeys(("squeeze", "compat.v1.squeeze"), "Squeeze"),
    **dict.fromkeys(("transpose", "compat.v1.transpose"), "Transpose"),
    "reshape": "Reshape",
    "reverse": "Flip",
    "cast": "Cast",
    "linalg.matmul": "Matmul",
    "concat": "Concatenate",
    "one_hot": "OneHot",
    "__operators__.getitem": "GetItem",
}
#: the second tensor of a function of two
_SECOND = ("y", "b")
#: TensorFlow's argument -> the operation's setting
_SETTINGS: Mapping[str, str] = {"depth": "num_classes", "perm": "axes", "shape": "newshape"}
#: what an argument that changes nothing is
_NOTHING: Mapping[str, bool] = {"conjugate": False, "adjoint_a": False, "adjoint_b": False}
#: TensorFlow's default where the operation has another
_DEFAULTS: Mapping[str, Entry] = {"Gelu": {"approximate": False}}
_CONSTANT = "_CONSTANT_VALUE"


def operation(entry: Entry) -> Entry:
    """A layer that calls TensorFlow, as Keras 3's operation.

    Raises UnsupportedModel where no operation does the same.
    """
    config = entry["config"] if isinstance(entry["config"], dict) else {}
    name = entry.get("name", config.get("name"))
    function = str(config.get("function"))[:60]
    kind = _CLASSES.get(function)
    if kind is None:
        way_out = "use a Keras layer that does the same"
        if function.startswith("strings."):
            way_out = "save the model without it, and say what it does to a text by --standardize "
            way_out += "and --replace"
        raise UnsupportedModel(
            f"layer {str(name)[:60]}: it calls the TensorFlow function {function!r}, which is not "
            f"supported: {way_out}"
        )
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) != 1:
        raise _unread(name)
    settings: Entry = {"name": name, **_DEFAULTS.get(kind, {})}
    arguments, given = _call(nodes[0], name)
    settings |= given
    axis = settings.get("axis")
    if kind in ("Squeeze", "ExpandDims") and isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
    if kind == "GetItem":
        arguments.append(_key(settings.pop("slice_spec", None), name))
    if kind == "Concatenate":
        arguments = [arguments]
    return {
        "module": OPERATIONS_OF_KERAS,
        "class_name": kind,
        "config": settings,
        "registered_name": kind,
        "name": name,
        "inbound_nodes": [{"args": arguments, "kwargs": {}}],
    }


def _call(node: Any, name: Any) -> tuple[list[Any], Entry]:
    """What a function is called on, and its other arguments by the operation's names."""
    calls = node if isinstance(node, list) and node and isinstance(node[0], list) else [node]
    arguments: list[Any] = []
    settings: Entry = {}
    for call in calls:
        if not isinstance(call, list) or len(call) != 4 or not isinstance(call[3], dict):
            raise _unread(name)
        is_constant = call[0] == _CONSTANT
        arguments.append(call[2] if is_constant else _tensor(call[:3]))
        for key, value in call[3].items():
            if key in _SECOND:
                arguments.append(_tensor(value) if _is_tensor(value) else value)
            elif key != "name" and not (key in _NOTHING and value is _NOTHING[key]):
                settings[_SETTINGS.get(key, key)] = value
    return arguments, settings


def _key(parts: Any, name: Any) -> list[Any]:
    """The indexes and slices of `x[:, -1]`."""
    if not isinstance(parts, list):
        raise _unread(name)
    return [
        {"class_name": "__slice__", "config": part} if isinstance(part, dict) else part
        for part in parts
    ]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)


def _tensor(history: list[Any]) -> Entry:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}


def _unread(name: Any) -> UnsupportedModel:
    return UnsupportedModel(
        f"layer {str(name)[:60]}: how it calls a TensorFlow function is not read: use a Keras "
        "layer that does the same"
    )
