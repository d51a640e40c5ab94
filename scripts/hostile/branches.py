"""Hostile bundles, fourth part: two branches and what merges them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from scripts.hostile.archives import (
    WORDS,
    Hostile,
    adder,
    good_config,
    good_members,
    good_weights,
    hdf5,
    layer,
    pack,
)

ARCHIVES: list[Hostile] = []
add = adder(ARCHIVES)

PAIRS = (*WORDS, "good film")
WIDE_VOCABULARY = "assets/layers/text_vectorization_1/vocabulary.txt"
Layers = dict[str, dict[str, Any]]  # by name
Edit = Callable[[dict[str, Any], Layers], Any]


def branches_config() -> dict[str, Any]:
    """text -> Embedding, LSTM(2) and text -> words and pairs, Dense(2); Concatenate, Dense(1)."""
    model = good_config()
    text, vectorizer, embedding, lstm, last = model["config"]["layers"]
    wide = copy.deepcopy(vectorizer)
    wide["config"].update(
        name="pairs", ngrams=[1, 2], output_mode="multi_hot", vocabulary_size=len(PAIRS) + 1
    )
    dense, merge = copy.deepcopy(last), layer("Concatenate", "merge", axis=-1)
    dense["config"].update(name="wide", units=2)
    layers = [text, vectorizer, wide, embedding, lstm, dense, merge, last]
    for entry, sources in zip(layers, _SOURCES, strict=True):
        entry["name"] = entry["config"]["name"]
        entry["inbound_nodes"] = [call(*sources)] if sources else []
    model["class_name"] = "Functional"
    model["config"].update(
        layers=layers, input_layers=["input_layer", 0, 0], output_layers=["dense", 0, 0]
    )
    return model


_SOURCES: list[list[str]] = [
    *([], ["input_layer"], ["input_layer"], ["text_vectorization"], ["embedding"], ["pairs"]),
    *(["lstm", "wide"], ["merge"]),
]


def call(*sources: str, **arguments: Any) -> dict[str, Any]:
    """A layer's call on the output of one layer, or on the list of several."""
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}
        for name in sources
    ]
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": arguments}


def branches_members() -> dict[str, bytes]:
    rng = np.random.default_rng(4)
    weights = good_weights() | {
        "layers/dense/vars/0": rng.normal(0, 0.3, (len(PAIRS) + 1, 2)).astype(np.float32),
        "layers/dense/vars/1": np.ones(2, np.float32),
        "layers/dense_1/vars/0": np.ones((4, 1), np.float32),
        "layers/dense_1/vars/1": np.ones(1, np.float32),
    }
    return good_members() | {
        "config.json": json.dumps(branches_config()).encode(),
        "model.weights.h5": hdf5(weights),
        WIDE_VOCABULARY: "\n".join(["[UNK]", *PAIRS]).encode(),
    }


def branches(edit: Edit) -> Callable[[Path, Path], None]:
    """The good archive of two branches, its configuration edited."""

    def build(path: Path, outside: Path) -> None:
        model = branches_config()
        layers = model["config"]["layers"]
        edit(model["config"], {entry["name"]: entry for entry in layers})
        pack(path, branches_members() | {"config.json": json.dumps(model).encode()})

    return build


def with_members(**changes: bytes | None) -> Callable[[Path, Path], None]:
    """The good archive of two branches with vocabularies by vectorizer; None leaves one out."""

    def build(path: Path, outside: Path) -> None:
        members = branches_members()
        for name, data in changes.items():
            place = f"assets/layers/{name}/vocabulary.txt"
            members.pop(place, None)
            if data is not None:
                members[place] = data
        pack(path, members)

    return build


def _fed_by(name: str, *sources: str) -> Edit:
    return lambda config, layers: layers[name].update(inbound_nodes=[call(*sources)])


def _extra(kind: str, name: str, *sources: str, **settings: Any) -> Callable[[dict[str, Any]], Any]:
    entry = {**layer(kind, name, **settings), "name": name}
    entry["inbound_nodes"] = [call(*sources)] if sources else []
    return lambda config: config["layers"].append(entry)


def _second_input(config: dict[str, Any], layers: Layers) -> None:
    _extra("InputLayer", "other", batch_shape=[None])(config)
    layers["pairs"]["inbound_nodes"] = [call("other")]


def _merged_again(config: dict[str, Any], layers: Layers) -> None:
    _extra("Add", "again", "merge", "wide")(config)
    layers["dense"]["inbound_nodes"] = [call("again")]


