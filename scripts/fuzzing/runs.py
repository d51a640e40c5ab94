"""What a run keeps beside its outputs: journals for `--resume`, the ledger for `--incremental`.

A case is a byte of flags, then the file. A damaged file must not show: what is there after the run
is what there would be without it, or the run refuses it in one line. One whose sums were made right
again is a forgery, by somebody who may write the outputs too: it must end well, too, but it may be
believed.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.fuzzing.case import Target, check_message, expect, folder
from scripts.fuzzing.tables import model

if TYPE_CHECKING:
    from scorer.model import Model

STRICT, FORGED, FINISHED, GONE = 1, 2, 4, 8
FINISHED_INPUT, STOPPED_INPUT = "a.csv", "b.csv"
INPUTS = {
    FINISHED_INPUT: b"text,id\ngood film,1\nbad film,2\n,3\n",
    STOPPED_INPUT: b"text,id\ngood,1\nbad,2\ngood bad,3\n,4\nx good,5\nbroken,6,7\nbad bad,8\n",
}
LEDGER = ".scorer-ledger.sqlite"
Files = dict[str, bytes]


def work() -> Path:
    return folder() / "work"


@cache
def loaded() -> Model:
    from scorer.model import load_model

    return load_model(str(model()), engine="cpu")


def score(flags: int = 0, *, resume: bool = False, incremental: bool = False) -> list[str]:
    """Score `in` to `out`; why inputs, or all of them, were not scored."""
    from scorer.errors import ScorerError
    from scorer.jobs.plan import plan
    from scorer.jobs.policy import Resume, RunPolicy
    from scorer.jobs.run import run_jobs
    from scorer.jobs.settings import Settings
    from scorer.jobs.spec import OutputSpec

    policy = RunPolicy(
        threads=1,
        batch_size=2,
        resume=Resume.MUST if resume else Resume.NEVER,
        incremental=incremental,
        max_rejects=0 if flags & STRICT else None,
    )
    settings = Settings(OutputSpec(evaluation=None), policy)
    try:
        made = plan([str(work() / "in")], str(work() / "out"))
        return [failure.error for failure in run_jobs(loaded(), made, settings).failures]
    except ScorerError as error:
        return [str(error)]


def lay_out(files: Files) -> None:
    """The inputs, as old as ever, and a folder of outputs with these files and no others."""
    shutil.rmtree(work(), ignore_errors=True)
    for name, content in INPUTS.items():
        path = work() / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    (work() / "out").mkdir()
    for name, content in files.items():
        (work() / "out" / name).write_bytes(content)


def found() -> Files:
    return {path.name: path.read_bytes() for path in sorted((work() / "out").iterdir())}


@cache
def stopped() -> Files:
    """What a run leaves that finished one input and was stopped by a row of the other."""
    lay_out({})
    (told,) = score(STRICT)
    expect("cannot be read" in told, told)
    return found()


@cache
def finished() -> Files:
    """What an incremental run leaves."""
    lay_out({})
    expect(not score(incremental=True), "the inputs cannot be scored")
    return found()


def journal_of(name: str) -> str:
    (journal,) = [at for at in stopped() if at.endswith(".journal") and name[0] in at[:2]]
    return journal


def check(failures: list[str], *, believed: bool) -> None:
    """Every output is there as it should be, or the run said why not."""
    for told in failures:
        check_message(told)
    there, right = found(), {k: v for k, v in finished().items() if not k.startswith(".")}
    if believed:
        return
    expect(bool(failures) or set(right) <= set(there), "an output is missing")
    for name in set(there) & set(right):
        expect(there[name] == right[name], f"{name} is not what it should be")


def run_journal(data: bytes) -> None:
    flags, content = (data[0], data[1:]) if data else (0, b"")
    forged = bool(flags & FORGED)
    name = journal_of(FINISHED_INPUT if flags & FINISHED else STOPPED_INPUT)
    lay_out({**stopped(), name: with_sums(content) if forged else content})
    check(score(flags, resume=True), believed=forged)


def run_ledger(data: bytes) -> None:
    """The outputs that a ledger speaks of are those that it should; or there are none."""
    flags, content = (data[0], data[1:]) if data else (0, b"")
    lay_out({**({} if flags & GONE else finished()), LEDGER: content})
    check(score(flags, incremental=True), believed=False)


def with_sums(content: bytes) -> bytes:
    """The journal with every length and check sum made right again, as far as it goes."""
    from scorer.jobs.journal import MAGIC

    at = len(MAGIC)
    if not content.startswith(MAGIC) or len(content) < at + 8:
        return content
    length = min(struct.unpack_from("<I", content, at)[0], len(content) - at - 8)
    text = content[at + 8 : at + 8 + length]
    done = [MAGIC, struct.pack("<II", length, zlib.crc32(text)), text]
    at += 8 + length
    while at + 24 <= len(content):
        window, rows, outputs, texts, _ = struct.unpack_from("<QIIII", content, at)
        payload = content[at + 24 : at + 24 + rows * (4 * outputs + 10)]
        crc = zlib.crc32(
            payload, zlib.crc32(struct.pack("<QIIII", window, rows, outputs, texts, 0))
        )
        done += [struct.pack("<QIIII", window, rows, outputs, texts, crc), payload]
        at += 24 + len(payload)
    return b"".join(done)


def journal_seeds() -> list[bytes]:
    names = {0: journal_of(STOPPED_INPUT), FINISHED: journal_of(FINISHED_INPUT)}
    return [
        bytes([flags | which]) + stopped()[name]
        for which, name in names.items()
        for flags in (0, STRICT, FORGED, FORGED | STRICT)
    ]


def ledger_seeds() -> list[bytes]:
    ledgers = [finished()[LEDGER], pending(finished()[LEDGER]), b""]
    return [bytes([flags]) + data for data in ledgers for flags in (0, STRICT, GONE, GONE | STRICT)]


def pending(ledger: bytes) -> bytes:
    """The ledger of a run that was killed before it published its first output."""
    path = folder() / "pending.sqlite"
    path.write_bytes(ledger)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("update outputs set state = 'pending' where output like 'a%'")
    connection.close()
    return path.read_bytes()


TARGETS = {
    "journal": Target(run_journal, journal_seeds),
    "ledger": Target(run_ledger, ledger_seeds),
}
