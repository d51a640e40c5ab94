"""What a stranger's config.json tries to do: code, files, addresses and objects it names.

Everything is walked, also what inference never reads, and each fault says what Keras could be made
to do by it. Names after a fault: the published holes in Keras that worked this way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from scorer.errors import BundleError

MAX_DEPTH = 32
MAX_OBJECTS = 200_000
MAX_VALUES = 4_000_000

_MODULE = re.compile(
    r"keras(\.(layers|initializers|regularizers|constraints|optimizers(\.schedules)?|losses"
    r"|metrics))?"
    r"|keras\.src\.(models\.(functional|sequential)|ops\.(numpy|nn|core))"
)
#: modules of operations, which are registered by their own names
_OPERATION = re.compile(r"keras\.src\.ops\.(numpy|nn|core)")
_ODD = re.compile(r"[/\\\x00-\x1f\x7f]|\.\.")
_REGISTERED = (None, "Functional", "Sequential")

#: class name -> what loading or running it does
_INTENT = {
    # CVE-2025-9905, CVE-2025-9906, CVE-2026-12481
    "Lambda": "a Lambda layer, which runs Python code stored in the model",
    "__lambda__": "Python byte code, to be run",
    # CVE-2025-1550, CVE-2025-8747
    "function": "a Python function, to be called by name",
    "__typespec__": "a class to be looked up by name and called",
    # CVE-2025-49655
    "TorchModuleWrapper": "a pickled PyTorch module, which runs code when it is loaded",
    # CVE-2026-1462
    "TFSMLayer": "a TensorFlow program, to be loaded from a path and run",
    "JaxLayer": "Python functions, to be called",
    "FlaxLayer": "Python functions, to be called",
}

_WAY_OUT = {
    "Lambda": ": in the program, build a functional model of the other layers, which keep "
    "their weights, and in its place what does the same (GlobalAveragePooling1D(), or "
    "keras.ops.sum(x, axis=1), in Keras 2 tf.reduce_sum), and save that",
}
#: of a class of the user's program: why it is refused, and the way out
OWN_CLASS = (
    "its class is Python code, which the archive does not hold: in the program, build a functional "
    "model that calls the layers inside the class as its call() does, which keep their weights, "
    "and save that model"
)


def load_json(raw: bytes, what: str = "config.json", most: int = MAX_VALUES) -> Any:
    """`what` as plain data. Raises BundleError for what is not, or costs too much to hold.

    most   values that it may hold
    """
    if raw.count(b"{") + raw.count(b"[") > MAX_OBJECTS:
        raise BundleError(f"{what}: more than {MAX_OBJECTS} lists and mappings")
    if raw.count(b",") > most:
        raise BundleError(f"{what}: more than {most} values")

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """A repeated key would let two readers see two models."""
        found = dict(pairs)
        if len(found) < len(pairs):
            raise BundleError(f"{what}: a key is given twice in one mapping")
        return found

    try:
        return json.loads(raw, object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else "not readable JSON"
        raise BundleError(f"{what}: {reason}") from error


def tree_faults(root: Any) -> Iterator[str]:
    """Walk everything, kept or not: no code, no foreign modules, no paths or URLs, no depth."""
    stack: list[tuple[Any, str, int]] = [(root, "config", 0)]
    while stack:
        value, where, depth = stack.pop()
        fault = _fault(value, where)
        if depth > MAX_DEPTH:
            yield f"config.json: nested deeper than {MAX_DEPTH} levels"
        elif fault:
            yield f"config.json: {where[:200]}: {fault}"
        if depth > MAX_DEPTH:
            continue
        if isinstance(value, dict):
            inner = [(f"{where}.{key}"[:400], item) for key, item in value.items()]
        elif isinstance(value, list) and not _is_vocabulary(where, value):
            for i, text in enumerate(value):
                if isinstance(text, str) and (fault := _text_fault(text, "")):
                    yield f"config.json: {where[:200]}[{i}]: {fault}"
            inner = [
                (f"{where}[{i}]", v) for i, v in enumerate(value) if isinstance(v, dict | list)
            ]
        else:
            continue
        # Reversed, so that faults come in the order of the file.
        stack.extend((item, place, depth + 1) for place, item in reversed(inner))


def _is_vocabulary(where: str, value: list[Any]) -> bool:
    """A vocabulary is data: its words are compared, never interpreted."""
    return where.endswith(".vocabulary") and all(isinstance(word, str) for word in value)


def _fault(value: Any, where: str) -> str | None:
    if isinstance(value, dict):
        return _object_fault(value)
    if isinstance(value, str):
        return _text_fault(value, where.rpartition(".")[2])
    return None


def _object_fault(value: dict[str, Any]) -> str | None:
    kind, module = value.get("class_name"), value.get("module")
    if isinstance(kind, str) and kind in _INTENT:
        named = _named(module, value.get("config"))
        return f"{_INTENT[kind]}{named}; nothing of it is loaded{_WAY_OUT.get(kind, '')}"
    if module is not None and not (isinstance(module, str) and _MODULE.fullmatch(module)):
        return f"an object of the module {_short(module)}, of which nothing is loaded"
    registered = value.get("registered_name")
    operation = isinstance(module, str) and _OPERATION.fullmatch(module)
    if registered not in _REGISTERED and not (operation and registered == kind):
        return f"the custom object {_short(registered)}, which is not loaded: {OWN_CLASS}"
    if isinstance(value.get("vocabulary"), str):  # CVE-2025-12058
        words = _short(value["vocabulary"])
        return f"the vocabulary is the file name {words}, which Keras would open and read"
    return None


def _named(module: Any, config: Any) -> str:
    """` ('os.system')` where an object, or the Lambda around it, says which function it wants."""
    if isinstance(config, dict) and isinstance(config.get("function"), dict):
        module, config = config["function"].get("module"), config["function"].get("config")
    name = ".".join(part for part in (module, config) if isinstance(part, str))
    return f" ({_short(name)})" if isinstance(config, str) else ""


def _text_fault(text: str, key: str) -> str | None:
    if len(text) <= 256 and not _ODD.search(text):
        return None
    if key == "name" and re.search(r"[/\\]|\.\.", text):  # CVE-2026-12479
        return f"the name {_short(text)} leads out of the folder Keras would unpack it into"
    if re.search(r"[/\\]|\.\.", text):
        return f"names a file or an address ({_short(text)}); a model must be whole in itself"
    if re.search(r"[\x00-\x1f\x7f]", text):
        return f"the text {_short(text)} has control characters"
    if len(text) > 256:
        return f"a text of {len(text)} characters ({_short(text)})"
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
