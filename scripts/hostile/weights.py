"""Hostile bundles, third part: model.weights.h5."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scripts.hostile.archives import (
    Hostile,
    adder,
    good_config,
    good_members,
    good_weights,
    hdf5,
    layer,
    pack,
    with_member,
)

ARCHIVES: list[Hostile] = []
add = adder(ARCHIVES)

KERNEL = "layers/dense/vars/0"
EMBEDDING = "layers/embedding/vars/0"


def stored(edit: Callable[[h5py.File, Path], Any]) -> Callable[[Path, Path], None]:
    """The good archive, its weights file edited; `edit` also gets the folder outside."""

    def build(path: Path, outside: Path) -> None:
        image = io.BytesIO(hdf5(good_weights()))
        with h5py.File(image, "r+") as file:
            edit(file, outside)
        with_member("model.weights.h5", image.getvalue())(path, outside)

    return build


def instead(path: str, make: Callable[[h5py.File, Path], Any]) -> Callable[[Path, Path], None]:
    """The array at `path` is deleted and made anew."""

    def edit(file: h5py.File, outside: Path) -> None:
        del file[path]
        make(file, outside)

    return stored(edit)


def _low_level(file: h5py.File, path: str, kind: h5py.h5t.TypeID, shape: tuple[int, ...]) -> None:
    parent, _, name = path.rpartition("/")
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file[parent].id, name.encode(), kind, space)


def _external(file: h5py.File, outside: Path) -> None:
    secret = str(outside / "secret.bin")
    file.create_dataset(KERNEL, (2, 1), "f4", external=[(secret, 0, 8)])


def _virtual(file: h5py.File, outside: Path) -> None:
    layout = h5py.VirtualLayout(shape=(2, 1), dtype="f4")
    layout[:] = h5py.VirtualSource(str(outside / "secret.h5"), "secret", shape=(2, 1))
    file.create_virtual_dataset(KERNEL, layout)


def _virtual_unlimited(file: h5py.File, outside: Path) -> None:
    """HDF5 looks for the source files of such a set when it is opened."""
    parent, _, name = KERNEL.rpartition("/")
    space = h5py.h5s.create_simple((0, 1), (h5py.h5s.UNLIMITED, 1))
    space.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), block=(1, 1))
    source = h5py.h5s.create_simple((1, 1))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, str(outside / "secret-%b.h5").encode(), b"secret", source)
    h5py.h5d.create(file[parent].id, name.encode(), h5py.h5t.IEEE_F32LE, space, plist)


def _shared_bytes(path: Path, outside: Path) -> None:
    """Each of 40 Dense layers has 4 MB of weights, and all are the same 4 MB of the file."""
    model, wide = good_config(), 1000
    layers = model["config"]["layers"]
    layers[3]["config"]["units"] = wide
    dense = [
        layer("Dense", f"d{i}", units=wide, activation="relu", use_bias=False) for i in range(40)
    ]
    layers[4:4] = dense
    weights = good_weights()
    weights["layers/lstm/cell/vars/0"] = np.zeros((3, 4 * wide), np.float32)
    weights["layers/lstm/cell/vars/1"] = np.zeros((wide, 4 * wide), np.float32)
    weights["layers/lstm/cell/vars/2"] = np.zeros(4 * wide, np.float32)
    for i in range(40):
        weights[f"layers/dense{f'_{i}' if i else ''}/vars/0"] = np.zeros((wide, wide), np.float32)
    raw = _aliased(weights)
    config = json.dumps(model).encode()
    pack(path, {**good_members(), "config.json": config, "model.weights.h5": raw})


def _aliased(weights: dict[str, np.ndarray]) -> bytes:
    """An HDF5 file whose Dense kernels all have the address of the first one's bytes."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        kernels = [p for p in weights if p.startswith("layers/dense")]
        for path in weights:
            if path not in kernels[1:]:
                file[path] = weights[path]
        first = int(file[kernels[0]].id.get_offset())
        for path in kernels[1:]:  # made small, then their headers are changed
            file[path] = np.zeros((7, 11), np.float32)
        offsets = [int(file[path].id.get_offset()) for path in kernels[1:]]
    raw = image.getvalue()
    size, little = weights[kernels[0]].nbytes, (7 * 11 * 4)
    for offset in offsets:
        old = offset.to_bytes(8, "little") + little.to_bytes(8, "little")
        raw = raw.replace(old, first.to_bytes(8, "little") + size.to_bytes(8, "little"))
    shape = weights[kernels[0]].shape
    old = b"".join(n.to_bytes(8, "little") for n in (7, 11))
    return raw.replace(old, b"".join(n.to_bytes(8, "little") for n in shape))


