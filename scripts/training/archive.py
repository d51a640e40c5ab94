"""A Keras archive that takes half the room: rounded weights, deflated arrays, no date.

The same weights give the same bytes (with the same zlib).
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np

from scripts.training.types import Floats

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip file can hold
MANTISSA_BITS = 11  # of float32's 23
_SMALL = 1024  # bytes; below, a chunk's tree takes more room than deflating saves


def round_mantissa(array: Floats, bits: int = MANTISSA_BITS) -> Floats:
    """float32 of the same shape whose mantissas have `bits` bits, rounded to nearest, ties to even;
    the zeros that follow are what deflating removes. Numbers that are not finite stay."""
    drop = 23 - bits
    raw = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    even = (raw >> np.uint64(drop)) & np.uint64(1)
    raw = (raw + np.uint64((1 << (drop - 1)) - 1) + even) & np.uint64(
        ~((1 << drop) - 1) & 0xFFFFFFFF
    )
    rounded = raw.astype(np.uint32).view(np.float32).reshape(array.shape)
    return np.where(np.isfinite(array), rounded, array).astype(np.float32)


def round_weights(model: Any) -> None:
    """Rounds the matrices of a Keras model in place. Biases stay, since they are few and one of 88
    points would move every score; so does a TextVectorization's idf."""
    for layer in model.layers:
        if type(layer).__name__ != "TextVectorization":
            arrays = layer.get_weights()
            layer.set_weights([round_mantissa(x) if x.ndim > 1 else x for x in arrays])


def save_archive(model: Any, path: Path) -> None:
    """Writes the model, its weights rounded, as `.keras`."""
    round_weights(model)
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "model.keras"
        model.save(raw)
        _write_reproducibly(raw, path)


def _write_reproducibly(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            data, packed = old.read(name), zipfile.ZIP_DEFLATED
            if name.endswith(".json"):
                data = json.dumps(_lasting(json.loads(data))).encode()
            elif name.endswith(".h5"):
                data, packed = pack_arrays(data), zipfile.ZIP_STORED
            member = zipfile.ZipInfo(name, _EPOCH)
            new.writestr(member, data, compress_type=packed, compresslevel=9)


def pack_arrays(raw: bytes) -> bytes:
    """The HDF5 file with each larger array as one chunk, shuffled and deflated: bytes of one place
    in a float are alike, so that they deflate to a half where those of the file do to two thirds.
    """
    image = io.BytesIO()
    with h5py.File(io.BytesIO(raw), "r") as old, h5py.File(image, "w") as new:
        new.attrs.update(old.attrs)
        old.visititems(lambda name, item: _copy_item(name, item, new))
    return image.getvalue()


def _copy_item(name: str, item: Any, new: h5py.File) -> None:
    if isinstance(item, h5py.Group):
        made = new.require_group(name)
    elif item.nbytes < _SMALL:
        made = new.create_dataset(name, data=item[()])
    else:
        settings = {"chunks": item.shape, "shuffle": True, "compression": 9}
        made = new.create_dataset(name, data=item[()], **settings)
    made.attrs.update(item.attrs)


def _lasting(value: Any) -> Any:
    """The configuration without what differs between runs: the date, and memory addresses."""
    if isinstance(value, list):
        return [_lasting(v) for v in value]
    if not isinstance(value, dict):
        return value
    kept = {k: _lasting(v) for k, v in value.items() if k != "shared_object_id"}
    if "date_saved" in kept:
        kept["date_saved"] = "1980-01-01@00:00:00"
    return kept
