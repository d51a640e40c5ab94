"""The linear model beside a recipe's figures: the same rows, and nothing of a row that it tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner

from scripts.baseline import main


def tweets(path: Path, ids: int) -> Path:
    """Tweets in three wordings: what an id is about tells its label, and no other id shares it."""
    rng = np.random.default_rng(0)
    labels = rng.choice(["Negative", "Neutral", "Positive"], ids).repeat(3)
    numbers = np.arange(ids).repeat(3)
    table = pa.table(
        {
            "id": numbers,
            "entity": [f"Brand{label}" for label in labels],
            "sentiment": labels,
            "text": [f"tweet{n} of wording{k % 3}" for k, n in enumerate(numbers)],
        }
    )
    pq.write_table(table, path)
    return path


def test_it_is_told_what_the_recipe_reads_and_never_the_rows_it_is_tested_on(
    tmp_path: Path,
) -> None:
    train, test = tweets(tmp_path / "train.parquet", 60), tweets(tmp_path / "test.parquet", 20)
    arguments = ["twitter-flagship", "--data", str(train), "--test", str(test)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(lines) == [
        "by-id, what the recipe reads",
        "test rows, what the recipe reads",
        "by-id, the text alone",
        "test rows, the text alone",
    ]
    assert lines["by-id, what the recipe reads"].startswith("accuracy 1.0000 on 180 rows (")
    assert lines["by-id, what the recipe reads"].count("1.0000") == 6
    # By the text alone an id that was not met is a guess; one that was met is known.
    assert float(lines["by-id, the text alone"].split()[1]) < 0.6
    assert lines["test rows, the text alone"] == "accuracy 1.0000 on 60 rows"


def test_scores_are_off_by_so_much(tmp_path: Path) -> None:
    wines = pa.table(
        {
            "description": [f"wine of {'plum' if i % 2 else 'straw'}" for i in range(200)],
            "points": [90 + 4 * (i % 2) for i in range(200)],
            "score_selected": [False] * 200,
            "leaks_score": [False] * 200,
            "dataset": ["winemag"] * 200,
        }
    )
    pq.write_table(wines, tmp_path / "wine.parquet")
    arguments = ["wine-flagship", "--data", str(tmp_path / "wine.parquet")]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert "natural, the text alone: mean absolute error 0.0" in done.stdout
