"""What every runner must do as this process does: inputs, comparisons, and workers that die."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.bundle import Bundle, Input, input_of
from scorer.bundle.annotate import annotate
from scorer.bundle.network import Call
from scorer.card import Card
from scorer.engines.cpu import CpuEngine
from scorer.jobs.each import Runner
from scorer.jobs.parts import scoring as parts
from scorer.jobs.plan import RunPlan, plan
from scorer.jobs.run import run_jobs
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.jobs.summary import RunSummary
from scorer.layers.spec import TensorSpec
from scorer.model import Model
from scorer.tables import ReadOptions, Source, local_source, open_reader
from scorer.tables.parts import PartSize
from scorer.tables.source import BUFFER_BYTES
from scorer.tables.text import plain
from scorer.tasks import OutputOptions
from tests.support.networks import dense, embedding, lstm, merge, spec
from tests.support.settings import changed, settings_of
from tests.support.tiny import card_fields

ROOT = Path(__file__).parents[2]
#: of a worker, which has one thread, so that summaries agree
SETTINGS = settings_of(threads=1)
TEXTS = (
    "a good film",
    "",
    "dull plot, poor acting",
    None,
    "naïve café — fine",
    "...",
    "slow " * 90,
)


def rows(count: int) -> list[str | None]:
    return [TEXTS[i % len(TEXTS)] for i in range(count)]


def write_inputs(folder: Path) -> None:
    """Tables of every kind: labels, rejects, nulls, none at all, and one that cannot be scored."""
    folder.mkdir()
    lines = [f'{i},"{text or ""}",{i % 2}' for i, text in enumerate(rows(700))]
    lines[13:13] = ["broken", "7,broken,1,more"]
    (folder / "labels.csv").write_text("\n".join(["n,text,label", *lines, ""]))
    table = pa.table({"n": range(500), "text": pa.array(rows(500), pa.large_string())})
    (folder / "day=1").mkdir()
    pq.write_table(table, folder / "day=1" / "nulls.parquet", row_group_size=99)
    records = "".join(json.dumps({"review": text}) + "\n" for text in rows(50))
    (folder / "records.jsonl.gz").write_bytes(gzip.compress(f"{records}{{broken\n".encode()))
    (folder / "empty.csv").write_text("text\n")
    (folder / "other.csv").write_text("some,columns\n1,2\n")


def published(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without the moment at which a report was made.

    Of hidden files, which hold times too, the names alone.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        report = path.parent / "report.json"
        if report.exists():
            created = json.loads(report.read_bytes())["created"]
            for moment in (created, created.replace("T", " ").replace("+00:00", " UTC")):
                content = content.replace(moment.encode(), b"")
        hidden = path.name.startswith(".")
        found[path.relative_to(folder).as_posix()] = b"" if hidden else content
    return found


def content(path: Path) -> Any:
    """A file's bytes; of Parquet, whose bytes tell where it was cut, schema and rows."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    table = pq.read_table(path, partitioning=None)
    return table.schema, table.schema.metadata, table.to_pylist()


def as_one_file(folder: Path, read: ReadOptions | None = None) -> Any:
    """What the parts of a folder are together, each one's head but the first's left out."""
    paths = sorted(path for path in folder.iterdir() if path.name.startswith("part-"))
    if folder.suffix == ".parquet":
        found = [content(path) for path in paths]
        assert all(each[:2] == found[0][:2] for each in found)
        return (*found[0][:2], [row for each in found for row in each[2]])
    if len(paths) == 1:
        return content(paths[0])
    reader, _ = open_reader(local_source(paths[0]), read)
    head = getattr(reader, "preamble", b"") + getattr(reader, "header", b"")
    reader.close()
    contents = [path.read_bytes() for path in paths]
    assert all(each.startswith(head) for each in contents)
    return head + b"".join(each.removeprefix(head) for each in contents)


