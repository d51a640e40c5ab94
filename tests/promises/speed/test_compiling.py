"""Compiled kernels: what is compiled, where it is kept, and whose files are loaded."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from scorer.compiling import places
from scorer.compiling.places import Place
from scorer.compiling.watch import Compilation

NOBODY = 65534
MODEL = "imdb-tfidf-lr"
PACKAGE = Path(__file__).parents[3] / "scorer"
USER = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]


def _can_be_another_user() -> bool:
    """Whether we may become a user who can read this environment's packages."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    command = [*USER, sys.executable, "-c", "import click"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


as_root = pytest.mark.skipif(
    not _can_be_another_user(),
    reason="needs root, and an environment that other users can read",
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """The only place for kernels."""
    only = Place(tmp_path / "cache" / "kernels", named=True)
    with places.confined(only):
        yield only


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A temporary folder that every user may enter, as those of pytest are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# ---- which files are trusted ---------------------------------------------------------------------


def test_what_is_kept_is_found_again_and_others_may_read_it(place: Place) -> None:
    assert places.read("a.kernel") is None
    before = os.umask(0o077)
    try:
        assert places.write("a.kernel", b"code") == place.path / "a.kernel"
    finally:
        os.umask(before)
    assert places.holds("a.kernel")
    assert places.read("a.kernel") == b"code"
    assert place.path.stat().st_mode & 0o777 == 0o755
    assert (place.path / "a.kernel").stat().st_mode & 0o777 == 0o644
    assert names(place.path) == ["a.kernel"]


def _open_folder(place: Place) -> None:
    place.path.chmod(0o777)


def _group_folder(place: Place) -> None:
    place.path.chmod(0o775)


def _linked_folder(place: Place) -> None:
    place.path.rename(place.path.with_name("elsewhere"))
    place.path.symlink_to(place.path.with_name("elsewhere"))


def _open_file(place: Place) -> None:
    (place.path / "a.kernel").chmod(0o666)


def _linked_file(place: Place) -> None:
    (place.path / "a.kernel").rename(place.path / "other")
    (place.path / "a.kernel").symlink_to(place.path / "other")


def _pipe(place: Place) -> None:
    (place.path / "a.kernel").unlink()
    os.mkfifo(place.path / "a.kernel")


def _foreign_folder(place: Place) -> None:
    os.chown(place.path, NOBODY, NOBODY)


def _foreign_file(place: Place) -> None:
    os.chown(place.path / "a.kernel", NOBODY, NOBODY)


HOSTILE = [_open_folder, _group_folder, _linked_folder, _open_file, _linked_file, _pipe]
FOREIGN = [_foreign_folder, _foreign_file]


@pytest.mark.parametrize("change", [*HOSTILE, *(pytest.param(c, marks=as_root) for c in FOREIGN)])
def test_what_others_could_have_written_is_not_read(place: Place, change: Any) -> None:
    places.write("a.kernel", b"code")
    change(place)
    assert places.read("a.kernel") is None


@pytest.mark.parametrize("change", [_open_folder, _linked_folder])
def test_nothing_is_written_where_others_could_write(place: Place, change: Any) -> None:
    places.write("a.kernel", b"code")
    change(place)
    assert places.write("b.kernel", b"code") is None
    assert not (place.path / "b.kernel").exists()
    assert not places.writable(place)


def test_a_folder_in_tmp_is_for_its_user_alone(tmp_path: Path) -> None:
    private = Place(tmp_path / "scorer-1", private=True)
    with places.confined(private):
        places.write("a.kernel", b"code")
        assert private.path.stat().st_mode & 0o777 == 0o700
        private.path.chmod(0o755)
        assert places.read("a.kernel") is None


def test_a_named_folder_that_is_not_trusted_is_warned_of(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    places.write("a.kernel", b"code")
    place.path.chmod(0o777)
    for _ in range(2):
        places.read("a.kernel")
    assert [record.getMessage() for record in caplog.records] == [
        f"{place.path}: compiled kernels are neither read from nor written to it: "
        "its mode 777 lets other users in"
    ]


def test_the_oldest_files_go(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_FILES", 3)
    for i in range(6):
        places.write(f"{i}.kernel", b"")
        os.utime(place.path / f"{i}.kernel", (i, i))
    assert names(place.path) == ["3.kernel", "4.kernel", "5.kernel"]


# ---- the cache -----------------------------------------------------------------------------------


def double() -> Any:
    """A kernel that was neither compiled nor loaded yet."""
    from scorer.compiling.kernel import Kernel

    def double(values: np.ndarray) -> None:
        for i in range(len(values)):
            values[i] *= 2

    double.__module__ = __name__
    return Kernel(double, None)


def doubled(kernel: Any) -> list[float]:
    values = np.ones(2)
    kernel(values)
    return list(values)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compilation:
    from scorer.compiling import cache

    state = Compilation()
    monkeypatch.setattr(cache, "compilation", state)
    return state


def test_a_kernel_is_compiled_once(place: Place, compiled: Compilation) -> None:
    for _ in range(2):
        assert doubled(double()) == [2, 2]
    assert (compiled.done, compiled.pending, compiled.current) == (1, [], None)
    assert compiled.seconds > 0


def test_a_kept_kernel_has_the_names_of_its_symbols_and_no_code_to_link(place: Place) -> None:
    """That code took longer to read than the machine code took to load."""
    import llvmlite.binding

    doubled(double())
    (file,) = place.path.iterdir()
    (_, kind, (machine_code, bitcode)), *_ = pickle.loads(file.read_bytes()[32:])
    module = llvmlite.binding.parse_bitcode(bitcode)
    defined = [each for each in module.functions if not each.is_declaration]
    assert (kind, machine_code[:4]) == ("object", b"\x7fELF")
    assert any("double" in function.name for function in defined)
    for function in defined:
        (block,) = function.blocks
        assert [each.opcode for each in block.instructions] == ["unreachable"]
        assert function.name.encode() in machine_code


def test_threads_that_come_first_together_compile_once(place: Place, compiled: Compilation) -> None:
    import numba

    kernel = double()
    again = type(kernel)(kernel.function, (numba.float64[::1],))
    barrier = threading.Barrier(4)

    def call(_: int) -> list[float]:
        barrier.wait()
        return doubled(again)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, range(4))) == [[2, 2]] * 4
    assert compiled.done == 1


def test_damaged_and_renamed_files_are_compiled_again(place: Place, compiled: Compilation) -> None:
    doubled(double())
    (file,) = place.path.iterdir()
    good = file.read_bytes()
    other = b"x" + good
    renamed = hashlib.sha256(b"another.kernel\0" + good[32:]).digest() + good[32:]
    for content in (b"", good[:-1], other, renamed):
        file.write_bytes(content)
        assert doubled(double()) == [2, 2]
    assert compiled.done == 5
    doubled(double())
    assert compiled.done == 5


def test_a_touched_source_is_not_compiled_again(
    place: Place, compiled: Compilation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in an image whose layers have other times; another text is another kernel."""
    from scorer.compiling import cache

    source = tmp_path / "source.py"
    shutil.copy(__file__, source)
    monkeypatch.setattr(sys.modules[__name__], "__file__", str(source))
    for text, times in ((None, 1), (None, 2), ("# changed\n", 3)):
        if text:
            source.write_text(text)
        os.utime(source, (times, times))
        cache._source_digest.cache_clear()
        doubled(double())
    cache._source_digest.cache_clear()
    assert compiled.done == 2


def test_a_kernel_depends_on_the_modules_that_it_is_made_of() -> None:
    from scorer.compiling.cache import _modules
    from scorer.engines.cpu.loops import sequences
    from scorer.vectorizer import kernels

    made_of = _modules(sequences.__name__, set())
    assert made_of >= {f"scorer.engines.cpu.loops.{n}" for n in ("sequences", "kernels", "simd")}
    assert made_of >= {"scorer.engines.cpu.loops.rows", "scorer.compiling.kernel"}
    assert not any("engines" in name for name in _modules(kernels.__name__, set()))


def test_where_nothing_can_be_kept_it_runs_and_says_so(
    tmp_path: Path, compiled: Compilation, caplog: pytest.LogCaptureFixture
) -> None:
    from scorer.compiling import cache

    cache._say_not_kept.cache_clear()
    (tmp_path / "file").touch()
    with places.confined(Place(tmp_path / "file" / "kernels")):
        for _ in range(2):
            assert doubled(double()) == [2, 2]
    assert [r.getMessage() for r in caplog.records] == [
        "no folder takes compiled kernels, so every run compiles them again: "
        "set SCORER_CACHE_DIR to a folder that this user can write to"
    ]


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "change",
    [_open_folder, _open_file, *(pytest.param(c, marks=as_root) for c in FOREIGN)],
)
def test_a_trap_that_others_could_have_set_is_not_sprung(
    place: Place, tmp_path: Path, change: Any
) -> None:
    doubled(double())
    (file,) = place.path.iterdir()
    payload = pickle.dumps(Trap(tmp_path / "sprung"))
    file.write_bytes(hashlib.sha256(file.name.encode() + b"\0" + payload).digest() + payload)
    file.rename(place.path / "a.kernel")
    change(place)
    (place.path / "a.kernel").rename(file)
    assert doubled(double()) == [2, 2]
    assert not (tmp_path / "sprung").exists()
    file.write_bytes(hashlib.sha256(file.name.encode() + b"\0" + payload).digest() + payload)
    os.chown(place.path, os.geteuid(), -1)
    os.chown(file, os.geteuid(), -1)
    place.path.chmod(0o755)
    file.chmod(0o644)
    with pytest.raises(TypeError):  # it is a trap, not a kernel
        doubled(double())
    assert (tmp_path / "sprung").exists()


# ---- whole commands ------------------------------------------------------------------------------

COUNT = """
import json, sys
from numba.core import event

class Count(event.Listener):
    names = []
    def on_start(self, happened):
        self.names.append(happened.data["dispatcher"].py_func.__name__)
    def on_end(self, happened):
        pass

event.register("numba:compile", Count())
from scorer.compiling import places
from scorer.compiling.watch import compilation
from scorer.model import load_model
from pathlib import Path
import pyarrow as pa
with places.confined(places.Place(Path(sys.argv[3]))):
    model = load_model(sys.argv[1], zoos=[Path(sys.argv[2])], engine="cpu")
    loaded = len(Count.names)
    model.score(pa.array(["a good film", None, "", *["bad"] * 300, "word " * 500]))
kernels = compilation.done
print(json.dumps([kernels, loaded, len(Count.names)]))
"""


def counted(zoo: Path, cache: Path) -> tuple[int, int, int]:
    """A process that scores with tiny-binary: kernels compiled, functions compiled when the model
    is loaded, and in all."""
    command = [sys.executable, "-c", COUNT, "tiny-binary", str(zoo), str(cache / "kernels")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kernels, loaded, later = json.loads(done.stdout)
    return kernels, loaded, later


@pytest.fixture(scope="module")
def filled(
    tiny_zoo: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[int, int, int]]:
    """A cache that one process has filled, and what that process counted. Do not change it."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, counted(tiny_zoo, cache)


def test_a_model_compiles_what_it_needs_and_nothing_later(
    tiny_zoo: Path, filled: tuple[Path, tuple[int, int, int]]
) -> None:
    """A count, since times vary: Numba compiled 96 functions when this was written, where a kernel
    assigned a slice, returned an array or was called with other types later."""
    cache, (kernels, loaded, later) = filled
    assert 1 <= loaded == later <= 32
    assert kernels == len(names(cache / "kernels"))
    assert counted(tiny_zoo, cache) == (0, 0, 0)


@pytest.fixture
def installed(open_tmp: Path) -> Path:
    """The package with one small model, which belong to root, and a table."""
    from scorer.zoo import write_index

    def kept(folder: str, names: list[str]) -> set[str]:
        return {"kernels"} if Path(folder).name == "__pycache__" else set()

    site = open_tmp / "site"
    shutil.copytree(PACKAGE, site / "scorer", ignore=kept)
    shutil.copytree(PACKAGE.parent / "zoo" / MODEL, site / "zoo" / MODEL)
    write_index(site / "zoo")
    (open_tmp / "in.csv").write_text("review\na good film\n")
    return open_tmp


def as_nobody(
    installed: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `scorer` as a user who owns nothing, has no home and no entry in the password file."""
    fixed = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(installed / "site"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [*USER, sys.executable, "-m", "scorer", *arguments],
        env={**fixed, **environment},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )


SCORE = ("score", "-m", MODEL, "in.csv", "-o", "-")


@as_root
def test_a_user_without_a_home_scores_and_compiles_once(installed: Path) -> None:
    scratch = installed / "tmp"
    scratch.mkdir()
    scratch.chmod(0o1777)
    listed = as_nobody(installed, "zoo", "list")
    assert listed.returncode == 0, listed.stderr
    assert MODEL in listed.stdout
    first = as_nobody(installed, *SCORE, TMPDIR=str(scratch))
    assert first.returncode == 0, first.stderr
    assert "Traceback" not in first.stderr
    assert "s of compiling" in first.stderr
    (folder,) = scratch.glob("scorer-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    again = as_nobody(installed, *SCORE, TMPDIR=str(scratch))
    assert again.stdout == first.stdout
    assert "compiling" not in again.stderr


@as_root
def test_a_cache_filled_by_root_serves_other_users(
    installed: Path,
) -> None:
    """As in an image: the folder is read, and nobody but root can write to it."""
    cache = installed / "cache"
    command = ["warm-up", "--all", "--cache-dir", str(cache)]
    done = subprocess.run(
        [sys.executable, "-m", "scorer", *command],
        env={**os.environ, "PYTHONPATH": str(installed / "site")},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "loops compiled in" in done.stdout
    kept = names(cache / "kernels")
    for path in installed.joinpath("site").rglob("*.py"):
        os.utime(path, (0, 0))
    scored = as_nobody(installed, *SCORE, SCORER_CACHE_DIR=str(cache), TMPDIR="/nowhere")
    assert scored.returncode == 0, scored.stderr
    assert "compiling" not in scored.stderr
    assert names(cache / "kernels") == kept


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl"])
def test_warm_up_compiles_what_large_files_need(tiny_zoo: Path, tmp_path: Path, name: str) -> None:
    row = "a good film\n" if name.endswith("csv") else '{"text": "a good film"}\n'
    large = tmp_path / name
    large.write_text("text\n" * name.endswith("csv") + row * 20_000)
    command = [sys.executable, "-m", "scorer"]
    model = ["-m", "tiny-binary", "--zoo", str(tiny_zoo)]
    cache = {**os.environ, places.ENVIRONMENT: str(tmp_path)}

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [*command, *arguments, *model], env=cache, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    run("warm-up")
    kept = names(tmp_path / "kernels")
    run("score", str(large), "--quiet")
    assert names(tmp_path / "kernels") == kept


@pytest.mark.parametrize("arguments", [[], ["--all", "-m", "tiny-binary"]])
def test_warm_up_wants_models_or_all(arguments: list[str]) -> None:
    from scorer.cli.warm_up import main

    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stderr) == (2, "Error: name models with -m, or give --all\n")


def test_warm_up_refuses_a_folder_that_others_write_to(tmp_path: Path) -> None:
    from scorer.cli.warm_up import main

    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels").chmod(0o777)
    done = CliRunner().invoke(main, ["--all", "--cache-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert f"no folder can take the compiled code ({tmp_path / 'kernels'})" in done.stderr


# ---- what people see -----------------------------------------------------------------------------


def test_a_line_after_a_while_and_none_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from scorer.cli import compile_view

    state = Compilation()
    monkeypatch.setattr(compile_view, "compilation", state)
    monkeypatch.setattr(compile_view, "PATIENCE_S", 0.05)
    for name in ("one", "two", "three", "four", "five", "six"):
        state.expect(name)
    with compile_view.compiling_shown():
        state.begin("one")
        state.end()
        assert capsys.readouterr().err == ""
        state.begin("two")
        for thread in compile_view.threading.enumerate():
            if isinstance(thread, compile_view.threading.Timer):
                thread.join()
        state.end()
    assert capsys.readouterr().err == "Compiling for this processor, once: about 3 s\n"


def test_a_terminal_sees_which_kernel_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    from scorer.cli import compile_view

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    state, terminal = Compilation(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    view = compile_view.CompileView(shown=True)
    for name in ("lstm", "affine"):
        state.expect(name)
    state.begin("lstm")
    view._say(state)
    assert "compiling lstm: 0 of 2 |" in terminal.getvalue()
    state.end()
    state.begin("affine")
    view(state)
    view.close()
    assert "compiling affine: 1 of 2 |" in terminal.getvalue()
    assert terminal.getvalue().splitlines()[0] == "Compiling for this processor, once: about 2 s"


def test_short_compiling_is_not_worth_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    from scorer.cli.compile_view import compiling_shown
    from scorer.compiling.watch import compilation

    with compiling_shown():
        compilation.begin("quick")
        compilation.end()
    assert capsys.readouterr().err == ""


def test_one_command_has_them_all() -> None:
    from scorer import __version__
    from scorer.cli.main import main

    help_text = CliRunner().invoke(main, ["--help"]).stdout
    for command in ("score", "evaluate", "zoo", "warm-up"):
        assert f"\n  {command} " in help_text
        done = CliRunner().invoke(main, [command, "--help"], prog_name="scorer")
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith(f"Usage: scorer {command} ")
    version = CliRunner().invoke(main, ["--version"], prog_name="scorer").stdout
    assert version.splitlines()[0] == f"scorer {__version__}"
    assert CliRunner().invoke(main, ["nothing"]).exit_code == 2


def test_the_summary_tells_compiling_from_scoring(tiny_zoo: Path, tmp_path: Path) -> None:
    from scorer.jobs.plan import plan
    from scorer.jobs.run import run_jobs
    from scorer.model import load_model
    from tests.support.settings import settings_of

    (tmp_path / "in.csv").write_text("review\na good film\n")
    model = load_model("tiny-binary", zoos=[tiny_zoo], engine="cpu")
    model.compile_s = 3.14159
    made = plan([str(tmp_path / "in.csv")], str(tmp_path / "out.csv"), "run")
    summary = run_jobs(model, made, settings_of())
    assert summary.as_json()["compile_s"] == summary.totals()["compile_s"] == 3.142
    assert sum(summary.files[0].seconds.values()) < 3


LOADED = """
import atexit, sys
from scorer.cli.score import main
said = {"numba.np.arraymath", "numba.np.linalg", "pandas"}
atexit.register(lambda: print(*(set(sys.modules) & said)))
sys.argv = ["score", "-m", "tiny-binary", "--zoo", *sys.argv[1:], "-o", "-"]
main()
"""


def test_a_run_that_compiles_nothing_does_not_import_the_compiler(
    tiny_zoo: Path, filled: tuple[Path, tuple[int, int, int]], tmp_path: Path
) -> None:
    """Numba's functions, which only its compiler needs, were half of what loading a model took."""
    cache, _ = filled
    kept = names(cache / "kernels")
    table = tmp_path / "in.csv"
    table.write_text("text\na good film\n")
    environment = {**os.environ, places.ENVIRONMENT: str(cache)}
    command = [sys.executable, "-c", LOADED, str(tiny_zoo), str(table)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""
    assert names(cache / "kernels") == kept
