"""Hostile `.h5` models: see hostile.py. A good one is built from the good archive."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scripts.hostile.archives import Hostile, adder, good_config, good_weights
from scripts.hostile.config import byte_code

ARCHIVES: list[Hostile] = []
add = adder(ARCHIVES)

#: the good archive's arrays -> their layer and their names in an .h5 file
NAMES = {
    "layers/embedding/vars/0": ("embedding", "embedding/embeddings:0"),
    "layers/lstm/cell/vars/0": ("lstm", "lstm/lstm_cell/kernel:0"),
    "layers/lstm/cell/vars/1": ("lstm", "lstm/lstm_cell/recurrent_kernel:0"),
    "layers/lstm/cell/vars/2": ("lstm", "lstm/lstm_cell/bias:0"),
    "layers/dense/vars/0": ("dense", "dense/kernel:0"),
    "layers/dense/vars/1": ("dense", "dense/bias:0"),
}
Edit = Callable[[h5py.File], Any]


def h5_config() -> dict[str, Any]:
    """The good archive's model as Keras 2 writes it into an .h5 file: its words in the settings."""
    config = good_config()
    words = ["good", "bad", "film", "wine"]
    config["config"]["layers"][1]["config"].update(vocabulary=words, vocabulary_size=None)
    for entry in (config, *config["config"]["layers"]):
        for key in ("module", "registered_name", "build_config"):
            entry.pop(key, None)
    for entry in config["config"]["layers"][2:]:
        entry["config"]["dtype"] = "float32"
    config["config"]["layers"][0]["config"]["batch_input_shape"] = [None]
    del config["config"]["layers"][0]["config"]["batch_shape"]
    config["config"]["layers"][3]["config"].update(time_major=False, implementation=2)
    return config


def h5_model(config: Mapping[str, Any] | bytes | None = None, edit: Edit | None = None) -> bytes:
    """The bytes of an .h5 model, changed by `edit` before they are written."""
    if not isinstance(config, bytes):
        config = json.dumps(config or h5_config()).encode()
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs["model_config"] = config
        weights = file.create_group("model_weights")
        listed: dict[str, list[bytes]] = {}
        for place, array in good_weights().items():
            if place in NAMES:
                layer, name = NAMES[place]
                weights.create_dataset(f"{layer}/{name}", data=array)
                listed.setdefault(layer, []).append(name.encode())
        for layer, names in listed.items():
            weights[layer].attrs["weight_names"] = names
        if edit is not None:
            edit(file)
    return memory.getvalue()


def with_h5(
    edit: Edit | None = None, change: Callable[[dict[str, Any]], Any] | None = None
) -> Callable[[Path, Path], None]:
    """A case that spoils the file, or the configuration in it."""

    def build(path: Path, outside: Path) -> None:
        config = copy.deepcopy(h5_config())
        if change is not None:
            change(config)
        path.write_bytes(h5_model(config, edit))

    return build


def _names(layer: str, *names: str) -> Edit:
    def edit(file: h5py.File) -> None:
        file["model_weights"][layer].attrs["weight_names"] = np.array(names, "S")

    return edit


def _layers(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda config: change(config["config"]["layers"])


def _deep(config: dict[str, Any]) -> None:
    """A model in a model, a thousand deep."""
    inner = config["config"]["layers"].pop()
    for depth in range(80):
        settings = {"name": f"m{depth}", "layers": [inner]}
        inner = {"class_name": "Sequential", "config": settings}
    config["config"]["layers"].append(inner)


def _linked(file: h5py.File) -> None:
    group = file["model_weights"]
    del group["dense"]
    group["dense"] = h5py.SoftLink("/model_weights/lstm")


def _circle(file: h5py.File) -> None:
    file["model_weights/dense/again"] = file["model_weights"]


def _external(file: h5py.File) -> None:
    del file["model_weights/dense/dense/kernel:0"]
    file["model_weights/dense/dense/kernel:0"] = h5py.ExternalLink("other.h5", "/x")


def _array(name: str, values: Any) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[f"model_weights/{name}"]
        file[f"model_weights/{name}"] = values

    return edit


# CVE-2025-9905: Keras runs a Lambda of an .h5 file whatever its safe mode says.
add(
    "cve-2025-9905-lambda-in-h5",
    "a Lambda layer, which runs Python code",
    with_h5(change=_layers(lambda layers: layers.append(byte_code()))),
)
add(
    "h5-config-not-json",
    "not readable JSON",
    with_h5(lambda file: file.attrs.__setitem__("model_config", b"{'a': 1}")),
)
add(
    "h5-config-an-array",
    "holds weights and not the model",
    with_h5(lambda file: file.attrs.__setitem__("model_config", np.zeros(3))),
)
add("h5-model-80-deep", "nested deeper", with_h5(change=_deep))
add(
    "h5-weights-elsewhere",
    "is missing",
    with_h5(_names("dense", "../lstm/lstm/lstm_cell/kernel:0", "dense/bias:0")),
)
add(
    "h5-weights-of-another-layer",
    "shape",
    with_h5(_names("dense", "dense/bias:0", "dense/kernel:0")),
)
add(
    "h5-weights-named-twice",
    "named twice",
    with_h5(_names("dense", "dense/kernel:0", "dense/kernel:0")),
)
add("h5-weights-too-few", "stores 1 arrays", with_h5(_names("dense", "dense/kernel:0")))
add(
    "h5-ten-thousand-names",
    "named twice, or are too many",
    with_h5(_names("dense", *(f"w{i}" for i in range(5000)))),
)
add("h5-names-missing", "stores 0 arrays", with_h5(lambda f: f["model_weights/lstm"].attrs.clear()))
add("h5-soft-link", "a soft link", with_h5(_linked))
add("h5-circle", "stored under two names", with_h5(_circle))
add("h5-link-into-another-file", "a link into another file", with_h5(_external))
add("h5-nan", "NaN", with_h5(_array("dense/dense/bias:0", np.array([np.nan], "f4"))))
add(
    "h5-other-shape",
    "the configuration says",
    with_h5(_array("dense/dense/kernel:0", np.zeros((9, 9), "f4"))),
)
add(
    "h5-time-major",
    "time_major",
    with_h5(change=_layers(lambda layers: layers[3]["config"].update(time_major=True))),
)
add(
    "h5-function-of-tensorflow",
    "the TensorFlow function 'io.read_file'",
    with_h5(
        change=_layers(
            lambda layers: layers.append(
                {"class_name": "TFOpLambda", "config": {"name": "t", "function": "io.read_file"}}
            )
        )
    ),
)