def facts(summary: RunSummary) -> dict[str, Any]:
    """A summary without times and the run's own name."""
    whole = asdict(summary)
    for name in ("run_id", "started_at", "elapsed_s"):
        del whole[name]
    for file in whole["files"]:
        del file["elapsed_s"], file["seconds"]
    return whole


def score_both(
    model: Model, runner: Runner, inputs: Sequence[str], settings: Settings = SETTINGS
) -> tuple[RunSummary, RunSummary]:
    """Score below the current folder here and by a runner, into `out/`, later `here/`, `there/`."""
    here = run_jobs(model, plan(inputs, "out/"), settings)
    Path("out").rename("here")
    there = run_jobs(model, plan(inputs, "out/"), settings, runner=runner)
    Path("out").rename("there")
    return here, there


def check_same(model: Model, runner: Runner) -> None:
    """The outputs, rejects, reports and summary of a runner are those of a local run."""
    write_inputs(Path("in"))
    here, there = score_both(model, runner, ["in"])
    assert facts(there) == facts(here)
    assert (len(there.files), len(there.failures), there.total("rejected")) == (4, 1, 3)
    assert there.exit_code == 1
    assert published(Path("there")) == published(Path("here"))
    assert {"labels.csv.rejects.jsonl", "labels.report/report.html"} < set(published(Path("there")))


def write_large(folder: Path) -> None:
    """Tables of 1,500 rows that workers split, two with rows that cannot be read."""
    folder.mkdir()
    table = pa.table({"n": range(1500), "text": rows(1500), "label": [i % 2 for i in range(1500)]})
    pq.write_table(table, folder / "large.parquet", row_group_size=130)
    lines = [f'{i},"{text or ""}\n""two""",{i % 2}' for i, text in enumerate(rows(1500))]
    lines[700:700] = ["broken", "", '7,"broken"x,1', '8,"broken', "9,x,1,more"]
    (folder / "lines.csv").write_text("\n".join(["n,text,label", *lines, ""]))
    records = [json.dumps({"text": text, "label": i % 2}) for i, text in enumerate(rows(1500))]
    records[1400:1400] = ["{broken", "", '{"text":7}', '{"prediction":1,"m_prediction":1}']
    (folder / "records.jsonl").write_text("\r\n".join(records))


def check_parts(model: Model, runner: Runner, options: OutputOptions | None = None) -> None:
    """Files whose parts go to several workers are put together as a local run makes them."""
    write_large(Path("in"))
    settings = changed(SETTINGS, batch_size=64, output=options or OutputOptions())
    opens = Path("opens").resolve()
    opens.mkdir()
    path = Path("in/large.parquet").resolve()

    def opened() -> str:
        """Where Parquet is read from; every reader leaves a note."""
        (opens / f"{time.monotonic_ns()}-{os.getpid()}").touch()
        return str(path)

    first, *others = plan(["in"], "out/").jobs
    here = run_jobs(model, RunPlan((first, *others), "out/"), settings)
    Path("out").rename("here")
    watched = replace(first, source=replace(first.source, random=opened))
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        assert all(len(parts.parts_of(job, settings).parts) > 2 for job in others)
        there = run_jobs(model, RunPlan((watched, *others), "out/"), settings, runner=runner)
    assert len(list(opens.iterdir())) == 1 + 3 + 1  # who splits, three parts, who puts together
    assert facts(there) == facts(here)
    assert [file.rejected for file in there.files] == [0, 4, 3]
    assert published(Path("out")) == published(Path("here"))
    assert {"large.parquet", "large.report/report.html"} < set(published(Path("out")))


def small_parts(patch: pytest.MonkeyPatch) -> None:
    """Have files of a few kilobytes split."""
    patch.setattr(parts, "SPLIT_BYTES", 0)
    patch.setattr(parts, "PART_SIZE", PartSize(500, 30_000))
    patch.setattr(plain, "BLOCK_BYTES", 1 << 14)


