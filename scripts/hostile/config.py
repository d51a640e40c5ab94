"""Hostile bundles, second part: config.json and the vocabulary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.hostile.archives import (
    VOCABULARY,
    WORDS,
    Hostile,
    adder,
    good_config,
    good_members,
    layer,
    pack,
    with_member,
)

ARCHIVES: list[Hostile] = []
add = adder(ARCHIVES)

BYTE_CODE = "4wEAAAAAAAAAAAAAAAEAAAABAAAAQwAAAHMEAAAAfABTACkBTqkAqQHaAXhyAgAAAHICAAAA"


def configured(edit: Callable[[dict[str, Any]], Any]) -> Callable[[Path, Path], None]:
    """The good archive, its model's mapping edited (or replaced by what `edit` returns)."""

    def build(path: Path, outside: Path) -> None:
        model = good_config()
        model = edit(model) or model
        with_member("config.json", json.dumps(model).encode())(path, outside)

    return build


def placed(extra: dict[str, Any], at: int = 4) -> Callable[[Path, Path], None]:
    """The good archive with one more layer."""
    return configured(lambda model: model["config"]["layers"].insert(at, extra))


def changed(index: int, **settings: Any) -> Callable[[Path, Path], None]:
    """The good archive with other settings of the layer at `index`."""
    return configured(lambda model: model["config"]["layers"][index]["config"].update(settings))


def raw(text: str) -> Callable[[Path, Path], None]:
    return with_member("config.json", text.encode())


def vocabulary(data: bytes) -> Callable[[Path, Path], None]:
    return with_member(VOCABULARY, data)


def function(module: str, name: str) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def byte_code() -> dict[str, Any]:
    value = {"code": BYTE_CODE, "defaults": None, "closure": None}
    return layer("Lambda", "lambda", function={"class_name": "__lambda__", "config": value})


def called(module: str, name: str, **arguments: Any) -> dict[str, Any]:
    return layer("Lambda", "lambda", function=function(module, name), arguments=arguments)


