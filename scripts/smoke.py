"""Build the wheel and the sdist, check their sizes, and run the wheel in an empty environment.

    python scripts/smoke.py                     with this Python
    python scripts/smoke.py --python 3.13       with another one that uv finds (repeatable)

Needs uv. Works in a temporary folder, so nothing of the checkout can be imported by mistake. Ends
with 1 and the command's output where a command fails or prints something else than it should.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
#: megabytes (10^6 bytes); the package index takes 100 MB a file
LIMITS = {".whl": 85, ".gz": 100}
MODEL = "imdb-bow-lr"
TEXTS = [
    ("A warm, funny and beautifully acted film, one of the best of the year.", "positive"),
    ("Dull, badly written and far too long: a waste of two hours.", "negative"),
]


class SmokeFailed(click.ClickException):
    """A distribution is too large, or an installed command does not do what it should."""


@click.command()
@click.option("--python", "pythons", multiple=True, help="Interpreter (default: this one).")
def main(pythons: Sequence[str]) -> None:
    """Build the distributions and run the wheel in an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder) / "dist")
        for python in pythons or [sys.executable]:
            smoke(wheel, python, Path(tempfile.mkdtemp(dir=folder)))


def build(dist: Path) -> Path:
    """Build sdist and wheel into `dist` and return the wheel. Raises SmokeFailed."""
    run([uv(), "build", "--quiet", "--out-dir", str(dist), str(ROOT)], cwd=ROOT)
    for path in sorted(dist.glob("*.*")):
        size = path.stat().st_size / 1e6
        limit = LIMITS.get(path.suffix)
        if limit is None:
            continue
        print(f"{path.name}: {size:.1f} MB, limit {limit} MB")
        if size > limit:
            raise SmokeFailed(f"{path.name} has {size:.1f} MB, more than {limit} MB")
    return next(dist.glob("*.whl"))


def smoke(wheel: Path, python: str, folder: Path) -> None:
    """Install the wheel for this interpreter and use each command. Raises SmokeFailed."""
    venv, work = folder / "venv", folder / "work"
    work.mkdir()
    venv_command = [uv(), "venv", "--quiet", "--no-python-downloads", "--python", python, str(venv)]
    run(venv_command, cwd=folder)
    install = [uv(), "pip", "install", "--quiet", "--python", str(venv / "bin" / "python")]
    run([*install, str(wheel)], cwd=folder)
    with (work / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "sentiment"), *TEXTS])
    where = commands(venv / "bin", work)
    print(f"{wheel.name} works in {where}")


def commands(bin_folder: Path, work: Path) -> str:
    """Run the installed commands in `work` and check what they print; return the version line."""

    def said(name: str, *arguments: str) -> str:
        return run([str(bin_folder / name), *arguments], cwd=work)

    place = said("python", "-c", "import scorer; print(scorer.__file__)").strip()
    check(Path(place).is_relative_to(bin_folder.parent), f"scorer was imported from {place}")
    listed = said("zoo", "list")
    check(MODEL in listed, f"`zoo list` does not name {MODEL}: {listed}")
    said("zoo", "verify", MODEL)
    said("score", "-m", MODEL, "reviews.csv", "--label-column", "sentiment")
    with (work / "reviews.scored.csv").open(encoding="utf-8", newline="") as file:
        predictions = [row["prediction"] for row in csv.DictReader(file)]
    check(predictions == [label for _, label in TEXTS], f"`score` predicts {predictions}")
    report = json.loads((work / "reviews.report" / "report.json").read_text(encoding="utf-8"))
    check(bool(report), "the report is empty")
    said("evaluate", "-m", MODEL, "reviews.csv", "--label-column", "sentiment")
    predict = f"import scorer; print(len(scorer.load({MODEL!r}).predict(['Superb.'])))"
    check(said("python", "-c", predict).strip() == "1", "`predict` does not give one row")
    return said("python", "--version").strip()


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SmokeFailed(otherwise)


def run(command: Sequence[str], cwd: Path) -> str:
    """Run a command without the caller's Python settings and return its stdout."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SCORER", "VIRTUAL"))
    }
    done = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = f"{done.stdout}{done.stderr}".strip()
        raise SmokeFailed(f"{' '.join(command)} ended with {done.returncode}:\n{shown}")
    return done.stdout


def uv() -> str:
    """The path of uv, beside this interpreter or on PATH. Raises SmokeFailed."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SmokeFailed("uv is not installed: pip install uv")
    return found


if __name__ == "__main__":
    main()
