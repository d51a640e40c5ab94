"""Pages that are made from the zoo are what the zoo says now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_zoo_pages_are_fresh() -> None:
    command = [sys.executable, "scripts/zoo_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python scripts/zoo_docs.py`: {done.stdout}{done.stderr}"