# Any Python function by module and name, with its arguments (fixed in Keras 3.9).
add(
    "cve-2025-1550-function",
    r"a Python function, to be called by name \('os.system'\)",
    placed({**function("os", "system"), "name": "x", "inbound_nodes": [{"args": ["true"]}]}),
)
add(
    "cve-2025-1550-class",
    "an object of the module 'subprocess'",
    placed({"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}}),
)
# Keras' own functions, of allowed modules, as gadgets: here one that downloads (fixed in 3.11).
add(
    "cve-2025-8747-download",
    "a Lambda layer, which runs Python code",
    placed(called("keras.utils", "get_file", origin="http://127.0.0.1:9/x", cache_dir="x")),
)
# First a call that switches the safe mode off, then byte code (fixed in 3.11).
add(
    "cve-2025-9906-unsafe-mode",
    "a Lambda layer, which runs Python code",
    configured(
        lambda model: model["config"]["layers"].extend(
            [called("keras.config", "enable_unsafe_deserialization"), byte_code()]
        )
    ),
)
# A vocabulary that is a path or an address, in a lookup layer (fixed in 3.12).
add(
    "cve-2025-12058-path",
    "the vocabulary is the file name '/etc/passwd'",
    placed(layer("StringLookup", "lookup", vocabulary="/etc/passwd")),
)
add(
    "cve-2025-12058-address",
    "the vocabulary is the file name 'http",
    changed(1, vocabulary="http://169.254.169.254/latest/meta-data"),
)
add("cve-2025-12058-bare-name", "file name 'secret'", changed(1, vocabulary="secret"))
# A pickled PyTorch module (fixed in 3.11.3).
add(
    "cve-2025-49655-torch",
    "a pickled PyTorch module",
    placed(layer("TorchModuleWrapper", "torch", module="gASVHAAAAAAAAACMBXBvc2l4lA==")),
)
# A TensorFlow program outside the archive (fixed in 3.13.2).
add(
    "cve-2026-1462-savedmodel",
    "a TensorFlow program, to be loaded from a path",
    placed(layer("TFSMLayer", "tfsm", filepath="/mnt/share/saved", call_endpoint="serve")),
)
# Layer names become folders when the archive is unpacked (fixed after 3.14.0).
for _name in ("../../../evil", "a/b", "..\\..\\evil", "/abs"):
    add(f"cve-2026-12479-{_name}", "leads out of the folder", changed(4, name=_name))
# Byte code in a layer inside a layer, past a guard that looked at the outermost (after 3.14.0).
add(
    "cve-2026-12481-nested-lambda",
    "a Lambda layer, which runs Python code",
    placed(layer("TimeDistributed", "wrapped", layer=byte_code())),
)

add(
    "byte-code-in-an-initializer",
    "Python byte code",
    changed(4, kernel_initializer={"class_name": "__lambda__", "config": {"code": BYTE_CODE}}),
)
add(
    "custom-object",
    "the custom object 'Evil>Layer'",
    placed({**layer("Layer", "evil"), "registered_name": "Evil>Layer"}),
)
add(
    "module-not-a-text",
    "an object of the module",
    placed({**layer("Dense", "d"), "module": ["os"]}),
)
add("standardize-function", "a Python function", changed(1, standardize=function("os", "remove")))
add("path-in-a-dropped-setting", "names a file", changed(4, kernel_initializer="/etc/passwd"))
add(
    "address-in-the-build-config",
    "names a file",
    configured(lambda m: m.update(build_config="s3://b/k")),
)
add("control-characters", "has control characters", changed(4, activation="tanh\x1b[2J"))
add("very-long-text", "a text of 5000 characters", changed(4, activation="x" * 5000))
add("objects-hidden-in-a-vocabulary", "a Lambda layer", changed(4, vocabulary=[byte_code()]))

add("nested-10000-deep", "nested too deep", raw("[" * 10_000 + "]" * 10_000))
add("nested-mappings-10000-deep", "nested too deep", raw('{"a":' * 10_000 + "0" + "}" * 10_000))
add("nested-40-deep", "nested deeper than 32", raw("[" * 40 + "]" * 40))
add("a-million-lists", "more than 200000 lists", raw("[" + "[]," * 999_999 + "[]]"))
add("millions-of-values", "more than 4000000 values", raw("[" + '"ab",' * 4_000_001 + "0]"))
add("path-in-a-list", r"\[1\]: names a file", changed(4, kernel_initializer=["a", "/etc/passwd"]))
add(
    "key-twice", "a key is given twice", raw('{"class_name": "Sequential", "class_name": "Lambda"}')
)
add("not-json", "not readable JSON", raw("{'class_name': Sequential}"))
add("number-of-5000-digits", "not readable JSON", raw("9" * 5000))
add("not-utf8", "not readable JSON", with_member("config.json", b'{"a": "\xff"}'))
add("a-list", "the model is not a mapping", raw("[]"))
add("not-a-model", "a model of class", raw('{"class_name": "Dense", "config": {}}'))
add(
    "layers-not-a-list",
    "no list of layers",
    raw('{"class_name": "Sequential", "config": {"layers": 3}}'),
)
add(
    "layer-without-config",
    "not a mapping",
    raw('{"class_name":"Sequential","config":{"layers":[{"class_name":"Dense"}]}}'),
)
add(
    "class-name-not-a-text",
    "no class name",
    placed({**layer("Dense", "d"), "class_name": ["Dense"]}),
)
add("names-twice", "two layers have the same name", changed(4, name="lstm"))
add("name-with-colon", "layer name 'a:b' is not allowed", changed(4, name="a:b"))
add(
    "two-hundred-layers",
    "layers, at most 128",
    configured(
        lambda m: m["config"]["layers"].extend(layer("Dropout", f"d{i}") for i in range(200))
    ),
)
add(
    "no-text-layer",
    "the model has no such vectorizer",
    configured(lambda m: m["config"]["layers"].pop(1) and None),
)
add("unknown-layer", "'ConvLSTM3D' is not among the layers", placed(layer("ConvLSTM3D", "a")))
add("unknown-setting", "the setting 'surprise'", changed(4, surprise=1))
add(  # a row's length would be that of a column: of its neighbours' values
    "unit-of-columns",
    "axis=0 is not supported",
    placed(layer("UnitNormalization", "unit", axis=0)),
)
add(
    "rescaling-beyond-floats",
    r"scale=1e\+30 is not supported",
    placed(layer("Rescaling", "rescaling", scale=1e30, offset=0.0)),
)
add(
    "rescaling-by-a-list",
    "offset=.0.0, 1.0. is not supported",
    placed(layer("Rescaling", "rescaling", scale=1.0, offset=[0.0, 1.0])),
)
add("unsupported-setting", "stateful=True is not supported", changed(3, stateful=True))
add("huge-units", "units=1000000000", changed(4, units=10**9))
add("units-a-float", "units=1.0", changed(4, units=1.0))
add("units-true", "units=True", changed(4, units=True))
add(
    "lacking-setting",
    "lacks the setting 'units'",
    configured(lambda m: m["config"]["layers"][4]["config"].pop("units") and None),
)
add("unknown-precision", "float8", changed(4, dtype="float8"))

add("vocabulary-missing", "no vocabulary", with_member(VOCABULARY, None))
add(
    "vocabulary-no-list",
    "is not a list of at most",
    lambda path, outside: _listed(path, True),
)
add("vocabulary-in-two-places", "in the settings and in a file", changed(1, vocabulary=list(WORDS)))
add("vocabulary-duplicate", "'good' more than once", vocabulary(b"\n[UNK]\ngood\ngood\nfilm\nwine"))
add("vocabulary-empty-word", "an empty word", vocabulary(b"\n[UNK]\ngood\n\nfilm\nwine"))
add("vocabulary-invalid-utf8", "not UTF-8", vocabulary(b"\n[UNK]\ngood\n\xff\nfilm\nwine"))
add("vocabulary-other-size", "words, config.json says 6", vocabulary(b"\n[UNK]\ngood"))
add(
    "vocabulary-with-separator",
    "holds a line separator, at which Keras cuts the file",
    vocabulary("\n[UNK]\ngo\u2028od\nbad\nfilm\nwine".encode()),
)
add("vocabulary-of-nothing", "vocabulary", vocabulary(b""))
add("vocabulary-of-numbers", "not a string", lambda path, outside: _listed(path, [1, 2, 3, 4]))
add(
    "vocabulary-with-surrogate",
    "not valid Unicode",
    lambda path, outside: _listed(path, ["a", "\udc80"]),
)
add(
    "more-words-than-rows",
    "rows of weights, the vocabulary needs",
    lambda path, outside: _listed(path, [f"w{i}" for i in range(50)]),
)


def _listed(path: Path, words: Any) -> None:
    """A vocabulary in config.json and none in a file."""
    model = good_config()
    model["config"]["layers"][1]["config"].update(vocabulary=words, vocabulary_size=None)
    members = {**good_members(), "config.json": json.dumps(model).encode()}
    pack(path, {k: v for k, v in members.items() if not k.endswith("vocabulary.txt")})


def functional(model: dict[str, Any]) -> dict[str, Any]:
    """The good model as a Functional one."""
    model["class_name"] = "Functional"
    layers = model["config"]["layers"]
    for before, entry in zip([None, *layers], layers, strict=False):
        entry["name"] = entry["config"]["name"]
        entry["inbound_nodes"] = [] if before is None else [_node(before["name"])]
    model["config"]["input_layers"] = [layers[0]["name"], 0, 0]
    model["config"]["output_layers"] = [layers[-1]["name"], 0, 0]
    return model


def _node(source: str, **kwargs: Any) -> dict[str, Any]:
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}}
    return {"args": [tensor], "kwargs": kwargs}