def check_folders(model: Model, runner: Runner) -> None:
    """Folders of parts are together the files of a local run, with its rejects and reports."""
    write_large(Path("in"))
    Path("in/whole.csv.gz").write_bytes(gzip.compress(b"text\ngood\nbroken,row\n", mtime=0))
    settings = changed(SETTINGS, batch_size=64)
    here = run_jobs(model, plan(["in"], "out/"), settings)
    Path("out").rename("here")
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        asked = changed(settings, split_output=True)
        there = run_jobs(model, plan(["in"], "out/", split_output=True), asked, runner=runner)
        again = run_jobs(model, plan(["in"], "out/", split_output=True), asked, runner=runner)
    without = {"settings": None, "warnings": None}
    assert facts(there) | without == facts(here) | without
    assert [failure.exit_code for failure in again.failures] == [2, 2, 2, 2]
    folders = [path for path in sorted(Path("out").iterdir()) if path.suffix != ".report"]
    folders = [path for path in folders if path.is_dir()]
    for folder in folders:
        assert as_one_file(folder) == content(Path("here") / folder.name)
    counts = {path.name: len(list(path.glob("part-*"))) for path in folders}
    assert counts.pop("whole.csv.gz") == 1
    assert len(counts) == 3 <= min(counts.values())
    apart = {path.as_posix(): text for path, text in _beside(Path("out"), folders).items()}
    assert apart == {p.as_posix(): text for p, text in _beside(Path("here"), folders).items()}


def _beside(root: Path, folders: Sequence[Path]) -> dict[Path, bytes]:
    """What lies beside the outputs: rejects, reports and nothing else."""
    outputs = {folder.name for folder in folders}
    found = published(root)
    return {Path(name): text for name, text in found.items() if Path(name).parts[0] not in outputs}


def several_inputs() -> Model:
    """A regression of the text and of the numbers `length` and `shouts` beside it."""
    rng = np.random.default_rng(2)
    inputs = (
        input_of("words", spec(9), "words"),
        Input("aux", None, TensorSpec((2,)), "aux"),
    )
    calls = (
        Call("embedded", embedding(rng, 9, 4), ("words",)),
        Call("state", lstm(rng, 4, 3), ("embedded",)),
        Call("joined", merge("Concatenate"), ("aux", "state")),
        Call("points", dense(rng, 5, 1, "linear"), ("joined",)),
    )
    bundle = Bundle(Path("several.keras"), "7" * 64, inputs, annotate(inputs, calls))
    fields = {**card_fields("tiny-points", [("w1", [0.5])]), "body": ""}
    fields["scorer"]["inputs"] = [{"name": "aux", "columns": ["length", "shouts"]}]
    return Model(Card.model_validate(fields), bundle, CpuEngine(bundle))


def check_several_inputs(model: Model, runner: Runner) -> None:
    """Columns beside the text go to the workers with it."""
    Path("in").mkdir()
    texts = ["w1 w2", "w8", None, "", "w3 w3 w3", "zzz"] * 50
    numbers = [None if i % 7 == 3 else i / 8 for i in range(300)]
    whole = [t for t, n in zip(texts, numbers, strict=True) if t and n is not None]
    table = pa.table({"text": texts, "length": numbers, "shouts": range(300)})
    pq.write_table(table, "in/numbers.parquet", row_group_size=70)
    lines = (
        f"{t or ''},{'' if n is None else n},{i}"
        for i, (t, n) in enumerate(zip(texts, numbers, strict=True))
    )
    Path("in/numbers.csv").write_text("\n".join(["text,length,shouts", *lines, ""]))
    here, there = score_both(model, runner, ["in"])
    assert facts(there) == facts(here)
    assert there.exit_code == 0
    assert there.total("scored") == 2 * len(whole)
    assert published(Path("there")) == published(Path("here"))


