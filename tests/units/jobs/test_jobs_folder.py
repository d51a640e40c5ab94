"""An output as a folder of parts: together they are the file of a run that writes one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.binding import Binding
from scorer.cli.score import main
from scorer.errors import (
    InputError,
    OutputBusy,
    OutputExists,
    RejectedRow,
    RowsLost,
    ScorerError,
    UsageError,
)
from scorer.evaluation.request import EvaluationOptions
from scorer.jobs.each import score_job
from scorer.jobs.parts import folder as folder_module
from scorer.jobs.parts import scoring as parts
from scorer.jobs.parts.folder import begin_folder, finish_folder, score_part_of
from scorer.jobs.parts.place import SUCCESS, contents_of
from scorer.jobs.parts.staged import Staged
from scorer.jobs.plan import plan
from scorer.jobs.run import run_jobs
from scorer.jobs.score import Job
from scorer.jobs.settings import Settings
from scorer.jobs.summary import FileSummary
from scorer.scores import Scores
from scorer.tables import ColumnChoice, ReadOptions, Window
from scorer.tables.parts import PartSize
from scorer.tables.text import plain
from scorer.tasks import OutputOptions
from tests.support import runners
from tests.support.parrot import parrot, use_parrot
from tests.support.settings import changed, settings_of

LABELS = EvaluationOptions(label_column="label")
FILES = settings_of(threads=2, batch_size=64, evaluation=LABELS)
FOLDERS = changed(FILES, split_output=True)
CSV = [
    b"1,good,0\n", b"0,bad film,1\n", b'1,"good\nfilm",0\r\n', b'0,"a ""dull"" plot",1\n',
    b"1,,0\n", b"broken\n", b'1,"broken"x,0\n', b"1,\xff,0\n", b"1,x,0,more\n", b"\n",
    b'0,"open,1\n', b"\r\n", b"\xef\xbb\xbf1,good,0\n",
]  # fmt: skip
JSON = [
    b'{"text":"good"}\n', b'{"text":"bad \\"film\\"","n":1}\n', b"{}\n", b"\n", b"{broken\n",
    b"\xff\n", b'{"text":7}\r\n', b'{"text":null}\n', b'{"prediction":1}\n',
    b'{"text":"\\ud800"}\n', b'["text"]\n',
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_parts(monkeypatch)


def small_parts(patch: pytest.MonkeyPatch, rows: int = 200, size: int = 3_000) -> None:
    patch.setattr(parts, "SPLIT_BYTES", 0)
    patch.setattr(parts, "PART_SIZE", PartSize(rows, size))
    patch.setattr(plain, "BLOCK_BYTES", min(size, 1 << 10))


def job_of(name: str, output: str | None = None) -> Job:
    (job,) = plan([name], output or f"split-{name}", split_output=True).jobs
    return job


def run(name: str, settings: Settings = FOLDERS, output: str | None = None) -> FileSummary:
    return score_job(parrot(), job_of(name, output), settings)


def one_file(name: str, settings: Settings = FILES) -> tuple[FileSummary, Path]:
    output = f"file-{name}"
    (job,) = plan([name], output).jobs
    return score_job(parrot(), job, changed(settings, split_output=False)), Path(output)


def part_names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def compare(name: str, settings: Settings = FOLDERS) -> FileSummary | None:
    """A run into a folder against one into a file: bytes, rejects, report and summary."""
    try:
        here, path = one_file(name, settings)
    except ScorerError as error:
        with pytest.raises(type(error), match=re.escape(str(error)[:60])):
            run(name, settings)
        return None
    there = run(name, settings)
    read = ReadOptions(header=settings.spec.read.header, delimiter=settings.spec.read.delimiter)
    folder = Path(f"split-{name}")
    assert runners.as_one_file(folder, read) == runners.content(path)
    rejects = {
        output: Path(f"{output}-{name}.rejects.jsonl").read_bytes()
        for output in ("file", "split")
        if Path(f"{output}-{name}.rejects.jsonl").exists()
    }
    assert rejects.get("split") == rejects.get("file")
    same: dict[str, Any] = {"elapsed_s": 0.0, "seconds": {}, "output": "", "report": ""}
    same["rejects"] = None
    assert replace(there, **same) == replace(here, **same)
    assert (here.rejects is None) == (there.rejects is None) == (not here.rejected)
    stem = name.partition(".")[0]
    reports = [Path(f"{output}-{stem}.report") for output in ("file", "split")]
    if here.report:
        assert runners.published(reports[0]) == runners.published(reports[1])
    assert not any(path.exists() for path in reports) or here.report
    assert hidden() == []
    return there


def joined(name: str) -> Any:
    return runners.as_one_file(Path(f"split-{name}"))


def hidden() -> list[str]:
    """What is left of runs."""
    return [path.name for path in Path().iterdir() if path.name.startswith(".")]


def write(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)


def write_csv(rows: int = 900, broken: Sequence[int] = (3, 450, 451, 890)) -> None:
    """Texts over two lines, labels, slices and names, and lines that cannot be read."""
    lines = [
        f'{i},"{text or ""}\n""two""",{i % 2},{"abc"[i % 3]}'
        for i, text in enumerate(runners.rows(rows))
    ]
    for place in broken:
        lines[place] = "broken"
    write("in.csv", "\n".join(["id,text,label,kind", *lines, ""]).encode())


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(CSV), max_size=30).map(b"".join),
    st.sampled_from([b"label,text,c\n", b"\xef\xbb\xbflabel,text,c\r\n", b"\n\nlabel,text,c\n"]),
    st.sampled_from([1, 40]),
)
def test_csv_in_parts_is_the_file(body: bytes, header: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch, size=size)
        write("in.csv", header + b"1,good,0\n" + body)
        compare("in.csv", changed(FOLDERS, evaluation=None, force=True, batch_size=2))


