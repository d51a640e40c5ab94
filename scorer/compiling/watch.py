"""What this process compiles: how many kernels, which one now, and how long it took.

Numba compiles under a lock of its own, so one kernel is compiled at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

#: what a kernel takes on one core of a server; compiling takes about so long for each
SECONDS_A_KERNEL = 0.6


@dataclass
class Compilation:
    """The kernels that this process has compiled and is known to need.

    names     of the kernels needed, in the order in which that became known
    done      how many of them are compiled
    current   the one that is being compiled
    seconds   the time spent on those that are done
    """

    names: list[str] = field(default_factory=list)
    done: int = 0
    current: str | None = None
    seconds: float = 0.0
    _listeners: list[Callable[[Compilation], None]] = field(default_factory=list)
    _started: float = 0.0

    @property
    def about_s(self) -> float:
        """A guess of the seconds that all the kernels known to be needed take."""
        return len(self.names) * SECONDS_A_KERNEL

    def expect(self, name: str) -> None:
        """Note that a kernel has to be compiled."""
        if name not in self.names[self.done :]:
            self.names.append(name)

    def begin(self, name: str) -> None:
        self.expect(name)
        self.current, self._started = name, perf_counter()
        self._tell()

    def end(self) -> None:
        if self.current is None:
            return
        # Kernels are compiled in another order than they became known in.
        self.names.remove(self.current)
        self.names.insert(self.done, self.current)
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
