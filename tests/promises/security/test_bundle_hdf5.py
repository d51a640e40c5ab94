"""The reader of HDF5 agrees with h5py on what h5py writes, and refuses the rest quickly."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.bundle.hdf5 import packed as hdf5_packed
from scorer.bundle.hdf5 import reader as hdf5
from scorer.errors import BundleError
from scripts.hostile.archives import good_weights
from scripts.hostile.archives import hdf5 as written

NAMES = st.text(st.characters(exclude_characters="/.\0", exclude_categories=["Cs"]), min_size=1)
TYPES = ("<f4", "<f2", "<f8", "<i4", "<i8", "<u4", "|i1", "|u1", ">f4", ">i2")


def arrays(seed: int, kind: str, shape: list[int]) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 100, shape)
    return values.astype(kind)


ARRAY = st.builds(
    arrays, st.integers(0, 9), st.sampled_from(TYPES), st.lists(st.integers(0, 4), max_size=3)
)
TREE = st.recursive(ARRAY, lambda inner: st.dictionaries(NAMES, inner, max_size=12), max_leaves=40)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
ATTRIBUTE = st.one_of(
    TEXT, st.integers(-9, 9), st.lists(TEXT.filter(bool), min_size=1, max_size=5), ARRAY
)


def write(group: h5py.Group, tree: dict[str, Any]) -> None:
    for name, value in tree.items():
        if isinstance(value, dict):
            write(group.create_group(name), value)
        else:
            group[name] = value


@settings(max_examples=60)
@given(
    st.dictionaries(NAMES, TREE, max_size=40),
    st.dictionaries(NAMES, ATTRIBUTE, max_size=6),
    st.sampled_from(["earliest", "v108", "latest"]),
)
def test_whatever_h5py_writes_in_one_piece_is_read(
    tree: dict[str, Any], attributes: dict[str, Any], version: str
) -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver=(version, "latest")) as file:
        write(file, tree)
        file.attrs.update(attributes)
    with h5py.File(image, "r") as file, hdf5.opened(image.getvalue(), "x") as mine:
        full = [group for group in _groups(file) if len(group) > 8]
        if full and not (version == "earliest" and all("".join(group).isascii() for group in full)):
            return  # such groups keep their links where Keras never does
        assert list(mine.faults()) == []
        for path, expected in _walk(file):
            found = mine[path]
            if isinstance(expected, h5py.Dataset):
                assert isinstance(found, hdf5.Array)
                assert (found.shape, found.kind.dtype) == (expected.shape, expected.dtype)
                if expected.size:
                    assert np.array_equal(mine.values(found), expected[()])
            else:
                assert isinstance(found, hdf5.Group)
                assert found.links.keys() == set(expected)
        assert mine.root.attributes.keys() == attributes.keys()
        for name, value in attributes.items():
            assert np.array_equal(mine.root.attributes[name], value)


def _walk(group: h5py.Group) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    group.visititems(lambda name, item: found.append((name, item)))
    return found


def _groups(file: h5py.File) -> list[h5py.Group]:
    return [file, *(item for _, item in _walk(file) if isinstance(item, h5py.Group))]


def test_a_configuration_longer_than_a_header_is_read() -> None:
    """Keras keeps a legacy model's configuration as one attribute of any length."""
    image, text = io.BytesIO(), "é{" * 200_000
    with h5py.File(image, "w") as file:
        file.attrs["model_config"] = text
        file.attrs["names"] = np.array([b"dense", b"embedding"])
    with hdf5.opened(image.getvalue(), "model.h5") as mine:
        assert mine.root.attributes == {"model_config": text, "names": ["dense", "embedding"]}


def patched(old: bytes, new: bytes) -> bytes:
    raw = written(good_weights())
    assert old in raw
    return raw.replace(old, new)


def _look_at_all(raw: bytes) -> None:
    with hdf5.opened(raw, "x") as file:
        list(file.faults())
        assert isinstance(file.root.attributes, dict)
        for path in good_weights():
            found = file[path]
            if isinstance(found, hdf5.Array) and found.fault is None:
                file.values(found)


def _looping_tree() -> bytes:
    """A group's tree that names itself as its child, 32 times."""
    raw = bytearray(written(good_weights()))
    at = raw.index(b"TREE\0")
    raw[at + 6 : at + 8] = (32).to_bytes(2, "little")
    raw[at + 24 : at + 24 + 8 * 65] = struct.pack("<Q", at) * 65
    return bytes(raw)


def _looping_header() -> bytes:
    """A header whose every message continues it where it begins."""
    raw = bytearray(written(good_weights()))
    (at,) = struct.unpack_from("<Q", raw, 64)
    continuation = struct.pack("<HHBxxxQQ", 0x10, 16, 0, at + 16, 24)
    raw[at + 2 : at + 4] = b"\xff\xff"
    raw[at + 16 : at + 40] = continuation
    return bytes(raw)


