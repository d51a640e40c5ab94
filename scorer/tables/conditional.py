"""Small files on S3-compatible stores that are replaced only if nobody else has meanwhile.

A store tells each content of a file by its ETag, here its version. `write` sends the version that
it replaces (If-Match), or that there must be none (If-None-Match), and the store refuses where
that is not so. Of two writers at the same time one wins, and the other learns of it: nothing
depends on clocks. Not every store that speaks S3 looks at these headers: ask `check_conditions`.

pyarrow has no such request, so botocore sends it, to the endpoint and with the credentials and
time-outs of the pyarrow file system at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from scorer.errors import InputError, OutputError, UsageError, pip_install
from scorer.tables.remote import (
    LIST_S,
    TRIES,
    RemoteFile,
    answer,
    split_query,
    store_errors,
)

#: an ETag that no content has
STALE = f'"{"0" * 32}"'
#: HTTP status codes of a condition that does not hold, of a write at the same time, of no such
#: file, and of a header that the store does not know
REFUSED, CONFLICT, MISSING, NOT_IMPLEMENTED = 412, 409, 404, 501


class Changed(Exception):
    """The file is not, or no longer, the one that a write was to replace."""


@dataclass(frozen=True)
class Versioned:
    """A file's content; its version; and the seconds since it was written, by the store's clock."""

    content: bytes
    version: str
    age_s: float


class ConditionalFile(Protocol):
    """A file that is replaced only if it is as it was."""

    @property
    def name(self) -> str: ...

    def read(self) -> Versioned | None:
        """The file as it is; None where there is none. Raises InputError."""
        ...

    def write(self, content: bytes, version: str | None) -> str:
        """Replace this version of the file, None: make it; the new version.

        Raises Changed where the file is another by now, and OutputError.
        """
        ...


def check_conditions(file: ConditionalFile, content: bytes) -> None:
    """Raise OutputError where the store of `file`, which is there, heeds no conditions.

    Writes `content` under conditions that do not hold; it must differ from the file's own. A store
    that heeds them leaves the file as it is.
    """
    for version in (None, STALE):
        try:
            file.write(content, version)
        except Changed:
            continue
        raise _heedless(file.name)


def _heedless(name: str) -> OutputError:
    return OutputError(
        f"{name}: its store does not heed conditional writes (If-None-Match and If-Match of "
        "PutObject), without which two machines would overwrite each other's entries: write to a "
        "store that does, or to a local folder"
    )


@dataclass(frozen=True)
class S3File:
    """A ConditionalFile on a store that `client`, of botocore, reaches."""

    name: str
    client: Any
    bucket: str
    key: str

    def read(self) -> Versioned | None:
        def get() -> Versioned:
            found = self.client.get_object(**self._place)
            return Versioned(found["Body"].read(), _version(found), _age(found))

        with store_errors(self.name, InputError, "read"):
            try:
                return answer(get, LIST_S)
            except Exception as error:
                if _code(error) == "NoSuchKey":
                    return None
                raise

    def write(self, content: bytes, version: str | None) -> str:
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}

        def put() -> str:
            return _version(self.client.put_object(**self._place, Body=content, **condition))

        with store_errors(self.name, OutputError, "written"):
            try:
                return answer(put, LIST_S)
            except Exception as error:
                if _status(error) == NOT_IMPLEMENTED:
                    raise _heedless(self.name) from error
                if not _refused(error):
                    raise
        # A write whose answer was lost is sent again, and then refused because of itself.
        found = self.read()
        if found is None or found.content != content:
            raise Changed(self.name)
        return found.version

    @property
    def _place(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}


def _refused(error: Exception) -> bool:
    return _status(error) in (REFUSED, CONFLICT) or _code(error) == "NoSuchKey"


def _status(error: Exception) -> int:
    response = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _version(response: Mapping[str, Any]) -> str:
    version: str = response["ETag"]
    return version


def _age(response: Mapping[str, Any]) -> float:
    """Seconds since the file was written; both times are the store's, to the second."""
    now = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    return float((now - response["LastModified"]).total_seconds())


def conditional_files(folder: RemoteFile) -> Callable[[str], S3File]:
    """Makes the ConditionalFile of each name in a folder.

    Raises UsageError for a store that is not S3-compatible, and where botocore is not installed.
    """
    base, query = split_query(folder.url)
    if getattr(folder.files, "type_name", "") != "s3":
        raise UsageError(
            f"{folder.url}: --incremental keeps its ledger beside the outputs, in a local folder "
            "or on an S3-compatible store (s3://): name one as --output"
        )
    client = _client(folder)
    bucket, _, path = folder.path.strip("/").partition("/")

    def named(name: str) -> S3File:
        url = f"{base.rstrip('/')}/{name}{query}"
        return S3File(url, client, bucket, f"{path}/{name}".lstrip("/"))

    return named


def _client(folder: RemoteFile) -> Any:
    """botocore's client for the store of a folder on a pyarrow S3FileSystem."""
    try:
        from botocore.session import Session
    except ImportError as error:
        raise UsageError(
            f"{folder.url}: --incremental on an object store needs botocore, which is not "
            f"installed: {pip_install('s3')}"
        ) from error
    _, (options,) = folder.files.__reduce__()  # all that the URL and the environment said
    with store_errors(folder.url, InputError, "reached"):
        return answer(lambda: Session().create_client("s3", **_settings(options)), LIST_S)


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """What a pyarrow S3FileSystem was made with, in botocore's words.

    What it leaves open both take from the environment and the user's AWS profile.
    """
    endpoint = options["endpoint_override"]
    if endpoint and "://" not in endpoint:
        endpoint = f"{options['scheme']}://{endpoint}"
    settings = {
        "endpoint_url": endpoint,
        "region_name": options["region"],
        "aws_access_key_id": options["access_key"],
        "aws_secret_access_key": options["secret_key"],
        "aws_session_token": options["session_token"],
        "verify": options.get("tls_ca_file_path"),
        "use_ssl": options["scheme"] != "http",
        "config": _config(options),
    }
    return {name: value for name, value in settings.items() if value not in (None, "")}


def _config(options: Mapping[str, Any]) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    virtual = options["force_virtual_addressing"] or not options["endpoint_override"]
    return Config(
        signature_version=UNSIGNED if options["anonymous"] else None,
        connect_timeout=options["connect_timeout"],
        read_timeout=options["request_timeout"],
        retries={"total_max_attempts": TRIES, "mode": "standard"},
        s3={"addressing_style": "auto" if virtual else "path"},
        proxies={},  # pyarrow, too, reads none from the environment
        # Stores other than AWS may refuse the checksums that botocore adds by itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
