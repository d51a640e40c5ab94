"""The `score` command: outputs, exact errors and exit codes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from scorer.cli.score import main
from scorer.model import Model
from tests.support.parrot import expected, parrot

TEXTS = ["good film", None, "", "the plot, dull", 'a "quoted" café', "bad\nline"]
N = list(range(len(TEXTS)))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    """The parrot behind every `--model`, and a folder of its own to run in."""
    parrot_model = parrot()
    monkeypatch.setattr("scorer.model.load_model", lambda *args, **options: parrot_model)
    monkeypatch.chdir(tmp_path)
    return parrot_model


def score(*arguments: str, data: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["-m", "parrot", *arguments], input=data)


def error_of(*arguments: str, code: int) -> str:
    """The one line that a failing command prints."""
    result = score(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    return lines[0].removeprefix("Error: ")


def write_parquet(path: str = "reviews.parquet") -> pa.Table:
    table = pa.table({"n": N, "text": TEXTS})
    pq.write_table(table, path)
    return table


def leftovers() -> list[str]:
    return sorted(path.name for path in Path().iterdir() if path.name.startswith("."))


def present() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_parquet_in_parquet_out(model: Model) -> None:
    table = write_parquet()
    result = score("reviews.parquet")
    assert result.exit_code == 0, result.output
    out = pq.read_table("reviews.scored.parquet")
    wanted = expected(model, TEXTS)
    assert out.select(["n", "text"]).equals(table)
    assert out.select(["prediction", "probability"]).equals(wanted)
    assert out.schema.metadata[b"scorer.model"] == b"parrot"
    assert out.schema.metadata[b"scorer.model_version"] == b"1.0.0"
    assert out.schema.metadata[b"scorer.model_sha256"] == b"5" * 64
    assert leftovers() == []
    assert "6 rows = 4 scored + 2 unscored + 0 rejected" in result.stderr
    assert result.stdout == ""


def test_csv_in_csv_out_as_pandas_reads_it(model: Model) -> None:
    frame = pd.DataFrame({"n": [f"00{i}" for i in N], "text": TEXTS})
    frame.to_csv("reviews.csv", index=False)
    assert score("reviews.csv", "-o", "out.csv").exit_code == 0
    out = pd.read_csv("out.csv", dtype=str)
    assert out[["n", "text"]].equals(pd.read_csv("reviews.csv", dtype=str))
    wanted = expected(model, TEXTS)
    assert [None if pd.isna(x) else x for x in out["prediction"]] == wanted[
        "prediction"
    ].to_pylist()
    probability = out["probability"].astype("float32").to_numpy()
    assert pa.array(probability, from_pandas=True).equals(wanted["probability"].combine_chunks())


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("batch", ["1", "2", "1000"])
def test_threads_and_batch_size_do_not_change_a_byte(
    model: Model, threads: str, batch: str
) -> None:
    write_parquet()
    assert score("reviews.parquet", "-o", "a.parquet").exit_code == 0
    more = ["--threads", threads, "--batch-size", batch]
    assert score("reviews.parquet", "-o", "b.parquet", *more).exit_code == 0
    assert pq.read_table("a.parquet").equals(pq.read_table("b.parquet"))
    Path("reviews.csv").write_text("text\n" + "good\n\n" * 10)
    assert score("reviews.csv", "-o", "a.csv").exit_code == 0
    assert score("reviews.csv", "-o", "b.csv", *more).exit_code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_output_columns(model: Model) -> None:
    write_parquet()
    score("reviews.parquet", "--probabilities", "--diagnostics", "--prefix", "m_")
    out = pq.read_table("reviews.scored.parquet")
    assert out.schema.names == [
        "n",
        "text",
        "m_prediction",
        "m_probability",
        "m_probability_neg",
        "m_probability_pos",
        "m_n_tokens",
        "m_oov_share",
        "m_truncated",
    ]


def test_regression_has_one_column(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    points = parrot("regression")
    monkeypatch.setattr("scorer.model.load_model", lambda *args, **options: points)
    write_parquet()
    assert score("reviews.parquet").exit_code == 0
    out = pq.read_table("reviews.scored.parquet")
    assert out.schema.names == ["n", "text", "prediction"]
    assert out["prediction"].type == pa.float32()


def test_stdin_to_stdout(model: Model) -> None:
    result = score("-", data=b"text\ngood\n")
    assert result.exit_code == 0
    assert result.stdout_bytes.splitlines()[0] == b"text,prediction,probability"
    assert len(result.stdout_bytes.splitlines()) == 2
    assert present() == []
    assert score("-", data=b"text,n\nbroken\n").exit_code == 3
    assert score("-", data=b"text,n\nbroken\n").exit_code == 3
    assert len(present()) == 2
    assert all(name.startswith("stdin-") for name in present())
    assert all(name.endswith(".rejects.jsonl") for name in present())


def test_compressed_csv(model: Model) -> None:
    Path("in.csv.gz").write_bytes(gzip.compress(b"text\ngood\n"))
    assert score("in.csv.gz").exit_code == 0
    assert gzip.decompress(Path("in.scored.csv.gz").read_bytes()).startswith(b"text,prediction")


def test_rejects_end_with_3_and_are_kept(model: Model) -> None:
    Path("in.csv").write_bytes(b'n,text\n1,good\n2\n3,"x\n4,caf\xe9\n5,bad\n')
    result = score("in.csv", "--json")
    assert result.exit_code == 3
    rows = json.loads(result.stdout)["rows"]
    assert rows == {"read": 5, "scored": 2, "unscored": 0, "rejected": 3}
    lines = Path("in.scored.csv.rejects.jsonl").read_text().splitlines()
    rejects = [json.loads(line) for line in lines]
    assert [(r["file"], r["row"], r["line"]) for r in rejects] == [
        ("in.csv", 2, 3),
        ("in.csv", 3, 4),
        ("in.csv", 4, 5),
    ]
    assert rejects[1]["raw"] == '3,"x\n'
    assert "raw_base64" in rejects[2]
    assert "in.scored.csv.rejects.jsonl" in result.stderr
    assert len(Path("in.scored.csv").read_text().splitlines()) == 3


def test_a_rerun_without_rejects_takes_the_old_ones_away(model: Model) -> None:
    Path("in.csv").write_bytes(b"n,text\n1\n")
    assert score("in.csv").exit_code == 3
    Path("in.csv").write_bytes(b"n,text\n1,good\n")
    assert score("in.csv", "--force").exit_code == 0
    assert not Path("in.scored.csv.rejects.jsonl").exists()


def test_strict_and_max_rejects_publish_nothing(model: Model) -> None:
    Path("in.csv").write_bytes(b"n,text\n1,good\n2\n3\n")
    message = error_of("in.csv", "--strict", code=1)
    assert message.startswith("in.csv: row 2 (line 3) cannot be read: expected 2 fields, found 1")
    assert "row 3" in error_of("in.csv", "--max-rejects", "1", code=1)
    assert present() == ["in.csv"]
    assert score("in.csv", "--max-rejects", "2").exit_code == 3


def test_missing_file(model: Model) -> None:
    assert error_of("nowhere.csv", code=1) == "nowhere.csv: no such file"


def test_unknown_model(tmp_path: Path, tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_parquet()
    arguments = ["-m", "tiny-binari", "reviews.parquet", "--zoo", str(tiny_zoo)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "tiny-binary" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_missing_column_lists_the_columns_and_the_nearest(model: Model) -> None:
    write_parquet()
    assert error_of("reviews.parquet", "--text-column", "Texd", code=2) == (
        "reviews.parquet: no column 'Texd' (did you mean 'text'?); there are: n, text"
    )
    Path("in.csv").write_text("id,Reviews\n")
    assert error_of("in.csv", code=2) == (
        "in.csv: no column 'text' or 'review' (did you mean 'Reviews'?); there are: id, Reviews; "
        "choose the text column with --text-column"
    )
    assert present() == ["in.csv", "reviews.parquet"]


def test_two_columns_possible(model: Model) -> None:
    Path("in.csv").write_text("text,review\na,b\n")
    message = error_of("in.csv", code=2)
    assert message == "in.csv: 'text' and 'review' may hold the text: choose one with --text-column"
    assert score("in.csv", "--text-column", "review").exit_code == 0


def test_a_column_of_numbers_is_no_text(model: Model) -> None:
    write_parquet()
    message = error_of("reviews.parquet", "--text-column", "n", code=2)
    assert message == "reviews.parquet: column 'n' holds int64, not strings"


def test_a_clash_of_names_offers_a_prefix(model: Model) -> None:
    Path("in.csv").write_text("text,prediction\na,b\n")
    message = error_of("in.csv", code=2)
    assert message.startswith("in.csv: already has a column 'prediction'")
    assert "--prefix" in message
    assert score("in.csv", "--prefix", "new_").exit_code == 0


def test_the_wrong_delimiter_is_guessed_in_the_message(model: Model) -> None:
    Path("in.csv").write_text("id;text\n1;a\n")
    assert error_of("in.csv", code=2).endswith(
        "if the file's delimiter is ';', use --delimiter ';'; "
        "choose the text column with --text-column"
    )


def test_an_existing_output_is_refused_without_force(model: Model) -> None:
    write_parquet()
    Path("reviews.scored.parquet").write_text("precious")
    assert error_of("reviews.parquet", code=2) == (
        "reviews.scored.parquet: already exists; use --force to replace it"
    )
    assert Path("reviews.scored.parquet").read_text() == "precious"
    assert score("reviews.parquet", "--force").exit_code == 0
    assert pq.read_table("reviews.scored.parquet").num_rows == len(TEXTS)


def test_the_input_is_never_the_output(model: Model) -> None:
    write_parquet()
    message = error_of("reviews.parquet", "-o", "reviews.parquet", "--force", code=2)
    assert message == "reviews.parquet: is the input itself: choose another output"


def test_not_a_table(model: Model) -> None:
    Path("in.parquet").write_text("n,text\n")
    assert error_of("in.parquet", code=1).startswith("in.parquet: not a file in the format Parquet")
    Path("in.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    assert error_of("in.csv", code=1).startswith("in.csv: not a CSV file in utf-8")
    Path("in.jsonl").write_text("[1, 2]\n")
    assert error_of("in.jsonl", code=1).startswith("in.jsonl: not a JSON Lines file: line 1")


def test_a_truncated_gzip_fails_and_leaves_nothing(model: Model) -> None:
    whole = gzip.compress(b"text\n" + b"good film\n" * 5000)
    Path("in.csv.gz").write_bytes(whole[:-10])
    assert error_of("in.csv.gz", code=1).startswith("in.csv.gz: cannot be read to its end")
    assert present() == ["in.csv.gz"]


def test_output_folder_must_exist(model: Model) -> None:
    write_parquet()
    message = error_of("reviews.parquet", "-o", "no/where.parquet", code=1)
    assert message == "no/where.parquet: the folder no does not exist: create it first"


def test_json_summary(model: Model) -> None:
    write_parquet()
    summary = json.loads(score("reviews.parquet", "--json", "-q").stdout)
    assert summary["model"] == {
        "name": "parrot",
        "version": "1.0.0",
        "sha256": "5" * 64,
        "engine": "parrot",
    }
    assert summary["rows"] == {"read": 6, "scored": 4, "unscored": 2, "rejected": 0}
    assert set(summary["files"][0]["seconds"]) == {"read", "score", "encode", "write"}


def test_quiet_says_nothing(model: Model) -> None:
    write_parquet()
    result = score("reviews.parquet", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_a_second_run_finds_the_output_busy(model: Model) -> None:
    from scorer.jobs.publish import local_target

    write_parquet()
    with local_target(Path("reviews.scored.parquet")).locked():
        message = error_of("reviews.parquet", code=5)
    assert message.startswith("reviews.scored.parquet: another run is writing it")
    assert leftovers() == []


def run(*arguments: str, zoo: Path, stdout: Any = subprocess.PIPE) -> CompletedProcess[bytes]:
    command = [sys.executable, "-m", "scorer.cli.score", "-m", "tiny-binary", "--zoo", str(zoo)]
    return subprocess.run(
        [*command, *arguments], stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=60
    )


def test_a_whole_process(tmp_path: Path, tiny_zoo: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("n,text\n1,good film\n2,\n")
    done = run(str(path), zoo=tiny_zoo)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "in.scored.csv").read_text().splitlines()[2] == "2,,,"


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, tiny_zoo: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text\ngood film\n")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        failed = run(str(path), "-o", "-", zoo=tiny_zoo, stdout=full)
    assert failed.returncode == 1
    assert failed.stderr.decode() == "Error: stdout: cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", [["-o", "-"], ["-o", "/dev/stdout"], ["--json"]])
def test_a_reader_that_goes_away_hears_nothing(
    arguments: list[str], tmp_path: Path, tiny_zoo: Path
) -> None:
    """As `score ... | head` ends every program: with SIGPIPE's code, and without a word."""
    path = tmp_path / "in.csv"
    path.write_text("text\n" + "good film\n" * 20000)
    reading, writing = os.pipe()
    os.close(reading)
    ended = run(str(path), "-q", *arguments, zoo=tiny_zoo, stdout=writing)
    os.close(writing)
    assert (ended.returncode, ended.stderr.decode()) == (141, "")


