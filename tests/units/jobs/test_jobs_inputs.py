"""Files, folders, wildcards, hive partitions: which inputs are meant, and where outputs go."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from scorer.errors import InputError, UsageError
from scorer.jobs.plan import RunPlan, plan
from scorer.jobs.run import run_jobs
from scorer.jobs.settings import Settings
from scorer.jobs.summary import RunSummary
from tests.support.parrot import parrot
from tests.support.settings import settings_of

CSV = "text\ngood\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(*names: str, content: str = CSV) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)


def ways(made: RunPlan) -> list[tuple[str, str]]:
    return [(job.source.name, job.output_name) for job in made.jobs]


def run(inputs: list[str], output: str | None, settings: Settings | None = None) -> RunSummary:
    return run_jobs(parrot(), plan(inputs, output), settings or settings_of())


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("a.csv", "a.scored.csv"),
        ("a.b.csv.gz", "a.b.scored.csv.gz"),
        ("d/a.parquet", "d/a.scored.parquet"),
        ("a", "a.scored"),
        ("a.jsonl.zst", "a.scored.jsonl.zst"),
    ],
)
def test_default_outputs_lie_beside_their_inputs(name: str, output: str) -> None:
    write(name)
    assert ways(plan([name], None)) == [(name, output)]


def test_an_output_folder_takes_the_names() -> None:
    write("a.csv", "d/b.csv")
    assert ways(plan(["a.csv", "d/b.csv"], "out")) == [
        ("a.csv", "out/a.csv"),
        ("d/b.csv", "out/b.csv"),
    ]
    assert ways(plan(["a.csv"], "out/")) == [("a.csv", "out/a.csv")]


def test_a_folder_is_mirrored() -> None:
    write("in/b.csv", "in/x=1/y=2/a.csv", "in/README.md", "in/.hidden.csv", "in/_SUCCESS")
    write("in/_temporary/c.csv")
    made = plan(["in"], "out")
    assert ways(made) == [("in/b.csv", "out/b.csv"), ("in/x=1/y=2/a.csv", "out/x=1/y=2/a.csv")]
    assert made.ignored == ("in/README.md",)
    assert next(output for _, output in ways(plan(["in/"], None))) == "in.scored/b.csv"


def test_the_output_folder_inside_the_input_is_not_read_again() -> None:
    write("in/a.csv", "in/scored/a.csv")
    assert ways(plan(["in"], "in/scored")) == [("in/a.csv", "in/scored/a.csv")]


def test_wildcards_leave_out_earlier_outputs() -> None:
    write("a.csv", "b.csv", "c.scored.csv")
    run(["a.csv"], None)
    assert ways(plan(["*.csv"], None)) == [
        ("a.csv", "a.scored.csv"),
        ("b.csv", "b.scored.csv"),
        ("c.scored.csv", "c.scored.scored.csv"),
    ]


def test_a_folder_is_scored_without_what_earlier_runs_left_in_it() -> None:
    write("in/a.csv", "in/a.scored.csv", "in/a.scored.csv.rejects.jsonl", "in/a.report/report.json")
    assert ways(plan(["in"], "out")) == [("in/a.csv", "out/a.csv")]


def test_wildcards_reach_into_folders() -> None:
    write("x/a.csv", "x/y/b.csv")
    assert [name for name, _ in ways(plan(["x/**/*.csv"], "out/"))] == ["x/a.csv", "x/y/b.csv"]


def test_a_name_with_brackets_is_a_name_first() -> None:
    write("a[1].csv")
    assert ways(plan(["a[1].csv"], None)) == [("a[1].csv", "a[1].scored.csv")]


def test_what_is_not_there_or_cannot_be_meant() -> None:
    write("a.csv", "d/a.csv", "empty/x.txt")
    with pytest.raises(InputError, match=r"no\*\.csv: no file matches"):
        plan(["no*.csv"], None)
    with pytest.raises(InputError, match="empty: holds no CSV"):
        plan(["empty"], None)
    with pytest.raises(UsageError, match=r"out/a\.csv: two inputs would be written to this file"):
        plan(["a.csv", "d/a.csv"], "out")
    with pytest.raises(UsageError, match="several inputs need a folder"):
        plan(["a.csv", "d/a.csv"], "a.csv")
    with pytest.raises(UsageError, match="several inputs cannot share stdout"):
        plan(["a.csv", "d/a.csv"], "-")
    with pytest.raises(UsageError, match="stdin cannot be scored together"):
        plan(["-", "a.csv"], None)


def test_a_hive_partitioned_set_stays_one() -> None:
    table = pa.table({"text": ["good", "bad", None], "country": ["de", "fr", "fr"], "n": [1, 2, 3]})
    part = ds.partitioning(pa.schema([("country", pa.string())]), flavor="hive")
    ds.write_dataset(table, "in", format="parquet", partitioning=part)
    summary = run(["in"], "out")
    assert (summary.total("read"), summary.failures) == (3, [])
    out = ds.dataset("out", partitioning="hive").to_table().sort_by("n")
    assert out["country"].to_pylist() == ["de", "fr", "fr"]
    assert out["text"].to_pylist() == table["text"].to_pylist()
    assert out["prediction"].null_count == 1


def test_one_bad_file_does_not_stop_the_others() -> None:
    write("in/a.csv", "in/c.csv")
    write("in/b.csv", content="no,such,column\n")
    write("in/d.parquet", content="no parquet")
    summary = run(["in"], "out")
    assert [file.input for file in summary.files] == ["in/a.csv", "in/c.csv"]
    assert [failure.input for failure in summary.failures] == ["in/b.csv", "in/d.parquet"]
    assert summary.exit_code == 1
    assert sorted(p.name for p in Path("out").glob("[!.]*")) == ["a.csv", "c.csv"]


def test_after_a_failure_resume_does_only_the_rest() -> None:
    write("in/a.csv", "in/c.csv")
    write("in/b.csv", content="no,such,column\n")
    run(["in"], "out")
    made = Path("out/a.csv").stat().st_mtime_ns
    write("in/b.csv")
    summary = run(["in"], "out", settings_of(resume=True))
    assert summary.failures == []
    assert summary.total("read") == 3
    assert Path("out/a.csv").stat().st_mtime_ns == made
    assert list(Path("out").glob(".*")) == []


def test_every_format_and_compression_side_by_side() -> None:
    write("in/a.csv", "in/a.tsv")
    write("in/a.jsonl", "in/spark.json", content='{"text":"good"}\n')
    Path("in/a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    with pa.CompressedOutputStream("in/a.csv.zst", "zstd") as file:
        file.write(CSV.encode())
    pq.write_table(pa.table({"text": ["good"]}), "in/a.parquet")
    summary = run(["in"], "out")
    assert (len(summary.files), summary.failures) == (7, [])
    assert summary.total("scored") == 7
    assert gzip.decompress(Path("out/a.csv.gz").read_bytes()).startswith(b"text,prediction,")
    with pa.CompressedInputStream("out/a.csv.zst", "zstd") as zipped:
        assert zipped.read() == Path("out/a.csv").read_bytes()


def test_the_same_input_gives_the_same_compressed_bytes() -> None:
    Path("in.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    run(["in.csv.gz"], "a.csv.gz")
    run(["in.csv.gz"], "b.csv.gz")
    assert Path("a.csv.gz").read_bytes() == Path("b.csv.gz").read_bytes()


def test_empty_files() -> None:
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.csv.gz"):
        Path(name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    summary = run(["a.csv", "a.tsv", "a.jsonl", "a.csv.gz"], "out/")
    assert (summary.failures, summary.total("read")) == ([], 0)
    assert Path("out/a.csv").read_bytes() == Path("out/a.jsonl").read_bytes() == b""
    assert gzip.decompress(Path("out/a.csv.gz").read_bytes()) == b""
