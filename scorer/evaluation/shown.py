"""A report as Python callers have it: it shows itself, and is saved when they want it."""

from __future__ import annotations

from pathlib import Path

from scorer.evaluation import result
from scorer.evaluation.folder import ReportFolder
from scorer.figures import figure_spec
from scorer.notebook import grid


class Report(result.Report):
    """What `evaluate_file` found: `models` has the figures of each, `to_json()` all of it."""

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write report.json and report.html into a folder; gives the path of report.html.

        force  also where the folder holds other files
        Raises OutputExists where it does, OutputError.
        """
        target = ReportFolder(Path(folder), force)
        target.check()
        with target.staged() as write:
            write(self)
        return target.page

    def __repr__(self) -> str:
        found = "; ".join(
            " ".join((model.model, *(f"{name} {text}" for name, text in _headlines(model))))
            for model in self.models
        )
        return f"<Report on {self.rows:,} rows: {found}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows: each model's first figures with their 95% intervals."""
        head = list(dict.fromkeys(name for m in self.models for name, _ in _headlines(m)))
        rows = []
        for model in self.models:
            found = dict(_headlines(model, intervals=True))
            rows.append([model.model, *(found.get(name, "") for name in head)])
        return grid(f"{self.rows:,} rows of {', '.join(self.inputs)}", ["model", *head], rows)


def _headlines(model: result.ModelReport, *, intervals: bool = False) -> list[tuple[str, str]]:
    """The titles of a model's first figures, and what they are."""
    found = []
    for name in model.headlines:
        figure = model.figures[name]
        text = "" if figure.value is None else f"{figure.value:.4f}"
        if intervals and figure.low is not None and figure.high is not None:
            text += f" ({figure.low:.4f} to {figure.high:.4f})"
        found.append((figure_spec(name).title, text))
    return found
