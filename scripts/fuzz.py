"""Coverage-guided fuzzing of everything that a stranger may hand in: bundles, cards, tables.

    pip install atheris
    python scripts/fuzz.py                          every target, 10,000 cases each
    python scripts/fuzz.py weights parquet --cases 100000

A case may end well or with one of the library's own errors, in one line; anything else (another
exception, a signal, 10 seconds, 1 GB) is a crash. Its input is kept in the corpus folder, and the
run goes on. Targets are run one after the other, each in its own process, by libFuzzer.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import pkgutil
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
SECONDS, MEGABYTES, MAX_BYTES = 10, 1024, 1 << 17
MAX_ROUNDS = 50  # a round ends with a crash or with the last case
# Numba compiles these from their byte code, which instrumentation would change.
NOT_INSTRUMENTED = [
    "scorer.vectorizer_kernels",
    *(f"scorer.engines.cpu.{path.stem}" for path in (ROOT / "scorer/engines/cpu").glob("*.py")),
]


class Finding(AssertionError):
    """A promise that a case broke without raising."""


def expect(holds: bool, promise: str) -> None:
    if not holds:
        raise Finding(promise)


@cache
def folder() -> Path:
    """Scratch files, in memory where the system has a place for that."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


@cache
def members() -> dict[str, bytes]:
    from tests.hostile import good_members

    return good_members()


def read_and_run(path: Path) -> None:
    """Read a bundle; one that passes must also run, or be refused by name."""
    import pyarrow as pa

    from scorer.bundle import read_bundle
    from scorer.engines import load_engine
    from scorer.vectorizer import Vectorizer

    bundle = read_bundle(path)
    expect(bundle.parameters < 1 << 24, "few bytes gave many weights")
    engine = load_engine(bundle, device="cpu", engine="cpu")
    tokens = Vectorizer(bundle.vectorizer)(pa.array(["good film", "", "bad " * 9, "\0 Ü"]))
    outputs = engine.run(tokens)
    expect(len(outputs) == 4, "a row was lost")


def run_archive(data: bytes) -> None:
    path = folder() / "model.keras"
    path.write_bytes(data)
    read_and_run(path)


def run_member(name: str) -> Callable[[bytes], None]:
    """Fuzz one member of an otherwise good archive."""

    def run(data: bytes) -> None:
        from tests.hostile import VOCABULARY, pack

        changed = {**members(), name: data}
        if name == VOCABULARY:
            changed = {k: data if k.endswith("vocabulary.txt") else v for k, v in changed.items()}
        path = folder() / "model.keras"
        pack(path, changed)
        read_and_run(path)

    return run


def run_card(data: bytes) -> None:
    """A card that is read must also be shown, rendered, and read again alike."""
    from scorer.card import parse_card, read_card, render_card

    path = folder() / "README.md"
    path.write_bytes(data)
    card = read_card(path)
    json.dumps(card.model_dump(mode="json", by_alias=True), allow_nan=False)
    again = parse_card(render_card(card))
    expect(again.scorer == card.scorer, "a rendered card reads otherwise")


def run_index(data: bytes) -> None:
    """No entry of an index leads out of its zoo."""
    from scorer.zoo import INDEX_FILE, list_models

    zoo = folder() / "zoo"
    zoo.mkdir(exist_ok=True)
    (zoo / INDEX_FILE).write_bytes(data)
    for entry in list_models((zoo,), all_versions=True):
        if entry.zoo == zoo:
            expect(entry.model_path.resolve().is_relative_to(zoo), "a path left its zoo")
            expect(entry.digest is not None, "an indexed model without a digest")


@cache
def model() -> Path:
    """The good archive with its card: a model that reads the column `text`."""
    from tests.hostile import write_good

    place = folder() / "good"
    place.mkdir()
    write_good(place / "model.keras")
    (place / "README.md").write_text("---\n" + json.dumps(good_card()) + "\n---\n")
    return place


