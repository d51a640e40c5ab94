"""What a report's figures say in words, for the page and the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from scorer.evaluation.report.leaderboard import winner
from scorer.evaluation.report.values import Finding, figure_text
from scorer.evaluation.result import Gate, ModelReport, Report
from scorer.figures import figure_spec

LEVELS = {
    "as promised": "good",
    "better than promised": "good",
    "worse than promised": "bad",
    "better": "good",
    "worse": "bad",
    "stable": "good",
    "moderate": "warn",
    "major": "bad",
}
_RISING = ("good", "warn", "bad")


def findings(report: Report) -> list[Finding]:
    """What to know first: requirements, the best of several models, each model, what is of all."""
    said = [_named(report, gate.model, _gate_finding(gate)) for gate in report.gates]
    if report.comparison is not None:
        said.append(winner(report.comparison))
    for model in report.models:
        said += [_named(report, model.model, finding) for finding in _of_figures(model)]
    return list(dict.fromkeys([*said, *general_findings(report)]))


def understood(report: Report) -> list[str]:
    """How the labels were read; several lines where models read them differently."""
    sources = [(model.model, model.label_source) for model in report.models]
    said = [(name, source.understood) for name, source in sources if source is not None]
    if len({words for _, words in said}) > 1:
        return [f"{name}: {words}" for name, words in said]
    return [words[0].upper() + words[1:] for _, words in said[:1]]


def general_findings(report: Report) -> list[Finding]:
    """What is said of the data, whatever the model."""
    return [("warn", words[0].upper() + words[1:]) for words in report.warnings]


@dataclass(frozen=True)
class InShort:
    """All that is said of one of several models: in a few words, and in sentences."""

    model: str
    level: str
    words: str
    sentences: list[Finding]


def in_short(report: Report) -> list[InShort]:
    """A line for every model of which anything is said."""
    lines = []
    for model in report.models:
        gates = [gate for gate in report.gates if gate.model == model.model]
        items = [*map(_gate_finding, gates), *_of_figures(model)]
        if items:
            level = max((level for level, _ in items), key=_RISING.index)
            lines.append(InShort(model.model, level, "; ".join(_words(model, gates)), items))
    return lines


def _words(model: ModelReport, gates: list[Gate]) -> list[str]:
    found = []
    failed = sum(not gate.passed for gate in gates)
    if failed:
        found.append(f"{failed} of {len(gates)} requirements not met")
    if model.baseline is not None and model.baseline.verdict != "better":
        how = "worse" if model.baseline.verdict == "worse" else "not clearly better"
        found.append(f"{how} than {model.baseline.says}")
    worse = [figure_spec(p.metric).text for p in model.promises if LEVELS[p.verdict] == "bad"]
    if worse:
        found.append(f"worse than its card in {' and '.join(worse)}")
    elif model.promises:
        found.append("as good as its card promises")
    weak = sum(row.verdict == "worse" for cut in model.slices for row in cut.rows)
    if weak:
        found.append(f"{weak} weak {'slice' if weak == 1 else 'slices'}")
    if model.drift is not None and model.drift.moved:
        found.append("texts unlike the training data")
    return found or ["no drift"]


def _named(report: Report, model: str, finding: Finding) -> Finding:
    level, words = finding
    return level, f"{model}: {words}" if len(report.models) > 1 else words


def _gate_finding(gate: Gate) -> Finding:
    level = "good" if gate.passed else "bad"
    return level, f"required {gate.requirement}: {gate.sentence}"


def _of_figures(model: ModelReport) -> list[Finding]:
    promises = [(LEVELS[p.verdict], p.sentence) for p in model.promises]
    baseline = _baseline_findings(model)
    return [*baseline, *promises, *_slice_findings(model), *_drift_findings(model)]


def _baseline_findings(model: ModelReport) -> list[Finding]:
    """Said where the model is not better than no model at all."""
    base = model.baseline
    if base is None or base.verdict == "better":
        return []
    text, name = figure_spec(base.main_figure).text, base.main_figure
    value, constant = (figure_text(f[name].value) for f in (model.figures, base.figures))
    how = "worse than" if base.verdict == "worse" else "not clearly better than"
    level = "bad" if base.verdict == "worse" else "warn"
    return [
        (
            level,
            f"{how[0].upper()}{how[1:]} {base.says}: {text} {value}, {constant} without a model.",
        )
    ]


def _slice_findings(model: ModelReport) -> list[Finding]:
    worse = [(cut, row) for cut in model.slices for row in cut.rows if row.verdict == "worse"]
    worse.sort(key=lambda item: -abs(item[1].gap.value or 0.0))
    return [
        (
            "warn",
            f"Worse where {cut.column} is {row.value}: {figure_spec(cut.main_figure).title} "
            f"{figure_text(row.figures[cut.main_figure].value, 3)} on {row.rows:,} rows "
            f"({figure_text(row.gap.value, 3, sign=True)} against all other rows).",
        )
        for cut, row in worse[:3]
    ]


def _drift_findings(model: ModelReport) -> list[Finding]:
    drift = model.drift
    return [(drift.level, drift.says)] if drift is not None and drift.says else []
