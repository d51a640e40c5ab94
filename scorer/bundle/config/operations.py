"""Operations in a graph (`x + y`, `x[:, -1]`) as calls of declared kinds.

Keras names their classes as it names layers' (`Add`); declared are its functions (`add`). A number
among the arguments becomes a setting.
"""

from __future__ import annotations

import re
from typing import Any

from scorer.bundle.config.graph import RawCall
from scorer.bundle.config.tensors import Reference
from scorer.errors import UnsupportedModel
from scorer.layers.operations import BINARY


def function_of(kind: str) -> str:
    """The function of `keras.ops` that a class stands for: `true_divide` for `TrueDivide`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", kind).lower()


def operands(call: RawCall) -> tuple[list[str], dict[str, Any]]:
    """The names of the tensors that an operation reads, and its settings.

    Raises UnsupportedModel where arguments are neither.
    """
    name, given = function_of(call.kind), [*call.arguments, *call.keywords.values()]
    settings = {key: value for key, value in call.settings.items() if key != "dtype"}
    if name == "cast":
        settings = dict(call.settings)
    if len(given) == 1 and isinstance(given[0], list):
        given = given[0]
    if name in BINARY and len(given) == 2:
        sides = dict(zip(("left", "right"), given, strict=True))
        settings |= {
            side: _constant(v) for side, v in sides.items() if not isinstance(v, Reference)
        }
        given = [value for value in given if isinstance(value, Reference)]
    elif name == "get_item" and len(given) == 2:
        settings["key"] = given.pop()
    names = [value.name for value in given if isinstance(value, Reference)]
    if not names or len(names) != len(given):
        raise UnsupportedModel(
            f"operation {call.layer} ({name}): it is not called on tensors alone"
        )
    return names, settings


def _constant(value: Any) -> Any:
    """A number, or the values of a tensor that the program computed before the model was built."""
    config = value.get("config") if isinstance(value, dict) else None
    if isinstance(config, dict) and value.get("class_name") in ("__tensor__", "__numpy__"):
        return config.get("value")
    return value