def run_table(name: str) -> Callable[[bytes], None]:
    """Score a table by the command; every row that was read is in its output or set aside."""

    def run(data: bytes) -> None:
        from click.testing import CliRunner

        from scorer.cli.score import main as score

        source, output = folder() / name, folder() / "scored" / name
        output.parent.mkdir(exist_ok=True)
        source.write_bytes(data)
        arguments = ["-m", model(), source, "-o", output, "--force", "--json", "--threads", 1]
        ended = CliRunner().invoke(score, [str(argument) for argument in arguments])
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        expect(ended.exit_code in (0, 1, 2, 3), f"exit code {ended.exit_code}")
        expect("Traceback" not in ended.stderr, "a traceback")
        if ended.exit_code in (0, 3):
            check_output(output, json.loads(ended.stdout)["files"][0])
        else:
            errors = [x for x in ended.stderr.splitlines() if x.startswith(("Error: ", "Usage: "))]
            expect(len(errors) == 1, f"not one error but {ended.stderr!r}")

    return run


def check_output(output: Path, counts: dict[str, Any]) -> None:
    written = counts["scored"] + counts["unscored"]
    expect(counts["read"] == written + counts["rejected"], "the rows do not balance")
    if output.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(output) as file:
            expect(file.metadata.num_rows == written, "the output lacks rows")
    elif output.suffix == ".jsonl":
        lines = [line for line in output.read_bytes().split(b"\n") if line.strip()]
        expect(len(lines) == written, "the output lacks rows")


# --- where fuzzing starts -----------------------------------------------------------------------


def good_card() -> dict[str, Any]:
    return {
        "license": "apache-2.0",
        "scorer": {
            "schema": 1,
            "name": "fuzzed",
            "version": "1.0.0",
            "task": "binary",
            "labels": [{"name": "bad", "aliases": ["0"]}, {"name": "good"}],
            "text_columns": ["text"],
            "golden": [{"text": "good", "output": [0.5]}, {"text": "", "output": None}],
            "figures": [{"metric": "accuracy", "value": 0.5, "data": "made up", "rows": 6}],
        },
    }


@cache
def card_seeds() -> list[bytes]:
    from scorer.card import parse_card, render_card

    plain = "---\n" + json.dumps(good_card()) + "\n---\n# A card\n"
    return [plain.encode(), render_card(parse_card(plain)).encode()]


def config_seeds() -> list[bytes]:
    from tests.hostile import good_config
    from tests.hostile_config import functional

    return [json.dumps(config).encode() for config in (good_config(), functional(good_config()))]


def weights_seeds() -> list[bytes]:
    return [members()["model.weights.h5"]]


@cache
def archive_seeds() -> list[bytes]:
    """The good archive and the small ones of the hostile corpus."""
    from tests import hostile, hostile_config, hostile_weights  # noqa: F401 - they fill CORPUS

    path = folder() / "seed.keras"
    hostile.write_good(path)
    seeds = [path.read_bytes()]
    for case in hostile.CORPUS:
        if not any(word in case.name for word in ("bomb", "thousand", "share", "million")):
            case.build(path, folder())
            seeds.append(path.read_bytes())
    return [seed for seed in seeds if len(seed) < MAX_BYTES]


def index_seeds() -> list[bytes]:
    file = {"sha256": "0" * 64, "size": 7}
    entry = {"name": "a", "version": "1.0.0", "files": {"model.keras": file, "README.md": file}}
    return [json.dumps({"schema": 1, "models": [entry, {**entry, "version": "1.2.0"}]}).encode()]


CSV = (
    b'\xef\xbb\xbfid,text\r\n1,good film\r\n2,"bad, ""very"" bad\nfilm"\r\n3,\r\n',
    b'text,id\nwine,007\n\xc3\xbc\xe6\x97\xa5,1.10\nbroken,1,2\n"open,3\nx,\xff\n\n',
    b"text\n" + b"a" * 5000 + b"\n\0\n",
)
JSON_LINES = (
    b'{"text": "good film", "id": 1}\n{"id": 2, "text": null}\n{"text": "\\ud83d", "id": 3}\n',
    b'{"text": "a\\u0000b"}\r\n[1]\n{"text": 3}\nbroken\n{"text": "\xff"}\n{}\n\n{"text":"x"}',
)


