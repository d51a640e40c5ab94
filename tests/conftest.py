"""Fixtures that several test modules share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import settings

from tests.support import buckets, tiny

pytest.register_assert_rewrite("tests.support.runners")
# The same examples in every run (`scripts/fuzz.py` draws anew); a busy machine is not a failure.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo of small real models, one a task (see `tiny.TASKS`). Do not change it."""
    from scorer.zoo import write_index

    zoo = tmp_path_factory.mktemp("zoo")
    for name in tiny.TASKS:
        tiny.write_bundle(zoo, name)
    write_index(zoo)
    return zoo


@pytest.fixture(scope="session")
def tiny_bundle(tiny_zoo: Path) -> Path:
    """The folder of tiny-binary: model.keras and README.md."""
    return tiny_zoo / "tiny-binary" / "1.0.0"


@pytest.fixture(autouse=True)
def _no_other_zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own zoos out of every test."""
    monkeypatch.delenv("SCORER_ZOO", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what a command that runs inside a test does to the library's log."""
    log = logging.getLogger("scorer")
    before = log.handlers, log.level, log.propagate
    yield
    log.handlers, log.level, log.propagate = before


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The URL of an S3-compatible server on this machine."""
    with buckets.serving() as url:
        yield url


@pytest.fixture
def bucket(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[pa.fs.SubTreeFileSystem]:
    """An empty bucket named `data`, and the environment that leads `s3://data` to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    buckets.lead_to(endpoint, monkeypatch)
    with buckets.bucket(endpoint) as files:
        yield files
