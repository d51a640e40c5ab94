"""Runs killed at random moments end, resumed, in the bytes of a run that never was.

5 rounds by default, 100 with the marker `slow`:
`pytest -m slow tests/promises/rows/test_jobs_kill.py`.
"""

from __future__ import annotations

import multiprocessing as mp
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.jobs.plan import plan
from scorer.jobs.run import run_jobs
from tests.support.parrot import ParrotEngine, parrot
from tests.support.settings import changed, settings_of

ROWS = 4000
BATCH = 50
SETTINGS = settings_of(batch_size=BATCH, threads=2, resume=True)

# Children fork from a small process that has everything imported: no start-up blurs the moment.
CONTEXT = mp.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.parrot", "scorer.jobs.run", "scorer.jobs.plan"])


def text(i: int) -> str:
    return "" if i % 17 == 0 else f"good film {'slow ' * (i % 7)}{i}"


def write_input(path: Path) -> None:
    if path.suffix == ".parquet":
        rows = {"n": range(ROWS), "text": [text(i) for i in range(ROWS)]}
        pq.write_table(pa.table(rows), path, row_group_size=1111)
        return
    broken = (f",{i}" if i % 13 == 5 else "" for i in range(ROWS))
    lines = (f'{i},"{text(i)}"{more}\n' for i, more in zip(range(ROWS), broken, strict=True))
    path.write_text("n,text\n" + "".join(lines))


def run(inputs: list[str], output: str, seconds_per_row: float) -> None:
    """What the child does. The time a row takes makes the scoring most of the run."""
    run_jobs(parrot(seconds_per_row=seconds_per_row), plan(inputs, output), SETTINGS)


def kill_after(seconds: float, inputs: list[str], output: str) -> bool:
    """Start a run and SIGKILL it; False if it had ended by then."""
    child = CONTEXT.Process(target=run, args=(inputs, output, 2e-4))
    child.start()
    child.join(seconds)
    running = child.exitcode is None
    child.kill()
    child.join()
    assert running or child.exitcode == 0
    return running


def recorded_rows(output: Path) -> int:
    """The rows of whole records in the journal that a killed run left."""
    from scorer.jobs.journal import _read_record, read_header

    journal = output.with_name(f".{output.name}.journal")
    if not journal.exists():
        return 0
    with journal.open("rb") as file:
        if read_header(file) is None:
            return 0
        rows = 0
        while (record := _read_record(file)) is not None:
            rows += record.rows
    return rows


def one_round(folder: Path, name: str, rng: random.Random) -> int:
    """Kill a run up to three times, resume it, compare. Returns how many kills met a live run."""
    source, output = folder / name, folder / f"out-{name}"
    suffix = "".join(Path(name).suffixes)
    kills = 0
    for _ in range(rng.randint(1, 3)):
        kills += kill_after(rng.uniform(0.02, 0.9), [str(source)], str(output))
        if output.exists():
            break
    recorded = recorded_rows(output)
    model = parrot()
    if not output.exists() or output.with_name(f".{output.name}.journal").exists():
        (file,) = run_jobs(model, plan([str(source)], str(output)), SETTINGS).files
        assert file.resumed == recorded
        assert isinstance(model.engine, ParrotEngine)
        assert model.engine.rows == file.scored + file.unscored - recorded
    assert output.read_bytes() == (folder / f"whole{suffix}").read_bytes()
    for rejects in folder.glob("out-*.rejects.jsonl"):
        assert rejects.read_bytes() == (folder / f"whole{suffix}.rejects.jsonl").read_bytes()
        rejects.unlink()
    output.unlink()
    unlocked = [path.name for path in folder.glob(".*") if path.suffix != ".lock"]
    assert unlocked == []
    return kills


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs and the outputs of runs that nobody killed."""
    folder = tmp_path_factory.mktemp("kill")
    for name in NAMES:
        write_input(folder / name)
        whole = str(folder / f"whole{Path(name).suffix}")
        run_jobs(parrot(), plan([str(folder / name)], whole), changed(SETTINGS, resume=False))
    return folder


NAMES = ["in.csv", "in.parquet"]


def rounds(folder: Path, count: int, seed: int) -> None:
    rng = random.Random(seed)
    kills = sum(one_round(folder, NAMES[i % len(NAMES)], rng) for i in range(count))
    assert kills >= count / 2, "too few kills met a live run: the test shows little"


def test_killed_runs_end_the_same(prepared: Path) -> None:
    rounds(prepared, 5, seed=20260131)


@pytest.mark.slow
def test_a_hundred_killed_runs_end_the_same(prepared: Path) -> None:
    rounds(prepared, 100, seed=20260101)


def test_several_inputs_killed_between_and_within(prepared: Path) -> None:
    """Finished files of a killed run over several inputs are not scored again."""
    inputs = [str(prepared / name) for name in NAMES]
    folder = prepared / "many"
    folder.mkdir()
    child = CONTEXT.Process(target=run, args=(inputs, f"{folder}/", 2e-4))
    child.start()
    first, second = (folder / name for name in NAMES)
    while not first.exists() or not recorded_rows(second):
        assert child.is_alive(), "ended before it could be killed"
        time.sleep(0.005)
    child.kill()
    child.join()
    recorded, written = recorded_rows(second), first.stat()
    model = parrot()
    summary = run_jobs(model, plan(inputs, f"{folder}/"), SETTINGS)
    assert [file.input for file in summary.files] == inputs
    assert first.stat().st_mtime_ns == written.st_mtime_ns
    assert isinstance(model.engine, ParrotEngine)
    assert model.engine.rows == ROWS - recorded
    for name in NAMES:
        whole = prepared / f"whole{Path(name).suffix}"
        assert (folder / name).read_bytes() == whole.read_bytes()
    assert [path.name for path in folder.glob(".*") if path.suffix != ".lock"] == []