@settings(max_examples=60)
@given(st.lists(st.sampled_from(JSON), max_size=30).map(b"".join), st.sampled_from([1, 40]))
def test_json_lines_in_parts_are_the_file(body: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch, size=size)
        write("in.jsonl", b'{"text":"good"}\n' + body)
        compare("in.jsonl", changed(FOLDERS, evaluation=None, force=True, batch_size=2))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 90), max_size=12))
def test_parquet_in_parts_is_the_file(groups: list[int]) -> None:
    schema = pa.schema(
        {"n": pa.int64(), "text": pa.dictionary(pa.int32(), pa.string()), "day": pa.date32()},
        metadata={"made": "by hand"},
    )
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch, rows=50)
        with pq.ParquetWriter("in.parquet", schema, compression="zstd") as writer:
            for count in groups:
                texts = pa.array(runners.rows(count), pa.string()).dictionary_encode()
                days = pa.array([*range(count)], pa.int32()).cast(pa.date32())
                writer.write_table(pa.table([pa.array(range(count)), texts, days], schema=schema))
        compare("in.parquet", changed(FOLDERS, evaluation=None, force=True))


def test_a_report_on_parts_is_that_on_the_file() -> None:
    write_csv()
    options = replace(LABELS, slices=("kind",), id_column="id")
    there = compare("in.csv", changed(FOLDERS, evaluation=options))
    assert len(part_names("split-in.csv")) > 4
    assert there is not None
    assert there.labels is not None
    assert there.labels.usable == 896
    assert there.rejected == 4


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_what_other_tasks_report_is_the_same(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {
        "multiclass": ("bad", "so, so", "good", "no"),
        "regression": ("80", "x", "91.5", ""),
    }
    records = [
        json.dumps({"text": text, "label": labels[task][i % 4], "n": i})
        for i, text in enumerate(runners.rows(600))
    ]
    write("in.jsonl", "\n".join(records).encode())
    monkeypatch.setattr(sys.modules[__name__], "parrot", lambda: _parrot(task))
    assert compare("in.jsonl", changed(FOLDERS, evaluation=replace(LABELS, unlabelled=True)))


_parrot = parrot


def test_columns_and_dialects_are_those_of_the_file() -> None:
    write("in.csv", b"sep=;\r\n1;=good;x\r\n" + b'0;"good; bad";+y\r\n' * 300)
    read = ReadOptions(header=False, columns=("label", "text", "kind"))
    compare("in.csv", changed(FOLDERS, read=read, csv_safe=True, output=OutputOptions(True, True)))
    write_csv()
    compare("in.csv", changed(FOLDERS, columns=ColumnChoice(keep=("id",)), force=True))


def test_every_reader_of_data_sets_reads_the_folder() -> None:
    table = pa.table({"n": range(600), "text": runners.rows(600)})
    pq.write_table(table, "in.parquet", row_group_size=70)
    settings = changed(FOLDERS, evaluation=None)
    run("in.parquet", settings)
    _, path = one_file("in.parquet", settings)
    found = ds.dataset("split-in.parquet", format="parquet").to_table()
    assert found == pq.read_table(path)
    assert pq.read_table("split-in.parquet") == found
    assert contents_of(Path("split-in.parquet")) is not None
    assert SUCCESS in part_names("split-in.parquet")


def test_a_folder_can_be_scored_and_one_beside_its_input_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_parrot(monkeypatch)
    write_csv()
    assert command("in.csv", "--split-output").exit_code == 3
    done = command("in.scored.csv/", "--prefix", "again_", "--no-report")
    assert done.exit_code == 0, done.stderr
    names = part_names("in.scored.csv")
    assert len(names) > 4
    assert part_names("in.scored.csv.scored") == [name for name in names if name != SUCCESS]
    shutil.rmtree("in.scored.csv.scored")
    again = command(".", "-o", "all/", "--no-report")
    assert again.exit_code == 3
    assert "taken for outputs of earlier runs and left out" in again.stderr
    assert "in.csv" in part_names("all")
    assert not Path("all/in.scored.csv").exists()


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["-m", "parrot", *arguments])


