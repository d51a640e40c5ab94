"""Mutation of JSON by its structure: a document stays one."""

from __future__ import annotations

import json
import random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1 << 31, 1 << 63, 1 << 200, 0.5, 1e308, "", "a", "x" * 300,
    "/etc/passwd", "../x", "\0", "\ud800", [], {}, [[]], {"class_name": "Lambda"}, "float16",
    "Dense", "LSTM", "Embedding", "Dropout", "Conv1D", "GlobalMaxPooling1D", "Bidirectional",
    "linear", "softmax", "count", "multi_hot", "tf_idf", "character", None, [3], 3,
)  # fmt: skip


def mutate_json(data: bytes, seed: int) -> bytes | None:
    """The document with one to four values replaced, copied, swapped or dropped."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return None
    draw = random.Random(seed)
    for _ in range(draw.randint(1, 4)):
        places = list(_places(root))
        if not places:
            return json.dumps(draw.choice(ODD)).encode()
        holder, key = draw.choice(places)
        action = draw.random()
        if action < 0.15:
            del holder[key]
        elif action < 0.5:
            other, its_key = draw.choice(places)
            holder[key] = _copy(other[its_key])
        elif action < 0.6 and isinstance(holder, list):
            holder.insert(key, _copy(holder[key]))
        else:
            holder[key] = _copy(draw.choice(ODD))
    return json.dumps(root).encode()


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _places(root: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found = []
    stack = [root] if isinstance(root, dict | list) else []
    while stack:
        value = stack.pop()
        keys: Any = list(value) if isinstance(value, dict) else range(len(value))
        found += [(value, key) for key in keys]
        stack += [value[key] for key in keys if isinstance(value[key], dict | list)]
    return found
