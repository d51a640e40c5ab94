"""What a report says beside its figures: names of rows, months, a recommended threshold."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.finish import finish
from scorer.evaluation.ids import RowNames, candidates
from scorer.evaluation.months import months
from scorer.evaluation.report import render_html
from scorer.evaluation.request import Request, Subject
from scorer.evaluation.sections.advice import AIMS, advise, best_threshold
from scorer.evaluation.slices import SliceColumn
from scorer.evaluation.statistics.ranking import ranking
from scorer.evaluation.statistics.sample import Sample
from scorer.tables import Window
from scorer.tasks import BINARY, MULTILABEL, Problem
from tests.units.evaluation.test_evaluation_stream import card, made_up

N = 120


def window(**columns: Sequence[Any]) -> Window:
    table = pa.RecordBatch.from_pydict({name: pa.array(v) for name, v in columns.items()})
    return Window(index=0, texts=table.column(0), table=table)


def test_candidates_are_whole_numbers_and_texts_an_id_first() -> None:
    kinds = {"text": "string", "title": "string", "price": "float64", "n": "int64"}
    kinds |= {"reviewId": "string", "when": "date32", "label": "int8"}
    schema = pa.schema([pa.field(name, kind) for name, kind in kinds.items()])
    assert candidates(schema, ("text", "label")) == ("reviewId", "title", "n")


def test_the_first_column_whose_values_all_differ_names_the_rows() -> None:
    names = RowNames(("page", "n", "id"))
    first = window(text=["x", "y"], page=["a", "b"], n=[1, 1], id=[7, 8])
    names.add(first)
    assert names.of(first, 1) == {"page": "b", "id": "8"}
    assert names.chosen() == "page"
    names.add(window(text=["x", "y"], page=["c", "a"], n=[3, 4], id=[9, 10]))
    assert names.chosen() == "id"


@pytest.mark.parametrize("values", [["a", None], ["a", ""], ["a", "b" * 81], ["x", "y"]])
def test_blank_and_long_values_and_the_text_itself_are_no_names(values: list[Any]) -> None:
    names = RowNames(("c",))
    names.add(window(text=["x", "y"], c=values))
    assert names.chosen() is None


def test_a_table_that_lacks_the_column_drops_it() -> None:
    names = RowNames(("id",))
    names.add(window(text=["x"], id=[1]))
    names.add(window(text=["y"]))
    assert names.chosen() is None


@pytest.mark.parametrize("asked", [None, "page"])
def test_the_largest_mistakes_show_the_id(asked: str | None) -> None:
    rows = made_up("binary", N)
    part, scores = rows.window(0, N, index=0)
    columns = {name: part.table.column(name) for name in part.table.schema.names}
    ids = {
        "page": pa.array([f"p{i % 7}" for i in range(N)]),
        "key": pa.array(range(9000, 9000 + N)),
    }
    table = pa.RecordBatch.from_pydict({**columns, **ids})
    request = Request(("label",), True, id_column=asked, ids=("page", "key"))
    evaluator = Evaluator([Subject("made-up@1.0.0", "0" * 64, card("binary"))], request)
    evaluator(Window(0, part.texts, table), scores)
    report = finish(evaluator, ["rows.csv"])
    assert report.id_column == (asked or "key")
    for mistake in report.models[0].mistakes:
        assert mistake.id == (f"p{(mistake.row - 1) % 7}" if asked else f"{8999 + mistake.row}")
    assert f"<span>{asked or 'key'} <b>{report.models[0].mistakes[0].id}</b></span>" in render_html(
        report
    )


@given(
    days=st.lists(st.dates(date(1900, 1, 1), date(2100, 1, 1)), min_size=1),
    way=st.sampled_from(["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%B %d, %Y", "%d %b %Y"]),
)
def test_dates_are_read_by_month(days: list[date], way: str) -> None:
    assert months([d.strftime(way) for d in days]) == [f"{d:%Y-%m}" for d in days]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["03/04/2025", "12/11/2025"], None),  # either way
        (["03/04/2025", "13/11/2025"], ["2025-04", "2025-11"]),
        (["03/04/2025", "12/31/2025"], ["2025-03", "2025-12"]),
        (["03/03/2025"], ["2025-03"]),
        (["2025-03-04", "unknown"], None),
        (["2025", "2026"], None),
        ([], None),
    ],
)
def test_what_is_no_date_for_certain_is_left_alone(
    values: list[str], found: list[str] | None
) -> None:
    assert months(values) == found


@pytest.mark.parametrize("clock", ["", "T08:15:00Z", " 23:59:01.5 UTC"])
def test_a_date_column_of_csv_is_cut_like_one_of_parquet(clock: str) -> None:
    days = [date(2025, 1, 1) + timedelta(days=3 * i) for i in range(50)]
    text = "when\n" + "".join(f"{d}{clock}\n" for d in days)
    cells = [row["when"] for row in csv.DictReader(io.StringIO(text))]
    cuts = []
    for column in (pa.array([*cells, None]), pa.array([*days, None])):
        collected = SliceColumn("when")
        collected.add(column)
        cuts.append(collected.cut(np.arange(51)))
    assert cuts[0].names == ("2025-01", "2025-02", "2025-03", "2025-04", "2025-05", "(blank)")
    assert cuts[0].names == cuts[1].names
    assert cuts[0].codes.tolist() == cuts[1].codes.tolist()
    assert cuts[0].note == "dates by month"


def test_many_months_are_cut_by_year() -> None:
    collected = SliceColumn("when")
    collected.add(pa.array([f"{2000 + i // 12}-{i % 12 + 1:02d}-15" for i in range(30)]))
    cut = collected.cut(np.arange(30))
    assert (cut.names, cut.note) == (("2000", "2001", "2002"), "dates by year")


def sample(n: int, seed: int, shift: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    target = (rng.random(n) < 0.6).astype(np.int16)
    logit = rng.normal(2.0 * target - 1 - shift, 1.0)
    return Sample(
        Problem(BINARY, ("no", "yes")), target, (1 / (1 + np.exp(-logit))).astype("f4")[:, None]
    )


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), decimals=st.integers(1, 7))
def test_no_threshold_is_better_than_the_recommended_one(seed: int, decimals: int) -> None:
    made = sample(40, seed)
    scores = made.output[:, 0].round(decimals).clip(1e-3, 1 - 1e-3)
    ranked = ranking(scores, made.target == 1)
    for aim, judge in zip(AIMS, (f1_score, accuracy_score), strict=True):
        found = best_threshold(aim, ranked)
        assert 0 < found < 1
        value = judge(made.target, scores >= np.float32(found))
        others = [judge(made.target, scores >= t) for t in scores[made.target == 1]]
        assert value == pytest.approx(max(others), abs=1e-12)


def test_a_threshold_is_recommended_where_it_helps_on_rows_left_out() -> None:
    low = sample(3_000, 1, shift=1.5)
    for item in advise(low):
        assert item.recommended
        assert item.threshold < 0.4
        assert item.in_use < item.expected <= item.value + 1e-9
        assert len(f"{item.threshold:g}") < 8
    judge = {"f1": f1_score, "accuracy": accuracy_score}
    fresh = sample(3_000, 2, shift=1.5)
    for item in advise(low):
        decided = fresh.output[:, 0] >= item.threshold
        assert judge[item.figure](fresh.target, decided) == pytest.approx(item.expected, abs=0.03)


def test_pure_noise_earns_no_threshold() -> None:
    rng = np.random.default_rng(3)
    target = (np.arange(400) % 2).astype(np.int16)
    noise = rng.random((400, 1)).astype(np.float32)
    by = {
        item.figure: item for item in advise(Sample(Problem(BINARY, ("no", "yes")), target, noise))
    }
    assert by["accuracy"].value > by["accuracy"].in_use
    assert not by["accuracy"].recommended


def test_labels_of_which_a_row_has_several_have_one_threshold_together() -> None:
    one = sample(600, 4, shift=1.0)
    both = np.hstack([one.output, one.output[::-1]])
    target = np.stack([one.target, one.target[::-1]], axis=1).astype(np.int8)
    found = advise(Sample(Problem(MULTILABEL, ("a", "b")), target, both))
    assert [item.value for item in found] == [item.value for item in advise(one)]
    assert advise(sample(60, 5)) == ()
