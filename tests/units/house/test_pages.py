"""README and docs: their commands run, their options exist, their links lead somewhere."""

from __future__ import annotations

import doctest
import re
import shlex
import textwrap
from pathlib import Path

import click
import pytest

from scorer.cli.main import main as scorer_command
from scorer.zoo import list_models, shipped_zoo
from scripts import consoles, figures

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]`]*(?:`[^`]*`[^\]`]*)*\]\(([^)\s]+)\)")
#: commands of ours at the start of a line in a fenced block, run or not
SHOWN = re.compile(r"^(?:\$ )?((?:score|evaluate|zoo|scorer) (?:[^\n\\]|\\\n)*)$", re.MULTILINE)
BLOCK = re.compile(r"^( *)```(?:sh|console)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
PYCON = re.compile(r"^```pycon\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def pages_with(pattern: re.Pattern[str]) -> list[Path]:
    return [path for path in PAGES if pattern.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", pages_with(consoles.FENCE), ids=lambda path: path.name)
def test_commands_print_what_the_page_shows(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    stale = "run `python scripts/consoles.py` and look at what it changes"
    assert consoles.rewritten(page) == page, stale


@pytest.mark.parametrize("path", pages_with(PYCON), ids=lambda path: path.name)
def test_python_sessions_give_what_the_page_shows(path: Path) -> None:
    session = "".join(PYCON.findall(path.read_text(encoding="utf-8")))
    test = doctest.DocTestParser().get_doctest(session, {}, path.name, str(path), 0)
    told: list[str] = []
    with consoles.folder():
        failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert not failed.failed, "".join(told)
    assert failed.attempted


@pytest.mark.parametrize("path", pages_with(BLOCK), ids=lambda path: path.name)
def test_every_command_shown_has_options_that_exist(path: Path) -> None:
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    for line in SHOWN.findall("".join(textwrap.dedent(text) for _, text in blocks)):
        command = line.replace("\\\n", " ").partition(" #")[0].partition(" | ")[0]
        words = [word for word in shlex.split(command.partition(" >")[0]) if word != "..."]
        assert unknown_options(words) == [], line


def unknown_options(words: list[str]) -> list[str]:
    """Options that the command does not have, or the name of a command that does not exist."""
    group: click.Command | None = scorer_command
    context = click.Context(scorer_command)
    rest = words[1:] if words[0] == "scorer" else words
    while isinstance(group, click.Group) and rest and not rest[0].startswith("-"):
        name, *rest = rest
        group = group.get_command(context, name)
        if group is None:
            return [name]
    assert group is not None
    known = {flag for each in group.params for flag in (*each.opts, *each.secondary_opts)}
    known |= {"-h", "--help", "--version"}
    return [
        word for word in rest if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known
    ]


@pytest.mark.parametrize("path", [*PAGES, *sorted(ROOT.glob("*.md"))], ids=lambda path: path.name)
def test_links_to_files_and_headings_are_alive(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), target
        if heading:
            assert heading in headings(found.read_text(encoding="utf-8")), target


def headings(page: str) -> set[str]:
    """The anchors of a page's headings, as Markdown renderers make them."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_messages_that_the_page_of_errors_names_exist() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    code = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("scorer/**/*.py"))
    named = re.findall(r"\*\*`([^`]*?)(?: \.\.\.)?`", page)
    assert [message for message in named if message not in code] == []
    assert len(named) > 5


def test_readme_is_short_and_begins_with_a_recommended_model() -> None:
    page = README.read_text(encoding="utf-8")
    assert len(page.splitlines()) <= 150
    shipped = [entry.card.scorer for entry in list_models() if entry.zoo == shipped_zoo()]
    recommended = {card.name for card in shipped if card.recommended}
    models = set(re.findall(r"score -m (\S+) examples", page))
    assert len(models) == 1
    assert models <= (recommended or {card.name for card in shipped})


def test_figures_in_pages_are_those_of_the_file() -> None:
    for path, page in figures.pages(figures.load()).items():
        assert path.read_text(encoding="utf-8") == page, "run `python scripts/figures.py`"


def test_a_benchmark_changes_file_and_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = figures.load()["bench"]
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "FILE", tmp_path / "docs" / "figures.json")
    (tmp_path / "docs").mkdir()
    for name in ("docs/figures.json", *figures.BLOCKS):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    measured["tables"]["whole"][2][-1] = "99.9"
    figures.store("bench", measured)
    assert figures.load()["bench"] == measured
    assert "99.9 times as fast as" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| 99.9 |" in (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_other_output_than_shown_is_told_and_times_are_not() -> None:
    shown = "a.csv -> b.csv\n  3 rows in 0.41 s, 30 rows/s\n0.98765\n"
    again = "a.csv -> b.csv\n  3 rows in 1.2 s, 1,230 rows/s\n0.98766\n"
    assert consoles.alike(shown, again)
    assert not consoles.alike(shown, again.replace("0.98766", "0.98665"))
    assert not consoles.alike(shown, again.replace("b.csv", "c.csv"))
    page = "```console\n$ echo one \\\n  two\nthree\n$ true\n```\n"
    assert consoles.rewritten(page) == page.replace("three", "one two")
