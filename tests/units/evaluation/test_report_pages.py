"""The page as people see it: what comes first, what is folded, and that all of it can be read."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.evaluation import report as package
from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.finish import finish
from scorer.evaluation.report import findings, render_html
from scorer.evaluation.report.charts import STRONGEST, WEAKEST
from scorer.evaluation.report.texts import BUDGET, RowTexts, fair_share
from scorer.evaluation.request import Request, Subject
from scorer.evaluation.result import Report
from scorer.evaluation.why import MarkedWord
from scorer.scores import Scores
from scorer.tables import Window
from tests.units.evaluation.test_evaluation_stream import REQUEST, card, made_up
from tests.units.evaluation.test_report import hostile

STYLE = (Path(package.__file__).parent / "style.css").read_text(encoding="utf-8")
BACKS = ("page", "card", "good-back", "warn-back", "bad-back")


@cache
def compared(task: str = "binary", noises: tuple[float, ...] = (0.0, 0.8, 0.4)) -> Report:
    """Models of which the later ones add noise to the outputs of the first."""
    rows, rng = made_up(task, 200), np.random.default_rng(1)
    window, scores = rows.window(0, 200, index=0)
    subjects = [Subject(f"model-{i}@1.0.0", "0" * 64, card(task)) for i in range(len(noises))]
    evaluator = Evaluator(subjects, REQUEST)
    evaluator.add(window, [_noisy(scores, noise, rng) for noise in noises])
    return finish(evaluator, ["rows.csv"])


def _noisy(scores: Scores, noise: float, rng: np.random.Generator) -> Scores:
    outputs = np.clip(scores.outputs + rng.normal(0, noise, scores.outputs.shape), 0, 1)
    return Scores(
        outputs.astype(np.float32), scores.n_tokens, scores.n_oov, scores.truncated, scores.scored
    )


def tokens(dark: bool) -> dict[str, tuple[float, ...]]:
    """The colours of the style sheet by name, each (red, green, blue) from 0 to 255."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    found = {}
    for name, value in re.findall(r"--([\w-]+): ([^;]+);", blocks[int(dark)]):
        hexed = value.removeprefix("#")
        found[name] = (
            tuple(int(hexed[i : i + 2], 16) for i in (0, 2, 4))
            if value.startswith("#")
            else tuple(map(float, value.split()))
        )
    return found


def contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The ratio of WCAG 2.2, from 1 to 21."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: tuple[float, ...]) -> float:
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_a_contrast_of_4_5(dark: bool) -> None:
    colour = tokens(dark)
    pairs = [(ink, back) for ink in ("ink", "soft", "link") for back in BACKS]
    pairs += [(level, back) for level in ("good", "warn", "bad") for back in ("page", "card")]
    weak = {pair: contrast(colour[pair[0]], colour[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.618, 0.75, 1.0])
def test_the_cells_of_the_confusion_matrix_can_be_read(dark: bool, share: float) -> None:
    colour, opaque = tokens(dark), WEAKEST + (STRONGEST - WEAKEST) * share
    back = tuple(
        opaque * a + (1 - opaque) * b for a, b in zip(colour["accent"], colour["card"], strict=True)
    )
    assert contrast(colour["ink"], back) >= 4.5
    assert re.search(r"\.matrix td small \{ color: var\(--ink\)", STYLE)


@pytest.mark.parametrize("dark", [False, True])
def test_lines_and_dots_stand_out_from_the_panel(dark: bool) -> None:
    """3:1, as WCAG asks for graphics."""
    colour = tokens(dark)
    assert {f"s{i}" for i in range(10)} <= set(colour)
    for i in range(10):
        assert contrast(colour[f"s{i}"], colour["card"]) >= 3, i


def test_no_colour_but_the_tested_ones_is_used() -> None:
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    rules = re.sub(r"@media print.*", "", rules)
    assert re.findall(r"#[0-9a-f]{3,8}\b(?=[;, )])", rules) == []
    assert set(re.findall(r"(?<!-)opacity: ([^;]+);", rules)) == set()
    assert set(re.findall(r"[{;] color: ([^;]+);", rules)) <= {
        *(f"var(--{name})" for name in ("ink", "soft", "link", "good", "warn", "bad")),
        *(f"var(--s{i})" for i in range(10)),
    }


def test_a_comparison_leads_with_the_winner_and_the_sorted_leaderboard() -> None:
    html = render_html(compared())
    leader = html.index("model-0@1.0.0 is the best of 3 models: accuracy")
    rows = [html.index(f"{i}. <b>model-{m}@1.0.0</b>") for i, m in ((1, 0), (2, 2), (3, 1))]
    folded = [html.index(f"<b>model-{m}@1.0.0</b>:") for m in range(3)]
    assert [leader, *rows, *folded] == sorted([leader, *rows, *folded])
    assert folded[-1] < html.index('id="contents"') < html.index('id="differences"')
    assert re.search(r"more than model-2@1.0.0 on the same \d+ rows \(95% interval", html)


def test_a_lead_that_may_be_chance_names_no_winner() -> None:
    (level, words), *_ = findings(compared(noises=(0.0, 0.001)))
    assert level == "warn"
    assert re.match(r"No clear winner: model-\d@1.0.0 has the best accuracy, 0\.\d{4}, ", words)
    assert "which may be chance (95% interval of the difference " in words


def test_models_of_a_comparison_are_folded() -> None:
    html = render_html(compared())
    for i in (1, 2, 3):
        before = html[: html.index(f'id="m{i}-figures"')]
        assert before.count("<details") > before.count("</details>")
    before = html[: html.index('id="agreement"')]
    assert before.count("<details") == before.count("</details>")


@given(sizes=st.lists(st.integers(0, 500), max_size=30), budget=st.integers(0, 3000))
def test_texts_share_a_budget_fairly(sizes: list[int], budget: int) -> None:
    most = fair_share(sizes, budget)
    taken = sum(min(size, most) for size in sizes)
    assert taken <= budget
    if sum(sizes) > budget:  # a byte more for each that was cut would be too much
        assert taken + sum(size > most for size in sizes) > budget


def test_a_long_text_is_folded_and_whole_on_demand() -> None:
    text = " ".join(f"word{i}" for i in range(400))
    shown = RowTexts(BUDGET)(text)
    assert shown.startswith("<details><summary>word0 word1")
    assert f"show all {len(text):,} characters" in shown
    assert re.findall(r"word\d+", shown) == text.split()
    assert RowTexts(BUDGET)("short") == "<p>short</p>"


def test_a_text_past_the_budget_says_how_much_is_left_out() -> None:
    text = "<b> & more " * 200
    shown = RowTexts(1_200)(text)
    assert len(shown) < 1_500
    kept = int(re.search(r"show all ([\d,]+) characters", shown)[1].replace(",", ""))  # type: ignore[index]
    assert f"… and {len(text) - kept:,} more, which report.json has." in shown


def test_the_same_rows_give_the_same_bytes_but_for_the_moment() -> None:
    first, again = hostile("binary"), hostile.__wrapped__("binary")
    later = again.model_copy(update={"created": first.created})
    assert render_html(first) == render_html(later)
    assert first.to_json() == later.to_json()


def test_three_models_with_four_slices_and_long_texts_stay_below_300_kB() -> None:
    n, rng = 500, np.random.default_rng(2)
    rows = made_up("binary", n)
    part, scores = rows.window(0, n, index=0)
    texts = pa.array(["A <b>long</b> text & more. " * 100] * n)
    columns: dict[str, pa.Array] = {"text": texts, "label": part.table.column("label")}
    for name in "abcd":
        columns[name] = pa.array([f"value number {v}" for v in rng.integers(0, 30, n)])
    subjects = [Subject(f"model-{i}@1.0.0", "0" * 64, card("binary")) for i in range(3)]
    evaluator = Evaluator(subjects, Request(("label",), True, slices=tuple("abcd")))
    evaluator.add(Window(0, texts, pa.RecordBatch.from_pydict(columns)), [scores] * 3)
    html = render_html(finish(evaluator, ["rows.csv"]))
    assert html.count("value number") >= 3 * 4 * 20
    assert len(html.encode()) < 300_000


def test_words_behind_a_mistake_are_marked_where_they_stand() -> None:
    text = "Not <i>bad</i>, " + "really " * 100 + "good"
    words = [
        MarkedWord(word="Not", weight=-1.25, start=0, end=3),
        MarkedWord(word="bad", weight=0.5, start=7, end=10),
        MarkedWord(word="elsewhere", weight=2.0, start=None, end=None),
        MarkedWord(word="good", weight=2.0, start=len(text) - 4, end=len(text)),
    ]
    shown = RowTexts(BUDGET)(text, words)
    assert '<mark class="down" title="-1.25">Not</mark> &lt;i&gt;<mark class="up"' in shown
    assert shown.count("<mark") == 3
    assert "elsewhere" not in shown
    assert '<mark class="up" title="+2.00">good</mark></p></details>' in shown


def test_the_baseline_stands_in_the_leaderboard_and_is_named_where_it_wins() -> None:
    html = render_html(compared())
    assert html.index("<b>model-1@1.0.0</b>") < html.index("<td>always &#39;")
    poor = render_html(compared(noises=(3.0, 3.0)))
    assert re.search(
        r"It is (worse|not clearly better) than the baseline, always &#39;\w+&#39;", poor
    )