def test_a_summary_that_a_full_disk_refuses_is_one_line(tmp_path: Path, tiny_zoo: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("text\ngood film\n")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        failed = run(str(path), "-q", "--json", zoo=tiny_zoo, stdout=full)
    assert failed.returncode == 1
    assert failed.stderr.decode() == "Error: stdout: cannot be written: No space left on device\n"


def test_an_interrupted_run_leaves_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_parquet()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scorer.jobs.rejects.RejectsFile.__call__", interrupt)
    result = score("reviews.parquet")
    assert (result.exit_code, result.stderr) == (130, "Error: stopped by SIGINT\n")
    assert present() == ["reviews.parquet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.csv", "-o", "-", "--json"], "--json and the rows cannot both go to stdout"),
        (["in.csv", "-o", "-", "--resume"], "a run that writes to stdout cannot be resumed"),
        (["-", "-o", "out.csv", "--resume"], "stdin cannot be read again"),
        (["in.csv", "--resume", "--incremental"], "--incremental resumes by itself"),
        (["in.csv", "--incremental"], "--incremental keeps its ledger beside the outputs"),
        (["in.csv", "--delimiter", "ab"], "--delimiter 'ab': must be a single character"),
        (["in.csv", "--encoding", "no-such"], "--encoding 'no-such': unknown encoding"),
    ],
)
def test_what_cannot_be_meant_is_refused(model: Model, arguments: list[str], message: str) -> None:
    Path("in.csv").write_text("text\ngood\n")
    assert error_of(*arguments, code=2).startswith(message)
    assert present() == ["in.csv"]


def test_a_dry_run_says_what_it_would_do(model: Model) -> None:
    Path("inbox").mkdir()
    Path("inbox/a.csv").write_text("text\ngood\n")
    result = score("inbox", "-o", "out", "--incremental", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == "inbox/a.csv -> out/a.csv: new\n1 to score, 0 unchanged\n"
    assert present() == ["inbox"]


def test_files_of_other_kinds_are_named(model: Model) -> None:
    Path("inbox").mkdir()
    Path("inbox/a.csv").write_text("text\ngood\n")
    Path("inbox/notes.txt").write_text("nothing")
    result = score("inbox", "-o", "out")
    assert result.exit_code == 0
    assert "Warning: ignored (not tables): inbox/notes.txt" in result.stderr
