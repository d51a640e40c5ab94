"""The journal and `--resume`: the same bytes again, nothing scored twice, nothing mixed up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scorer.errors import InputError, OutputExists, UsageError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.jobs.settings import Settings
from scorer.jobs.summary import FileSummary
from scorer.model import Model
from scorer.tables import Window
from scorer.tasks import OutputOptions
from tests.support.parrot import parrot
from tests.support.settings import changed, settings_of

ROWS = 100
SETTINGS = settings_of(batch_size=10, threads=2)
RESUME = changed(SETTINGS, resume=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_inputs(name: str) -> None:
    texts = [None if i % 7 == 0 else f"good film {'bad ' * (i % 5)}" for i in range(ROWS)]
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"n": range(ROWS), "text": texts}), name, row_group_size=37)
    elif name.endswith(".jsonl"):
        lines = (json.dumps({"n": i, "text": t}) for i, t in enumerate(texts))
        Path(name).write_text("".join(line + "\n" for line in lines))
    else:
        lines = (f"{i},{t or ''}{',,' * (i % 11 == 3)}\n" for i, t in enumerate(texts))
        Path(name).write_text("n,text\n" + "".join(lines))


def run(model: Model, name: str, output: str, settings: Settings = SETTINGS) -> FileSummary:
    """The one file's summary; what stops it is raised."""
    (job,) = plan([name], output).jobs
    return score_table(model, job, settings)


class Stop(Exception):
    """What ends a run from within."""


def stop_after(monkeypatch: pytest.MonkeyPatch, windows: int) -> Any:
    """Make reading fail after some windows, as a disk or a network does."""
    from scorer.tables.parquet.reader import ParquetReader
    from scorer.tables.text.delimited import DelimitedReader
    from scorer.tables.text.jsonl import JsonLinesReader

    patch = monkeypatch.context()
    inner = patch.__enter__()
    for reader in (DelimitedReader, JsonLinesReader, ParquetReader):
        whole = reader.windows

        def cut(self: Any, *args: Any, _whole: Any = whole, **kwargs: Any) -> Iterator[Window]:
            for window in _whole(self, *args, **kwargs):
                if window.index >= windows:
                    raise Stop
                yield window

        inner.setattr(reader, "windows", cut)
    return patch


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str, output: str, windows: int = 5) -> None:
    patch = stop_after(monkeypatch, windows)
    try:
        with pytest.raises(Stop):
            run(parrot(), name, output)
    finally:
        patch.__exit__(None, None, None)


