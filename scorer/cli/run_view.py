"""What people see of a run: progress bars, and the closing summary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorer.files import write_whole
from scorer.printable import counted, printable

if TYPE_CHECKING:
    from scorer.jobs.each import Outcome, Runner
    from scorer.jobs.score import Job
    from scorer.jobs.settings import Settings
    from scorer.jobs.summary import FileSummary, RunSummary
    from scorer.scores import Scores
    from scorer.tables import Reader, Window

SHOWN_FILES = 20
SHOWN_FIGURES = ("accuracy", "macro_f1", "mae", "bias")


#: of a bar that counts bytes, for files that do not say how many rows they have
BYTES_BAR = "{desc}: {percentage:3.0f}%|{bar}| {postfix} [{elapsed}<{remaining}]"


class Progress:
    """A progress bar on stderr: of rows, or of bytes where a file does not say its rows.

    sizes   the bytes of the inputs that are not compressed, by their names
    """

    def __init__(self, sizes: Mapping[str, int] | None = None) -> None:
        self._sizes = sizes or {}
        self._bar: Any = None
        self._rows = 0
        self._by_bytes = False

    def begin(self, reader: Reader) -> Sequence[str]:
        from tqdm import tqdm

        size = self._sizes.get(reader.name)
        self._rows, self._by_bytes = 0, reader.rows is None and size is not None
        if self._by_bytes:
            self._bar = tqdm(total=size, desc=reader.name, bar_format=BYTES_BAR, leave=False)
        else:
            self._bar = tqdm(
                total=reader.rows, desc=reader.name, unit=" rows", unit_scale=True, leave=False
            )
        return ()

    def __call__(self, window: Window, scores: Scores) -> None:
        rows = window.rows + len(window.rejects)
        if not self._by_bytes:
            self._bar.update(rows)
            return
        self._rows += rows
        self._bar.set_postfix_str(f"{self._rows:,} rows", refresh=False)
        read = window.raw_bytes + sum(len(each.raw) for each in window.rejects)
        self._bar.update(read)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def sizes(jobs: Iterable[Job]) -> dict[str, int]:
    """The bytes of the jobs' inputs, of those that are files and not compressed."""
    from scorer.tables.formats import name_parts

    files = (job.source for job in jobs if job.source.stat is not None)
    found = ((file, name_parts(file.name).compression) for file in files)
    stats = {file.name: file.fingerprint() for file, compression in found if compression is None}
    return {name: stat["size"] for name, stat in stats.items() if "size" in stat}


@dataclass(frozen=True)
class FileProgress:
    """A runner with a progress bar of its files, for workers that are elsewhere."""

    runner: Runner

    def __call__(self, jobs: Iterable[Job], settings: Settings) -> Iterator[tuple[Job, Outcome]]:
        from tqdm import tqdm

        bar: Any = tqdm(total=0, unit=" files", leave=False)

        def sent() -> Iterator[Job]:
            for job in jobs:
                bar.total += 1
                yield job

        with bar:
            for ended in self.runner(sent(), settings):
                bar.update()
                yield ended


def render(summary: RunSummary) -> str:
    """The closing summary for people."""
    lines = [_file_line(file) for file in summary.files[:SHOWN_FILES]]
    if len(summary.files) > SHOWN_FILES:
        lines.append(f"and {len(summary.files) - SHOWN_FILES} files more")
    read, seconds = summary.total("read"), summary.elapsed_s
    rate = f", {read / seconds:,.0f} rows/s" if seconds and read else ""
    if summary.skipped or summary.removed or len(summary.files) + len(summary.failures) > 1:
        lines.append(_files_line(summary))
    model = f"{summary.model.name}@{summary.model.version} ({summary.model.engine})"
    compiled = f", after {summary.compile_s:.1f} s of compiling" if summary.compile_s else ""
    lines.append(f"{model}: {counted(read, 'row')} in {seconds:.2f} s{rate}{compiled}")
    return "\n".join(lines)


def _files_line(summary: RunSummary) -> str:
    removed = f", {counted(len(summary.removed), 'input')} removed since" if summary.removed else ""
    return (
        f"{counted(len(summary.files), 'file')} scored, {len(summary.failures)} failed, "
        f"{summary.skipped} unchanged{removed}"
    )


def render_plan(summary: RunSummary) -> str:
    """What a dry run found."""
    lines = [
        f"{printable(job.input)} -> {printable(job.output)}: {job.reason}"
        for job in summary.planned
    ]
    lines += [f"{printable(name)}: removed since; its output stays" for name in summary.removed]
    return "\n".join([*lines, f"{len(summary.planned)} to score, {summary.skipped} unchanged"])


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON to a file, which is there whole or not at all, or to a device or pipe."""
    with write_whole(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _file_line(file: FileSummary) -> str:
    from scorer.evaluation.sentences import drift_lines, wrapped

    counts = f"{file.scored:,} scored + {file.unscored:,} unscored + {file.rejected:,} rejected"
    lines = [
        f"{printable(file.input)} -> {printable(file.output)}",
        f"  {counted(file.read, 'row')} = {counts}",
    ]
    lines += [f"  unreadable rows: {file.rejects}"] if file.rejects else []
    for words in _found(file):
        lines += wrapped(printable(words), "  ")
    lines += [f"  report: {printable(file.report)}/report.html"] if file.report else []
    lines += [f"  {printable(note)}" for note in file.notes]
    return "\n".join([*lines, *drift_lines(file.drift, " ")])


def _found(file: FileSummary) -> Iterator[str]:
    """What was read, predicted and understood, and the first figures with their intervals."""
    from scorer.evaluation.sentences import (
        baseline_in_words,
        labels_in_words,
        predictions_in_words,
    )

    if file.text_column is not None:
        yield f"text: column {file.text_column!r}"
    if file.predictions is not None:
        yield f"predictions: {predictions_in_words(file.predictions)}"
    if file.labels is not None:
        yield from labels_in_words(file.labels, file.left_out)
    shown = [
        f"{name} {figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"
        for name, figure in file.figures.items()
        if name in SHOWN_FIGURES and figure.value is not None and figure.low is not None
    ]
    if shown:
        yield ", ".join(shown)
    if file.baseline is not None:
        yield baseline_in_words(file.baseline)
