"""`--column entity=airline`: tables whose columns have other names than the card gives them."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from scorer.card import Card, read_card
from scorer.card.columns import columns_read, with_columns
from scorer.cli.score import main
from scorer.errors import UsageError
from tests.support import tiny


def card_with(**changes: Any) -> Card:
    fields = tiny.card_fields("tiny-binary", [("good", [0.25])])
    fields["scorer"].update(changes)
    return Card.model_validate(fields)


COMPOSED = card_with(text_template="{{{text}}} {entity} price{price}")
FED = card_with(inputs=[{"name": "a", "columns": ["text"]}, {"name": "b", "columns": ["x", "y"]}])


def test_the_renamed_columns_are_read_and_no_others() -> None:
    renamed = with_columns(COMPOSED, {"entity": "airline"})
    assert columns_read(renamed.scorer) == ("airline", "price")
    assert renamed.scorer.text_template == "{{{text}}} {airline} price{price}"
    assert columns_read(COMPOSED.scorer) == ("entity", "price")
    fed = with_columns(FED, {"x": "length"}).scorer
    assert fed.columns_beside == ("length", "y")
    assert fed.inputs[0].columns == ("text",)
    assert with_columns(COMPOSED, {}) is COMPOSED


def test_two_columns_can_change_names() -> None:
    renamed = with_columns(COMPOSED, {"entity": "price", "price": "entity"}).scorer
    assert columns_read(renamed) == ("price", "entity")


def test_all_else_of_the_card_stays_and_it_travels() -> None:
    renamed = with_columns(COMPOSED, {"entity": "airline"})
    was, is_now = COMPOSED.scorer.model_dump(), renamed.scorer.model_dump()
    assert {key for key in was if was[key] != is_now[key]} == {"text_template"}
    assert pickle.loads(pickle.dumps(renamed)).scorer == renamed.scorer
    assert (renamed.ref, renamed.body, renamed.license) == (
        COMPOSED.ref,
        COMPOSED.body,
        COMPOSED.license,
    )


@pytest.mark.parametrize(
    ("card", "columns", "message"),
    [
        (
            COMPOSED,
            {"entty": "a"},
            r"no column 'entty' \(did you mean 'entity'\?\); it reads",
        ),
        (card_with(), {"entity": "a"}, "reads only the text; choose its column with --text-column"),
        (COMPOSED, {"entity": "text"}, "a column named 'text'"),
        (COMPOSED, {"entity": "price"}, "named twice"),
        (COMPOSED, {"entity": "a:b"}, "rename the column"),
        (COMPOSED, {"entity": "a{b"}, "rename the column"),
    ],
)
def test_what_cannot_be_read_is_refused(card: Card, columns: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_columns(card, columns)


def test_score_reads_the_column_that_is_named(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorer.card import render_card
    from scorer.zoo import write_index

    shutil.copytree(tiny_zoo / "tiny-binary", tmp_path / "zoo" / "tiny-binary")
    folder = tmp_path / "zoo" / "tiny-binary" / "1.0.0"
    card = read_card(folder / "README.md")
    fields = {**card.model_dump(by_alias=True), "body": card.body}
    fields["scorer"]["text_template"] = "{text} {entity}"
    (folder / "README.md").write_text(render_card(Card.model_validate(fields)), encoding="utf-8")
    write_index(tmp_path / "zoo")
    monkeypatch.setenv("SCORER_ZOO", str(tmp_path / "zoo"))
    monkeypatch.chdir(tmp_path)
    rows = {"text": ["good film", "dull plot"], "airline": ["good", "dull"]}
    pd.DataFrame(rows).to_csv("other.csv", index=False)
    pd.DataFrame(rows).rename(columns={"airline": "entity"}).to_csv("named.csv", index=False)

    def scores(name: str, *options: str) -> np.ndarray:
        arguments = ["-m", "tiny-binary", name, "-o", "-", "-q", "--probabilities", *options]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        lines = done.stdout.splitlines()[1:]
        return np.array([float(line.split(",")[-1]) for line in lines])

    without = scores("other.csv")
    renamed = scores("other.csv", "--column", "entity=airline")
    assert not np.array_equal(without, renamed)
    np.testing.assert_array_equal(renamed, scores("named.csv"))
    done = CliRunner().invoke(main, ["-m", "tiny-binary", "other.csv", "--column", "entity"])
    assert done.exit_code == 2
    assert "--column 'entity': write NAME=COLUMN, as in entity=airline" in done.stderr
