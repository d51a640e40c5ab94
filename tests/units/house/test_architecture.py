"""The structure that the package promises: scripts/house.py's rules hold, start-up is light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import house


def test_the_code_keeps_the_rules() -> None:
    assert house.broken_rules(house.modules()) == []


BREACHES = {
    "errors.py": (
        "from scorer.tables import window",
        "errors imports tables",
    ),
    "tables/window.py": (
        "def f() -> None:\n    from scorer.tables.text.lines import g",
        "a circle: tables.text.lines -> tables.window -> tables.text.lines",
    ),
    "tables/text/lines.py": (
        "from scorer.tables.window import f",
        "a circle: tables.text.lines -> tables.window -> tables.text.lines",
    ),
    "files.py": ("x = 1\n" * 401, "files has 401 lines, more than 400"),
    "checks.py": (
        "def f() -> None:\n" + "    x = 1\n" * 60,
        "checks.f has 61 lines, more than 60",
    ),
}


def test_each_breach_is_told(tmp_path: Path) -> None:
    for name, (text, _) in BREACHES.items():
        path = tmp_path / "scorer" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    told = house.broken_rules(house.modules(tmp_path / "scorer"))
    assert sorted(told) == sorted({line for _, line in BREACHES.values()})


def test_a_room_without_a_floor_is_told(tmp_path: Path) -> None:
    (tmp_path / "scorer").mkdir()
    (tmp_path / "scorer" / "attic.py").write_text("")
    (told,) = house.broken_rules(house.modules(tmp_path / "scorer"))
    assert told.startswith("attic has no floor")


def test_tests_have_their_places() -> None:
    """A test proves a promise of README.md, or it is a unit's; helpers are in tests/support."""
    tests = house.ROOT / "tests"
    assert [path.name for path in sorted(tests.glob("*.py"))] == ["__init__.py", "conftest.py"]
    folders = {path.name for path in tests.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert folders == {"promises", "units", "support"}
    assert [str(path) for path in (tests / "support").rglob("test_*.py")] == []
    promises = {path.name for path in (tests / "promises").iterdir() if path.name[0] != "_"}
    page = (house.ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(promises) if f"(tests/promises/{name})" not in page] == []


def test_neither_the_package_nor_its_scripts_import_tests() -> None:
    importing = [
        f"{path.name}: {line}"
        for folder in (house.PACKAGE, house.ROOT / "scripts")
        for path in folder.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.split()[:2] in (["from", "tests"], ["import", "tests"])
        or line.strip().startswith(("from tests.", "import tests."))
    ]
    assert importing == []


HEAVY = ("keras", "tensorflow", "numba", "pandas", "sklearn", "matplotlib", "scipy")
HEAVY += ("pyarrow.parquet", "pyarrow.dataset", "pyarrow.orc", "pyarrow.ipc")
LIGHT_COMMANDS = [
    ("score", ["--help"]),
    ("zoo", ["--help"]),
    ("zoo", ["list"]),
    ("zoo", ["show", "tiny-binary"]),
]


@pytest.mark.parametrize(("command", "arguments"), LIGHT_COMMANDS)
def test_light_commands_import_nothing_heavy(
    command: str, arguments: list[str], tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORER_ZOO", str(tiny_zoo))
    code = (
        "import sys\n"
        f"from scorer.cli.{command} import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
