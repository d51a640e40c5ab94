"""A few seconds of fuzzing for each kind of file that a stranger may hand in, and what was found.

The targets, and the long runs, are those of scripts/fuzz.py: a case may end well or with one of the
library's own errors in one line; whatever else is raised fails the test.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from scorer.jobs.journal import MAGIC
from scripts.fuzzing.cards import good_card
from scripts.fuzzing.case import folder, run_case
from scripts.fuzzing.documents import ODD, mutate_json
from scripts.fuzzing.runs import (
    FINISHED,
    FINISHED_INPUT,
    FORGED,
    GONE,
    LEDGER,
    STRICT,
    finished,
    found,
    journal_of,
    lay_out,
    score,
    stopped,
    with_sums,
)
from scripts.fuzzing.tables import CSV, JSON_LINES
from scripts.fuzzing.targets import TARGETS
from scripts.hostile.archives import good_config

FOUND = Path(__file__).parent / "found"
ROOT = Path(__file__).parents[3]

# Bounded: a failure is told as it was found, since shrinking can take minutes.
few = settings(
    derandomize=True,
    max_examples=60,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
ANY_TEXT = st.text(st.characters(), max_size=40)  # NUL, controls and lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def run(target: str, data: bytes) -> None:
    run_case(TARGETS[target], data)


def seeds(target: str) -> list[bytes]:
    return TARGETS[target].seeds()


@st.composite
def damaged(draw: Callable[[Any], Any], make: Callable[[], list[bytes]]) -> bytes:
    """A seed with some bytes overwritten, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(make())))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        patch = draw(st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 8) | st.just(bytes(8)))
        action = draw(st.sampled_from(["overwrite", "overwrite", "insert", "cut"]))
        end = {"overwrite": at + len(patch), "insert": at, "cut": at + draw(st.integers(1, 99))}
        data[at : end[action]] = b"" if action == "cut" else patch
    return bytes(data)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_seeds_are_taken(target: str) -> None:
    for data in (*seeds(target), b""):
        run(target, data)