def _huge(path: Path, outside: Path) -> None:
    """Settings and shape agree on 1.2 TB; the file stores nothing of it."""
    model = good_config()
    embedding = model["config"]["layers"][2]["config"]
    embedding.update(input_dim=5_000_000, output_dim=60_000)
    image = io.BytesIO(hdf5(good_weights()))
    with h5py.File(image, "r+") as file:
        del file[EMBEDDING]
        _low_level(file, EMBEDDING, h5py.h5t.IEEE_F32LE, (5_000_000, 60_000))
    config = json.dumps(model).encode()
    pack(path, {**good_members(), "config.json": config, "model.weights.h5": image.getvalue()})


def _lying_layout(path: Path, outside: Path) -> None:
    """The same, and the header claims that all the bytes are there."""
    rows, old = 1_000_000, 6 * 3 * 4
    model = good_config()
    model["config"]["layers"][2]["config"].update(input_dim=rows)
    raw = hdf5(good_weights())
    with h5py.File(io.BytesIO(raw), "r") as file:
        at = int(file[EMBEDDING].id.get_offset()).to_bytes(8, "little")
    layout = at + old.to_bytes(8, "little")
    space = (6).to_bytes(8, "little") + (3).to_bytes(8, "little")
    assert raw.count(layout) == 1
    raw = raw.replace(layout, at + (rows * 3 * 4).to_bytes(8, "little"))
    raw = raw.replace(space, rows.to_bytes(8, "little") + (3).to_bytes(8, "little"))
    config = json.dumps(model).encode()
    pack(path, {**good_members(), "config.json": config, "model.weights.h5": raw})


def _value(path: str, value: float) -> Callable[[Path, Path], None]:
    def edit(file: h5py.File, outside: Path) -> None:
        file[path][0] = value

    return stored(edit)


def _array(path: str, values: Any, **settings: Any) -> Callable[[Path, Path], None]:
    return instead(path, lambda f, outside: f.create_dataset(path, data=values, **settings))


def _many_groups(file: h5py.File, outside: Path) -> None:
    for i in range(10_001):
        file.create_group(f"g{i}")


two = np.zeros((2, 1), np.float32)