def check_urls(model: Model, runner: Runner, work: Path) -> None:
    """Inputs and outputs that URLs name go through the file system that workers get with a job."""
    write_inputs(Path("in"))
    Path("in/other.csv").unlink()
    url = Path.cwd().as_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(work))
        for folder, chosen in {"here": None, "there": runner}.items():
            summary = run_jobs(
                model, plan([f"{url}/in"], f"{url}/{folder}/"), SETTINGS, runner=chosen
            )
            assert summary.exit_code == 3
            assert len(summary.files) == 4
    assert published(Path("there")) == published(Path("here"))


def check_incremental(model: Model, runner: Runner) -> None:
    """A second run does only what is new; a file of someone else's is not replaced."""
    write_inputs(Path("in"))
    settings = changed(SETTINGS, incremental=True)
    here, there = score_both(model, runner, ["in"], settings)
    assert facts(there) == facts(here)
    Path("there").rename("out")
    Path("in/new.csv").write_text("text\ngood\n")
    Path("in/theirs.csv").write_text("text\ngood\n")
    Path("out/theirs.csv").write_text("precious")
    again = run_jobs(model, plan(["in"], "out/"), settings, runner=runner)
    assert [Path(file.input).name for file in again.files] == ["new.csv"]
    assert [Path(failure.input).name for failure in again.failures] == ["other.csv", "theirs.csv"]
    assert again.skipped == 4
    assert Path("out/theirs.csv").read_text() == "precious"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Deadly(io.BytesIO):
    """A file whose second buffer is the death of who reads it, until `deaths` have been noted."""

    def __init__(self, content: bytes, notes: Path, deaths: int, kill: Callable[[], None]) -> None:
        super().__init__(content)
        self._dies = len(list(notes.iterdir())) < deaths
        self._notes = notes
        self._kill = kill

    def read(self, size: int | None = -1) -> bytes:
        if self._dies and self.tell() >= BUFFER_BYTES:
            (self._notes / str(os.getpid())).touch()
            self._kill()
        return super().read(size)


def deadly(job: Job, notes: Path, deaths: int, kill: Callable[[], None] = die) -> Job:
    """The job, with an input that kills the first `deaths` workers in its middle."""
    notes.mkdir()
    path = job.source.path
    assert path is not None

    def opened() -> io.BytesIO:
        return _Deadly(path.read_bytes(), notes, deaths, kill)

    source = Source(job.source.name, opened, None, job.source.stat, path)
    return replace(job, source=source)


def check_deaths(model: Model, runner: Runner, kill: Callable[[], None] = die) -> None:
    """A worker that dies in a file costs nothing but time; a file that kills them all, itself."""
    lines = "".join(f'{i},"{text or ""}"\n' for i, text in enumerate(rows(25_000)))
    Path("in").mkdir()
    for name in ("a.csv", "b.csv", "c.csv"):
        Path("in", name).write_text(f"n,text\n{lines}")
    settings = changed(SETTINGS, batch_size=100)
    here = run_jobs(model, plan(["in"], "here/"), settings)
    a, b, c = plan(["in"], "there/").jobs
    notes = Path("notes-b").resolve()
    jobs = (a, deadly(b, notes, 1, kill), deadly(c, Path("notes-c").resolve(), 99, die))
    there = run_jobs(model, RunPlan(jobs, "there/"), settings, runner=runner)
    assert len(list(notes.iterdir())) == 1
    assert [Path(file.input).name for file in there.files] == ["a.csv", "b.csv"]
    assert there.files[1].resumed > 0
    assert there.files[1].read == here.files[1].read == 25_000
    for name in ("a.csv", "b.csv"):
        assert Path("there", name).read_bytes() == Path("here", name).read_bytes()
    (lost,) = there.failures
    assert lost.error.startswith("in/c.csv: its worker died 4 times: ")
    assert lost.exit_code == 1
    assert not Path("there/c.csv").exists()


