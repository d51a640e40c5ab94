"""Inputs and outputs by URL, against a real S3-compatible server on this machine."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from scorer.cli.score import main
from scorer.errors import UsageError
from scorer.tables.remote import remote_file
from tests.support.buckets import get, names, put
from tests.support.parrot import use_parrot

CSV = b"n,text\n1,good\n2,\n"


@pytest.fixture(autouse=True)
def _parrot(monkeypatch: pytest.MonkeyPatch) -> None:
    use_parrot(monkeypatch)


def score(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["-m", "parrot", *arguments])


def test_csv_beside_its_input(bucket: pa.fs.FileSystem, tmp_path: Path) -> None:
    put(bucket, "in.csv", CSV)
    result = score("s3://data/in.csv")
    assert result.exit_code == 0, result.output
    assert get(bucket, "in.scored.csv").startswith(b"n,text,prediction,probability\n1,good,")
    assert names(bucket) == ["in.csv", "in.scored.csv"]
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file()] == []


def test_local_and_remote_outputs_are_the_same_bytes(bucket: pa.fs.FileSystem) -> None:
    table = pa.table({"text": ["good", None, "bad"] * 500, "n": range(1500)})
    pq.write_table(table, "in.parquet", row_group_size=100)
    put(bucket, "in.parquet", Path("in.parquet").read_bytes())
    assert score("in.parquet", "-o", "local.parquet").exit_code == 0
    assert score("s3://data/in.parquet", "-o", "s3://data/out/there.parquet").exit_code == 0
    assert score("s3://data/in.parquet", "-o", "fetched.parquet").exit_code == 0
    local = Path("local.parquet").read_bytes()
    assert get(bucket, "out/there.parquet") == local
    assert Path("fetched.parquet").read_bytes() == local


def test_a_folder_is_mirrored(bucket: pa.fs.FileSystem) -> None:
    for path in ("in/x=1/a.csv", "in/x=2/b.csv.gz", "in/_SUCCESS", "in/note.txt"):
        put(bucket, path, gzip.compress(CSV) if path.endswith("gz") else CSV)
    result = score("s3://data/in", "-o", "s3://data/out")
    assert result.exit_code == 0, result.output
    assert [name for name in names(bucket) if name.startswith("out")] == [
        "out/x=1/a.csv",
        "out/x=2/b.csv.gz",
    ]
    assert gzip.decompress(get(bucket, "out/x=2/b.csv.gz")) == get(bucket, "out/x=1/a.csv")


def test_wildcards_stay_within_a_folder(bucket: pa.fs.FileSystem) -> None:
    for path in ("in/a.csv", "in/b.csv", "in/deep/c.csv"):
        put(bucket, path, CSV)
    assert score("s3://data/in/*.csv", "-o", "out/").exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.csv", "b.csv"]


def test_rejects_go_beside_the_output(bucket: pa.fs.FileSystem) -> None:
    put(bucket, "in.csv", CSV + b"broken\n")
    assert score("s3://data/in.csv").exit_code == 3
    assert b"expected 2 fields" in get(bucket, "in.scored.csv.rejects.jsonl")
    put(bucket, "in.csv", CSV)
    assert score("s3://data/in.csv", "--force").exit_code == 0
    assert names(bucket) == ["in.csv", "in.scored.csv"]


def test_an_existing_output_is_refused(bucket: pa.fs.FileSystem) -> None:
    put(bucket, "in.csv", CSV)
    put(bucket, "in.scored.csv", b"precious")
    result = score("s3://data/in.csv")
    assert result.exit_code == 2
    message = "Error: s3://data/in.scored.csv: already exists; use --force to replace it\n"
    assert result.stderr == message
    assert get(bucket, "in.scored.csv") == b"precious"


def test_what_is_not_there_is_one_line(bucket: pa.fs.FileSystem) -> None:
    for url in ("s3://data/none.csv", "s3://no-such-bucket/none.csv"):
        result = score(url)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert url in result.stderr


def test_incremental_from_a_bucket(bucket: pa.fs.FileSystem) -> None:
    put(bucket, "in/a.csv", CSV)
    arguments = ["s3://data/in", "-o", "scored", "--incremental"]
    assert score(*arguments).exit_code == 0
    assert "1 unchanged" in score(*arguments).stderr
    put(bucket, "in/a.csv", CSV + b"3,more\n")
    assert score(*arguments).exit_code == 0
    assert len(Path("scored/a.csv").read_text().splitlines()) == 4


def test_an_interrupted_upload_resumes(
    bucket: pa.fs.FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "in.csv", b"text\n" + b"good film\n" * 3000)

    def fail(*_: object) -> None:
        raise UsageError("the network went away")

    with monkeypatch.context() as patch:
        patch.setattr("scorer.tables.remote.RemoteFile.upload", fail)
        assert score("s3://data/in.csv").exit_code == 2
    assert names(bucket) == ["in.csv"]
    result = score("s3://data/in.csv", "--resume", "--json")
    assert result.exit_code == 0
    assert '"resumed": 3000' in result.stdout
    assert names(bucket) == ["in.csv", "in.scored.csv"]


def test_other_file_systems_through_fsspec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    memory = fsspec.filesystem("memory")
    memory.pipe("/box/in.csv", CSV)
    result = score("memory://box/in.csv", "-o", "memory://box/out.csv")
    assert result.exit_code == 0, result.output
    assert memory.cat("/box/out.csv").startswith(b"n,text,prediction")


def test_an_unknown_scheme_names_itself() -> None:
    with pytest.raises(UsageError, match="nosuch://x/y"):
        remote_file("nosuch://x/y")
