"""What this process compiles: how many kernels, which one now, and how long it took.

Numba compiles under a lock of its own, so one kernel is compiled at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

#: what compiling a kernel takes on one core of a server, on average
SECONDS_A_KERNEL = 0.5


@dataclass
class Compilation:
    """The kernels that this process has compiled, and those that it is known to need.

    pending   names of those that are not compiled yet
    done      how many are compiled
    current   the one that is being compiled now
    seconds   the time spent on those that are done
    """

    pending: list[str] = field(default_factory=list)
    done: int = 0
    current: str | None = None
    seconds: float = 0.0
    _listeners: list[Callable[[Compilation], None]] = field(default_factory=list)
    _started: float = 0.0

    @property
    def total(self) -> int:
        """How many kernels are compiled or known to be needed."""
        return self.done + len(self.pending)

    @property
    def about_s(self) -> float:
        """A guess of the seconds that all of them take together."""
        measured = self.seconds / self.done if self.done else 0.0
        return self.total * max(measured, SECONDS_A_KERNEL)

    def expect(self, name: str) -> None:
        """Note that a kernel has to be compiled."""
        if name not in self.pending:
            self.pending.append(name)

    def begin(self, name: str) -> None:
        self.expect(name)
        self.current, self._started = name, perf_counter()
        self._tell()

    def end(self) -> None:
        if self.current is None:
            return
        self.pending.remove(self.current)
        self.done += 1
        self.seconds += perf_counter() - self._started
        self.current = None
        self._tell()

    @contextmanager
    def told_to(self, listener: Callable[[Compilation], None]) -> Iterator[None]:
        """Call `listener` whenever a kernel begins or ends."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener(self)


#: of this process
compilation = Compilation()