def graph(
    edit: Callable[[dict[str, Any], list[dict[str, Any]]], Any],
) -> Callable[[Path, Path], None]:
    def build(path: Path, outside: Path) -> None:
        model = functional(good_config())
        edit(model["config"], model["config"]["layers"])
        with_member("config.json", json.dumps(model).encode())(path, outside)

    return build


add(
    "graph-skips-a-layer",
    "layer lstm: nothing reads it",
    graph(lambda c, ls: ls[4].update(inbound_nodes=[_node("embedding")])),
)
add(
    "graph-calls-itself",
    "its output comes back as its input",
    graph(lambda c, ls: ls[4].update(inbound_nodes=[_node("dense")])),
)
add(
    "graph-output-in-the-middle",
    "layer dense: nothing reads it",
    graph(lambda c, ls: c.update(output_layers=["lstm", 0, 0])),
)
add(
    "graph-two-outputs",
    "the model has 2 outputs",
    graph(lambda c, ls: c.update(output_layers=[["lstm", 0, 0], ["dense", 0, 0]])),
)
add(
    "graph-training",
    "it is called with 'training'",
    graph(lambda c, ls: ls[4].update(inbound_nodes=[_node("lstm", training=True)])),
)
add(
    "graph-initial-state",
    "it is not called on a tensor and the states",
    graph(lambda c, ls: ls[3].update(inbound_nodes=[_node("embedding", initial_state=[0.0])])),
)
add("graph-second-name", "has a second name", graph(lambda c, ls: ls[4].update(name="other")))
