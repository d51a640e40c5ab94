"""A run ends within seconds of a signal, and in a bounded time where a store does not answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scorer.errors import InputError, UsageError
from scorer.tables import remote
from tests.promises.rows.test_jobs_faults import wait_for

ROOT = Path(__file__).parents[3]
#: until a process that was asked to stop must have ended, on a machine that has other work
SECONDS = 6


class Store:
    """A store on this machine that takes connections and answers with `says`, then never again."""

    def __init__(self, says: Callable[[bytes], bytes] = lambda request: b"") -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._says = says
        self.asked = threading.Semaphore(0)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        while request := connection.recv(1 << 16):
            answer = self._says(request)
            connection.sendall(answer)
            if not answer.endswith(b"\r\n\r\n"):
                self.asked.release()  # and now it waits for ever

    def close(self) -> None:
        for one in (self._socket, *self._open):
            one.close()


@pytest.fixture
def silent() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


def url(scheme: str, port: int) -> str:
    place = f"endpoint_override=127.0.0.1:{port}&scheme=http"
    if scheme == "gs":
        return f"gs://anonymous@bucket/x.csv?{place}"
    return f"s3://bucket/x.csv?{place}&region=us-east-1"


def environment() -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    return {**os.environ, **keys, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": str(ROOT)}


def start(*arguments: str, before: Callable[[], object] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.slow_score", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=before,
    )


def check_stops(process: subprocess.Popen[str], number: signal.Signals) -> list[str]:
    """Send a signal: the process ends in time, with the signal's exit code. Its stderr."""
    process.send_signal(number)
    asked = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - asked < SECONDS
    assert process.returncode == 128 + number, errors
    return errors.splitlines()


@pytest.mark.parametrize(
    ("scheme", "number"), [("s3", signal.SIGTERM), ("gs", signal.SIGTERM), ("s3", signal.SIGINT)]
)
def test_a_signal_ends_a_run_that_waits_for_a_store(
    scheme: str, number: signal.Signals, silent: Store, tmp_path: Path
) -> None:
    process = start("0", url(scheme, silent.port), "-o", str(tmp_path / "out.csv"))
    assert silent.asked.acquire(timeout=30)
    assert check_stops(process, number) == [f"Error: stopped by {number.name}"]
    assert list(tmp_path.iterdir()) == []


def half(request: bytes) -> bytes:
    """What a store says that goes away in the middle of an object."""
    head = (
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nAccept-Ranges: bytes\r\n"
        'Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: "1"\r\n\r\n'
    )
    return head.encode() + (b"text\ngood\n" if request.startswith(b"GET") else b"")


def test_a_signal_ends_a_call_that_never_returns(tmp_path: Path) -> None:
    """The main thread sits in C: Python's own handler does not run."""
    number = signal.SIGHUP
    store = Store(half)
    process = start("0", url("s3", store.port), "-o", str(tmp_path / "out.csv"))
    assert store.asked.acquire(timeout=30)
    time.sleep(0.2)
    assert check_stops(process, number) == [
        f"Error: stopped by {number.name} while waiting for a call that did not return"
    ]
    assert list(tmp_path.iterdir()) == []
    store.close()


def test_a_signal_ends_a_run_that_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "in.csv")
    process = start("0", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"))
    wait_for(tmp_path / ".out.csv.journal", process)
    assert check_stops(process, signal.SIGTERM) == ["Error: stopped by SIGTERM"]
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_what_the_process_was_started_to_ignore_stays_ignored(tmp_path: Path) -> None:
    """As nohup starts it."""
    (tmp_path / "in.csv").write_text("text\n" + "good\n" * 500)

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = start("1e-3", str(tmp_path / "in.csv"), "--quiet", before=ignore)
    wait_for(tmp_path / ".in.scored.csv.journal", process, 40)
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


HURRY = (
    "from scorer.tables import remote\n"
    "remote.CONNECT_S = remote.REQUEST_S = 1\n"
    "remote.ANSWER_S, remote.TRIES = 2, 1\n"
    "import sys\n"
    "from tests.support.parrot import parrot\n"
    "import scorer.model\n"
    "from scorer.cli.score import main\n"
    "model = parrot()\n"
    "scorer.model.load_model = lambda *args, **options: model\n"
    "main(['-m', 'parrot', *sys.argv[1:]])\n"
)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_store_that_does_not_answer_is_given_up(
    scheme: str, silent: Store, tmp_path: Path
) -> None:
    """With the limits set to seconds; the file beside it is scored."""
    (tmp_path / "a.csv").write_text("text\ngood\n")
    away = url(scheme, silent.port)
    command = [sys.executable, "-c", HURRY, away, str(tmp_path / "a.csv"), "-o", f"{tmp_path}/out/"]
    started = time.monotonic()
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert time.monotonic() - started < 20
    assert done.returncode == 1
    error = done.stderr.splitlines()[0]
    assert error.startswith(f"Error: {away}: cannot be read: ")
    assert (tmp_path / "out/a.csv").exists()


def test_the_limits_of_a_store_are_seconds() -> None:
    found = remote.remote_file("s3://bucket/x.csv?region=us-east-1&scheme=http")
    _, (options,) = found.files.__reduce__()
    assert (options["connect_timeout"], options["request_timeout"]) == (10, 15)
    assert options["scheme"] == "http"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("https://example.org/a.csv", "https://example.org/a.csv: web addresses are not read"),
        ("HTTP://example.org/a.csv", "HTTP://example.org/a.csv: web addresses are not read"),
        ("hf://datasets/a/b.csv", "hf://datasets/a/b.csv: needs a Python package that is not"),
        ("sftp://host/b.csv", "sftp://host/b.csv: needs a Python package that is not installed"),
    ],
)
def test_a_url_that_nothing_installed_reads_is_one_line(
    name: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("huggingface_hub", "paramiko"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError) as caught:
        remote.remote_file(name)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_whatever_a_file_system_raises_names_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/box/in.csv", b"text\n")
    found = remote.remote_file("memory://box/in.csv")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the token\nhas expired")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", fail)
    with pytest.raises(InputError, match=r"^memory://box/in\.csv: cannot be read: the token has"):
        found.kind()
