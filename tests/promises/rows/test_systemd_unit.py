"""The systemd unit of docs/unattended.md, run as its user: nothing of root's may be written to."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: a user and a group that nothing on this machine belongs to
USER = 54322
UNIT_FILE = "/etc/systemd/system/scorer.service"
SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to be another user"
)


def documented_unit() -> configparser.ConfigParser:
    """The unit as the page shows it: the fenced block below its file's name."""
    page = (ROOT / "docs" / "unattended.md").read_text(encoding="utf-8")
    _, _, rest = page.partition(f"`{UNIT_FILE}`:\n\n```ini\n")
    text, fence, _ = rest.partition("```")
    assert fence
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


@dataclass(frozen=True)
class Machine:
    """A folder that stands for the root of a machine on which the package was installed by root."""

    root: Path
    unit: configparser.SectionProxy

    def here(self, text: str) -> str:
        """`text` with the unit's absolute paths below this folder."""
        for name in ("/opt/", "/srv/", "/var/"):
            text = text.replace(name, f"{self.root}{name}")
        return text

    def start(self, **environment: str) -> tuple[int, str, int]:
        """Run ExecStart as systemd would. Its exit code, its log and its peak memory in bytes."""
        name, _, value = self.here(self.unit["Environment"]).partition("=")
        cache = self.root / "var/cache" / self.unit["CacheDirectory"]
        cache.mkdir(parents=True, exist_ok=True)
        os.chown(cache, USER, USER)
        command = [
            *("nice", "-n", self.unit["Nice"]),
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"),
            *shlex.split(self.here(self.unit["ExecStart"])),
        ]
        log = self.root / "journal"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                env={"PATH": "/usr/bin:/bin", name: value, **environment},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, log.read_text(), used.ru_maxrss * 1024


@pytest.fixture
def machine() -> Iterator[Machine]:
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    site = root / "opt/scorer/lib"
    shutil.copytree(ROOT / "scorer", site / "scorer", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "zoo").symlink_to(ROOT / "zoo")
    program = root / "opt/scorer/bin/score"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(site)!r})\n"
        "from scorer.cli.score import main\nmain()\n"
    )
    program.chmod(0o755)
    (root / "srv/inbox").mkdir(parents=True)
    (root / "srv/scored").mkdir()
    os.chown(root / "srv/scored", USER, USER)
    (root / "home").mkdir(mode=0o555)
    yield Machine(root, documented_unit()["Service"])
    shutil.rmtree(root)


@pytest.mark.slow  # compiles the kernels of a model of the zoo: 10 s
def test_the_documented_unit_scores_without_a_home(machine: Machine) -> None:
    (machine.root / "srv/inbox/a.csv").write_text("review\na superb film\na dull plot\n")
    code, log, memory = machine.start(HOME=str(machine.root / "home"))
    assert code == 0, log
    events = [json.loads(line) for line in log.splitlines()]
    assert "run_done" in {event["event"] for event in events}
    assert {event["level"] for event in events} == {"info"}, log
    scored = (machine.root / "srv/scored/a.csv").read_text().splitlines()
    assert scored[0] == "review,prediction,probability"
    assert [row.split(",")[1] for row in scored[1:]] == ["positive", "negative"]
    limit = machine.unit["MemoryMax"]
    assert memory < int(limit[:-1]) * SIZES[limit[-1]]

    (machine.root / "srv/inbox/b.csv").write_text("review\nbroken,row\n")
    code, log, _ = machine.start()  # HOME is not even set
    assert str(code) in machine.unit["SuccessExitStatus"].split(), log
    events = [json.loads(line) for line in log.splitlines()]
    assert events[-1]["event"] == "run_done"
    assert (events[-1]["skipped"], events[-1]["files"]) == (1, 1)
    assert [path.name for path in (machine.root / "home").iterdir()] == []
    owned = [path for path in machine.root.rglob("*") if path.lstat().st_uid == USER]
    allowed = [machine.root / "srv/scored", machine.root / "var/cache/scorer"]
    assert all(any(path.is_relative_to(place) for place in allowed) for path in owned)