# A shape far larger than the file (fixed in Keras 3.13.1), chunked and not.
add("cve-2026-0897-huge-shape", "fewer bytes stored", _huge)
add(
    "cve-2026-0897-huge-chunked",
    "in several chunks or through filters",
    instead(KERNEL, lambda f, o: f.create_dataset(KERNEL, (2**40, 2**20), "f4", chunks=(1, 1))),
)
add("layout-claims-bytes-beyond-the-end", "fewer bytes stored|invalid dataset size", _lying_layout)
add("arrays-that-share-bytes", "fewer bytes stored", _shared_bytes)
# Bytes, links and sources in other files (fixed in Keras 3.13.2).
add(
    "cve-2026-1669-external-storage",
    r"stored in another file \('.*secret.bin'\)",
    instead(KERNEL, _external),
)
add(
    "cve-2026-1669-external-link",
    "a link into another file",
    instead(
        KERNEL,
        lambda f, o: f.__setitem__(KERNEL, h5py.ExternalLink(str(o / "secret.h5"), "secret")),
    ),
)
add(
    "virtual",
    r"a virtual data set, read from other files \('.*secret.h5'\)",
    instead(KERNEL, _virtual),
)
add("virtual-unlimited", "a virtual data set", instead(KERNEL, _virtual_unlimited))
add(
    "soft-link",
    "a soft link",
    instead(KERNEL, lambda f, o: f.__setitem__(KERNEL, h5py.SoftLink("/" + EMBEDDING))),
)
add(
    "soft-link-dangling",
    "a soft link",
    stored(lambda f, o: f.__setitem__("x", h5py.SoftLink("/nowhere"))),
)
add(
    "two-names",
    "stored under two names",
    instead(KERNEL, lambda f, o: f.__setitem__(KERNEL, f[EMBEDDING])),
)
add(
    "cycle",
    "stored under two names",
    stored(lambda f, o: f["layers"].__setitem__("again", f["layers"])),
)
add("a-group-for-an-array", "is missing", instead(KERNEL, lambda f, o: f.create_group(KERNEL)))
add(
    "a-type-for-an-array",
    "is missing",
    instead(KERNEL, lambda f, o: f.__setitem__(KERNEL, np.dtype("f4"))),
)
add("array-missing", "is missing", stored(lambda f, o: f.__delitem__(KERNEL)))
add("ten-thousand-groups", "more than 10000 objects", stored(_many_groups))

_PIECES = "in several chunks or through filters"
add("lzf", _PIECES, _array(KERNEL, two, compression="lzf"))
add("chunked", _PIECES, _array(KERNEL, two, chunks=(1, 1)))
add("gzip-chunks", _PIECES, _array(KERNEL, two, chunks=(1, 1), compression="gzip"))
add(
    "gzip-larger-chunk", _PIECES, _array(KERNEL, two, chunks=(4, 1), maxshape=(9, 1), compression=9)
)
add("gzip-checksum", _PIECES, _array(KERNEL, two, compression="gzip", fletcher32=True))
add("compound", "expected float32", _array(KERNEL, np.zeros((2, 1), [("a", "f4"), ("b", "i8")])))
add("strings", "expected float32", _array(KERNEL, [[b"a"], [b"b"]]))
add(
    "variable-length",
    "expected float32",
    _array(KERNEL, two.astype("S1"), dtype=h5py.string_dtype()),
)
add(
    "references",
    "expected float32",
    instead(KERNEL, lambda f, o: f.create_dataset(KERNEL, (2, 1), h5py.ref_dtype)),
)
add("big-endian", "expected float32", _array(KERNEL, two.astype(">f4")))
add("double-precision-infinite", "NaN or infinite", _array(KERNEL, two.astype("f8") + 1e300))
add("complex-numbers", "expected float32", _array(KERNEL, two.astype("c16")))
add("whole-numbers", "expected float32", _array(KERNEL, two.astype("i4")))
add("no-dimensions", "shape", _array(KERNEL, np.float32(1)))
add(
    "null-space",
    "shape",
    instead(KERNEL, lambda f, o: f.create_dataset(KERNEL, data=h5py.Empty("f4"))),
)
add(
    "other-shape",
    r"shape \(3, 1\), the configuration says \(2, 1\)",
    _array(KERNEL, np.zeros((3, 1), "f4")),
)
add(
    "never-written",
    "fewer bytes stored",
    instead(KERNEL, lambda f, o: _low_level(f, KERNEL, h5py.h5t.IEEE_F32LE, (2, 1))),
)
add("nan", "NaN or infinite", _value(KERNEL, math.nan))
add("infinite", "NaN or infinite", _value(EMBEDDING, math.inf))
add("not-hdf5", "model.weights.h5: not readable", with_member("model.weights.h5", b"nothing"))
add("no-bytes", "model.weights.h5: not readable", with_member("model.weights.h5", b""))
add(
    "hdf5-cut-short",
    "model.weights.h5: not readable",
    with_member("model.weights.h5", hdf5(good_weights())[:900]),
)