def test_what_was_found_stays_mended() -> None:
    """In a process of its own: some of these ended the process."""
    assert len(list(FOUND.iterdir())) > 2
    code = (
        "import sys; from pathlib import Path\n"
        "from scripts.fuzzing.case import folder, run_case\n"
        "from scripts.fuzzing.targets import TARGETS\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    print(path.name, flush=True)\n"
        "    run_case(TARGETS[path.name.partition('-')[0]], path.read_bytes())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(FOUND)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@few
@given(st.integers(0, 1 << 32), st.sampled_from(["config", "index"]))
def test_documents_that_changed(seed: int, target: str) -> None:
    data = mutate_json(seeds(target)[seed % len(seeds(target))], seed)
    assert data is not None
    run(target, data)


@few
@given(st.integers(0, 4), st.text("abcdefghijklmnopqrstuvwxyz_", max_size=12), JSON)
def test_layers_with_other_settings(layer: int, key: str, value: Any) -> None:
    """Any value for any setting, known ones above all."""
    model = good_config()
    known = model["config"]["layers"][layer]["config"]
    known[sorted(known)[len(key) % len(known)] if len(key) % 3 else key] = value
    run("config", json.dumps(model).encode())


@few
@given(JSON)
def test_configurations_of_anything(value: Any) -> None:
    run("config", json.dumps(value).encode())
    run("index", json.dumps(value).encode())


@few
@given(damaged(lambda: seeds("weights")))
def test_damaged_weights(data: bytes) -> None:
    run("weights", data)


@few
@given(damaged(lambda: seeds("archive")[:1]))
def test_damaged_archives(data: bytes) -> None:
    run("archive", data)


@few
@given(st.binary(max_size=200) | st.lists(ANY_TEXT).map(lambda w: repr(w).encode()))
def test_vocabularies_of_anything(data: bytes) -> None:
    run("vocabulary", data)


@few
@given(st.sampled_from(sorted(good_card()["scorer"])), JSON, ANY_TEXT)
def test_cards_with_other_fields(field: str, value: Any, extra: str) -> None:
    card = good_card()
    card["scorer"][field] = value
    card[extra or "x"] = value
    run("card", b"---\n" + json.dumps(card).encode() + b"\n---\n")


@few
@given(damaged(lambda: seeds("card")) | st.binary(max_size=300))
def test_damaged_cards(data: bytes) -> None:
    run("card", data)


@few
@given(damaged(lambda: list(CSV)) | st.binary(max_size=200).map(lambda b: b"text,id\n" + b))
def test_damaged_csv(data: bytes) -> None:
    run("csv", data)


@few
@example(b'{"text": "a"}\r\0\n{}\n')  # the first line ends in a CR, so every CR ends one
@example(b'{"text":\r"a"}\n{}\n')
@given(damaged(lambda: list(JSON_LINES)) | st.binary(max_size=200))
def test_damaged_json_lines(data: bytes) -> None:
    run("jsonl", data)


@few
@given(st.lists(st.fixed_dictionaries({}, optional={"text": JSON, "id": JSON}), max_size=5))
def test_json_lines_of_anything(rows: list[dict[str, Any]]) -> None:
    run("jsonl", "\n".join(map(json.dumps, rows)).encode())


@few
@given(damaged(lambda: seeds("parquet")))
def test_damaged_parquet(data: bytes) -> None:
    run("parquet", data)


@few
@given(st.sampled_from(["arrow", "arrow_stream", "zip", "json_array"]), st.data())
def test_damaged_tables_of_other_formats(target: str, data: st.DataObject) -> None:
    run(target, data.draw(damaged(lambda: seeds(target))))


@few
@given(JSON | st.lists(st.fixed_dictionaries({}, optional={"text": JSON, "id": JSON}), max_size=5))
def test_json_arrays_of_anything(value: Any) -> None:
    run("json_array", json.dumps(value).encode())


def test_fuzzing_without_its_engine_fails(tmp_path: Path) -> None:
    """No case that is run is no case that passed."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['atheris'] = None\n")
    script = [sys.executable, str(ROOT / "scripts/fuzz.py"), "csv", "--cases", "1"]
    done = subprocess.run(
        [*script, "--corpus", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "atheris is not installed" in done.stderr


@few
@given(
    st.lists(st.none() | st.binary(max_size=30), max_size=6), st.sampled_from(["snappy", "zstd"])
)
def test_parquet_whose_texts_are_no_texts(values: list[bytes | None], codec: str) -> None:
    """A string column with any bytes: pyarrow writes and reads it without looking."""
    binary = pa.array(values, pa.binary())
    texts = pa.Array.from_buffers(
        pa.string(), len(values), binary.buffers(), binary.null_count, binary.offset
    )
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), stream, compression=codec)
    run("parquet", stream.getvalue())


# --- what a run keeps ---------------------------------------------------------------------------


def header(content: Any) -> bytes:
    text = json.dumps(content).encode()
    return with_sums(MAGIC + len(text).to_bytes(4, "little") + bytes(4) + text)


@few
@given(damaged(lambda: seeds("journal")))
def test_damaged_journals(data: bytes) -> None:
    run("journal", data)


@few
@given(st.integers(0, 1 << 10), st.sampled_from([0, STRICT]))
def test_journals_cut_short(length: int, strict: int) -> None:
    run("journal", bytes([strict]) + seeds("journal")[0][1 : 1 + length])


@few
@given(JSON, st.sampled_from(["header", "identity", "done"]), st.sampled_from([0, FINISHED]))
def test_journals_whose_header_is_anything(value: Any, place: str, which: int) -> None:
    """Of a run that was stopped, and of an input that it had finished."""
    content = value if place == "header" else {"identity": {}, place: value}
    run("journal", bytes([FORGED | which]) + header(content))


@few
@given(JSON | st.none(), st.sampled_from(["summary", "read", "seconds", "output"]))
def test_notes_of_finished_inputs_that_are_anything(value: Any, field: str) -> None:
    """With the identity of the run that is resumed."""
    note = stopped()[journal_of(FINISHED_INPUT)]
    good = json.loads(note[len(MAGIC) + 8 :])
    good["done"] = value if field == "summary" else {**good["done"], field: value}
    run("journal", bytes([FORGED | FINISHED]) + header(good))


@few
@given(damaged(lambda: seeds("ledger")))
def test_damaged_ledgers(data: bytes) -> None:
    run("ledger", data)


@few
@given(
    st.sampled_from(["input", "fingerprint", "sha256", "identity", "state", "summary", "output"]),
    JSON.map(lambda value: json.dumps(value)) | ANY_TEXT.filter(lambda t: t.isprintable()),
    st.sampled_from([0, GONE, STRICT, GONE | STRICT]),
)
def test_ledgers_whose_cells_are_anything(column: str, value: str, flags: int) -> None:
    changed = altered(
        f"pragma ignore_check_constraints = on; update outputs set {column} = {{}}"
        " where output like 'a%'",
        value,
    )
    run("ledger", bytes([flags]) + changed)


@pytest.mark.parametrize(
    "statement",
    [
        "alter table outputs rename to old; create view outputs as with recursive r(n) as "
        "(select 1 union all select n + 1 from r) select n as output, n as input, n as "
        "fingerprint, n as sha256, n as identity, n as state from r",
        "create trigger t after update on outputs begin delete from outputs; end",
        "create trigger t after insert on outputs begin delete from outputs; end",
        "create table more (x)",
        "drop table outputs",
        "pragma user_version = 7",
        "pragma user_version = 0",
    ],
)
def test_ledgers_of_another_shape_are_refused(statement: str) -> None:
    """A view without end would hang the run, a trigger undo what it notes."""
    lay_out({LEDGER: altered(statement)})
    (told,) = score(incremental=True)
    assert "ledger" in told
    assert sorted(found()) == [LEDGER]


def altered(statements: str, value: str = "") -> bytes:
    """The ledger of a finished run after these statements."""
    path = folder() / "altered.sqlite"
    path.write_bytes(finished()[LEDGER])
    with closing(sqlite3.connect(path)) as connection:
        quoted = "'" + value.replace("'", "''") + "'"
        connection.executescript(statements.replace("{}", quoted))
    return path.read_bytes()
