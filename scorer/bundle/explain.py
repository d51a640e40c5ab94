"""Everything that is wrong with an archive, not the first fault alone: what it tried to do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from scorer.bundle.archive import member_faults, open_archive, read_archive, read_member
from scorer.bundle.config.normal import normalised
from scorer.bundle.dangers import load_json, tree_faults
from scorer.bundle.foreign import HDF5
from scorer.bundle.hdf5.reader import opened
from scorer.bundle.keras2.archive import H5, config_of
from scorer.bundle.weights import WEIGHTS
from scorer.errors import BundleError, UnsupportedModel

MOST_FAULTS = 20


def explain(path: Path) -> list[str]:
    """The faults of the archive at `path`, at most `MOST_FAULTS`, in the order they are found.

    Nothing is built or followed. Empty where the archive is safe to read, which does not say that
    its layers are supported.
    """
    return list(islice(_faults(path), MOST_FAULTS))


def _faults(path: Path) -> Iterator[str]:
    try:
        data, _ = read_archive(path)
        if data.startswith(HDF5):
            yield from _legacy_faults(data)
            return
        with open_archive(data) as archive:
            faults = list(member_faults(archive, len(data)))
            yield from faults
            for name in archive.namelist():
                if not any(repr(name) in fault for fault in faults):
                    yield from _content_faults(name, read_member(archive, name))
    except BundleError as error:
        yield str(error)


def _legacy_faults(data: bytes) -> Iterator[str]:
    with opened(data, H5) as file:
        yield from (f"{H5}: {fault}" for fault in file.faults())
        yield from _config_faults(config_of(file))


def _content_faults(name: str, data: bytes) -> Iterator[str]:
    if name == "config.json":
        yield from _config_faults(data)
    elif name == WEIGHTS:
        with opened(data, WEIGHTS) as file:
            yield from (f"{WEIGHTS}: {fault}" for fault in file.faults())


def _config_faults(data: bytes) -> Iterator[str]:
    config = load_json(data)
    try:
        config = normalised(config)
    except UnsupportedModel as error:
        yield str(error)  # the walk goes over what is written
    yield from tree_faults(config)
