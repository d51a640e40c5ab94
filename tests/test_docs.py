"""Pages that are made from the zoo are what the zoo says now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scorer.layers import KINDS, TRAINING_ONLY

ROOT = Path(__file__).parent.parent


def test_the_zoo_pages_are_fresh() -> None:
    command = [sys.executable, "scripts/zoo_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python scripts/zoo_docs.py`: {done.stdout}{done.stderr}"


def test_the_readme_names_every_layer_that_a_bundle_may_have() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    kinds = KINDS.keys() - TRAINING_ONLY
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in readme] == []