def test_an_input_that_is_not_cut_is_one_part(caplog: pytest.LogCaptureFixture) -> None:
    import gzip

    write("in.csv.gz", gzip.compress(b"text\ngood\nbad,\n"))
    write("none.csv", b"text\n")
    compare("none.csv", changed(FOLDERS, evaluation=None))
    assert part_names("split-none.csv") == [SUCCESS, "part-00000.csv"]
    summary = run("in.csv.gz", changed(FOLDERS, evaluation=None))
    assert summary.rejected == 1
    assert part_names("split-in.csv.gz") == [SUCCESS, "part-00000.csv.gz"]
    assert caplog.messages == [
        "in.csv.gz: its output is one part: it is compressed (gzip): decompress it first"
    ]


def test_only_a_folder_of_ours_is_replaced() -> None:
    write_csv()
    run("in.csv")
    before = part_names("split-in.csv")
    with pytest.raises(OutputExists, match="already exists; use --force"):
        run("in.csv")
    small = changed(FOLDERS, force=True, read=ReadOptions(limit=5))
    run("in.csv", small)
    assert part_names("split-in.csv") == [SUCCESS, "part-00000.csv"]
    Path("split-in.csv/notes.txt").write_text("precious")
    with pytest.raises(OutputExists, match=r"holds other files .* \(notes.txt\)"):
        run("in.csv", small)
    Path("theirs").mkdir()
    Path("theirs/part-00000.csv").write_text("precious")
    Path("theirs/_SUCCESS").write_text("")
    (job,) = plan(["in.csv"], "theirs/../theirs-too", split_output=True).jobs
    Path("theirs").rename("theirs-too")
    with pytest.raises(OutputExists, match=r"\(_SUCCESS\)"):
        score_job(parrot(), job, changed(FOLDERS, force=True))
    assert Path("theirs-too/part-00000.csv").read_text() == "precious"
    Path("file").write_text("precious")
    with pytest.raises(OutputExists, match="is a file, and a folder of parts"):
        run("in.csv", changed(FOLDERS, force=True), "file")
    assert Path("file").read_text() == "precious"
    assert len(before) > 4


def test_what_a_run_left_between_two_renames_is_put_right() -> None:
    write_csv()
    run("in.csv")
    before = runners.published(Path("split-in.csv"))
    Path("split-in.csv").rename(".split-in.csv.old")
    with pytest.raises(OutputExists):
        run("in.csv")
    assert runners.published(Path("split-in.csv")) == before


