"""Other people's models, where they lie: SCORER_FOREIGN names the folder with their cases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.check_foreign import check

CASES = sorted(Path(os.environ.get("SCORER_FOREIGN", "nowhere")).glob("*/case.json"))


@pytest.mark.data
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_a_foreign_model_is_added_and_right(case: Path) -> None:
    outcome = check(case.parent)
    assert outcome.failure == "", outcome.line
    assert set(outcome.gaps) == {"auto", "keras"}
