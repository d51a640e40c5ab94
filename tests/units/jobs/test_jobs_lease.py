"""Leases: one holder at a time, whatever the clocks, crashes and networks do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import InputError, OutputBusy, OutputError
from scorer.jobs.ledger import lease as leases
from scorer.jobs.ledger.lease import LEASE_S, Lease, leased
from scorer.tables.conditional import Versioned
from tests.support.buckets import MemoryFile

HOUR = 3600.0


class World:
    """A store with its clock, and machines whose clocks all tell another time.

    A clock of a machine is read by `leases.now`; which machine acts is told by `at`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.95
        self.file = Network(self)
        self.at = ""
        self.offsets = {"a": 5000.0, "b": -77.0}
        monkeypatch.setattr(leases, "now", lambda: self.seconds + self.offsets[self.at])

    def lease(self, machine: str) -> Lease:
        return Lease(self.file, "s3://b/out", f"run-{machine}")


class Network(MemoryFile):
    """The store's file, at times out of reach; a request takes a while each way."""

    def __init__(self, world: World) -> None:
        super().__init__("s3://b/out/.scorer-lease.json", clock=lambda: world.seconds)
        self.world, self.down, self.slow = world, False, 0.0
        self.meanwhile: Callable[[], None] | None = None

    def read(self) -> Versioned | None:
        self._travel(InputError)
        return super().read()

    def write(self, content: bytes, version: str | None) -> str:
        self._travel(OutputError)  # on which another may be faster
        done = super().write(content, version)
        self.world.seconds += self.slow
        return done

    def _travel(self, kind: type[Exception]) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self.world.seconds += self.slow
        if self.down:
            raise kind("no route to the store")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def holds(world: World, lease: Lease, machine: str) -> bool:
    world.at = machine
    try:
        lease.check()
    except OutputError:
        return False
    return True


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.sampled_from("ab")),
        st.tuples(st.sampled_from(["renew", "release", "crash", "take"]), st.sampled_from("ab")),
        st.tuples(st.just("wait"), st.sampled_from([0.4, 29.0, LEASE_S - 0.9, LEASE_S + 2])),
        st.tuples(st.sampled_from(["down", "slow", "slow"]), st.sampled_from([0.0, 0.7, 45.0])),
    ),
    min_size=6,
    max_size=16,
)


