"""Phrases that readers stumbled over, and that are nowhere any more."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]
#: what was written -> what says it better
PHRASES = {
    r"is one sign, no letter": "must be a single character, not a letter, digit, quote or newline",
    r"is none that Python knows": "unknown encoding",
    r"Of CSV and TSV\. Default:": "Field delimiter (default: comma for CSV, tab for TSV)",
    r"\bone a processor\b": "Worker threads (default: all CPUs)",
    r"Figures by this column": "Break metrics down by this column",
    r"says its last label": "Predict the second label at or above this probability",
    r"\bis no (Parquet|CSV|TSV|JSON|ORC|Arrow|figure|task)\b": "is not a ...",
    r"give it the name of what it is": "correct the extension",
    r"being no tables": "ignored (not tables)",
    r"trained without a fifth": "5-fold cross-validation grouped by tweet id",
    r"had a say in the weights": "also used for model selection, so slightly optimistic",
    r"\bflatters a little\b": "slightly optimistic",
    r"Are its probabilities right": "Calibration",
    r">What moves<": "Metrics by threshold",
    r">Along the prediction<": "Error by predicted value",
    r"token-less": "without tokens",
    r"nineteen parts of twenty": "95%",
    r"not a model any more": "matrix products only",
    r"move by .{1,20} with their neighbours": "batch-invariant (largest change 0)",
}
#: what other commands write from the cards of the zoo, and this table
LEFT_OUT = ("zoo/", "docs/zoo.md", "docs/flagships.md", "tests/units/house/test_language.py")
TEXT = (".py", ".md", ".toml", ".html", ".yaml", ".yml", ".json", ".cfg", ".css", ".js")


def test_no_phrase_of_the_table_is_left() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    pattern = re.compile("|".join(f"(?:{phrase})" for phrase in PHRASES))
    found = [
        f"{name}:{number}: {match.group()}"
        for name in listed
        if name.endswith(TEXT) and not name.startswith(LEFT_OUT)
        for number, line in enumerate((ROOT / name).read_text("utf-8").splitlines(), start=1)
        if (match := pattern.search(line))
    ]
    assert found == []
