"""Adds other people's models to a zoo with `zoo add`, and holds every score to their programs'.

    python scripts/check_foreign.py CASES [--only 12_ --only k2_]

CASES has a folder for each program: its archive, what lies beside it, `expected.csv` with the
program's answers and `case.json` with what its user knows. Each is added to a new zoo with the
options that its case names; then `score` reads `expected.csv` on each engine. The exit code is 1
where a model is refused or a score differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

TOLERANCE, MIXED_TOLERANCE = 1e-5, 1e-2
#: keys of a case that are options of `zoo add` by the same name
SAME_NAME = (
    "sequence_length", "padding", "truncating", "padding_id", "index_from", "start_id", "oov_id",
    "num_words",
)  # fmt: skip
ENGINES = ("auto", "keras")


@dataclass(frozen=True)
class Outcome:
    """What became of a case: the largest difference on each engine, or why there is none."""

    case: str
    gaps: dict[str, float]
    failure: str = ""

    @property
    def line(self) -> str:
        gaps = ", ".join(f"{engine} {gap:.1e}" for engine, gap in self.gaps.items())
        return f"{'FAIL' if self.failure else 'ok  '} {self.case:<34}{gaps}  {self.failure}"


def options_of(case: dict[str, Any], folder: Path) -> list[str]:
    """The options of `zoo add` for a case."""
    options = ["--name", case["id"].replace("_", "-"), "--task", case["task"]]
    options += ["--text-column", "review", "--expect", str(folder / "expected.csv")]
    for label in case["labels"]:
        options += ["--label", label]
    if case["vectorizer"] != "inside":
        options += ["--vectorizer", str(folder / case["vectorizer_file"])]
    for key in SAME_NAME:
        if case.get(key) is not None:
            options += [f"--{key.replace('_', '-')}", str(case[key])]
    if case.get("mode", "ids") != "ids" and case["vectorizer"] != "textvectorization":
        options += ["--matrix", case["mode"]]
    options += _cleaning(case.get("standardize"))
    if case.get("output_activation", "none") != "none":
        options += ["--output-activation", case["output_activation"]]
    for given in case.get("columns", []):
        options += ["--input", f"{given['input']}={','.join(given['columns'])}"]
    return options


def _cleaning(standardize: Any) -> list[str]:
    """The options for what a program does to a text: a name, or steps after lower-casing."""
    if standardize is None:
        return []
    if isinstance(standardize, str):
        return ["--standardize", standardize]
    options = ["--standardize", "lower"] if standardize["lower"] else []
    for pattern, text in standardize["steps"]:
        options += ["--replace", f"{pattern}=>{text}"]
    return options


def check(folder: Path) -> Outcome:
    """Add one case's model to a zoo of its own and score its texts on each engine."""
    from scorer.cli.score import main as score
    from scorer.cli.zoo import main as zoo

    case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    gaps: dict[str, float] = {}
    allowed = MIXED_TOLERANCE if "mixed" in case["needs"] else TOLERANCE
    with tempfile.TemporaryDirectory() as scratch:
        target = str(Path(scratch) / "zoo")
        archive = str(folder / case["archive"])
        try:
            _run(zoo, ["add", archive, "--zoo", target, *options_of(case, folder)])
            for engine in ENGINES:
                output = Path(scratch) / f"{engine}.csv"
                _run(score, _scoring(case, folder, target, engine, output))
                gaps[engine] = _gap(case, folder, output)
        except Refused as refusal:
            return Outcome(case["id"], gaps, str(refusal))
    failure = "differs" if max(gaps.values()) > allowed else ""
    return Outcome(case["id"], gaps, failure)


class Refused(Exception):
    """A command that did not end well; the text is its last line."""


def _run(command: click.Command, arguments: list[str]) -> None:
    """Raises Refused, or whatever a command should have foreseen."""
    done = CliRunner().invoke(command, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        raise Refused(done.stderr.strip().splitlines()[-1])


def _scoring(case: dict[str, Any], folder: Path, zoo: str, engine: str, output: Path) -> list[str]:
    """The arguments of `score` for a case's own texts."""
    arguments = ["-m", case["id"].replace("_", "-"), "--zoo", zoo, str(folder / "expected.csv")]
    arguments += ["-o", str(output), "--quiet", "--no-report", "--device", "cpu"]
    arguments += [] if engine == "auto" else ["--engine", engine]
    return arguments + ([] if case["task"] == "regression" else ["--probabilities"])


def _gap(case: dict[str, Any], folder: Path, output: Path) -> float:
    """The largest difference from the program's answers, relative above 1."""
    with (folder / "expected.csv").open(encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    with output.open(encoding="utf-8", newline="") as file:
        scored = list(csv.DictReader(file))
    if len(expected) != len(scored):
        return float("inf")
    pairs = [
        pair
        for before, after in zip(expected, scored, strict=True)
        for pair in _pairs(case, before, after)
    ]
    return max(_apart(a, b) for a, b in pairs)


def _apart(expected: float, scored: float) -> float:
    """How far apart two numbers are, relative above 1; NaN is a row without a score."""
    if math.isnan(expected) or math.isnan(scored):
        return 0.0 if math.isnan(expected) and math.isnan(scored) else math.inf
    return abs(expected - scored) / max(1.0, abs(expected))


def _pairs(
    case: dict[str, Any], expected: dict[str, str], scored: dict[str, str]
) -> Iterator[tuple[float, float]]:
    """Each number that the program answers for a row, and ours."""
    if case["task"] == "regression":
        yield float(expected["y0"]), float(scored["prediction"] or "nan")
        return
    one_sigmoid = "y1" not in expected
    labels = case["labels"][1:] if one_sigmoid else case["labels"]
    for i, label in enumerate(labels):
        yield float(expected[f"y{i}"]), float(scored[f"probability_{label}"] or "nan")


def main() -> None:
    """Check every case below a folder, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cases", type=Path, help="folder with a folder for each case")
    parser.add_argument("--only", action="append", help="cases whose name begins so (repeatable)")
    given = parser.parse_args()
    folders = sorted(path.parent for path in given.cases.glob("*/case.json"))
    chosen = [f for f in folders if not given.only or f.name.startswith(tuple(given.only))]
    outcomes = []
    for folder in chosen:
        outcomes.append(check(folder))
        print(outcomes[-1].line, flush=True)
    good = sum(not outcome.failure for outcome in outcomes)
    print(f"{good} of {len(outcomes)} added and right")
    sys.exit(0 if good == len(outcomes) else 1)


if __name__ == "__main__":
    main()
