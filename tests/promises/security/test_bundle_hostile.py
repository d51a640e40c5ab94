"""Every hostile bundle is refused with one clear line, and nothing outside it is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from scorer import zoo
from scorer.bundle import archive, read_bundle
from scorer.bundle.explain import explain
from scorer.errors import BundleError, ScorerError, UnsupportedModel
from scorer.model import load_model
from scripts.hostile import CORPUS
from scripts.hostile import archives as hostile
from scripts.hostile import branches as hostile_branches
from scripts.hostile import config as hostile_config
from scripts.hostile import h5 as hostile_h5

CVES = {
    "2025": ("1550", "8747", "9905", "9906", "12058", "49655"),
    "2026": ("0897", "1462", "1669", "12479", "12481"),
}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that bundles point at and that nobody may touch; what they name is there."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.bin").write_bytes(b"secret" * 10)
    for name in ("secret.h5", "secret-0.h5"):
        (folder / name).write_bytes(hostile.hdf5({"secret": np.ones((2, 1), np.float32)}))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, outside: Path) -> list[Path]:
    """One file for each case of CORPUS, in its order."""
    folder = tmp_path_factory.mktemp("corpus")
    paths = [folder / f"{i}.keras" for i in range(len(CORPUS))]
    for case, path in zip(CORPUS, paths, strict=True):
        case.build(path, outside)
    return paths


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    hostile.write_good(path)
    return path


def test_the_corpus_has_every_published_hole() -> None:
    names = [case.name for case in CORPUS]
    assert len(set(names)) == len(names)
    published = [f"cve-{year}-{number}-" for year, numbers in CVES.items() for number in numbers]
    assert [cve for cve in published if not any(name.startswith(cve) for name in names)] == []


def test_what_the_corpus_spoils_is_good(good: Path) -> None:
    import keras

    model = keras.saving.load_model(good)
    bundle = read_bundle(good)
    expected = [w for layer in model.layers[1:] for w in layer.get_weights()]
    found = [w for layer in bundle.layers for w in layer.weights]
    assert [w.tolist() for w in found] == [w.tolist() for w in expected]
    assert explain(good) == []


def test_the_functional_form_that_cases_spoil_is_good(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = hostile_config.functional(hostile.good_config())
    hostile.with_member("config.json", json.dumps(model).encode())(path, tmp_path)
    assert [layer.kind for layer in read_bundle(path).layers] == ["Embedding", "LSTM", "Dense"]


def test_the_branches_that_cases_spoil_are_good(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    hostile.pack(path, hostile_branches.branches_members())
    bundle = read_bundle(path)
    kinds = [[layer.kind for layer in branch.layers] for branch in bundle.branches]
    assert kinds == [["Embedding", "LSTM"], ["Dense"]]
    assert [layer.kind for layer in bundle.head] == ["Concatenate", "Dense"]
    assert explain(path) == []


@pytest.mark.parametrize("index", range(len(CORPUS)), ids=[case.name for case in CORPUS])
def test_a_hostile_bundle_is_refused(index: int, corpus: list[Path]) -> None:
    path, started = corpus[index], time.perf_counter()
    with pytest.raises((BundleError, UnsupportedModel)) as caught:
        read_bundle(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert re.search(CORPUS[index].says, message.removeprefix(f"{path}: ")), message
    assert message.isprintable()
    assert len(message) < len(str(path)) + 400
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("index", range(len(CORPUS)), ids=[case.name for case in CORPUS])
def test_the_explanation_holds_the_refusal(index: int, corpus: list[Path]) -> None:
    """Whatever is refused before settings and shapes are looked at is among the faults."""
    with pytest.raises(ScorerError) as caught:
        read_bundle(corpus[index])
    faults = explain(corpus[index])
    structural = ("member", "a zip bomb", "config.json: config", "model.weights.h5: /")
    refusal = str(caught.value).removeprefix(f"{corpus[index]}: ")
    assert all(fault.isprintable() for fault in faults)
    if refusal.startswith(structural):
        assert refusal in faults


def test_no_engine_is_asked(
    corpus: list[Path], tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused bundle never reaches what builds layers, whichever way a model is loaded."""

    def build(*args: object, **settings: object) -> None:
        raise AssertionError("an engine was built")

    monkeypatch.setattr("scorer.model.load_engine", build)
    (tmp_path / zoo.CARD_FILE).write_bytes((tiny_bundle / zoo.CARD_FILE).read_bytes())
    for path in corpus:
        (tmp_path / zoo.MODEL_FILE).write_bytes(path.read_bytes())
        with pytest.raises((BundleError, UnsupportedModel)):
            load_model(str(tmp_path))