def check_folder_deaths(model: Model, runner: Runner) -> None:
    """A worker that dies in a part costs the part; the folder is that of a run without deaths."""
    Path("in").mkdir()
    rejected = dict.fromkeys((7, 1400), "broken")
    records = [json.dumps({"text": text, "label": i % 2}) for i, text in enumerate(rows(1500))]
    records = [rejected.get(i, record) for i, record in enumerate(records)]
    path = Path("in/large.jsonl").resolve()
    path.write_text("\n".join(records))
    asked = changed(SETTINGS, batch_size=64, split_output=True)
    notes = Path("notes").resolve()
    notes.mkdir()

    def deadly_once() -> io.BytesIO:
        """What kills the first who reads from the second part on."""
        return _DeadlyPart(path.read_bytes(), notes, os.getpid() == driver)

    driver = os.getpid()
    (job,) = plan(["in/large.jsonl"], "out.jsonl", split_output=True).jobs
    fatal = replace(job, source=replace(job.source, random=deadly_once))
    here = run_jobs(
        model, plan(["in/large.jsonl"], "here.jsonl"), changed(asked, split_output=False)
    )
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        there = run_jobs(model, RunPlan((fatal,)), asked, runner=runner)
    assert len(list(notes.iterdir())) == 1
    assert there.failures == here.failures == []
    assert as_one_file(Path("out.jsonl")) == Path("here.jsonl").read_bytes()
    assert there.total("rejected") == here.total("rejected") == 2
    rejects = [Path(f"{name}.jsonl.rejects.jsonl").read_bytes() for name in ("out", "here")]
    assert rejects[0] == rejects[1]


class _DeadlyPart(io.BytesIO):
    """A file of which only the first to read behind its middle dies, if that is a worker."""

    def __init__(self, content: bytes, notes: Path, is_driver: bool) -> None:
        super().__init__(content)
        self._notes = notes
        self._middle = len(content) // 2
        self._is_driver = is_driver

    def read(self, size: int | None = -1) -> bytes:
        if not self._is_driver and self.tell() >= self._middle:
            try:
                (self._notes / "died").touch(exist_ok=False)
            except FileExistsError:
                return super().read(size)
            die()
        return super().read(size)


def check_opened_once(model: Model, runner: Runner) -> None:
    """However many files a worker scores, it opens the model once."""
    Path("in").mkdir()
    for i in range(12):
        Path(f"in/{i}.csv").write_text("text\ngood\n")
    notes = Path("notes").resolve()
    notes.mkdir()

    def noting(job: Job) -> Job:
        path = job.source.path
        assert path is not None

        def opened() -> io.BytesIO:
            from scorer.distributed import worker

            (notes / f"{path.name} {os.getpid()} {worker.opened.cache_info().misses}").touch()
            return io.BytesIO(path.read_bytes())

        return replace(job, source=Source(job.source.name, opened, None, job.source.stat, path))

    jobs = plan(["in"], "out/").jobs
    summary = run_jobs(model, RunPlan(tuple(map(noting, jobs)), "out/"), SETTINGS, runner=runner)
    assert len(summary.files) == 12
    seen = [note.name.split() for note in notes.iterdir()]
    before = min(int(misses) for _, _, misses in seen)
    workers = {pid: {m for _, p, m in seen if p == pid} for _, pid, _ in seen}
    assert before >= 1
    assert all(len(misses) == 1 for misses in workers.values()), workers
    assert str(os.getpid()) not in workers


def check_command(zoo: Path, runner: str) -> subprocess.CompletedProcess[str]:
    """`score --runner` in a process of its own publishes what `score` does."""
    write_inputs(Path("in"))
    Path("in/other.csv").unlink()
    command = [sys.executable, "-m", "scorer.cli.score", "--zoo", str(zoo), "-m", "tiny-binary"]
    command += ["in", "-q", "-o", "out", "--runner"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("local", runner):
        done = subprocess.run([*command, name], env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        Path("out").rename(name)
    assert published(Path(runner)) == published(Path("local"))
    return done


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