@cache
def parquet_seeds() -> list[bytes]:
    """Small files of many kinds, among them a dictionary, a nested column and each codec."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["good film", None, "", "bad " * 50, "日本語 🎬", "a\0b"]
    columns = {"id": pa.array(range(6)), "text": pa.array(texts)}
    other = {
        "text": pa.array(texts).dictionary_encode(),
        "list": pa.array([[1], [], None, [2, 3], [4], [5]]),
        "struct": pa.array([{"a": i, "b": str(i)} for i in range(6)]),
        "price": pa.array([1, 2, 3, 4, 5, 6], pa.decimal128(9, 2)),
    }
    seeds = []
    for table in (pa.table(columns), pa.table(other), pa.table(columns).slice(0, 0)):
        for codec in ("none", "snappy", "zstd"):
            stream = io.BytesIO()
            pq.write_table(table, stream, compression=codec, row_group_size=4)
            seeds.append(stream.getvalue())
    return seeds


@dataclass(frozen=True)
class Target:
    """What is fuzzed: `run` takes one case, `seeds` gives the first ones."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    is_json: bool = False


VOCABULARY = "assets/layers/text_vectorization/_lookup_layer/vocabulary.txt"
TARGETS = {
    "archive": Target(run_archive, archive_seeds),
    "config": Target(run_member("config.json"), config_seeds, is_json=True),
    "weights": Target(run_member("model.weights.h5"), weights_seeds),
    "vocabulary": Target(run_member(VOCABULARY), lambda: [members()[VOCABULARY]]),
    "card": Target(run_card, card_seeds),
    "index": Target(run_index, index_seeds, is_json=True),
    "csv": Target(run_table("table.csv"), lambda: list(CSV)),
    "jsonl": Target(run_table("table.jsonl"), lambda: list(JSON_LINES)),
    "parquet": Target(run_table("table.parquet"), parquet_seeds),
}


def run_case(target: Target, data: bytes) -> None:
    """One case: it ends well, or with an expected error that prints as one line."""
    from scorer.errors import ScorerError
    from scorer.printable import printable

    try:
        target.run(data)
    except ScorerError as error:
        message = printable(str(error))
        acting = [c for c in message if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
        expect(not acting, f"a message with {acting!r}")
        expect(len(message) < 20_000, "a message without end")
        message.encode("utf-8")


# --- mutation of JSON ---------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 1 << 31, 1 << 63, 1 << 200, 0.5, 1e308, "", "a", "x" * 300,
    "/etc/passwd", "../x", "\0", "\ud800", [], {}, [[]], {"class_name": "Lambda"}, "float16",
    "Dense", "LSTM", "Embedding", "Dropout", "Conv1D", "GlobalMaxPooling1D", "Bidirectional",
    "linear", "softmax", "count", "multi_hot", "tf_idf", "character", None, [3], 3,
)  # fmt: skip