def test_several_faults_are_all_told(tmp_path: Path) -> None:
    path = tmp_path / "evil.keras"
    model = hostile.good_config()
    layers = model["config"]["layers"]
    layers.insert(3, hostile_config.called("os", "system", command="true"))
    layers.append(hostile.layer("TFSMLayer", "../x", filepath="/saved"))
    hostile.with_extra("../evil.py")(path, tmp_path)
    members = {**hostile.good_members(), "config.json": json.dumps(model).encode()}
    hostile.pack(path, [*members.items(), ("../evil.py", b"")])
    told = "\n".join(explain(path))
    for part in ("'../evil.py'", "'os.system'", "a TensorFlow program", "'../x'", "'/saved'"):
        assert part in told


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    os.mkfifo(path)
    with pytest.raises(BundleError, match="not a regular file"):
        read_bundle(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.mkdir()
    with pytest.raises(BundleError, match=r"a folder: give the \.keras or \.h5 file"):
        read_bundle(path)


def test_what_a_file_is_its_content_says(good: Path) -> None:
    """TensorFlow 2.12 writes HDF5 to a name that ends in .keras."""
    expected = read_bundle(good).digest
    assert read_bundle(good.rename(good.with_suffix(".h5"))).digest == expected


def test_another_digest_is_refused_before_anything_is_parsed(
    corpus: list[Path], good: Path
) -> None:
    digest = read_bundle(good).digest
    for path in (p for p in corpus if p.read_bytes().startswith(b"PK\x03\x04")):
        with pytest.raises(BundleError, match="the zoo's index says"):
            read_bundle(path, digest=digest)
    assert read_bundle(good, digest=digest).digest == digest


def test_equal_copies_of_a_vocabulary_are_inflated_once(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    inflate = archive.read_member

    def counted(opened: zipfile.ZipFile, name: str) -> bytes:
        read.append(name)
        return inflate(opened, name)

    monkeypatch.setattr(archive, "read_member", counted)
    assert read_bundle(good).vectorizer.vocabulary == tuple(hostile.WORDS)
    names = {hostile.VOCABULARY, hostile.SECOND_VOCABULARY}
    assert len(names.intersection(read)) == 1
    with zipfile.ZipFile(good, "w") as spoiled:  # the same words, deflated otherwise
        for name, data in hostile.good_members().items():
            spoiled.writestr(name, data, compress_type=8 * (name == hostile.SECOND_VOCABULARY))
    read.clear()
    assert read_bundle(good).vectorizer.vocabulary == tuple(hostile.WORDS)
    assert names <= set(read)


@pytest.mark.parametrize(("part", "at"), [("header", 26), ("directory", 16), ("directory", 24)])
def test_a_second_copy_is_checked_as_the_first_is(good: Path, part: str, at: int) -> None:
    """Its bytes are the first's, and its own header has a shorter name, or the directory another
    checksum or size."""
    data = bytearray(good.read_bytes())
    name = hostile.SECOND_VOCABULARY.encode()
    place = data.find(name) - 30 if part == "header" else data.rfind(name) - 46
    data[place + at] -= 1
    good.write_bytes(data)
    with pytest.raises(BundleError, match=r"vocabulary\.txt.*(damaged|number of bytes)"):
        read_bundle(good)


# What happened inside Python is told by audit events; what HDF5's C code opens, only by the kernel.
WATCH = """
    import codecs, ctypes, heapq, json, os, sys
    from pathlib import Path

    from scorer.bundle import read_bundle
    from scorer.bundle.explain import explain
    from scorer.errors import ScorerError

    good, outside, *paths = sys.argv[1:]
    read_bundle(Path(good))
    try:  # modules and codecs that refusals need are loaded now
        read_bundle(Path(paths[0]))
    except ScorerError:
        explain(Path(paths[0]))
    for codec in ("cp437", "ascii"):
        codecs.lookup(codec)

    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    everything = 0xFFF
    assert libc.inotify_add_watch(watch, outside.encode(), everything) > 0
    assert libc.inotify_add_watch(watch, os.getcwd().encode(), everything) > 0

    harmless = {"object.__getattr__", "sys._getframe", "builtins.id", "code.__new__"}
    events = []
    allowed = None

    def audit(event, args):
        if recording and event not in harmless:
            own = str(args[0]) == allowed or isinstance(args[0], int) if args else False
            if not (event == "open" and own):
                events.append(f"{event} {args!r:.200}")

    recording = False
    sys.addaudithook(audit)
    accepted = []
    for path in map(Path, paths):
        allowed, recording = str(path), True
        for use in (read_bundle, explain):
            try:
                use(path)
                if use is read_bundle:
                    accepted.append(allowed)
            except ScorerError:
                pass
        recording = False
    try:
        seen = os.read(watch, 65536)
    except BlockingIOError:
        seen = b""
    Path(outside, "secret.bin").read_bytes()  # the watch must see this
    alive = bool(os.read(watch, 65536))
    allowed, recording = None, True
    open(os.devnull).close()
    recording = False
    print(json.dumps([accepted, events[:-1], bool(events), len(seen), alive]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_no_file_process_or_socket_is_touched(
    corpus: list[Path], outside: Path, good: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WATCH), str(good), str(outside), *map(str, corpus)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr
    accepted, events, hook_works, seen, watch_works = json.loads(done.stdout)
    assert hook_works
    assert watch_works
    assert accepted == []
    assert events == []
    assert seen == 0


def test_an_h5_model_is_read_as_its_archive_is(good: Path, tmp_path: Path) -> None:
    """The corpus' own good .h5 file, in the spelling of Keras 2, is the good archive's model."""
    path = tmp_path / "model.h5"
    path.write_bytes(hostile_h5.h5_model())
    ours, theirs = read_bundle(path), read_bundle(good)
    assert ours.vectorizer.vocabulary == theirs.vectorizer.vocabulary
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        assert one.settings == other.settings
        assert all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
