"""report.json follows its schema; report.html is one page that shows and fetches nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from scorer.card import Label, PromisedFigure
from scorer.errors import OutputError
from scorer.evaluation.evaluator import Evaluator
from scorer.evaluation.finish import finish
from scorer.evaluation.folder import ReportFolder
from scorer.evaluation.gates import parse_requirement
from scorer.evaluation.report import charts, findings, render_html
from scorer.evaluation.report.contents import contents as contents_of
from scorer.evaluation.report.svg import short, ticks
from scorer.evaluation.request import Request, Subject
from scorer.evaluation.result import Report, json_schema
from scorer.evaluation.terminal import render_text
from scorer.figures import figures_of
from scorer.tasks import task_named
from tests.units.evaluation.test_evaluation_stream import LABELS, REQUEST, card, evaluated, made_up

SCHEMA = Path(__file__).parents[3] / "docs" / "report.schema.json"
EVIL = "</style></title><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[2J"
SECTIONS = {
    "binary": (
        "findings headlines card figures confusion classes ranking calibration scores thresholds "
        "slices mistakes drift"
    ),
    "multiclass": (
        "findings headlines card figures confusion classes ranking calibration scores slices "
        "mistakes drift"
    ),
    "multilabel": (
        "findings headlines card figures classes ranking calibration scores thresholds slices "
        "mistakes drift"
    ),
    "regression": "findings headlines card figures distribution residuals slices mistakes drift",
}


class Page(HTMLParser):
    """What a browser would make of the page: tags, ids, links, text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.text += data


@cache
def hostile(task: str, n: int = 400) -> Report:
    """A report whose every text is an attack."""
    rows = made_up(task, n)
    metric = figures_of(task_named(task))[0].name
    promised = PromisedFigure(metric=metric, value=0.5, data=EVIL, rows=10)
    rows = replace(rows, texts=[EVIL] * n, groups=[f"{EVIL}{i % 3}" for i in range(n)])
    return finish(
        evaluated(rows, [], figures=(promised,)), [EVIL], [parse_requirement("drift<0.1")]
    )


@pytest.mark.parametrize("task", LABELS)
def test_every_section_is_there_and_nothing_is_fetched(task: str) -> None:
    report = hostile(task)
    page = Page(render_html(report))
    assert set(SECTIONS[task].split()) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    icon, *contents = page.links
    assert icon == "data:,"
    assert {link.removeprefix("#") for link in contents} <= set(page.ids)
    assert len(contents) == len(contents_of(report))
    assert "svg" in page.tags


@pytest.mark.parametrize("task", LABELS)
def test_texts_stay_texts(task: str) -> None:
    html = render_html(hostile(task))
    page = Page(html)
    assert not {"script", "img", "iframe", "object", "link rel=import"} & set(page.tags)
    assert page.handlers == []
    assert "\x1b" not in html
    assert page.tags.count("style") == 1
    assert page.tags.count("title") >= 1
    assert "<script>document.title='owned'</script>" in page.text
    assert "url(" not in html.split("</style>")[0]


@pytest.mark.parametrize("task", LABELS)
def test_the_report_without_labels_shows_distributions(task: str) -> None:
    rows = made_up(task, 600)
    hostile_groups = replace(rows, groups=[f"{EVIL}{i % 3}" for i in range(600)])
    report = finish(evaluated(hostile_groups, [250], Request(slices=("group",))), ["rows.csv"])
    page = Page(render_html(report))
    assert "no labels" in page.text
    assert {"predictions", "distributions", "drift"} <= set(page.ids)
    assert "confusion" not in page.ids
    assert not {"script", "img"} & set(page.tags)
    assert report.models[0].figures == {}
    assert report.models[0].distributions is not None
    groups = report.models[0].distributions.slices[0]
    assert sum(row.rows for row in groups.rows) == report.models[0].scored


def test_an_empty_table_has_a_report_too() -> None:
    rows = made_up("binary", 0)
    report = finish(evaluated(rows, [], Request()), ["empty.csv"])
    assert "No row was scored" in render_html(report)
    assert render_text(report).startswith("0 rows, no labels")


@pytest.mark.parametrize("task", LABELS)
def test_every_chart_is_well_formed_and_inside_its_frame(task: str) -> None:
    drawn = re.findall(r"<svg.*?</svg>", render_html(hostile(task)), flags=re.DOTALL)
    assert len(drawn) >= 7
    for text in drawn:
        chart = ElementTree.fromstring(text)
        width, height = (float(v) for v in chart.attrib["viewBox"].split()[2:])
        for mark in chart.iter():
            for path in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", mark.get("d", "")):
                x, y = map(float, path)
                assert -1 <= x <= width + 1
                assert -1 <= y <= height + 1
            if mark.tag == "rect":
                assert float(mark.attrib["y"]) + float(mark.attrib["height"]) <= height
                assert float(mark.attrib["x"]) + float(mark.attrib["width"]) <= width + 1


