"""A ledger on a store: several writers, and none loses an entry of another or of its own."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scorer.errors import OutputError
from scorer.jobs.ledger import place as keeping
from scorer.jobs.ledger.file import Row, copied_ledger, merged
from scorer.jobs.ledger.lease import Lease
from scorer.jobs.ledger.place import StoreKeeper
from scorer.tables.conditional import Changed, ConditionalFile, conditional_files
from scorer.tables.remote import remote_file
from scorer.tables.source import Source
from tests.support.buckets import MemoryFile

KEYS = ["x.csv", "x.csv", "y.csv"]
NAMES = "ab"


class Writer:
    """A run without a lease: all that is left to it are conditional writes."""

    def __init__(self, name: str, file: ConditionalFile, settings: str) -> None:
        self.name = name
        self.settings = settings
        self.unfinished: dict[str, bool] = {}  # begun outputs: whether they are published
        found = file.read()
        content, version = (b"", None) if found is None else (found.content, found.version)
        self._open = ExitStack()
        ledger = self._open.enter_context(copied_ledger(content, "ledger", name))
        self.keeper = StoreKeeper(ledger, file, version, Lease(file, "", name))

    def begin(self, key: str) -> None:
        self.keeper.ledger.begin(key, source(key), {"settings": self.settings})
        self.keeper.save()
        self.unfinished[key] = False

    def end(self, key: str, *, well: bool) -> None:
        if well:
            self.keeper.ledger.finish(key, source(key), {})
        else:
            self.keeper.ledger.fail(key, "no")
        del self.unfinished[key]

    def close(self) -> None:
        self._open.close()


def source(key: str) -> Source:
    return Source(f"in/{key}", lambda: io.BytesIO(), stat=lambda: {"size": 1})


class Bucket:
    """What is on the store, and the writers. Checks after each step that nothing is lost."""

    def __init__(self, file: ConditionalFile, *, alike: bool) -> None:
        self.file = file
        self.writers = {name: Writer(name, file, "" if alike else name) for name in NAMES}
        self.outputs: dict[str, str] = {}  # the settings that made each published output
        self.known: set[str] = set()
        self.alike = alike

    def step(self, name: str, step: str, key: str) -> None:
        writer = self.writers[name]
        published = writer.unfinished.get(key)
        if step == "crash":
            if self.alike:  # else nobody knows whose bytes are there: the lease is for that
                writer.close()
                self.writers[name] = Writer(name, self.file, writer.settings)
        elif step == "save":
            writer.keeper.save()
        elif published is None:
            writer.begin(key)
        elif step == "fail" or published:
            writer.end(key, well=published)
        else:
            self.outputs[key] = writer.settings
            writer.unfinished[key] = True
        self.check()

    def check(self) -> None:
        rows = self.rows()
        assert self.known <= rows.keys()
        assert self.outputs.keys() <= rows.keys()
        done = {key for key, row in rows.items() if row.state == "done"}
        assert done <= self.outputs.keys()
        self.known |= rows.keys()

    def rows(self) -> dict[str, Row]:
        found = self.file.read()
        with copied_ledger(b"" if found is None else found.content, "ledger", "") as ledger:
            rows = {key: ledger.row(key) for key in set(KEYS)}
            assert sum(row is not None for row in rows.values()) == len(ledger)
        return {key: row for key, row in rows.items() if row is not None}

    def close(self) -> None:
        """Everyone ends what they began; then whoever is done was the last to publish."""
        for writer in self.writers.values():
            for key, published in list(writer.unfinished.items()):
                writer.end(key, well=published)
            writer.keeper.save()
            self.check()
            writer.close()
        for key, row in self.rows().items():
            if row.state == "done":
                assert json.loads(row.identity) == {"settings": self.outputs[key]}


#: `on` begins an output, then publishes it, then notes that it is done
STEPS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["on", "on", "on", "on", "save", "fail", "crash"]),
        st.sampled_from(KEYS),
    ),
    min_size=6,
    max_size=14,
)


def ons(told: str) -> list[tuple[str, str, str]]:
    """`ax`: writer a goes on with x.csv; `a!`: a saves."""
    return [
        (step[0], "save" if step[1] == "!" else "on", f"{step[1]}.csv") for step in told.split()
    ]


def tell(bucket: Bucket, steps: list[tuple[str, str, str]]) -> None:
    for step in steps:
        bucket.step(*step)
    bucket.close()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PAUSE_S", 0.0)


UNHURRIED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@UNHURRIED
@given(STEPS, st.booleans())
@example(ons("ax by by"), False)
@example(ons("ax bx bx ax"), False)  # the last to publish was not the last to begin
@example(ons("ax bx ax bx bx b! ay ax"), False)  # b's row reaches a before a's is done
def test_two_writers_never_lose_an_entry(steps: list[tuple[str, str, str]], alike: bool) -> None:
    tell(Bucket(MemoryFile(), alike=alike), steps)


def test_two_writers_never_lose_an_entry_in_a_bucket(bucket: Any) -> None:
    named, count = conditional_files(remote_file("s3://data/out")), iter(range(1000))

    @settings(parent=UNHURRIED, max_examples=6)
    @given(STEPS, st.booleans())
    def check(steps: list[tuple[str, str, str]], alike: bool) -> None:
        tell(Bucket(named(str(next(count))), alike=alike), steps)

    check()


def row(state: str, settings: str, run: str) -> Row:
    return Row("x", "in/x", "{}", None, settings, state, None, run, "2026")


@given(*[st.builds(row, st.sampled_from(["done", "pending"]), *[st.sampled_from("ab")] * 2)] * 3)
def test_merging_is_the_same_from_both_sides(before: Row, mine: Row, theirs: Row) -> None:
    here, there = merged(before, mine, theirs), merged(before, theirs, mine)
    assert here.state == there.state
    if here.state == "done":
        assert here.identity == there.identity
        assert "done" in (mine.state, theirs.state)
    assert merged(before, mine, before) == mine
    assert merged(before, before, theirs) == theirs


def test_a_ledger_that_was_removed_meanwhile_is_written_anew() -> None:
    file = MemoryFile()
    writer = Writer("a", file, "")
    writer.begin("x.csv")
    file.content = None
    writer.end("x.csv", well=True)
    writer.keeper.save()
    with copied_ledger(file.content or b"", "ledger", "") as ledger:
        assert ledger.row("x.csv") is not None


class Contested(MemoryFile):
    """A file that somebody else replaces before every write."""

    def write(self, content: bytes, version: str | None) -> str:
        raise Changed(self.name)


def test_a_writer_that_is_never_first_gives_up() -> None:
    writer = Writer("a", Contested("s3://b/ledger"), "")
    with pytest.raises(OutputError, match="s3://b/ledger: cannot be written: other runs"):
        writer.begin("x.csv")


class Counting(MemoryFile):
    written = 0

    def write(self, content: bytes, version: str | None) -> str:
        self.written += len(content)
        return super().write(content, version)


def test_what_is_written_grows_with_the_outputs_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "ROWS_A_WRITE", 32)

    def cost(outputs: int) -> float:
        file = Counting()
        writer = Writer("a", file, "")
        names: Iterator[str] = (f"{i}.csv" for i in range(outputs))
        block: list[str] = []
        for name in names:
            block.append(name)
            if len(block) >= writer.keeper.ahead:
                for each in block:
                    writer.keeper.ledger.begin(each, source(each), {})
                writer.keeper.save()
                block.clear()
        writer.close()
        return file.written / outputs

    assert cost(512) < 2 * cost(64)
