"""`zoo list` and `zoo show` at 80 columns: what models are for stands first."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scorer.card import Card, read_card, render_card
from scorer.cli.zoo import main
from scorer.zoo import shipped_zoo, write_index


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(autouse=True)
def _at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def zoo(tiny_zoo: Path, tmp_path: Path) -> Path:
    """Two binary models, one of them recommended, with figures from elsewhere."""
    zoo = tmp_path / "zoo"
    for name in ("tiny-binary", "best-binary"):
        shutil.copytree(tiny_zoo / "tiny-binary", zoo / name)
        describe(zoo / name / "1.0.0" / "README.md", name=name)
    write_index(zoo)
    return zoo


def describe(path: Path, **changes: Any) -> None:
    card = read_card(path)
    fields = {**card.model_dump(by_alias=True), "body": card.body + "\n" + "a long line " * 20}
    fields["scorer"] |= changes | {"intended_for": "film reviews"}
    if changes["name"] == "best-binary":
        elsewhere = {
            "data": "Yelp",
            "texts": "restaurant reviews",
            "rows": 1000,
            "figures": [{"metric": "accuracy", "value": 0.7, "low": 0.68, "high": 0.72}],
            "majority_baseline": 0.58,
            "median_tokens": 99,
            "median_oov_share": 0.1,
        }
        fields["scorer"] |= {
            "recommended": True,
            "not_for": "Tweets and single sentences: take a model for posts.",
            "out_of_domain": [elsewhere],
        }
    path.write_text(render_card(Card.model_validate(fields)), encoding="utf-8")


def test_the_recommended_model_comes_first_and_is_marked(zoo: Path) -> None:
    lines = run("list", "--zoo", zoo).splitlines()
    (first,) = (n for n, line in enumerate(lines) if line.startswith("* best-binary"))
    assert not [line for line in lines[lines.index("binary") + 1 : first] if line[0] != "*"]
    assert " film reviews " in lines[first]
    assert [line for line in lines if line.startswith("  tiny-binary")]
    assert lines[-1].startswith("* recommended for these texts")


def test_the_shipped_list_fits_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run("list").splitlines()
    assert len(lines) > 19
    assert [line for line in lines if len(line) > 80] == []
    assert lines[0].endswith("MB")


def test_a_narrow_terminal_loses_the_last_columns(
    zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "52")
    lines = run("list", "--zoo", zoo).splitlines()
    assert lines[0].split() == ["MODEL", "FOR"]
    assert [line for line in lines[:-1] if len(line) > 52] == []


def test_show_leads_with_the_use_and_the_figures(zoo: Path) -> None:
    shown = run("show", "best-binary", "--zoo", zoo)
    about, use, network, *_ = shown.split("\n\n")
    assert about.splitlines()[:4] == [
        "model          best-binary@1.0.0, recommended for these texts",
        "for            film reviews",
        "not for        Tweets and single sentences: take a model for posts.",
        "predicts       negative, positive (binary)",
    ]
    assert "figures        accuracy " in about
    assert "on other texts accuracy 0.700 (0.680 to 0.720) on Yelp: restaurant" in about
    assert "majority baseline 0.580)" in about
    assert "score -m best-binary reviews.csv" in use
    assert network.startswith("reads ")


@pytest.mark.parametrize("path", sorted(shipped_zoo().glob("*/*")), ids=lambda path: path.parts[-2])
def test_a_shipped_model_is_shown_in_80_columns(path: Path) -> None:
    """All but the tables and code of its card, and where its file lies."""
    shown = re.sub(r"^```.*?^```$", "", run("show", path), flags=re.M | re.S).splitlines()
    wide = [line for line in shown if len(line) > 80 and not line.startswith(("|", "file", "    "))]
    assert wide == []
