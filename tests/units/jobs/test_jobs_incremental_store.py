"""Incremental runs into a bucket: the ledger lies there, and several machines may write to it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from scorer.errors import OutputBusy, OutputError
from scorer.jobs import each
from scorer.jobs.ledger import lease
from scorer.jobs.ledger.file import FILE, Ledger
from scorer.jobs.ledger.lease import Lease
from scorer.jobs.ledger.place import StoreKeeper
from scorer.jobs.plan import plan
from scorer.jobs.run import run_jobs
from scorer.jobs.settings import Settings
from scorer.jobs.summary import RunSummary
from scorer.model import Model
from scorer.tables import conditional
from scorer.tables.conditional import S3File, conditional_files
from scorer.tables.remote import RemoteFile, remote_file
from tests.support import buckets
from tests.support.buckets import get, names, put
from tests.support.parrot import ParrotEngine, parrot
from tests.support.settings import changed, settings_of

SETTINGS = settings_of(incremental=True, threads=1)
FOLDER = "s3://data/out"
HIDDEN = [f"out/{lease.FILE}", f"out/{FILE}"]

pytestmark = pytest.mark.usefixtures("bucket")


@pytest.fixture(autouse=True)
def _one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore reads its descriptions of all services for each client; one for a server will do."""

    def client(folder: RemoteFile) -> Any:
        place = os.environ["AWS_ENDPOINT_URL"]
        return CLIENTS.get(place) or CLIENTS.setdefault(place, real(folder))

    real = conditional._client
    monkeypatch.setattr(conditional, "_client", client)


CLIENTS: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def inbox(bucket: pa.fs.FileSystem) -> None:
    Path("inbox/day=1").mkdir(parents=True)
    write("inbox/a.csv", "good")
    write("inbox/day=1/b.csv", "bad")


def write(name: str, *texts: str) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in ["text", *texts]))


def run(model: Model | None = None, settings: Settings = SETTINGS, to: str = FOLDER) -> RunSummary:
    return run_jobs(model or parrot(), plan(["inbox"], to), settings)


def reasons(summary: RunSummary) -> dict[str, str]:
    assert summary.failures == []
    return {file.input.removeprefix("inbox/"): file.reason for file in summary.files}


def expire(patch: pytest.MonkeyPatch) -> None:
    """From now on every lease that is found has expired."""
    patch.setattr(lease, "ROUNDING_S", -1000.0)


def check_outputs(bucket: pa.fs.FileSystem) -> None:
    """The bucket holds what a local run makes; and the next run has nothing to do."""
    run_jobs(parrot(), plan(["inbox"], "expected"), changed(SETTINGS, force=True))
    there = {str(path.relative_to("expected")) for path in Path("expected").rglob("*.csv")}
    assert names(bucket) == sorted([*HIDDEN, *(f"out/{name}" for name in there)])
    for name in there:
        assert get(bucket, f"out/{name}") == Path(f"expected/{name}").read_bytes()
    again = run()
    assert (again.skipped, again.files, again.failures) == (len(there), [], [])


def test_only_what_is_new_or_changed_is_scored(bucket: pa.fs.FileSystem) -> None:
    rehearsal = run(settings=changed(SETTINGS, dry_run=True))
    assert [job.reason for job in rehearsal.planned] == ["new", "new"]
    assert names(bucket) == []
    assert reasons(run()) == {"a.csv": "new", "day=1/b.csv": "new"}
    check_outputs(bucket)
    write("inbox/a.csv", "good", "film")
    bucket.delete_file("out/day=1/b.csv")
    before = get(bucket, f"out/{FILE}")
    why = {job.input: job.reason for job in run(settings=changed(SETTINGS, dry_run=True)).planned}
    assert why["inbox/day=1/b.csv"] == "its output is gone"
    assert get(bucket, f"out/{FILE}") == before
    assert reasons(run()).keys() == {"a.csv", "day=1/b.csv"}
    check_outputs(bucket)


def test_a_file_that_no_run_made_is_not_replaced(bucket: pa.fs.FileSystem) -> None:
    put(bucket, "out/a.csv", b"precious")
    (failure,) = run().failures
    assert failure.error == f"{FOLDER}/a.csv: already exists; use --force to replace it"
    assert get(bucket, "out/a.csv") == b"precious"
    assert reasons(run(settings=changed(SETTINGS, force=True))) == {"a.csv": "new"}


