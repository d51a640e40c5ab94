"""The real `score` command with the parrot behind it, at a pace: a process to disturb.

python -m tests.support.slow_score SECONDS_PER_ROW [OPTIONS] INPUT...
"""

from __future__ import annotations

import sys

import scorer.model
from scorer.cli.score import main
from tests.support.parrot import parrot

if __name__ == "__main__":
    slow = parrot(seconds_per_row=float(sys.argv.pop(1)))
    scorer.model.load_model = lambda *args, **options: slow
    main(["-m", "parrot", "--batch-size", "50", *sys.argv[1:]])