def _other_mask(config: dict[str, Any], layers: Layers) -> None:
    """An LSTM masked where the other branch's ids are padding."""
    _extra("NotEqual", "mask", "pairs")(config)
    config["layers"][-1]["inbound_nodes"][0]["args"].append(0)
    mask = call("mask")["args"][0]
    layers["lstm"]["inbound_nodes"] = [call("embedding", mask=mask)]


def _sequence(config: dict[str, Any], layers: Layers) -> None:
    layers["lstm"]["config"]["return_sequences"] = True


def _token_ids(config: dict[str, Any], layers: Layers) -> None:
    config["layers"] = [x for name, x in layers.items() if name not in ("embedding", "lstm")]
    layers["merge"]["inbound_nodes"] = [call("text_vectorization", "wide")]


def _added(config: dict[str, Any], layers: Layers) -> None:
    layers["merge"].update(class_name="Add")
    del layers["merge"]["config"]["axis"]
    layers["wide"]["config"]["units"] = 3


def _read_of_call(number: int) -> Edit:
    return _history([["pairs", number, 0]])


def _read_of_output(number: int) -> Edit:
    return _history([["pairs", 0, number]])


def _history(histories: list[Any]) -> Edit:
    """The wide layer reads what these say that it reads."""

    def edit(config: dict[str, Any], layers: Layers) -> None:
        node = call(*["pairs"] * len(histories))
        for tensor, history in zip(node["args"], histories, strict=True):
            tensor["config"]["keras_history"] = history
        layers["wide"]["inbound_nodes"] = [node]

    return edit


add(
    "branch-feeds-back",
    "its output comes back as its input",
    branches(_fed_by("embedding", "lstm")),
)
add(
    "branch-fed-by-the-head",
    "its output comes back as its input",
    branches(_fed_by("wide", "merge")),
)
add("branch-of-the-other", "layer pairs: nothing reads it", branches(_fed_by("wide", "embedding")))
add(
    "branch-without-vectorizer",
    "layer pairs: nothing reads it",
    branches(_fed_by("wide", "input_layer")),
)
add("branch-merged-twice", "layer .*: nothing reads it", branches(_fed_by("merge", "lstm", "lstm")))
add("branch-of-no-call", "it has no call 1", branches(_read_of_call(1)))
add("branch-of-a-second-output", "its output 1 is not the only one", branches(
    _read_of_output(1)
))  # fmt: skip
add("branch-second-input", "no call 0|input 'other'", branches(_second_input))
add("branches-merged-again", r"combines the shapes \(4\) and \(2\)", branches(_merged_again))
add("branch-masked-by-the-other", "only an Embedding's own mask|called with 'mask'", branches(
    _other_mask
))  # fmt: skip
add("merge-of-a-sequence", "which differ in more than axis -1", branches(_sequence))
add("merge-of-token-ids", "it reads token ids", branches(_token_ids))
add("merge-of-one", "layer pairs: nothing reads it", branches(_fed_by("merge", "lstm")))
add(
    "merge-inside-a-branch",
    "on more or less than one tensor",
    branches(_fed_by("wide", "pairs", "lstm")),
)
add("merge-on-another-axis", "axis 0 is not one of a row's dimensions", branches(
    lambda c, ls: ls["merge"]["config"].update(axis=0)
))  # fmt: skip
add("merge-by-product", "the setting 'axis' is not supported", branches(
    lambda c, ls: ls["merge"].update(class_name="Multiply")
))  # fmt: skip
add("merge-with-a-mask", "it is called with 'mask'", branches(
    lambda c, ls: ls["merge"].update(inbound_nodes=[call("lstm", "wide", mask=[True])])
))  # fmt: skip
add("sum-of-other-widths", "combines the shapes", branches(_added))
add("relu-that-leaks-backwards", "negative_slope=-0.5", branches(
    lambda c, ls: ls["dense"].update(
        layer("ReLU", "dense", max_value=None, negative_slope=-0.5, threshold=0.0)
    )
))  # fmt: skip
add("no-wide-vocabulary", "no vocabulary for text_vectorization_1", with_members(
    text_vectorization_1=None
))  # fmt: skip
add("third-vocabulary", "text_vectorization_2/vocabulary.txt: the model has no such", with_members(
    text_vectorization_2=b"a"
))  # fmt: skip
add("vocabulary-of-no-layer", "not one that a .keras archive", with_members(
    text_vectorization_0=b"a"
))  # fmt: skip
add("vocabularies-exchanged", "words, config.json says", with_members(
    text_vectorization_1="\n".join(["", "[UNK]", *PAIRS]).encode()
))  # fmt: skip
add("ngrams-of-a-billion", "ngrams=1000000000", branches(
    lambda c, ls: ls["pairs"]["config"].update(ngrams=10**9)
))  # fmt: skip
