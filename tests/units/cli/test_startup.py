"""How a command starts and ends as a process: light, and without losing anything at its end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from scorer.cli.startup import light_start

TOLD = ("OPENBLAS_THREAD_TIMEOUT", "PYDANTIC_DISABLE_PLUGINS")
#: a command whose output waits in a buffer, and that leaves work to the end of the process
ENDING = """
import atexit, sys, threading, time
import click
from scorer.cli.common import ExpectedErrors

@click.command(cls=ExpectedErrors)
@click.option("--thread", is_flag=True)
def main(thread):
    atexit.register(print, "at exit")
    if thread:
        late = threading.Thread(target=lambda: (time.sleep(0.2), print("late")))
        late.start()
    sys.stdout.write("written\\n")
    raise SystemExit(3)

main()
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], ["written", "at exit"]), (["--thread"], ["written", "late", "at exit"])],
)
def test_a_command_ends_when_all_is_done(arguments: list[str], said: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDING, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split("\n")[:-1], done.stderr) == (3, said, "")


def test_a_command_is_not_taken_apart_at_its_end() -> None:
    code = ENDING.replace("raise", "sys.kept = Told(); raise")
    code = "class Told:\n    def __del__(self): print('taken apart')\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "written\nat exit\n"


def test_what_a_command_loads_is_not_searched_for_garbage_until_it_ends() -> None:
    seen: dict[str, object] = {}

    @click.command()
    def load() -> None:
        with light_start():
            seen["searched"] = gc.isenabled()
            seen["told"] = [os.environ.get(name) for name in TOLD]
        seen["after"] = gc.isenabled(), gc.get_freeze_count() > 0
        seen["environment"] = [os.environ.get(name) for name in TOLD]

    assert CliRunner().invoke(load).exit_code == 0
    told, after = ["4", "__all__"], (True, True)
    assert seen == {"searched": False, "told": told, "after": after, "environment": [None, None]}
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_what_the_user_says_of_the_threads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "26")
    with click.Context(click.Command("x")), light_start():
        assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == "26"
    assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == "26"
