"""Files on a store that are replaced only if nobody else has: moto's, and our own in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scorer.errors import InputError, OutputError, UsageError
from scorer.tables.conditional import (
    Changed,
    ConditionalFile,
    S3File,
    check_conditions,
    conditional_files,
)
from scorer.tables.remote import remote_file
from tests.support import buckets
from tests.support.buckets import MemoryFile

FOLDER = "s3://data/out"
CONTENTS = [b"", b"one", b"two"]


def s3_file(name: str) -> S3File:
    return conditional_files(remote_file(FOLDER))(name)


#: what a writer does: read, or write a content over what it read last, or over nothing
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]), st.sampled_from([None, *CONTENTS]), st.sampled_from([0, 1])
    ),
    max_size=8,
)


def story(file: ConditionalFile, steps: list[tuple[str, bytes | None, int]]) -> list[Any]:
    """What two writers are told, step by step."""
    seen: dict[str, str | None] = {"a": None, "b": None}
    told: list[Any] = []
    for writer, content, fresh in steps:
        if content is None:
            found = file.read()
            seen[writer] = None if found is None else found.version
            told.append(None if found is None else found.content)
            continue
        try:
            seen[writer] = file.write(content, None if fresh else seen[writer])
            told.append("written")
        except Changed:
            told.append("changed")
    return told


class Resent(MemoryFile):
    """As S3File: a write that finds its own content there has been sent twice."""

    def write(self, content: bytes, version: str | None) -> str:
        try:
            return super().write(content, version)
        except Changed:
            if self.content != content:
                raise
            return self._version()


def test_a_store_does_as_the_file_in_memory(bucket: pa.fs.FileSystem) -> None:
    named, count = conditional_files(remote_file(FOLDER)), iter(range(1000))

    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(STEPS)
    def check(steps: list[tuple[str, bytes | None, int]]) -> None:
        assert story(named(str(next(count))), steps) == story(Resent(), steps)

    check()


def test_the_file_lies_in_the_folder_and_knows_its_age(bucket: pa.fs.FileSystem) -> None:
    file = s3_file("x.json")
    assert file.read() is None
    version = file.write(b"1", None)
    assert buckets.get(bucket, "out/x.json") == b"1"
    found = file.read()
    assert found is not None
    assert found.version == version
    assert 0 <= found.age_s < 60
    check_conditions(file, b"other")
    assert buckets.get(bucket, "out/x.json") == b"1"


@pytest.fixture(params=["HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "both"])
def deaf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3File]:
    """A file on a server that overlooks a condition, or both."""
    dropped = (
        [request.param] if request.param != "both" else ["HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"]
    )

    def overlook(headers: dict[str, Any]) -> None:
        for name in dropped:
            headers.pop(name, None)

    with buckets.serving(overlook) as endpoint:
        buckets.lead_to(endpoint, monkeypatch)
        with buckets.bucket(endpoint):
            yield s3_file("x")


def test_a_store_that_overlooks_conditions_is_found_out(deaf: S3File) -> None:
    deaf.write(b"1", None)
    with pytest.raises(OutputError, match="s3://data/out/x: its store does not heed conditional"):
        check_conditions(deaf, b"2")


class Client:
    """A botocore client that refuses a write, and says what is there."""

    def __init__(self, status: int, code: str, content: bytes) -> None:
        self.status, self.code, self.content = status, code, content

    def put_object(self, **_: Any) -> None:
        from botocore.exceptions import ClientError

        response = {
            "Error": {"Code": self.code, "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": self.status},
        }
        raise ClientError(response, "PutObject")

    def get_object(self, **_: Any) -> dict[str, Any]:
        import io
        from datetime import UTC, datetime

        return {
            "Body": io.BytesIO(self.content),
            "ETag": '"now"',
            "LastModified": datetime(2026, 1, 1, tzinfo=UTC),
            "ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:01:30 GMT"}},
        }


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (412, "PreconditionFailed", Changed),
        (409, "ConditionalRequestConflict", Changed),
        (404, "NoSuchKey", Changed),
        (404, "NoSuchBucket", OutputError),
        (403, "AccessDenied", OutputError),
        (501, "NotImplemented", OutputError),
    ],
)
def test_what_a_refusal_means(status: int, code: str, error: type[Exception]) -> None:
    file = S3File("s3://b/x", Client(status, code, b"theirs"), "b", "x")
    with pytest.raises(error):
        file.write(b"mine", '"old"')
    found = file.read()
    assert found is not None
    assert found.age_s == 90


def test_a_write_that_was_sent_twice_has_been_done() -> None:
    file = S3File("s3://b/x", Client(412, "PreconditionFailed", b"mine"), "b", "x")
    assert file.write(b"mine", '"old"') == '"now"'


def test_errors_of_a_store_are_one_line(bucket: pa.fs.FileSystem) -> None:
    file = conditional_files(remote_file("s3://none/out?region=us-east-1"))("x")
    with pytest.raises(
        OutputError, match=r"^s3://none/out/x\?region=us-east-1: cannot be written: .*NoSuchBucket"
    ):
        file.write(b"1", None)
    with pytest.raises(
        InputError, match=r"^s3://none/out/x\?region=us-east-1: cannot be read: .*NoSuchBucket"
    ):
        file.read()


def test_what_pyarrow_was_told_is_told_to_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    url = "s3://me:secret@data/out?endpoint_override=127.0.0.1:9&scheme=http&region=eu-west-1"
    file = conditional_files(remote_file(url))("x")
    assert file.name.endswith("out/x?endpoint_override=127.0.0.1:9&scheme=http&region=eu-west-1")
    assert (file.bucket, file.key) == ("data", "out/x")
    meta, config = file.client.meta, file.client.meta.config
    assert (meta.endpoint_url, meta.region_name) == ("http://127.0.0.1:9", "eu-west-1")
    assert (config.connect_timeout, config.read_timeout) == (10, 15)
    assert config.retries["total_max_attempts"] == 3
    assert config.s3["addressing_style"] == "path"
    assert config.proxies == {}
    signer = file.client._request_signer._credentials
    assert (signer.access_key, signer.secret_key) == ("me", "secret")


@pytest.mark.parametrize(
    ("url", "hide", "line"),
    [
        ("s3://data/out?region=eu-west-1", ("botocore.session",), "pip install 'text-scorer[s3]'"),
        ("memory://data/out", (), "in a local folder or on an S3-compatible store"),
    ],
)
def test_what_is_missing_is_named(
    url: str, hide: tuple[str, ...], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in hide:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as caught:
        conditional_files(remote_file(url))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
