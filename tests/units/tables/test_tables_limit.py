"""`--limit`: the first rows of every format; and hints on files that are not what was said."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scorer.cli.run_view import Progress, sizes
from scorer.cli.score import main
from scorer.errors import ColumnError, InputError, UsageError
from scorer.jobs.plan import plan
from scorer.tables import ReadOptions, local_source, open_reader
from scorer.tables.columns import choose_text_column
from scorer.tables.window import WindowSize

ROWS = 10


def write(path: Path) -> Path:
    texts = [f"text {i}" for i in range(ROWS)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": texts}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        lines = ["text", *texts]
        lines[4] = "broken,row"  # the fourth record
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("limit", [1, 3, 4, 5, ROWS, 99])
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_first_rows_are_read_and_counted(
    suffix: str, size: int, limit: int, tmp_path: Path
) -> None:
    reader, _ = open_reader(local_source(write(tmp_path / f"in{suffix}")), ReadOptions(limit=limit))
    windows = list(reader.windows("text", (), WindowSize(size, size)))
    reader.close()
    got = [text for window in windows for text in window.texts.to_pylist()]
    rejected = [reject.row for window in windows for reject in window.rejects]
    wanted = min(limit, ROWS)
    broken = [4] if suffix == ".csv" and limit >= 4 else []
    assert rejected == broken
    assert got == [f"text {i}" for i in range(wanted) if i + 1 not in broken]
    assert reader.rows == wanted
    for window in windows:
        assert window.table.num_rows == window.rows
        assert window.raw is None or len(window.raw) == window.rows


def test_a_limit_is_a_number_of_rows() -> None:
    with pytest.raises(UsageError, match="limit is 0: it must be a whole number of at least 1"):
        ReadOptions(limit=0)


def test_a_whole_run_stops_at_the_limit(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in.csv"))
    with Path("in.csv").open("ab") as file:
        file.write("caf\u00e9 au lait\nd\u00e9j\u00e0 vu\n".encode("cp1252"))
    arguments = ["-m", "tiny-binary", "in.csv", "--zoo", str(tiny_zoo), "--no-report", "--force"]
    done = CliRunner().invoke(main, [*arguments, "--limit", "3"])
    assert done.exit_code == 0, done.output
    assert Path("in.scored.csv").read_text().count("\n") == 4
    assert "3 rows = 3 scored + 0 unscored + 0 rejected" in done.stderr
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 3
    assert "2 of 12 rows are not UTF-8 and look like cp1252: --encoding cp1252" in done.stderr


def test_an_array_that_is_called_json_lines_is_told(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('[{"text": "a"},\n{"text": "b"}]\n')
    with pytest.raises(
        InputError, match=r"begins as a JSON array: correct the extension to \.json"
    ):
        open_reader(local_source(path))


def test_an_array_that_holds_no_objects_is_told_without_a_wrong_remedy(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text("[1, 2]\n")
    with pytest.raises(InputError, match=r"not a JSON object but an array$"):
        open_reader(local_source(path))


def test_an_empty_file_of_a_binary_format_is_said_to_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    path.touch()
    with pytest.raises(InputError, match=r"in\.parquet: is empty, which no Parquet file is$"):
        open_reader(local_source(path))


def test_names_whose_ends_cannot_be_seen_are_in_quotes() -> None:
    schema = pa.schema([(name, pa.string()) for name in (" body ", "", "a, b", "c d")])
    with pytest.raises(ColumnError, match=r"there are: ' body ', '', 'a, b', c d; choose"):
        choose_text_column("in.csv", schema, None, ["text"])


@pytest.mark.parametrize(
    "first", ["7", "A long, warm and funny film that I would gladly see again soon"]
)
def test_a_first_line_that_is_no_header_is_told(first: str) -> None:
    schema = pa.schema([(first, pa.string()), ("pos", pa.string())])
    with pytest.raises(ColumnError, match="use --no-header or --columns"):
        choose_text_column("in.csv", schema, None, ["text"])


def test_progress_of_csv_counts_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the bar is cut to the terminal's width, so a long path hides it
    path = write(Path("in.csv"))
    found = sizes(plan([str(path)], None).jobs)
    assert found == {str(path): path.stat().st_size}
    reader, _ = open_reader(local_source(path))
    progress = Progress(found)
    progress.begin(reader)
    for window in reader.windows("text", (), WindowSize(3, 3)):
        progress(window, None)  # type: ignore[arg-type]
    header = len("text\n")
    assert progress._bar.n == path.stat().st_size - header
    assert "rows" in str(progress._bar)
    assert "%" in str(progress._bar)
    progress.end()
    reader.close()
