"""What the packaging metadata says agrees with the code, the cards and the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import scorer
from scorer.errors import DISTRIBUTION, pip_install
from scorer.zoo import list_models, shipped_zoo
from scripts import smoke

ROOT = Path(__file__).parents[3]
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = METADATA["project"]["optional-dependencies"]
#: `pip install NAME` or `pip install 'NAME[extra]'` in code, pages and errors
INSTALLS = re.compile(r"pip install (?:--?\S+ )*'?((?:text-)?scorer)\b(?:\[([a-z,-]+)\])?")


def test_messages_and_metadata_have_one_name() -> None:
    assert METADATA["project"]["name"] == DISTRIBUTION
    assert pip_install("keras") == f"pip install '{DISTRIBUTION}[keras]'"


def test_every_install_command_has_our_name_and_known_extras() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    code = [path for folder in ("scorer", "scripts") for path in ROOT.glob(f"{folder}/**/*.py")]
    found = 0
    for path in [*pages, *code]:
        for name, extras in INSTALLS.findall(path.read_text(encoding="utf-8")):
            found += 1
            assert name == DISTRIBUTION, path
            assert {extra for extra in extras.split(",") if extra} <= EXTRAS.keys(), path
    assert found >= 2


def test_no_extra_for_gpus_brings_the_build_for_cpus_alone() -> None:
    for name in ("keras", "gpu", "all"):
        assert not any("tensorflow-cpu" in required for required in EXTRAS[name]), name


def test_the_changelog_begins_with_this_release() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.MULTILINE)
    assert releases[0] == scorer.__version__
    assert METADATA["tool"]["hatch"]["version"]["path"] == "scorer/__init__.py"
    assert "version" in METADATA["project"]["dynamic"]


def test_the_licences_of_the_models_are_those_of_their_cards() -> None:
    page = (ROOT / "LICENSE-MODELS.md").read_text(encoding="utf-8")
    models = [entry.card for entry in list_models() if entry.zoo == shipped_zoo()]
    named = next(row for row in page.splitlines() if "CC BY-NC-SA" in row)
    not_apache = {card.scorer.name for card in models if card.license != "apache-2.0"}
    assert set(re.findall(r"`([a-z-]+)`", named)) == not_apache
    assert {card.license for card in models} == {"apache-2.0", "cc-by-nc-sa-4.0"}
    assert METADATA["project"]["license"] == "Apache-2.0 AND CC-BY-NC-SA-4.0"


def test_the_citation_has_what_its_format_wants() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert " AND ".join(citation["license"]) == METADATA["project"]["license"]


def test_pre_commit_runs_the_checks_of_ci() -> None:
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = {hook["entry"] for repository in settings["repos"] for hook in repository["hooks"]}
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    checks = re.findall(r'"\$venv/bin/(ruff|mypy)"([^\n]*)', script)
    in_ci = {f"{command}{rest}".strip() for command, rest in checks}
    assert in_ci <= hooks
    assert len(in_ci) == 3


def test_windows_is_refused_by_name() -> None:
    code = "import sys; sys.platform = 'win32'; import scorer"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: scorer does not run on Windows")


def test_a_wheel_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(command: list[str], cwd: Path) -> str:
        tmp_path.joinpath("a.whl").write_bytes(bytes(1_000_001))
        return ""

    monkeypatch.setattr(smoke, "run", built)
    monkeypatch.setattr(smoke, "uv", lambda: "uv")
    monkeypatch.setattr(smoke, "LIMITS", {".whl": 1})
    with pytest.raises(smoke.SmokeFailed, match="more than 1 MB"):
        smoke.build(tmp_path)
    assert CliRunner().invoke(smoke.main, ["--help"]).exit_code == 0
