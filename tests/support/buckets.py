"""Buckets on an S3-compatible server in this process, and files in memory that behave like them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from scorer.tables.conditional import Changed, Versioned

BUCKET = "data"


@contextmanager
def serving(change: Callable[[dict[str, Any]], None] = lambda request: None) -> Iterator[str]:
    """The URL of a server that does one request after the other, each `change`d before.

    moto looks at a condition and writes after that; at a real store no request comes between.
    """
    pytest.importorskip("moto.server", reason="needs moto[server]")
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    moto, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def app(request: dict[str, Any], start: Any) -> Any:
        change(request)
        with turn:
            return moto(request, start)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def lead_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment that leads `s3://` to the server."""
    settings = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@contextmanager
def bucket(endpoint: str) -> Iterator[pa.fs.SubTreeFileSystem]:
    """The empty bucket `data` of the server that the environment leads to."""
    from pyarrow import fs

    s3 = fs.S3FileSystem(
        endpoint_override=endpoint.removeprefix("http://"),
        scheme="http",
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )
    s3.create_dir(BUCKET)
    yield fs.SubTreeFileSystem(BUCKET, s3)
    s3.delete_dir(BUCKET)


def put(bucket: pa.fs.FileSystem, path: str, content: bytes) -> None:
    with bucket.open_output_stream(path, compression=None) as stream:
        stream.write(content)


def get(bucket: pa.fs.FileSystem, path: str) -> bytes:
    with bucket.open_input_stream(path, compression=None) as stream:
        content: bytes = stream.read()
    return content


def names(bucket: pa.fs.FileSystem) -> list[str]:
    from pyarrow import fs

    found = bucket.get_file_info(fs.FileSelector("", recursive=True))
    return sorted(info.path for info in found if info.is_file)


@dataclass
class MemoryFile:
    """A ConditionalFile in memory. `clock` is the store's, which rounds its times to the second.

    A version is, as with S3, the digest of the content.
    """

    name: str = "memory"
    clock: Callable[[], float] = lambda: 0.0
    content: bytes | None = field(default=None, repr=False)
    written_at: float = 0.0

    def read(self) -> Versioned | None:
        if self.content is None:
            return None
        age = float(int(self.clock()) - int(self.written_at))
        return Versioned(self.content, self._version(), age)

    def write(self, content: bytes, version: str | None) -> str:
        found = None if self.content is None else self._version()
        if found != version:
            raise Changed(self.name)
        self.content, self.written_at = content, self.clock()
        return self._version()

    def _version(self) -> str:
        assert self.content is not None
        return hashlib.md5(self.content).hexdigest()
