"""A corpus of hostile bundles, built without Keras from one good archive.

Each case writes one file and says which words the refusal must hold. `outside` is a folder that a
case may point at: nothing in it may be touched. Here are the zip archive's own; every other module
has a list of its own too, and `scripts.hostile.CORPUS` is all of them.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import stat
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

WORDS = ("good", "bad", "film", "wine")
VOCABULARY = "assets/layers/text_vectorization/_lookup_layer/vocabulary.txt"
SECOND_VOCABULARY = "assets/layers/text_vectorization/vocabulary.txt"  # Keras writes both
_FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}


@dataclass(frozen=True)
class Hostile:
    """`build(path, outside)` writes the bundle; the refusal matches `says`."""

    name: str
    says: str
    build: Callable[[Path, Path], None]


def adder(archives: list[Hostile]) -> Callable[[str, str, Callable[[Path, Path], None]], None]:
    """A function that appends an archive to a module's list, by its name, words and builder."""
    return lambda name, says, build: archives.append(Hostile(name, says, build))


ARCHIVES: list[Hostile] = []
add = adder(ARCHIVES)


# --- the good archive, which every case spoils in one place -------------------------------------


def layer(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    config = {"name": name, "trainable": True, "dtype": copy.deepcopy(_FLOAT32), **settings}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def good_config() -> dict[str, Any]:
    """TextVectorization, Embedding(6, 3), LSTM(2), Dense(1), as Keras writes them."""
    layers = [
        layer("InputLayer", "input_layer", batch_shape=[None], sparse=False, ragged=False),
        layer(
            "TextVectorization",
            "text_vectorization",
            max_tokens=None,
            standardize="lower_and_strip_punctuation",
            split="whitespace",
            ngrams=None,
            output_mode="int",
            output_sequence_length=None,
            pad_to_max_tokens=False,
            sparse=False,
            ragged=False,
            vocabulary=None,
            idf_weights=None,
            encoding="utf-8",
            vocabulary_size=len(WORDS) + 2,
        ),
        layer("Embedding", "embedding", input_dim=6, output_dim=3, mask_zero=True),
        layer(
            "LSTM",
            "lstm",
            units=2,
            activation="tanh",
            recurrent_activation="sigmoid",
            use_bias=True,
            return_sequences=False,
            return_state=False,
            go_backwards=False,
            stateful=False,
        ),
        layer("Dense", "dense", units=1, activation="sigmoid", use_bias=True),
    ]
    layers[0]["config"]["dtype"] = layers[1]["config"]["dtype"] = "string"
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "trainable": True, "layers": layers},
        "registered_name": None,
        "build_config": {"input_shape": [None]},
    }


def good_weights() -> dict[str, np.ndarray]:
    """Array by path."""
    rng = np.random.default_rng(3)
    shapes = {
        "layers/embedding/vars/0": (6, 3),
        "layers/lstm/cell/vars/0": (3, 8),
        "layers/lstm/cell/vars/1": (2, 8),
        "layers/lstm/cell/vars/2": (8,),
        "layers/dense/vars/0": (2, 1),
        "layers/dense/vars/1": (1,),
    }
    return {path: rng.normal(0, 0.3, s).astype(np.float32) for path, s in shapes.items()}


def hdf5(arrays: Mapping[str, np.ndarray]) -> bytes:
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        for path, values in arrays.items():
            file[path] = values
    return image.getvalue()


def good_members() -> dict[str, bytes]:
    return {
        "metadata.json": b'{"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}',
        "config.json": json.dumps(good_config()).encode(),
        "model.weights.h5": hdf5(good_weights()),
        VOCABULARY: "\n".join(["", "[UNK]", *WORDS]).encode(),
        SECOND_VOCABULARY: "\n".join(["", "[UNK]", *WORDS]).encode(),
    }


def pack(path: Path, members: Mapping[str, bytes] | Iterable[tuple[Any, bytes]]) -> None:
    """Write a zip archive; a member's name may be a ZipInfo."""
    pairs = members.items() if isinstance(members, Mapping) else members
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in pairs:
            archive.writestr(name, data)


def write_good(path: Path) -> None:
    pack(path, good_members())


# --- the zip archive ----------------------------------------------------------------------------


def with_bytes(data: bytes) -> Callable[[Path, Path], None]:
    """A file of exactly these bytes."""

    def build(path: Path, outside: Path) -> None:
        path.write_bytes(data)

    return build


def with_extra(name: Any, data: bytes = b"x") -> Callable[[Path, Path], None]:
    """The good archive and one more member."""
    return lambda path, outside: pack(path, [*good_members().items(), (name, data)])