def test_a_folder_that_moves_to_a_bucket_keeps_its_ledger(bucket: pa.fs.FileSystem) -> None:
    run(to="scored")
    for path in Path("scored").rglob("*"):
        if path.is_file():
            put(bucket, f"out/{path.relative_to('scored')}", path.read_bytes())
    assert run().skipped == 2
    Path("copy.sqlite").write_bytes(get(bucket, f"out/{FILE}"))
    with sqlite3.connect("copy.sqlite") as connection:
        assert connection.execute("select state from outputs").fetchall() == [("done",)] * 2
    connection.close()


def test_a_second_machine_is_refused_while_the_first_is_at_it(bucket: pa.fs.FileSystem) -> None:
    first = Lease(conditional_files(remote_file(FOLDER))(lease.FILE), FOLDER, "first")
    first.take()
    with pytest.raises(OutputBusy, match=rf"^{FOLDER}: another incremental run .*\(first on "):
        run()
    assert names(bucket) == [f"out/{lease.FILE}"]
    first.release()
    assert len(run().files) == 2


class Kill(BaseException):
    """The machine is gone: nothing that it does from now on reaches the store."""


@pytest.mark.parametrize(
    ("owner", "method", "after"),
    [
        (StoreKeeper, "save", False),  # nothing says that an output is begun
        (StoreKeeper, "save", True),  # the ledger says so
        (RemoteFile, "upload", False),  # it has been scored
        (RemoteFile, "upload", True),  # it is published
        (Ledger, "finish", True),  # and nothing says that it is done
        (StoreKeeper, "save_soon", False),
    ],
)
def test_a_kill_at_any_moment_loses_nothing(
    owner: type[Any],
    method: str,
    after: bool,
    bucket: pa.fs.FileSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run()
    write("inbox/a.csv", "good", "more")
    write("inbox/c.csv", "plot")
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, killing(getattr(owner, method), patch, after=after))
        with pytest.raises(Kill):
            run()
    with monkeypatch.context() as patch:
        expire(patch)
        summary = run()
    assert reasons(summary).keys() == {"a.csv", "c.csv"}
    check_outputs(bucket)


def killing(
    real: Callable[..., Any], patch: pytest.MonkeyPatch, *, after: bool
) -> Callable[..., Any]:
    """`real`, in which the machine is killed, before or after it has been done."""

    def dead(*_: object, **__: object) -> None:
        raise Kill

    def kill(*arguments: Any, **options: Any) -> None:
        if after:
            real(*arguments, **options)
        patch.setattr(S3File, "write", dead)
        patch.setattr(RemoteFile, "upload", dead)
        raise Kill

    return kill


def test_a_run_that_loses_its_lease_stops_and_keeps_what_it_has_done(
    bucket: pa.fs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, clock = each.score_table, lease.now

    def late(*arguments: Any) -> Any:
        if arguments[1].source.name == "inbox/day=1/b.csv":
            monkeypatch.setattr(lease, "now", lambda: clock() + lease.LEASE_S)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(each, "score_table", late)
        with pytest.raises(OutputError, match=f"^{FOLDER}: this run does not hold it any longer"):
            run()
    assert names(bucket) == [*HIDDEN, "out/a.csv"]
    expire(monkeypatch)
    assert reasons(run()) == {"day=1/b.csv": "interrupted before"}


def test_two_machines_score_every_file_once(bucket: pa.fs.FileSystem) -> None:
    for name in "cdef":
        write(f"inbox/{name}.csv", "good", name)
    engines = [ParrotEngine(), ParrotEngine()]
    done: list[RunSummary] = []

    def machine(engine: ParrotEngine) -> None:
        model = parrot()
        model.engine = engine
        while True:
            try:
                done.append(run(model))
                return
            except OutputBusy:
                time.sleep(0.01)

    threads = [threading.Thread(target=machine, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(summary.files) for summary in done) == [0, 6]
    assert sum(engine.rows for engine in engines) == 10
    check_outputs(bucket)


def test_a_store_that_heeds_no_conditions_is_refused_before_anything_is_scored(
    bucket: pa.fs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overlook(request: dict[str, Any]) -> None:
        request.pop("HTTP_IF_MATCH", None)

    with buckets.serving(overlook) as endpoint:  # whose buckets are those of the other server
        buckets.lead_to(endpoint, monkeypatch)
        for _ in range(2):  # and is not left busy
            with pytest.raises(OutputError, match="does not heed conditional writes"):
                run()
    assert names(bucket) == [f"out/{lease.FILE}"]


def test_a_ledger_in_a_bucket_that_is_none_is_named(bucket: pa.fs.FileSystem) -> None:
    put(bucket, f"out/{FILE}", b"this is no database" * 100)
    with pytest.raises(Exception, match=f"^{FOLDER}/{FILE}: cannot be used as a ledger"):
        run()
