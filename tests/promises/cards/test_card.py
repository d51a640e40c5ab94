"""The card's schema: what it keeps, what it refuses, and how it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.card import Card, parse_card, read_card, render_card
from scorer.errors import CardError
from tests.support import tiny


def fields(**changes: Any) -> dict[str, Any]:
    card = tiny.card_fields("tiny-binary", [("good", [0.25]), ("", None)])
    card["scorer"].update(changes)
    return card


@given(st.text(), st.text(max_size=50))
def test_a_card_survives_rendering(text: str, body: str) -> None:
    golden = [{"text": text, "output": [0.125]}]
    card = Card.model_validate({**fields(golden=golden), "body": body})
    again = parse_card(render_card(card))
    assert again.scorer == card.scorer
    assert again.body == body
    assert render_card(again) == render_card(card)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "1.0"}, "field `scorer.version`"),
        ({"name": "../up"}, "field `scorer.name`"),
        ({"task": "ranking"}, "field `scorer.task`"),
        ({"labels": []}, "a binary model needs 2 labels, not 0"),
        ({"golden": [{"text": "a", "output": [1.0, 2.0]}]}, "golden row 0 has 2 outputs"),
        ({"golden": [{"text": "a", "output": [float("nan")]}]}, "golden.0.output.0"),
        (
            {"figures": [{"metric": "luck", "value": 1.0, "data": "d", "rows": 9}]},
            "'luck' is not a figure: choose one of accuracy, ",
        ),
        ({"intended_for": "a\nb"}, "field `scorer.intended_for`"),
        ({"intended_for": "every text that there is"[:24] + "s"}, "field `scorer.intended_for`"),
        ({"recommended": True}, "a recommended model needs `intended_for`"),
        ({"threshold": 1.5}, "field `scorer.threshold`"),
        ({"surprise": 1}, "field `scorer.surprise`"),
        (
            {"labels": [{"name": "a", "aliases": ["x"]}, {"name": "b", "aliases": ["X"]}]},
            "the spelling 'x' stands for two labels",
        ),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], message: str) -> None:
    front = json.dumps(fields(**changes))  # JSON is YAML, without anchors
    with pytest.raises(CardError) as caught:
        parse_card(f"---\n{front}\n---\n")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# no front matter", "does not begin with a `---` line"),
        ("---\nlicense: x\n", "no closing `---` line"),
        ("---\nlicense: x\n---\n", "no `scorer:` mapping"),
        ("---\n[1, 2\n---\n", "not YAML"),
        ("---\na: &x [1]\nb: *x\n---\n", "aliases are not allowed"),
        ("---\n" + "[" * 500 + "\n---\n", "nests deeper than"),
        ("---\na: " + "[" + "0, " * 60_000 + "]\n---\n", "more than 50000 values"),
        ("---\na: " + ":".join(["59"] * 50) + "\n---\n", "a number of more than 64 characters"),
        ("---\na: 0x" + "F" * 9000 + "\n---\n", "a number of more than 64 characters"),
        ("---\na: .nan\n---\n", "not finite"),
        ("---\na: !!binary /////w==\n---\n", "a value of the YAML type bytes"),
        ("---\na: !!set {b}\n---\n", "a value of the YAML type set"),
        ("---\n1: a\n---\n", "the key 1, which is not a text"),
        ("---\na: 2001-99-99\n---\n", "cannot be read"),
        ("---\n? [a]\n: b\n---\n", "not YAML|which is not a text"),
        ("---\n!!python/object/apply:os.system ['true']\n---\n", "not YAML"),
    ],
)
def test_a_hostile_front_matter_is_refused(text: str, message: str) -> None:
    with pytest.raises(CardError, match=message):
        parse_card(text)


def test_a_huge_card_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(b"---\n" + b"x" * (2 << 20))
    with pytest.raises(CardError, match="larger than 1 MiB"):
        read_card(path)


def test_a_date_in_a_card_is_shown_as_text() -> None:
    front = json.dumps({**fields(), "released": "DATE"}).replace('"DATE"', "2026-01-31")
    card = parse_card(f"---\n{front}\n---\n")
    assert card.model_dump(mode="json")["released"] == "2026-01-31"


def test_a_card_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="not a regular file"):
        read_card(tmp_path)


def test_invalid_utf8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(b"---\nlicense: \xff\n---\n")
    with pytest.raises(CardError, match="not UTF-8"):
        read_card(path)


def test_all_faults_of_a_card_are_told_at_once_in_plain_words() -> None:
    changes = {
        "name": "My Model",
        "version": "1",
        "threshold": 2,
        "text_colums": ["a"],
        "vectorizer": {"kind": "pickle", "sequence_length": 0},
        "golden": [{"text": 7, "output": ["x"]}],
    }
    front = {**fields(**changes), "license": None}
    del front["license"], front["scorer"]["text_columns"]
    with pytest.raises(CardError) as caught:
        parse_card(f"---\n{json.dumps(front)}\n---\n")
    assert str(caught.value).split("; ") == [
        "field `license` is missing",
        "field `scorer.name` must be lower-case letters, digits and single hyphens, such as "
        "'my-model', not 'My Model'",
        "field `scorer.version` must be three numbers with dots between them, such as '1.0.0', "
        "not '1'",
        "field `scorer.text_columns` is missing",
        "field `scorer.vectorizer.kind` must be 'tokenizer', 'word_index', 'vocabulary' or "
        "'textvectorization', not 'pickle'",
        "field `scorer.vectorizer.sequence_length` must be greater than 0, not 0",
        "field `scorer.threshold` must be less than 1, not 2",
        "field `scorer.golden.0.text` must be a text, not 7",
        "field `scorer.golden.0.output.0` must be a number, not 'x'",
        "field `scorer.text_colums` is not a field that is known here (did you mean "
        "`text_columns`?)",
    ]


def test_every_contradiction_of_a_card_is_told_at_once() -> None:
    changes = {
        "labels": [{"name": "a"}, {"name": "A"}, {"name": "b"}],
        "vectorizer": {"kind": "tokenizer", "index_from": 3, "num_words": 9},
    }
    with pytest.raises(CardError) as caught:
        parse_card(f"---\n{json.dumps(fields(**changes))}\n---\n")
    for fault in ("index_from belongs to a word index", "num_words belongs"):
        assert fault in str(caught.value)
    del changes["vectorizer"]
    with pytest.raises(CardError) as caught:
        parse_card(f"---\n{json.dumps(fields(**changes))}\n---\n")
    assert "needs 2 labels, not 3; the spelling 'a' stands for two labels" in str(caught.value)


ELSEWHERE = {
    "data": "Yelp",
    "texts": "restaurant reviews",
    "rows": 9_000,
    "figures": [{"metric": "accuracy", "value": 0.901, "low": 0.89, "high": 0.91}],
    "majority_baseline": 0.804,
    "median_tokens": 52.0,
    "median_oov_share": 0.031,
    "psi": {"tokens": 0.4, "oov_share": 0.2, "score": 0.1},
}


def test_a_card_keeps_what_the_model_scored_on_other_data() -> None:
    card = Card.model_validate(fields(out_of_domain=[ELSEWHERE]))
    (found,) = parse_card(render_card(card)).scorer.out_of_domain
    assert found.figures[0].metric == "accuracy"
    assert json.loads(found.model_dump_json(exclude={"note"})) == ELSEWHERE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figures": []}, "out_of_domain.0.figures"),
        ({"median_oov_share": 1.5}, "out_of_domain.0.median_oov_share"),
        ({"median_token": 5}, "did you mean `median_tokens`"),
        ({"figures": [{"metric": "luck", "value": 1}]}, "'luck' is not a figure"),
    ],
)
def test_wrong_figures_of_other_data_are_named(changes: dict[str, Any], message: str) -> None:
    front = json.dumps(fields(out_of_domain=[ELSEWHERE | changes]))
    with pytest.raises(CardError) as caught:
        parse_card(f"---\n{front}\n---\n")
    assert message in str(caught.value)