def _wide_attribute() -> bytes:
    """A text attribute that claims 2^40 texts."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["names"] = ["one", "two", "three"]
    space = struct.pack("<BBBBIQ", 1, 1, 0, 0, 0, 3)
    raw = image.getvalue()
    if space not in raw:  # with the greatest size it may grow to
        space = struct.pack("<BBBBIQ", 1, 1, 1, 0, 0, 3)
    assert space in raw
    return raw.replace(space, space[:8] + (1 << 40).to_bytes(8, "little"))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(_looping_tree(), "lists its links twice", id="tree"),
        pytest.param(_looping_header(), "continues in itself", id="header"),
        pytest.param(_wide_attribute(), "more values than it stores", id="attribute"),
        pytest.param(patched(b"HEAP", b"HEEP"), "no local heap", id="heap"),
    ],
)
def test_a_file_that_turns_in_circles_is_left(raw: bytes, says: str) -> None:
    started = time.perf_counter()
    with pytest.raises(BundleError, match=says):
        _look_at_all(raw)
    assert time.perf_counter() - started < 2


def test_damage_anywhere_is_one_error_or_none() -> None:
    """Bytes are changed at random, most of them where the structure lies."""
    raw = written(good_weights())
    rng = np.random.default_rng(5)
    for _ in range(3_000):
        spoilt = bytearray(raw)
        for at in rng.integers(0, len(raw), rng.integers(1, 6)):
            spoilt[at] = rng.choice([0, 1, 255, 128, rng.integers(256)])
        with suppress(BundleError):
            _look_at_all(bytes(spoilt))


def test_no_bundle_needs_the_c_library(tiny_bundle: Any) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom scorer.bundle import read_bundle\n"
        "read_bundle(Path(sys.argv[1]))\nsys.exit('h5py' in sys.modules)"
    )
    path = tiny_bundle / "model.keras"
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 0


# --- one deflated chunk ---


def packed_file(values: np.ndarray, **settings: Any) -> bytes:
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_dataset("a", data=values, chunks=values.shape, **settings)
    return image.getvalue()


@given(
    st.integers(0, 99),
    st.sampled_from(TYPES),
    st.lists(st.integers(1, 7), min_size=1, max_size=3),
    st.booleans(),
    st.integers(1, 9),
)
def test_one_deflated_chunk_is_read(
    seed: int, kind: str, shape: list[int], shuffle: bool, level: int
) -> None:
    values = arrays(seed, kind, shape)
    raw = packed_file(values, shuffle=shuffle, compression=level)
    with pytest.MonkeyPatch.context() as patch, hdf5.opened(raw, "x") as mine:
        patch.setattr(hdf5_packed, "_AT_A_TIME", 1 + seed % 9)
        assert list(mine.faults()) == []
        found = mine["a"]
        assert isinstance(found, hdf5.Array)
        assert found.packed is not None
        assert found.packed.shuffled == shuffle
        assert found.size == values.nbytes
        assert np.array_equal(mine.values(found), values)


def test_an_array_of_far_more_bytes_than_are_stored_is_not_inflated() -> None:
    raw = packed_file(np.zeros(40_000_000, np.float32), compression=9)
    started = time.process_time()
    with hdf5.opened(raw, "x") as mine:
        found = mine["a"]
        assert isinstance(found, hdf5.Array)
        assert found.size == 0, "too few bytes are stored for its shape"
        with pytest.raises(ValueError, match="far more bytes"):
            mine.values(found)
    assert time.process_time() - started < 0.5


def test_a_chunk_that_lies_of_its_size_is_refused() -> None:
    """The stream holds fewer or more bytes than the shape says, or is cut."""
    values = np.arange(6000, dtype=np.float32)
    raw = packed_file(values, compression=9)
    with h5py.File(io.BytesIO(raw), "r") as file:
        chunk = file["a"].id.get_chunk_info(0)
    for data in (
        zlib.compress(values[:-1].tobytes()),
        zlib.compress(np.append(values, 0).astype(np.float32).tobytes()),
        zlib.compress(values.tobytes())[:-9],
        b"no stream",
    ):
        space = chunk.size
        assert len(data) <= space + 64
        changed = raw[: chunk.byte_offset] + data[:space].ljust(space, b"\0")
        changed += raw[chunk.byte_offset + space :]
        with hdf5.opened(changed, "x") as mine:
            found = mine["a"]
            assert isinstance(found, hdf5.Array)
            with pytest.raises(ValueError, match="inflate"):
                mine.values(found)