@settings(max_examples=200)
@given(STEPS)
def test_nobody_takes_a_lease_that_another_may_rely_on(steps: list[tuple[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world, held = World(patch), dict[str, Lease]()
        for step, what in steps:
            if step == "wait":
                world.seconds += what
            elif step == "down":
                world.file.down = bool(what)
            elif step == "slow":
                world.file.slow = what
            else:
                world.at = what
                act(world, held, step, what)
            holding = {machine for machine in held if holds(world, held[machine], machine)}
            assert len(holding) <= 1


def act(world: World, held: dict[str, Lease], step: str, machine: str) -> None:
    if step == "take" and machine not in held:
        lease = world.lease(machine)
        try:
            lease.take()
        except (OutputBusy, OutputError, InputError):
            return
        held[machine] = lease
    elif step == "renew" and machine in held:
        try:
            held[machine].renew()
        except (OutputError, InputError):
            return
    elif step in ("release", "crash") and machine in held:
        lease = held.pop(machine)
        if step == "release":
            lease.release()


def test_a_second_run_is_told_who_has_it_and_for_how_long(world: World) -> None:
    world.at = "a"
    world.lease("a").take()
    world.seconds += 50
    world.at = "b"
    with pytest.raises(OutputBusy) as caught:
        world.lease("b").take()
    line = str(caught.value)
    assert line.startswith("s3://b/out: another incremental run is using it (run-a on ")
    assert line.endswith("wait for it to end; if it has crashed, its lease expires in 71 seconds")


@pytest.mark.parametrize("there", [False, True])
def test_of_two_who_take_it_at_once_one_is_refused(world: World, there: bool) -> None:
    world.at = "a"
    if there:
        world.file.write(b"{}", None)
        world.seconds += HOUR
    read, faster = world.file.read, world.lease("b")

    def read_and_be_overtaken() -> Versioned | None:
        found = read()
        world.file.meanwhile = faster.take  # before the write that follows
        world.file.read = read  # type: ignore[method-assign]
        return found

    world.file.read = read_and_be_overtaken  # type: ignore[method-assign]
    with pytest.raises(OutputBusy, match="run-b"):
        world.lease("a").take()
    faster.check()


def test_a_crashed_machine_is_waited_for_and_then_followed(world: World) -> None:
    world.at = "a"
    world.lease("a").take()
    world.at = "b"
    world.seconds += LEASE_S
    with pytest.raises(OutputBusy):
        world.lease("b").take()
    world.seconds += 2
    world.lease("b").take()


def test_a_lease_that_is_renewed_does_not_expire(world: World) -> None:
    world.at = "a"
    lease = world.lease("a")
    lease.take()
    for _ in range(20):
        world.seconds += LEASE_S * 0.9
        lease.renew()
        lease.check()
        world.at = "b"
        with pytest.raises(OutputBusy):
            world.lease("b").take()
        world.at = "a"


def test_a_run_whose_lease_was_taken_over_says_so(world: World) -> None:
    world.at = "a"
    lease = world.lease("a")
    lease.take()
    world.seconds += HOUR
    with pytest.raises(OutputError, match="could not be reached for 120 seconds; the next run"):
        lease.check()
    world.at = "b"
    world.lease("b").take()
    world.at = "a"
    lease.renew()
    with pytest.raises(OutputError, match="another run has taken it over"):
        lease.check()
    lease.release()
    world.at = "b"
    with pytest.raises(OutputBusy, match="run-b"):
        world.lease("c").take()


def test_a_lease_is_released_at_the_end_and_after_an_error(world: World) -> None:
    world.at = "a"
    with leased(world.file, "s3://b/out", "run-a"), pytest.raises(OutputBusy):
        world.lease("b").take()
    error = OutputError("no")
    with pytest.raises(OutputError, match="no"), leased(world.file, "s3://b/out", "run-a"):
        raise error
    world.lease("b").take()


def test_it_is_renewed_in_the_background(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.at, renewed = "a", threading.Event()
    monkeypatch.setattr(leases, "RENEW_S", 0.001)
    monkeypatch.setattr(Lease, "renew", lambda self: renewed.set())
    with leased(world.file, "s3://b/out", "run-a"):
        assert renewed.wait(60)


class Deaf(MemoryFile):
    """A file on a store that heeds no conditions."""

    def write(self, content: bytes, version: str | None) -> str:
        self.content = content
        return self._version()


def test_a_store_without_conditions_is_refused_and_left_free() -> None:
    file = Deaf("s3://b/out/.scorer-lease.json")
    for _ in range(2):
        with (
            pytest.raises(OutputError, match="does not heed conditional writes"),
            leased(file, "s3://b/out", "run-a"),
        ):
            pass
    assert json.loads(file.content or b"")["held"] is False


ANYTHING = st.none() | st.booleans() | st.floats() | st.text("a\n\x1b\u2028é", max_size=5)
LEASES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("held", "run_id", "host", "seconds"), ANYTHING)
)


@settings(max_examples=60)
@given(st.binary(max_size=9) | (LEASES | st.lists(ANYTHING)).map(lambda x: json.dumps(x).encode()))
def test_any_content_is_a_lease_that_ends_within_the_hour(content: bytes) -> None:
    seconds = [0.0]
    file = MemoryFile(clock=lambda: seconds[0])
    file.write(content, None)
    with suppress(OutputBusy):
        Lease(file, "s3://b/out", "run").take()
        return
    with pytest.raises(OutputBusy, match=r"\A[^\n\x1b\u2028]*\Z"):
        Lease(file, "s3://b/out", "run").take()
    seconds[0] = leases.MOST_S + 2
    Lease(file, "s3://b/out", "run").take()
