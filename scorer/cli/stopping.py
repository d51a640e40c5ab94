"""A command that is asked to stop ends within seconds, whatever it is waiting for.

The first SIGTERM, SIGINT or SIGHUP raises Stopped, so that a run cleans up behind itself. Python
does so between two of its own instructions, and a call into C may wait for minutes: for a network
that does not answer, a disk that is gone. So a thread watches over it: the interpreter writes the
number of each signal to a pipe at once, and where the command does not end in time, the thread
ends the process.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scorer.files import remove_temporary

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: seconds until Python must have noticed a signal, and until the command must have cleaned up
NOTICED_S = 2.0
CLEANED_S = 8.0
SAID_S = 0.5


class Stopped(BaseException):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@contextmanager
def stoppable(say: Callable[[str], None]) -> Iterator[None]:
    """Turn the first signal into Stopped; later ones do not disturb the cleaning up.

    A signal that the process was started to ignore (by nohup) stays ignored. `say` tells the user
    that the process is ended without having cleaned up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are someone else's
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    previous = {
        n: handler for n, handler in handlers.items() if handler not in (signal.SIG_IGN, None)
    }
    noticed, over = threading.Event(), threading.Event()

    def stop(number: int, frame: object) -> None:
        for each in previous:
            signal.signal(each, signal.SIG_IGN)
        noticed.set()
        raise Stopped(number)

    with _watched(frozenset(previous), noticed, over, say):
        for number in previous:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            over.set()


@contextmanager
def _watched(
    numbers: frozenset[int],
    noticed: threading.Event,
    over: threading.Event,
    say: Callable[[str], None],
) -> Iterator[None]:
    """A thread that ends the process where a signal of `numbers` does not do so in time."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def watch() -> None:
        while number := os.read(reading, 1):
            if number[0] in numbers and not (noticed.wait(NOTICED_S) and over.wait(CLEANED_S)):
                _end_now(number[0], say)

    thread = threading.Thread(target=watch, name="scorer-signals", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        thread.join()
        os.close(reading)


def _end_now(number: int, say: Callable[[str], None]) -> None:
    """End the process without unwinding; what it says may find stderr blocked, too."""
    message = (
        f"stopped by {signal.Signals(number).name} while waiting for a call that did not return"
    )
    saying = threading.Thread(target=say, args=(message,), daemon=True)
    saying.start()
    saying.join(SAID_S)
    remove_temporary()
    os._exit(128 + number)


def others_run() -> bool:
    """Whether threads are at work that the process waits for where it ends in order."""
    return any(not t.daemon and t is not threading.main_thread() for t in threading.enumerate())


def leave(code: int, *, at_once: bool = False) -> None:
    """End the process without taking apart what the system frees anyway, which takes Python longer
    than to score a small table.

    What is registered for the exit runs before, but not `at_once`: it may wait for abandoned calls
    into C.
    """
    if not at_once:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            code = code or 1
    os._exit(code)