def begun(name: str, settings: Settings = FOLDERS) -> Any:
    job = job_of(name)
    with job.target.locked():
        return job, begin_folder(parrot(), job, settings, parts.parts_of(job, settings).parts)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that are scored from now on, window by window."""
    scored: list[int] = []
    real = Binding.score

    def score(self: Binding, window: Window) -> Scores:
        scored.append(window.rows)
        return real(self, window)

    monkeypatch.setattr(Binding, "score", score)
    return scored


def make_parts(numbers: Sequence[int], settings: Settings = FOLDERS) -> Staged:
    """What a run that was killed leaves: some parts."""
    job, staged = begun("in.csv", settings)
    for number in numbers:
        score_part_of(parrot(), job, settings, staged, number)
    return staged


def read_in(staged: Staged, numbers: Sequence[int]) -> int:
    """Rows of parts, rejected ones too."""
    return sum(note.read for note in map(staged.note, numbers) if note)


def test_resuming_scores_the_parts_that_are_not_there_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_csv()
    _, path = one_file("in.csv")
    staged = make_parts([0, 2, 3])
    note, found = staged.note(2), read_in(staged, [0, 3])
    assert note is not None
    (staged.output / note.name).write_bytes(b"torn")
    (staged.path / "0a1b.part").write_bytes(b"torn")
    (staged.output / "part-99999.csv").write_bytes(b"of whom?")
    monkeypatch.setattr(parts, "parts_of", None)  # it is known where to cut
    scored = watched(monkeypatch)
    summary = run("in.csv", changed(FOLDERS, resume=True))
    assert summary.resumed == found > 0
    assert sum(scored) == summary.read - summary.rejected - (found - 1)  # one of them rejected
    assert joined("in.csv") == path.read_bytes()
    assert "part-99999.csv" not in part_names("split-in.csv")
    assert hidden() == []


def test_another_run_is_not_resumed() -> None:
    write_csv()
    make_parts([0])
    with pytest.raises(UsageError, match="cannot resume: the setting diagnostics was False and is"):
        run("in.csv", changed(FOLDERS, resume=True, output=OutputOptions(diagnostics=True)))
    text = Path("in.csv").read_text()
    Path("in.csv").write_text(f"{text}900,good,0,a\n")
    with pytest.raises(UsageError, match="cannot resume: the input's size was"):
        run("in.csv", changed(FOLDERS, resume=True))
    assert hidden() != []
    run("in.csv")
    assert hidden() == []


def test_an_incremental_run_goes_on_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in").mkdir()
    write_csv()
    Path("in.csv").rename("in/in.csv")
    model, asked = parrot(), changed(FOLDERS, incremental=True)
    for change in ("", "901,good,1,a\n"):
        with Path("in/in.csv").open("a") as file:
            file.write(change)
        made = plan(["in"], "out/", split_output=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder_module, "finish_folder", None)
            stopped = run_jobs(model, made, asked)
        assert stopped.failures
        scored = watched(monkeypatch)
        summary = run_jobs(model, made, asked)
        assert summary.exit_code == 3
        assert scored == []
        assert summary.total("resumed") == summary.total("read")
        assert run_jobs(model, made, asked).skipped == 1
    assert part_names("out") == [
        ".scorer-ledger.sqlite",
        "in.csv",
        "in.csv.rejects.jsonl",
        "in.report",
    ]


def test_a_folder_that_was_published_is_noted_after_a_kill() -> None:
    """Killed after the rename, before anything else: the report and the note are made up for."""
    write_csv()
    _, path = one_file("in.csv")
    settings = changed(FOLDERS, resume=True)
    job, staged = begun("in.csv")
    for number in range(len(staged.parts)):
        score_part_of(parrot(), job, FOLDERS, staged, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Staged, "remove", lambda self: None)
        finish_folder(parrot(), job, FOLDERS, staged)
    Path("split-in.report/report.json").unlink()
    Path("split-in.csv.rejects.jsonl").unlink()
    run("in.csv", settings)
    assert joined("in.csv") == path.read_bytes()
    assert Path("split-in.report/report.json").exists()
    assert Path("split-in.csv.rejects.jsonl").exists()
    assert hidden() == []


def test_too_many_unreadable_rows_are_told_by_the_first_one_too_many() -> None:
    write_csv()
    for most, row in ((0, 4), (1, 451), (3, 891)):
        with pytest.raises(RejectedRow, match=rf"row {row} \(line") as here:
            one_file("in.csv", changed(FILES, max_rejects=most))
        with pytest.raises(RejectedRow) as there:
            run("in.csv", changed(FOLDERS, max_rejects=most))
        assert str(there.value) == str(here.value)
        assert not Path("split-in.csv").exists()
        assert not Path("split-in.csv.rejects.jsonl").exists()
    assert run("in.csv", changed(FOLDERS, resume=True, max_rejects=4)).resumed > 0


def test_parts_after_one_that_is_stopped_are_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv()
    scored = watched(monkeypatch)
    with pytest.raises(RejectedRow, match="row 4 "):
        run("in.csv", changed(FOLDERS, max_rejects=0))
    assert sum(scored) < 200
    assert hidden() == []


def test_a_folder_without_all_its_parts_is_not_published() -> None:
    write_csv()
    staged = make_parts([0, 1, 3])
    with pytest.raises(RowsLost, match="part 2 of the output is not there"):
        finish_folder(parrot(), job_of("in.csv"), FOLDERS, staged)
    assert not Path("split-in.csv").exists()


def test_an_input_that_changes_meanwhile_is_not_published() -> None:
    write_csv()
    staged = make_parts([0])
    staged = make_parts(range(len(staged.parts)))
    os.utime("in.csv", ns=(1, 1))
    with pytest.raises(InputError, match="changed while it was read"):
        finish_folder(parrot(), job_of("in.csv"), FOLDERS, staged)
    assert not Path("split-in.csv").exists()


def test_two_runs_cannot_make_one_folder() -> None:
    write_csv()
    job = job_of("in.csv")
    with job.target.locked(), pytest.raises(OutputBusy):
        run("in.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.csv", "-o", "-"], "--split-output writes a folder, not to stdout: name an --output"),
        (["-", "-o", "out.csv"], "--split-output reads a file: stdin can be read only once"),
        (["in.csv", "-o", "memory://b/out.csv"], "writes into a folder of this file system"),
    ],
)
def test_what_cannot_be_a_folder_is_wrong_usage(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_parrot(monkeypatch)
    write_csv()
    done = command(*arguments, "--split-output")
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_holds_the_input_is_not_replaced() -> None:
    write_csv()
    run("in.csv")
    with pytest.raises(UsageError, match="lies in the folder of an output"):
        plan(["split-in.csv/part-00000.csv"], "split-in.csv", split_output=True)


def test_the_command_names_the_folder_and_replaces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    use_parrot(monkeypatch)
    write_csv()
    planned = command("in.csv", "--split-output", "--dry-run", "-o", "out.csv")
    assert "in.csv -> out.csv: asked for" in planned.output
    assert not Path("out.csv").exists()
    for output in ("out.csv", "./out.csv"):
        done = command("in.csv", "--split-output", "-o", output, "--force")
        assert done.exit_code == 3, done.stderr
        assert "in.csv -> out.csv" in done.stderr
    assert len(part_names("out.csv")) > 4
    assert command("in.csv", "--split-output", "-o", "out.csv").exit_code == 2
    several = command("in.csv", "--split-output", "-o", "outs/")
    assert several.exit_code == 3
    assert part_names("outs/in.csv") == part_names("out.csv")


KILLED = """
import sys
from tests.units.jobs import test_jobs_folder as tests
tests.small_parts(tests.pytest.MonkeyPatch())
tests.score_job(tests._parrot(seconds_per_row=0.001), tests.job_of("in.csv"), tests.FOLDERS)
"""


def test_a_killed_run_is_resumed_to_the_same_bytes() -> None:
    write_csv(3_000)
    _, path = one_file("in.csv")
    environment = {**os.environ, "PYTHONPATH": str(runners.ROOT)}
    process = subprocess.Popen([sys.executable, "-c", KILLED], env=environment)
    notes = ".split-in.csv.*.parts/*.json"
    for _ in range(3_000):
        if len(list(Path().glob(notes))) > 4 or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not Path("split-in.csv").exists()
    summary = run("in.csv", changed(FOLDERS, resume=True))
    assert 0 < summary.resumed < summary.read
    assert joined("in.csv") == path.read_bytes()
    assert hidden() == []