FORMATS = ["in.csv", "in.jsonl", "in.parquet"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_resumed_run_makes_the_same_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs(name)
    suffix = Path(name).suffix
    output = f"out{suffix}"
    run(parrot(), name, f"whole{suffix}")
    interrupt(monkeypatch, name, output)
    assert not Path(output).exists()
    assert not Path(f".{output}.part").exists()
    model = parrot()
    file = run(model, name, output, RESUME)
    assert Path(output).read_bytes() == Path(f"whole{suffix}").read_bytes()
    assert 0 < file.resumed < ROWS
    rows = file.read - file.rejected
    assert model.engine.rows == rows - file.resumed  # type: ignore[attr-defined]
    assert rows == file.scored + file.unscored
    rejects = Path(f"{output}.rejects.jsonl")
    assert rejects.exists() == (suffix == ".csv")
    if rejects.exists():
        whole = Path(f"whole{suffix}.rejects.jsonl").read_bytes()
        assert rejects.read_bytes() == whole
    assert [path.name for path in Path().glob(".*")] == []


def test_a_resumed_run_meets_the_windows_that_bytes_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of very different lengths: windows of one row to ten."""
    monkeypatch.setattr("scorer.tables.parquet.reader.WINDOW_BYTES", 2000)
    monkeypatch.setattr("scorer.tables.batches.WINDOW_BYTES", 2000)
    monkeypatch.setattr("scorer.tables.parquet.reader.BATCH_BYTES", 6000)
    texts = ["good " * (1 + 7 * i % 400) for i in range(ROWS)]
    pq.write_table(pa.table({"n": range(ROWS), "text": texts}), "in.parquet", row_group_size=37)
    run(parrot(), "in.parquet", "whole.parquet")
    for windows in (1, 7, 23):
        interrupt(monkeypatch, "in.parquet", "out.parquet", windows)
        file = run(parrot(), "in.parquet", "out.parquet", RESUME)
        assert 0 < file.resumed < ROWS
        assert Path("out.parquet").read_bytes() == Path("whole.parquet").read_bytes()
        Path("out.parquet").unlink()


def test_a_damaged_input_leaves_no_journal(caplog: pytest.LogCaptureFixture) -> None:
    """Its first row group is scored, its second is damaged: resuming would meet the same damage."""
    write_inputs("in.parquet")
    data = bytearray(Path("in.parquet").read_bytes())
    start = pq.read_metadata("in.parquet").row_group(1).column(1).data_page_offset
    data[start : start + 40] = b"\xff" * 40
    Path("in.parquet").write_bytes(data)
    model = parrot()
    with pytest.raises(InputError, match=r"in\.parquet: cannot be read as Parquet"):
        run(model, "in.parquet", "out.parquet")
    assert model.engine.rows  # type: ignore[attr-defined]
    assert [path.name for path in Path().iterdir()] == ["in.parquet"]
    assert caplog.messages == []


def test_scores_of_another_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged journal: every sum is right, but each row has a score too many."""
    from scorer.jobs import journal

    write_inputs("in.csv")
    right = journal._record

    def wider(window: Window, scores: Any) -> bytes:
        return right(window, replace(scores, outputs=scores.outputs.repeat(2, axis=1)))

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_record", wider)
        interrupt(monkeypatch, "in.csv", "out.csv")
    with pytest.raises(UsageError, match="start over without --resume"):
        run(parrot(), "in.csv", "out.csv", RESUME)


def test_without_resume_a_run_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs("in.csv")
    interrupt(monkeypatch, "in.csv", "out.csv")
    model = parrot()
    assert run(model, "in.csv", "out.csv").resumed == 0
    assert [path.name for path in Path().glob(".*")] == []


def test_resume_without_an_interrupted_run_just_runs() -> None:
    write_inputs("in.csv")
    assert run(parrot(), "in.csv", "out.csv", RESUME).resumed == 0
    with pytest.raises(OutputExists, match="no interrupted run of it can be resumed"):
        run(parrot(), "in.csv", "out.csv", RESUME)


def test_every_torn_tail_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs("in.csv")
    run(parrot(), "in.csv", "whole.csv")
    interrupt(monkeypatch, "in.csv", "out.csv", windows=4)
    journal = Path(".out.csv.journal")
    torn = journal.read_bytes()
    for length in [*range(0, len(torn), 23), len(torn) - 1]:
        journal.write_bytes(torn[:length])
        run(parrot(), "in.csv", "out.csv", RESUME)
        assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
        Path("out.csv").unlink()


def test_every_flipped_bit_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of a damaged record are never used: the window is scored again."""
    write_inputs("in.csv")
    run(parrot(), "in.csv", "whole.csv")
    interrupt(monkeypatch, "in.csv", "out.csv", windows=3)
    journal = Path(".out.csv.journal")
    good = journal.read_bytes()
    for place in range(0, len(good), 41):
        bad = bytearray(good)
        bad[place] ^= 0x10
        journal.write_bytes(bad)
        run(parrot(), "in.csv", "out.csv", RESUME)
        assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
        Path("out.csv").unlink()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (changed(RESUME, output=OutputOptions(diagnostics=True)), "the setting diagnostics was"),
        (changed(RESUME, text_column="text"), "the setting text_column was None and is now text"),
        (changed(RESUME, batch_size=20), "the setting batch_size was 10 and is now 20"),
    ],
)
def test_changed_settings_are_refused(
    settings: Settings, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_inputs("in.csv")
    interrupt(monkeypatch, "in.csv", "out.csv")
    with pytest.raises(UsageError, match=f"in.csv: cannot resume: {message}"):
        run(parrot(), "in.csv", "out.csv", settings)
    assert run(parrot(), "in.csv", "out.csv", RESUME).resumed > 0


def test_more_threads_may_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs("in.csv")
    interrupt(monkeypatch, "in.csv", "out.csv")
    assert run(parrot(), "in.csv", "out.csv", changed(RESUME, threads=4)).resumed > 0


def test_a_changed_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs("in.csv")
    interrupt(monkeypatch, "in.csv", "out.csv")
    other = parrot()
    other.bundle = replace(other.bundle, digest="6" * 64)
    with pytest.raises(UsageError, match=r"the model's digest was 555555555555\.\.\. and is now 6"):
        run(other, "in.csv", "out.csv", RESUME)


def test_a_changed_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write_inputs("in.csv")
    interrupt(monkeypatch, "in.csv", "out.csv")
    with Path("in.csv").open("a") as file:
        file.write("100,more\n")
    with pytest.raises(UsageError, match="cannot resume: the input's size was"):
        run(parrot(), "in.csv", "out.csv", RESUME)


def test_an_input_changed_behind_its_time_stamp_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    write_inputs("in.csv")
    interrupt(monkeypatch, "in.csv", "out.csv")
    before = Path("in.csv").stat()
    Path("in.csv").write_text(Path("in.csv").read_text().replace("good film", "poor film"))
    os.utime("in.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(UsageError, match="its rows are not those of the interrupted run"):
        run(parrot(), "in.csv", "out.csv", RESUME)


def test_an_input_that_changes_during_the_run_publishes_nothing() -> None:
    write_inputs("in.csv")

    class Appender:
        def begin(self, reader: object) -> tuple[str, ...]:
            return ()

        def __call__(self, window: Window, scores: object) -> None:
            with Path("in.csv").open("a") as file:
                file.write("more\n")

        def end(self) -> None: ...

    with pytest.raises(InputError, match="changed while it was read"):
        score_table(parrot(), plan(["in.csv"], "out.csv").jobs[0], SETTINGS, [Appender()])
    assert not Path("out.csv").exists()
