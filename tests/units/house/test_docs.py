"""Pages that are made from the zoo are what the zoo says now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scorer.card import ScorerCard, parse_card
from scorer.card.vectorizer import VectorizerCard
from scorer.cli.add_options import Arguments
from scorer.cli.options import click_fields
from scorer.cli.score import main as score
from scorer.tables.compression import COMPRESSIONS
from scorer.tables.formats import FORMATS
from scripts import architecture_docs, layer_docs, python_docs

ROOT = Path(__file__).parents[3]


def test_the_zoo_pages_are_fresh() -> None:
    command = [sys.executable, "scripts/zoo_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python scripts/zoo_docs.py`: {done.stdout}{done.stderr}"


def test_the_page_of_layers_is_fresh() -> None:
    stale = "run `python scripts/layer_docs.py`"
    assert layer_docs.PAGE.read_text(encoding="utf-8") == layer_docs.page(), stale
    assert "(docs/layers.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_drawing_of_the_architecture_is_what_the_imports_are() -> None:
    stale = "run `python scripts/architecture_docs.py`"
    page = architecture_docs.PAGE.read_text(encoding="utf-8")
    assert page == architecture_docs.page(), stale


def test_the_reference_of_python_is_what_the_docstrings_say() -> None:
    stale = "run `python scripts/python_docs.py`"
    assert python_docs.PAGE.read_text(encoding="utf-8") == python_docs.page(), stale


def test_the_page_of_formats_has_every_format_with_its_suffixes() -> None:
    page = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    named = {row.split(" | ")[0].removeprefix("| "): row.split(" | ")[1] for row in rows}
    for each in FORMATS:
        assert named[each.label] == " ".join(f"`{suffix}`" for suffix in each.suffixes)
    for one in COMPRESSIONS:
        assert named[one.name] == " ".join(f"`{suffix}`" for suffix in one.suffixes)
        assert ("written" in next(row for row in rows if f"| {one.name} |" in row)) == bool(
            one.compress
        )


def test_the_help_of_score_names_every_format_and_compression() -> None:
    text = " ".join((score.help or "").split())
    assert [each.label for each in FORMATS if each.label not in text] == []
    assert [one.name for one in COMPRESSIONS if one.name not in text] == []


def test_the_page_on_your_own_model_has_a_whole_card_and_every_field() -> None:
    page = (ROOT / "docs/own-model.md").read_text(encoding="utf-8")
    start = page.index("---\nlicense")
    card = parse_card(page[start : page.index("```", start)])
    assert card.scorer.vectorizer is not None
    assert card.scorer.columns_beside == ("length", "capitals")
    fields = page[page.index("| field |") :]
    for name, field in ScorerCard.model_fields.items():
        assert f"`{field.alias or name}`" in fields
    for name in VectorizerCard.model_fields:
        assert f"`vectorizer.{name}`" in fields or f"`.{name}`" in fields


def test_the_page_on_your_own_model_uses_every_option_that_describes_a_model() -> None:
    page = (ROOT / "docs/own-model.md").read_text(encoding="utf-8")
    told_by_the_card = {"--version", "--label-column", "--license", "--padding-id", "--zoo"}
    flags = {part.metadata["click"][1][:1] for part in click_fields(Arguments)}
    options = {flag[0] for flag in flags if flag} - told_by_the_card - {"--force"}
    assert {option for option in options if option not in page} == set()