def mutate_json(data: bytes, seed: int) -> bytes | None:
    """The document with one to four values replaced, copied, swapped or dropped."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return None
    draw = random.Random(seed)
    for _ in range(draw.randint(1, 4)):
        places = list(_places(root))
        if not places:
            return json.dumps(draw.choice(ODD)).encode()
        holder, key = draw.choice(places)
        action = draw.random()
        if action < 0.15:
            del holder[key]
        elif action < 0.5:
            other, its_key = draw.choice(places)
            holder[key] = _copy(other[its_key])
        elif action < 0.6 and isinstance(holder, list):
            holder.insert(key, _copy(holder[key]))
        else:
            holder[key] = _copy(draw.choice(ODD))
    return json.dumps(root).encode()


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _places(root: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found = []
    stack = [root] if isinstance(root, dict | list) else []
    while stack:
        value = stack.pop()
        keys: Any = list(value) if isinstance(value, dict) else range(len(value))
        found += [(value, key) for key in keys]
        stack += [value[key] for key in keys if isinstance(value[key], dict | list)]
    return found


# --- libFuzzer ----------------------------------------------------------------------------------


def fuzz_here(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, until libFuzzer ends it."""
    import atheris  # type: ignore[import-untyped,unused-ignore]

    with atheris.instrument_imports(include=["scorer", "zipfile"], exclude=NOT_INSTRUMENTED):
        import scorer

        for module in pkgutil.walk_packages(scorer.__path__, "scorer."):
            if not module.name.startswith("scorer.evaluation"):  # reads nothing of a stranger's
                importlib.import_module(module.name)
    target = TARGETS[name]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed = mutate_json(data, seed) if target.is_json and seed % 4 else None
        if changed is None or len(changed) > max_size:
            return bytes(atheris.Mutate(data, max_size))
        return changed

    for warm_up in ("config", "csv"):  # what Numba compiles, before the clock runs
        run_case(TARGETS[warm_up], TARGETS[warm_up].seeds()[0])
    atheris.Setup(["fuzz", *arguments], lambda data: run_case(target, data), custom_mutator=mutate)
    atheris.Fuzz()


def fuzz_target(name: str, cases: int, corpus: Path) -> dict[str, Any]:
    """Fuzz one target in processes of its own; a crash is kept and the run goes on."""
    seeds, crashes = corpus / name, corpus / "crashes"
    for path in (seeds, crashes):
        path.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(TARGETS[name].seeds()):
        (seeds / f"seed-{i}").write_bytes(seed)
    done, rounds, started = 0, 0, time.perf_counter()
    while done < cases and rounds < MAX_ROUNDS:
        rounds += 1
        limits = [f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={MAX_BYTES}"]
        wanted = [f"-runs={cases - done}", "-print_final_stats=1", f"-seed={rounds + done}"]
        command = [sys.executable, __file__, "--here", name, *limits, *wanted]
        ended = subprocess.run(
            [*command, f"-artifact_prefix={crashes}/{name}-", str(seeds)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        told = re.findall(r"number_of_executed_units: (\d+)", ended.stderr)
        runs = int(told[-1]) if told else 0
        done += runs
        if ended.returncode:
            log = ended.stdout[-20_000:] + ended.stderr[-20_000:]
            (crashes / f"{name}-{rounds}.log").write_text(log)
            if runs <= len(list(seeds.iterdir())):  # a seed crashes: no more to be learnt
                break
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    kept = [p for p in crashes.glob(f"{name}-*") if p.suffix != ".log"]
    seconds = time.perf_counter() - started
    return {"cases": done, "crashes": len(kept), "seconds": seconds, "peak_mb": peak}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("targets", nargs=-1)
@click.option("--cases", default=10_000, show_default=True, help="Cases for each target.")
@click.option("--corpus", type=click.Path(path_type=Path), default=Path("runs/fuzz"))
@click.option("--here", is_flag=True, hidden=True)
def main(targets: tuple[str, ...], cases: int, corpus: Path, here: bool) -> None:
    """Fuzz TARGETS (default: all), and end with 1 where any case crashed."""
    if here:
        fuzz_here(targets[0], list(targets[1:]))
        return
    unknown = sorted(set(targets) - set(TARGETS))
    if unknown:
        raise click.UsageError(f"no target {unknown[0]!r}; there are: {', '.join(TARGETS)}")
    click.echo(f"{'target':<12}{'cases':>10}{'crashes':>10}{'cases/s':>10}{'peak MB':>10}")
    crashes = 0
    for name in targets or TARGETS:
        found = fuzz_target(name, cases, corpus.resolve())
        rate = found["cases"] / max(found["seconds"], 1e-9)
        crashes += found["crashes"]
        line = f"{name:<12}{found['cases']:>10,}{found['crashes']:>10}{rate:>10.0f}"
        click.echo(f"{line}{found['peak_mb']:>10,}")
    raise SystemExit(1 if crashes else 0)


if __name__ == "__main__":
    main()
