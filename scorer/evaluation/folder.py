"""Where a report lies: a folder with `report.json` and `report.html`, and nothing else of ours.

An earlier report in it is replaced. A folder that holds other files is left alone without `force`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorer.errors import OutputExists
from scorer.files import output_errors, refuse_inputs, with_name_of_its_own, write_whole
from scorer.tables.formats import split_suffixes

if TYPE_CHECKING:
    from scorer.evaluation.result import Report

FILES = ("report.json", "report.html")
PARTS = {name: f".{name}.part" for name in FILES}


@dataclass(frozen=True)
class ReportFolder:
    """The folder at `path`. `force` writes into one that holds other files, and leaves those."""

    path: Path
    force: bool = False

    @property
    def page(self) -> Path:
        """What people open."""
        return self.path / "report.html"

    def check(self, inputs: Sequence[Path] = ()) -> None:
        """Raise OutputExists where it is not for a report, UsageError where an `input` lies there.

        To be called before a row is scored.
        """
        if self.path.exists() and not self.path.is_dir():
            raise OutputExists(f"{self.path}: is a file: name another folder for the report")
        refuse_inputs([self.path / name for name in FILES], inputs)
        with output_errors(self.path):
            found = [path.name for path in self.path.iterdir()] if self.path.is_dir() else []
        others = [name for name in sorted(found) if name not in (*FILES, *PARTS.values())]
        if others and not self.force:
            raise OutputExists(
                f"{self.path}: holds other files ({others[0]}): --force puts the report there, too"
            )

    @contextmanager
    def staged(self) -> Iterator[Callable[[Report], None]]:
        """What writes a report: into the folder when the block ends, nowhere when it raises."""
        with ExitStack() as files:
            yield lambda report: self._write(report, files)

    def _write(self, report: Report, files: ExitStack) -> None:
        # Only now: a run without labels needs no templates.
        from scorer.evaluation.report import render_html

        texts = {"report.json": report.to_json(), "report.html": render_html(report)}
        if not self.path.exists():
            with output_errors(self.path):
                self.path.mkdir(parents=True)
            files.push(self._unmade)
        for name in FILES:
            file = files.enter_context(write_whole(self.path / name, self.path / PARTS[name]))
            file.write(texts[name].encode("utf-8", "backslashreplace"))

    def _unmade(self, raised: type[BaseException] | None, *_: Any) -> None:
        """Take away the folder, which was made for this report, where the report failed."""
        if raised is not None:
            with suppress(OSError):
                self.path.rmdir()


def report_beside(path: Path) -> Path:
    """`reviews.report` beside `reviews.csv`, and beside `reviews.scored.csv` alike."""
    path = with_name_of_its_own(path)
    stem = split_suffixes(path.name)[0].removesuffix(".scored")
    return path.with_name(f"{stem}.report")
