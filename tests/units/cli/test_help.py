"""Every command's help: groups, imperatives, defaults, 80 columns; its page; completion."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from scorer import __version__
from scorer.cli.grouping import OTHER, grouped_records
from scorer.cli.main import COMMANDS
from scorer.cli.main import main as scorer
from scorer.cli.version import version_text
from scripts import cli_docs

ROOT = Path(__file__).parents[3]
CONTEXTS = list(cli_docs.commands())
OPTIONS = [
    pytest.param(ctx, option, id=f"{ctx.command_path} {option.opts[0]}")
    for ctx in CONTEXTS
    for option in ctx.command.get_params(ctx)
    if isinstance(option, click.Option)
]
VERBS = frozenset(
    """Add Append Apply Begin Break Check Compare Compile Compute End Evaluate Explain Feed Finish
    Give Keep Leave List Make Name Pad Predict Print Put Read Remove Replace Run Save Say Score
    Search Separate Show State Stop Take Treat Truncate Use Weigh Write""".split()
)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda ctx: ctx.command_path)
def test_the_help_begins_with_a_verb_and_fits_80_columns(context: click.Context) -> None:
    help_text = context.command.help or ""
    assert help_text.split()[0].rstrip(",") in VERBS
    assert [line for line in context.get_help().splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(("context", "option"), OPTIONS)
def test_an_option_begins_with_a_verb_and_states_its_default(
    context: click.Context, option: click.Option
) -> None:
    words = option.help or ""
    assert words.split()[0] in VERBS, words
    assert words.endswith(".")
    _, shown = option.get_help_record(context) or ("", "")
    told = "default: " in shown or "Default: " in shown
    assert told or option.is_flag or option.required or "repeatable" in shown or "repeat" in shown


@pytest.mark.parametrize("name", ["score", "evaluate"])
def test_long_helps_have_groups(name: str) -> None:
    command = scorer.get_command(click.Context(scorer), name)
    assert command is not None
    groups = grouped_records(command, click.Context(command, **command.context_settings))
    assert next(iter(groups)) == "Model"
    assert len(groups) >= 6
    assert [flags for flags, _ in groups[OTHER]] == ["--version", "-h, --help"]


def test_every_command_but_warm_up_is_a_program_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    programs = {name: f"{module}:main" for name, module in COMMANDS.items() if name != "warm-up"}
    assert project["scripts"] == {"scorer": "scorer.cli.main:main", **programs}


def test_the_reference_is_fresh() -> None:
    stale = "run `python scripts/cli_docs.py`"
    assert cli_docs.PAGE.read_text(encoding="utf-8") == cli_docs.page(), stale


def test_a_stale_reference_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "cli.md"
    page.write_text(cli_docs.page().replace("--incremental", "--gradual"), encoding="utf-8")
    monkeypatch.setattr(cli_docs, "PAGE", page)
    done = CliRunner().invoke(cli_docs.main, ["--check"])
    assert done.exit_code == 1
    assert "-| `--gradual`" in done.output
    assert "+| `--incremental`" in done.output
    assert page.read_text(encoding="utf-8") != cli_docs.page()


def test_the_version_names_engines_and_backends() -> None:
    done = CliRunner().invoke(scorer, ["--version"])
    assert done.output == version_text() + "\n"
    assert done.output.startswith(f"scorer {__version__}\n")
    assert re.search(
        r"^  keras engine +keras 3\.\S+, backends: .*tensorflow 2\.", done.output, re.M
    )
    assert re.search(r"^  cpu engine +numpy \S+, numba ", done.output, re.M)


def test_the_version_loads_nothing_that_it_names() -> None:
    code = (
        "import sys; from scorer.cli.version import version_text; version_text()\n"
        "sys.exit(str([m for m in ('keras', 'tensorflow', 'numba', 'pandas', 'ray')"
        " if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def completed(words: list[str], incomplete: str) -> list[tuple[str, str]]:
    shell = ShellComplete(scorer, {}, "scorer", "_SCORER_COMPLETE")
    return [(item.type, item.value) for item in shell.get_completions(words, incomplete)]


def test_the_shell_completes_commands_options_models_and_files(tiny_zoo: Path) -> None:
    assert ("plain", "score") in completed([], "sc")
    assert ("plain", "--incremental") in completed(["score"], "--inc")
    assert completed(["score", "x.csv"], "in") == [("file", "in")]
    assert completed(["score", "-m"], "./mod") == [("file", "./mod")]
    here = ["--zoo", str(tiny_zoo)]
    assert completed(["score", *here, "-m"], "tiny-b") == [("plain", "tiny-binary")]
    assert completed(["zoo", "show", *here], "tiny-b") == [("plain", "tiny-binary")]
    assert completed(["zoo", "show", *here], "tiny-binary@") == [("plain", "tiny-binary@1.0.0")]


def test_a_broken_zoo_completes_nothing(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{", encoding="utf-8")
    assert completed(["zoo", "show", "--zoo", str(tmp_path)], "x") == []
