"""What label values mean, rule by rule, and the drift index against its definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from scorer.card import Label
from scorer.errors import ColumnError, UsageError
from scorer.evaluation.columns import CodedColumn, numbers
from scorer.evaluation.drift.histograms import DriftCounter, psi, verdict
from scorer.evaluation.gates import parse_requirement
from scorer.evaluation.labels.meaning import (
    LabelRules,
    choose_label_column,
    normal,
    parse_label_map,
)
from scorer.evaluation.slices import SliceColumn
from scorer.scores import Scores
from scorer.tasks import BINARY, Problem
from tests.units.evaluation.test_evaluation_stream import LABELS, card, part_of

TWO = LabelRules(LABELS["binary"])
THREE = LabelRules(LABELS["multiclass"])
PETS = LabelRules((Label(name="cat"), Label(name="dog")))


def codes(rules: LabelRules, *values: object) -> dict[object, int | None]:
    keys = [normal(v) for v in values]
    meaning = rules.meaning([key for key in keys if key is not None])
    return {v: meaning.codes.get(key or "") for v, key in zip(values, keys, strict=True)}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("negative", 0),
        (" Positive ", 1),
        ("BAD", 0),
        ("good", 1),
        ("pos", 1),
        ("NEG", 0),
        (True, 1),
        (False, 0),
        ("0", 0),
        (1.0, 1),
        ("yes", 1),
        ("meh", None),
        (2, None),
    ],
)
def test_names_aliases_and_common_spellings(value: object, code: int | None) -> None:
    assert codes(TWO, value, "negative")[value] == code


def test_zero_and_one_are_not_stars() -> None:
    assert codes(TWO, 0, 1) == {0: 0, 1: 1}
    assert codes(TWO, 1) == {1: 1}


def test_stars_out_of_five() -> None:
    assert codes(TWO, 1, 2, 3, 4, 5) == {1: 0, 2: 0, 3: None, 4: 1, 5: 1}
    assert codes(TWO, "1.0", "2.5", "4.5", "5") == {"1.0": 0, "2.5": None, "4.5": 1, "5": 1}


def test_stars_out_of_ten() -> None:
    expected = {1: 0, 4: 0, 5: None, 6: None, 7: 1, 10: 1}
    assert codes(TWO, *expected) == expected


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 3, 4), (2, 3), (-1, 5), (1, 11)])
def test_numbers_without_a_scale_mean_nothing(values: tuple[int, ...]) -> None:
    """Not even 1, which the common spellings know: a part of a coding is read wrong."""
    assert set(codes(TWO, *values).values()) == {None}
    assert TWO.meaning([str(v) for v in values]).doubt == "numbers that fit no known scale"


def test_stars_of_three_labels() -> None:
    assert codes(THREE, 1, 2, 3, 4, 5) == {1: 0, 2: 0, 3: 1, 4: 2, 5: 2}
    assert codes(THREE, 1, 4, 5, 6, 7, 10) == {1: 0, 4: 0, 5: 1, 6: 1, 7: 2, 10: 2}
    assert THREE.meaning(["1", "5"]).reading == "1-2 Negative, 3 Neutral, 4-5 Positive"


def test_codes_of_a_card_do_not_hide_stars() -> None:
    """The alias 1 of Positive made one star positive and left 2 to 5 out."""
    coded = LabelRules(
        (
            Label(name="Negative", aliases=("neg", "-1")),
            Label(name="Neutral", aliases=("neu", "0")),
            Label(name="Positive", aliases=("pos", "1")),
        )
    )
    assert codes(coded, 1, 2, 3, 4, 5) == {1: 0, 2: 0, 3: 1, 4: 2, 5: 2}
    assert codes(coded, -1, 0, 1) == {-1: 0, 0: 1, 1: 2}
    assert codes(coded, -1, 1) == {-1: 0, 1: 2}
    for values in (["0", "1"], ["0"], ["1"]):
        found = coded.meaning(values)
        assert (found.codes, found.doubt) == ({}, "only 0 and 1, where the model has 3 labels")
    assert codes(coded, 0, 1, 2) == {0: None, 1: None, 2: None}
    told = LabelRules(coded.labels, {"0": "Negative", "1": "Positive"})
    assert codes(told, 0, 1) == {0: 0, 1: 2}


def test_signs_of_two_labels() -> None:
    assert codes(TWO, -1, 1) == {-1: 0, 1: 1}
    assert set(codes(TWO, -1, 0, 1).values()) == {None}  # or "unknown, no, yes"


def test_labels_that_are_numbers_are_no_doubt() -> None:
    points = LabelRules(tuple(Label(name=str(i)) for i in range(3)))
    assert codes(points, 0, 1) == {0: 0, 1: 1}


def test_stars_need_a_model_of_sentiment() -> None:
    assert set(codes(PETS, 1, 3, 5).values()) == {None}
    assert codes(PETS, "Dog", 0, 1) == {"Dog": 1, 0: 0, 1: 1}


def test_three_labels_know_their_short_names_but_no_numbers() -> None:
    assert codes(THREE, "neg", "neu", "POS", "1") == {"neg": 0, "neu": 1, "POS": 2, "1": None}


def test_a_map_comes_before_every_rule() -> None:
    made = parse_label_map(["3=negative", "positive=,awful=BAD"], card("binary"))
    assert made == {"3": "negative", "positive": "", "awful": "negative"}
    rules = LabelRules(LABELS["binary"], made)
    found = codes(rules, 1, 3, 5, "positive", "awful")
    assert found == {1: 0, 3: 0, 5: 1, "positive": None, "awful": 0}


def test_an_alias_that_is_a_number_is_no_star() -> None:
    rules = LabelRules((Label(name="negative", aliases=("5",)), Label(name="positive")))
    assert codes(rules, 5, 1) == {5: 0, 1: 1}


@given(values=st.lists(st.integers(-1, 10), min_size=1, max_size=8, unique=True))
def test_what_is_kept_before_the_end_covers_what_is_needed_then(values: list[int]) -> None:
    for rules in (TWO, THREE):
        for value, code in codes(rules, *values).items():
            if code is not None:
                assert code in rules.possible(str(value))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["good"], "write VALUE=LABEL"),
        (["=negative"], "write VALUE=LABEL"),
        (["good=fine"], "has the labels negative, positive"),
    ],
)
def test_a_wrong_map_is_explained(pairs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_label_map(pairs, card("binary"))


def test_a_regression_has_no_labels_to_map_to() -> None:
    with pytest.raises(UsageError, match="predicts a number"):
        parse_label_map(["a=b"], card("regression"))


def test_the_label_column_is_the_one_named_or_the_card_s_first() -> None:
    present = ["id", "Sentiment", "rating"]
    assert choose_label_column("t", present, None, ("label", "sentiment")) == "Sentiment"
    assert choose_label_column("t", present, "rating", ("sentiment",)) == "rating"
    assert choose_label_column("t", present, None, ("label",)) is None
    with pytest.raises(ColumnError, match=r"no column 'ratin' .did you mean 'rating'"):
        choose_label_column("t", present, "ratin", ())


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "A ", "b"]),
        pa.array(["a", None, "A ", "b"]).dictionary_encode(),
        pa.array(["a", None, "A ", "b"], pa.large_string()),
    ],
)
def test_one_value_is_one_code_in_any_type(column: pa.Array) -> None:
    coded = CodedColumn(10)
    assert list(coded.add(column)) == [0, -1, 0, 1]
    assert (coded.values, coded.spellings) == (["a", "b"], ["a", "b"])


def test_numbers_are_one_value_in_any_type() -> None:
    coded = CodedColumn(10)
    for column in (pa.array([1, 2]), pa.array([1.0, float("nan")]), pa.array(["1", "2.0"])):
        coded.add(column)
    assert list(coded.codes()) == [0, 1, 0, -1, 0, 1]


def test_values_past_the_limit_share_a_code() -> None:
    coded = CodedColumn(2)
    assert list(coded.add(pa.array(["a", "b", "c", "d", "a"]))) == [0, 1, 2, 2, 0]


def test_numbers_read_what_is_one() -> None:
    found = numbers(pa.array(["87", " 88.5", "n/a", None, "inf"]))
    assert np.array_equal(found, [87.0, 88.5, np.nan, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize("kind", ["number", "text"])
def test_many_numbers_are_binned_also_where_they_are_text(kind: str) -> None:
    values = list(range(100))
    column = SliceColumn("price")
    column.add(pa.array(values) if kind == "number" else pa.array([str(v) for v in values]))
    cut = column.cut(np.arange(100))
    assert cut.names == ("0 to 19", "20 to 39", "40 to 59", "60 to 79", "80 to 99")
    assert np.array_equal(cut.codes, np.arange(100) // 20)


def test_dates_are_cut_by_month() -> None:
    column = SliceColumn("when")
    column.add(pa.array(["2024-01-05", "2024-01-09", "2024-03-01"]).cast(pa.date32()))
    assert column.cut(np.arange(3)).names == ("2024-01", "2024-03")


def test_rare_values_share_a_slice() -> None:
    column = SliceColumn("city")
    column.add(pa.array([f"city {i:02}" for i in range(40) for _ in range(40 - i)]))
    cut = column.cut(np.arange(820))
    assert len(cut.names) == 21
    assert cut.names[0] == "city 00"
    assert cut.names[-1] == "(other values)"
    assert "of 40 values" in cut.note


def test_psi_follows_its_definition() -> None:
    now, then = np.array([10, 20, 70]), np.array([300, 300, 400])
    o, e = (now + 0.5) / 101.5, (then + 0.5) / 1001.5
    assert psi(now, then)[0] == pytest.approx(float(((o - e) * np.log(o / e)).sum()))


def test_the_noise_level_is_the_99_percent_quantile_of_chi_square() -> None:
    for bins in (5, 10, 20):
        level = psi(np.full(bins, 100), np.full(bins, 200))[1]
        expected = chi2.ppf(0.99, bins - 1) * (1 / (100 * bins) + 1 / (200 * bins))
        assert level == pytest.approx(expected, rel=0.01)


def test_without_any_change_the_noise_level_is_rarely_passed() -> None:
    rng = np.random.default_rng(2)
    shares = np.full(10, 0.1)
    passed = sum(
        index > noise
        for index, noise in (
            psi(rng.multinomial(300, shares), rng.multinomial(2_000, shares)) for _ in range(1_000)
        )
    )
    assert passed <= 25


@pytest.mark.parametrize(
    ("index", "noise", "words"),
    [
        (0.05, 0.0, "stable"),
        (0.05, 0.2, "stable"),
        (0.2, 0.1, "moderate"),
        (0.26, 0.1, "major"),
        (0.3, 0.4, "too few rows to tell"),
    ],
)
def test_drift_in_words(index: float, noise: float, words: str) -> None:
    assert verdict(index, noise) == words


@settings(max_examples=25)
@given(cut=st.integers(0, 200))
def test_drift_does_not_depend_on_the_windows(cut: int) -> None:
    rng = np.random.default_rng(3)
    tokens = rng.integers(0, 30, 200).astype(np.int32)
    scores = Scores(
        rng.random((200, 1)).astype(np.float32), tokens, tokens // 3, tokens > 20, tokens > 0
    )
    reference, problem = card("binary").training_profile, Problem(BINARY, ("negative", "positive"))

    def counter(*cuts: int) -> DriftCounter:
        made = DriftCounter(problem, reference)
        for start, stop in pairwise(cuts):
            made.add(part_of(scores, start, stop))
        return made

    whole, first = counter(0, 200), counter(0, cut, 200)
    assert first.result() == whole.result()
    found = whole.result()
    assert found is not None
    assert found.rows == int((tokens > 0).sum())
    assert [part.name for part in found.parts] == ["score", "tokens", "oov_share"]
    for part in found.parts:
        assert sum(part.observed) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "text", ["accuracy", "accuracy=0.8", "acuracy>=0.8", "accuracy>=high", "accuracy>=1.2.3", ""]
)
def test_a_requirement_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError, match="--require"):
        parse_requirement(text)


@pytest.mark.parametrize(
    ("text", "sign", "limit"),
    [("accuracy>=0.85", ">=", 0.85), (" mae < 1.5 ", "<", 1.5), ("drift<=2e-1", "<=", 0.2)],
)
def test_requirements(text: str, sign: str, limit: float) -> None:
    found = parse_requirement(text)
    assert (found.sign, found.limit) == (sign, limit)
