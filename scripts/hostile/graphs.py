"""Hostile bundles, fifth part: models inside the model, and calls of layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.hostile.archives import Hostile, adder, good_config, layer, with_member
from scripts.hostile.branches import call
from scripts.hostile.config import functional, graph

ARCHIVES: list[Hostile] = []
add = adder(ARCHIVES)


def _inside(name: str, *layers: dict[str, Any]) -> dict[str, Any]:
    """A Functional model: an input, then layers whose calls are given in them."""
    entries = [{**layer("InputLayer", "in", batch_shape=[None, 2]), "inbound_nodes": []}, *layers]
    for entry in entries:
        entry["name"] = entry["config"]["name"]
    config = {
        "name": name,
        "layers": entries,
        "input_layers": [["in", 0, 0]],
        "output_layers": [[entries[-1]["name"], 0, 0]],
    }
    return {**layer("Functional", name), "config": config}


def _before_the_last(inner: dict[str, Any]) -> Callable[[Path, Path], None]:
    """The good archive in functional form, with a model between the LSTM and its last layer."""

    def build(path: Path, outside: Path) -> None:
        model = functional(good_config())
        layers = model["config"]["layers"]
        inner.update(name=inner["config"]["name"], inbound_nodes=[call("lstm")])
        layers.insert(4, inner)
        layers[5]["inbound_nodes"] = [call(inner["name"])]
        with_member("config.json", json.dumps(model).encode())(path, outside)

    return build


def _doubled(depth: int) -> dict[str, Any]:
    """A model that calls the model inside it twice, `depth` times over."""
    add_both = {**layer("Add", "add"), "inbound_nodes": [_list([["in", 0, 0], ["in", 0, 0]])]}
    model = _inside("m0", add_both)
    for level in range(1, depth):
        nested = {**model, "inbound_nodes": [call("in"), call("in")]}
        both = [[nested["config"]["name"], 0, 0], [nested["config"]["name"], 1, 0]]
        model = _inside(
            f"m{level}", nested, {**layer("Add", "add"), "inbound_nodes": [_list(both)]}
        )
    return model


def _list(histories: list[list[Any]]) -> dict[str, Any]:
    """A call on a list of tensors."""
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": history}}
        for history in histories
    ]
    return {"args": [tensors], "kwargs": {}}


def _itself() -> dict[str, Any]:
    model = _inside("self", {**layer("ReLU", "relu"), "inbound_nodes": [call("in")]})
    model["config"]["input_layers"] = [["relu", 0, 0]]
    return model


def _of_two_inputs() -> dict[str, Any]:
    model = _inside("two", {**layer("ReLU", "relu"), "inbound_nodes": [call("in")]})
    model["config"]["input_layers"] = [["in", 0, 0], ["in", 0, 0]]
    return model


def _last(node: Any) -> Callable[[Path, Path], None]:
    """The good archive whose last layer is called so."""
    return graph(lambda config, layers: layers[4].update(inbound_nodes=[node]))


add(
    "nested-doubled-6-times",
    "layers, at most 128|more than 256 calls",
    _before_the_last(_doubled(6)),
)
add(
    "nested-20-deep", "nested deeper than 32 levels|nested too deep", _before_the_last(_doubled(20))
)
add("nested-input-that-is-no-input", "is not an input", _before_the_last(_itself()))
add(
    "nested-of-two-inputs-on-one",
    "called on 1 tensors, it has 2",
    _before_the_last(_of_two_inputs()),
)
add("call-of-a-number", "neither a mapping nor a list", _last(3))
add("call-of-nothing", "neither a mapping nor a list", _last([]))
add("call-without-arguments", "no list of arguments", _last({"kwargs": {}}))
add(
    "call-on-no-tensor",
    "layer text_vectorization: nothing reads it",
    _last({"args": [], "kwargs": {}}),
)
add(
    "call-on-a-constant",
    "layer text_vectorization: nothing reads it",
    _last({"args": [1.5], "kwargs": {}}),
)
add("call-on-300-tensors", "called on 300 tensors", _last(_list([["lstm", 0, 0]] * 300)))
add(
    "call-of-a-negative-number",
    "no output 0 of its call -1",
    _last(_list([["lstm", -1, 0]])),
)
add("call-of-a-ninth-output", "it has no output 9", _last(_list([["lstm", 0, 9]])))
add("call-of-an-output-that-is-true", "it has no output True", _last(_list([["lstm", 0, True]])))
add("call-of-a-state-that-is-not-given", "is not the only one", _last(_list([["lstm", 0, 1]])))
add("call-of-an-unknown-layer", "no layer is named", _last(_list([["nobody", 0, 0]])))
add("call-of-an-unnamed-tensor", "which layer it comes from", _last(_list([["lstm", 0]])))
add("old-call-of-an-unnamed-tensor", "is not .name, call, output.", _last([["lstm", 0]]))