def with_member(name: str, data: bytes | None, method: int = 0) -> Callable[[Path, Path], None]:
    """The good archive with one member replaced, or left out (None); both vocabularies alike."""
    names = (VOCABULARY, SECOND_VOCABULARY) if name == VOCABULARY else (name,)

    def build(path: Path, outside: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for member, good in good_members().items():
                if member not in names:
                    archive.writestr(member, good)
                elif data is not None:
                    archive.writestr(member, data, compress_type=method)

    return build


def patched(edit: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    """The good archive's bytes, edited."""

    def build(path: Path, outside: Path) -> None:
        write_good(path)
        path.write_bytes(edit(path.read_bytes()))

    return build


def _info(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def _in_directory(data: bytes, name: bytes, field: int, value: bytes) -> bytes:
    """Overwrite a field (its offset in the 46-byte header) of a member's directory entry."""
    at = data.rindex(name) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    return data[: at + field] + value + data[at + field + len(value) :]


def _doubled(path: Path, outside: Path) -> None:
    members = list(good_members().items())
    evil = json.dumps({"class_name": "Lambda"}).encode()
    renamed = [("config.jsoN", evil), *members]  # zipfile warns of an honest second name
    pack(path, renamed)
    path.write_bytes(path.read_bytes().replace(b"config.jsoN", b"config.json"))


def _overlapping(path: Path, outside: Path) -> None:
    """Two directory entries for the bytes of one member, as in a quoted zip bomb."""
    pack(path, good_members())
    path.write_bytes(_in_directory(path.read_bytes(), VOCABULARY.encode(), 42, bytes(4)))


def _damaged(path: Path, outside: Path) -> None:
    """The middle of config.json's compressed bytes is overwritten."""
    config = json.dumps(good_config()).encode()
    with_member("config.json", config, zipfile.ZIP_DEFLATED)(path, outside)
    data = bytearray(path.read_bytes())
    start = data.index(b"config.json") + len(b"config.json")
    data[start + 40 : start + 60] = bytes(20)
    path.write_bytes(bytes(data))


def _many(path: Path, outside: Path) -> None:
    pack(path, [*good_members().items(), *((f"a{i}", b"") for i in range(2000))])


add("empty-file", "neither a .keras archive", with_bytes(b""))
add("text-file", "neither a .keras archive", with_bytes(b"hello\n"))
add("weights-alone", "holds weights and not the model", with_bytes(hdf5(good_weights())))
add("pickle", "a pickle, which runs code", with_bytes(pickle.dumps({"a": 1})))
add("cut-short", "not a readable .keras archive", patched(lambda d: d[: len(d) // 2]))
add("script-before-zip", "neither a .keras archive", patched(lambda d: b"#!/bin/sh\n" + d))
for _name in ("../../evil.py", "/etc/cron.d/evil", "C:\\evil.exe", "assets/../../evil"):
    add(f"member-{_name}", "leads out of the folder", with_extra(_name))
add("member-unexpected", "not one that a .keras archive", with_extra("assets/payload.so"))
add(
    "member-nul-name",
    "not one that",
    patched(lambda d: d.replace(b"metadata.json", b"config.json\0x")),
)
add("member-twice", "stored twice", _doubled)
add(
    "two-vocabularies",
    "two copies differ",
    lambda path, outside: pack(path, {**good_members(), SECOND_VOCABULARY: b"\n[UNK]\nother"}),
)
add("member-symlink", "a symbolic link", with_extra(_info("passwd", stat.S_IFLNK | 0o777)))
add("members-overlapping", "damaged", _overlapping)
add("members-by-the-thousand", "lists 2005 members", _many)
add("no-config", "has no config.json", with_member("config.json", None))
add("no-weights", "has no model.weights.h5", with_member("model.weights.h5", None))
add("bzip2", "compressed by method 12", with_member("metadata.json", b"{}", zipfile.ZIP_BZIP2))
add("lzma", "compressed by method 14", with_member("metadata.json", b"{}", zipfile.ZIP_LZMA))
add(
    "encrypted",
    "encrypted",
    patched(lambda d: _in_directory(d, b"config.json", 8, struct.pack("<H", 1))),
)
add(
    "unknown-method",
    "compressed by method 99",
    patched(lambda d: _in_directory(d, b"config.json", 10, struct.pack("<H", 99))),
)
add(
    "member-larger-than-it-says",
    "damaged|another number of bytes",
    patched(lambda d: _in_directory(d, b"config.json", 24, struct.pack("<I", 10))),
)
add(
    "member-claims-terabytes",
    "bytes, at most",
    patched(lambda d: _in_directory(d, b"config.json", 24, struct.pack("<I", 0xFFFFFFF0))),
)
add(
    "wrong-checksum",
    "damaged",
    patched(lambda d: _in_directory(d, b"config.json", 16, b"\0\0\0\0")),
)
add("damaged-deflate", "damaged", _damaged)
add(
    "zip-bomb", "a zip bomb", with_member("model.weights.h5", bytes(64 << 20), zipfile.ZIP_DEFLATED)
)
add(
    "config-bomb",
    "bytes, at most",
    with_member("config.json", b" " * (97 << 20), zipfile.ZIP_DEFLATED),
)
add(
    "vocabulary-bomb",
    "bytes, at most",
    with_member(VOCABULARY, b"a\n" * (9 << 20), zipfile.ZIP_DEFLATED),
)