def test_the_matrix_of_many_classes_has_small_cells_and_blanks_for_none() -> None:
    model = hostile("multiclass").models[0]
    assert "dense" not in charts.confusion(model)
    labels = tuple(f"class {i}" for i in range(charts.DENSE + 1))
    diagonal = tuple(tuple(1200 * (i == j) for j in range(13)) for i in range(13))
    many = model.model_copy(update={"labels": labels, "confusion": diagonal})
    matrix = charts.confusion(many)
    assert 'class="matrix dense"' in matrix
    assert (matrix.count(">1,200</td>"), matrix.count("<td></td>")) == (13, 13 * 12)


def test_label_names_stay_texts() -> None:
    """The names of labels come from a card, and so from a stranger."""
    rows = made_up("binary", 300)
    labels = (Label(name=EVIL[:128], aliases=("bad",)), Label(name="positive" + EVIL[:99]))
    odd = card("binary").model_copy(update={"labels": labels})
    request = Request(("label",), True, {"positive": labels[1].name})
    evaluator = Evaluator([Subject("odd@1.0.0", "0" * 64, odd)], request)
    evaluator(*rows.window(0, 300, index=0))
    report = finish(evaluator, ["rows.csv"])
    assert report.models[0].evaluated > 200
    page = Page(render_html(report))
    assert not {"script", "img"} & set(page.tags)
    assert page.handlers == []
    assert "\x1b" not in page.text + render_text(report)


def write_into(folder: Path, report: Report) -> None:
    with ReportFolder(folder).staged() as write:
        write(report)


@pytest.mark.parametrize("task", LABELS)
def test_json_follows_the_documented_schema(task: str, tmp_path: Path) -> None:
    report = hostile(task)
    write_into(tmp_path / "rows.report", report)
    text = (tmp_path / "rows.report" / "report.json").read_text(encoding="utf-8")
    assert Report.model_validate_json(text) == report
    stored = json.loads(text)
    assert stored["schema_version"] == "1.2"
    documented = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert set(stored) == set(documented["properties"])
    assert "NaN" not in text
    assert sorted(p.name for p in (tmp_path / "rows.report").iterdir()) == [
        "report.html",
        "report.json",
    ]


def test_the_documented_schema_is_the_code_s() -> None:
    """After a wanted change: python -m scorer.evaluation.result > docs/report.schema.json."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == json_schema()


def test_a_report_that_cannot_be_written_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match=r"taken.*cannot be written: Not a directory"):
        write_into(tmp_path / "taken" / "rows.report", hostile("binary", 50))


def test_the_page_does_not_grow_with_the_data() -> None:
    small, large = (render_html(hostile("binary", n)) for n in (500, 10_000))
    assert len(large) < 1.2 * len(small)
    assert len(large.encode()) < 400_000


@pytest.mark.parametrize("task", LABELS)
def test_the_terminal_table_fits_80_columns(task: str) -> None:
    text = render_text(hostile(task))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert "card" in text


def test_several_models_fit_80_columns() -> None:
    rows = made_up("binary", 300)
    cards = [card("binary", name=f"a-model-with-quite-a-long-name-{i}") for i in range(3)]
    evaluator = Evaluator([Subject(f"{c.name}@1.0.0", "0" * 64, c) for c in cards], REQUEST)
    window, scores = rows.window(0, 300, index=0)
    evaluator.add(window, [scores] * 3)
    report = finish(evaluator, ["rows.csv"])
    lines = render_text(report).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert len([line for line in lines if line.startswith("  a-model-with")]) == 3
    page = Page(render_html(report))
    assert {"leaderboard", "differences", "agreement", "disagreements", "m2-drift"} <= set(page.ids)
    assert report.comparison is not None
    assert report.comparison.differences[0].verdict == "no difference"


def test_findings_put_a_failed_gate_first() -> None:
    level, words = findings(hostile("binary"))[0]
    assert level == "bad"
    assert words.startswith("required drift<0.1")


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (80.0, 100.0), (-3.2, 4.1), (0.0, 0.0007), (0.0, 3e6)]
)
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 12
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    assert all(len(short(tick)) <= 7 for tick in found)
