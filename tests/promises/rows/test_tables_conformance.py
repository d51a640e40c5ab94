"""Awkward files through the whole pipeline, compared with what pandas and pyarrow read of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.json as pjson
import pyarrow.parquet as pq
import pytest

from scorer.errors import ColumnError, InputError, UsageError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.jobs.summary import FileSummary
from scorer.tables import ReadOptions
from tests.support.parrot import expected, parrot
from tests.support.settings import changed, settings_of

SETTINGS = settings_of(batch_size=3)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def score(name: str, output: str, **options: Any) -> FileSummary:
    settings = changed(SETTINGS, read=ReadOptions(**options))
    return score_table(parrot(), plan([name], output).jobs[0], settings)


def column(values: Any) -> list[Any]:
    return [None if pd.isna(value) else value for value in values]


AWKWARD_CSV: dict[str, bytes] = {
    "plain": b"n,text\n1,good\n2,bad film\n",
    "crlf": b"n,text\r\n1,good\r\n2,bad\r\n",
    "bom": b"\xef\xbb\xbfn,text\n1,good\n",
    "bom, quoted header": b'\xef\xbb\xbf"n","text"\n1,good\n',
    "no last newline": b"n,text\n1,good\n2,bad",
    "quoted newlines": b'n,text\n1,"good\nfilm"\n2,"a\r\nb"\n',
    "doubled quotes": b'n,text\n1,"say ""good"""\n2,""\n',
    "empty cells": b"n,text,z\n,,\n1,,2\n",
    "blank lines": b"\nn,text\n\n1,good\n\n\n",
    "leading zeros and dates": b"n,text\n007,1.10\n0x10,2020-02-29\n",
    "spaces": b"n , x,text\n1, 2 , good \n",
    "unicode": "n,text\n1,日本語 film\n2,naïve 🎬\n".encode(),
    "line separators": "n,text\n1,a\u2028b\u0085c\n".encode(),
    "tabs and nul": b"n,text\n1,a\tb\n2,c\x0bd\x0ce\n",
    "header only": b"n,text\n",
    "one column": b"text\ngood\nbad\n",
    "quoted delimiter": b'n,text\n1,"a,b"\n2,",,,"\n',
    "null words": b"n,text\n1,NA\n2,null\n3,NaN\n",
    "nothing but quotes": b'n,text\n"1",""""\n',
    "same name twice elsewhere": b"n,n,text\n1,2,good\n",
}


@pytest.mark.parametrize("name", AWKWARD_CSV)
def test_csv(name: str) -> None:
    content = AWKWARD_CSV[name]
    Path("in.csv").write_bytes(content)
    summary = score("in.csv", "out.csv")
    before = read_csv(io.BytesIO(content))
    after = read_csv(Path("out.csv"))
    assert after[after.columns[:-2]].equals(before)
    assert summary.rejected == 0
    wanted = expected(parrot(), before["text"].tolist())
    assert column(after["prediction"].replace("", None)) == wanted["prediction"].to_pylist()
    arrow = pcsv.read_csv(
        io.BytesIO(content), parse_options=pcsv.ParseOptions(newlines_in_values=True)
    )
    assert arrow.num_rows == summary.read


def read_csv(file: Any) -> pd.DataFrame:
    return pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")


def test_spaces_belong_to_the_name() -> None:
    Path("in.csv").write_text("n , text\n1, good \n")
    with pytest.raises(ColumnError, match=r"did you mean ' text'\?"):
        score("in.csv", "out.csv")


AWKWARD_JSONL: dict[str, str] = {
    "plain": '{"n":1,"text":"good"}\n{"n":2,"text":"bad"}\n',
    "spaces and order": '  { "text" : "good" , "n" : 1 }  \n{"n":2,"text":"bad"}\n',
    "escapes": r'{"text":"a\n\"b\"A\\"}' + "\n",
    "nulls": '{"n":null,"text":null}\n{"n":1,"text":""}\n',
    "missing keys": '{"text":"good"}\n{"n":2}\n',
    "nested": '{"text":"good","more":{"a":[1,{"b":"}"}]}}\n',
    "crlf": '{"text":"good"}\r\n{"text":"bad"}\r\n',
    "no last newline": '{"text":"good"}\n{"text":"bad"}',
    "blank lines": '\n{"text":"good"}\n\n\n{"text":"bad"}\n\n',
    "unicode": '{"text":"日本語 🎬","naïve":"ü"}\n',
    "brace at the end of a string": '{"text":"}"}\n{"text":"good}}"}\n',
    "line separators": '{"text":"a\u2028b"}\n',
    "numbers": '{"n":1.10,"m":1e400,"k":123456789012345678901234567890,"text":"x"}\n',
}


@pytest.mark.parametrize("name", AWKWARD_JSONL)
def test_json_lines(name: str) -> None:
    content = AWKWARD_JSONL[name].encode()
    Path("in.jsonl").write_bytes(content)
    summary = score("in.jsonl", "out.jsonl")
    before = [json.loads(line) for line in content.split(b"\n") if line.strip()]
    after = [json.loads(line) for line in Path("out.jsonl").read_bytes().split(b"\n") if line]
    pairs = zip(after, before, strict=True)
    assert [{k: v for k, v in new.items() if k in old} for new, old in pairs] == before
    wanted = expected(parrot(), [row.get("text") for row in before])
    assert [row["prediction"] for row in after] == wanted["prediction"].to_pylist()
    assert summary.read == len(before)
    raw = [line.rstrip() for line in content.split(b"\n") if line.strip()]
    out = [line for line in Path("out.jsonl").read_bytes().split(b"\n") if line]
    assert all(new.startswith(old[:-1]) for new, old in zip(out, raw, strict=True))
    if name not in ("numbers", "nested"):  # pyarrow has no type for these
        assert pjson.read_json(io.BytesIO(content)).num_rows == summary.read


def test_json_lines_that_cannot_be_read() -> None:
    lines = [
        '{"text":"good"}',
        '{"text":"a","text2":}',
        "[1]",
        '{"text":3}',
        '{"text":"\\ud800"}',
        '{"text":"cut',
        "[" * 100_000,
        *['{"text":"more"}'] * 1024,
        '{"text":"good","prediction":"mine"}',
        '{"text":"bad"}',
    ]
    Path("in.jsonl").write_text("\n".join(lines) + "\n")
    summary = score("in.jsonl", "out.jsonl")
    assert (summary.read, summary.rejected) == (9 + 1024, 7)
    rejects = [json.loads(x) for x in Path("out.jsonl.rejects.jsonl").read_text().splitlines()]
    assert [reject["row"] for reject in rejects] == [2, 3, 4, 5, 6, 7, 8 + 1024]
    assert rejects[6]["reason"] == "already has a key 'prediction'"
    assert rejects[2]["raw"] == '{"text":3}\n'


def test_json_lines_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.text.jsonl.MAX_LINE_BYTES", 1000)
    long = '{"text":"' + "x" * 2500 + '"}\n'
    Path("in.jsonl").write_text('{"text":"good"}\n' + long + '{"text":"bad"}\n' + long)
    summary = score("in.jsonl", "out.jsonl")
    assert (summary.read, summary.scored, summary.rejected) == (4, 2, 2)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift_jis", "gbk"])
def test_encodings_keep_their_bytes(encoding: str) -> None:
    word = {"shift_jis": "日本表", "gbk": "中文"}.get(encoding, "café")
    Path("in.csv").write_bytes(f'n,text\n1,"{word},\n{word}"\n2,good\n'.encode(encoding))
    assert score("in.csv", "out.csv", encoding=encoding).scored == 2
    out = pd.read_csv("out.csv", encoding=encoding)
    assert out["text"].tolist() == [f"{word},\n{word}", "good"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_encodings_come_out_as_utf8(encoding: str) -> None:
    Path("in.csv").write_bytes('n,text\r\n1,"日本\r\n語"\r\n'.encode(encoding))
    score("in.csv", "out.csv", encoding=encoding)
    assert (
        Path("out.csv")
        .read_bytes()
        .startswith('n,text,prediction,probability\r\n1,"日本\r\n語",'.encode())
    )
    Path("cut.csv").write_bytes("n,text\n1,good\n".encode(encoding)[:-1])
    with pytest.raises(InputError, match=r"cut\.csv: cannot be read to its end"):
        score("cut.csv", "cut.out.csv", encoding=encoding)


def table() -> pa.Table:
    return pa.table(
        {
            "n": pa.array([1, None, 3], pa.int16()),
            "text": ["good, or", None, 'a "b"\nc'],
            "x": [1.5, None, 0.1],
            "day": pa.array([0, 1, None], pa.date32()),
            "kind": pa.array(["a", "b", None]).dictionary_encode(),
        }
    )


def test_parquet_to_csv() -> None:
    pq.write_table(table(), "in.parquet")
    score("in.parquet", "out.csv")
    out = pd.read_csv("out.csv")
    assert column(out["n"]) == [1, None, 3]
    assert column(out["text"]) == ["good, or", None, 'a "b"\nc']
    assert column(out["day"]) == ["1970-01-01", "1970-01-02", None]
    assert out.columns.tolist()[-2:] == ["prediction", "probability"]
    nested = table().append_column("list", [[[1], [2], None]])
    pq.write_table(nested, "nested.parquet")
    with pytest.raises(ColumnError, match="column 'list' holds list"):
        score("nested.parquet", "nested.csv")


def test_parquet_to_json_lines() -> None:
    nested = table().append_column("list", [[[1], [2], None]])
    pq.write_table(nested, "in.parquet")
    score("in.parquet", "out.jsonl")
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in rows] == ["good, or", None, 'a "b"\nc']
    assert [row["list"] for row in rows] == [[1], [2], None]
    assert [row["day"] for row in rows] == ["1970-01-01", "1970-01-02", None]
    assert rows[1]["probability"] is None


def test_csv_to_parquet_and_others() -> None:
    Path("in.csv").write_text('n,text,x\n007,good,1.10\n8,"a,b",\n')
    score("in.csv", "out.parquet")
    out = pq.read_table("out.parquet")
    assert out["n"].to_pylist() == ["007", "8"]
    assert out.schema.names == ["n", "text", "x", "prediction", "probability"]
    assert out.schema.metadata[b"scorer.model"] == b"parrot"
    score("in.csv", "out.tsv")
    assert Path("out.tsv").read_text().splitlines()[2].startswith("8\ta,b\t")
    score("in.csv", "out.jsonl")
    assert json.loads(Path("out.jsonl").read_text().splitlines()[0])["x"] == "1.10"
    score("in.csv", "out.csv.gz")
    assert pd.read_csv("out.csv.gz", dtype=str)["n"].tolist() == ["007", "8"]


def test_json_lines_stay_json_lines() -> None:
    Path("in.jsonl").write_text('{"text":"good"}\n')
    with pytest.raises(UsageError, match="the output is JSON Lines too"):
        score("in.jsonl", "out.csv")


def test_invalid_utf8_inside_parquet_is_not_scored() -> None:
    offsets = pa.py_buffer(bytes([0, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0]))
    bad = pa.Array.from_buffers(
        pa.string(), 2, [None, offsets, pa.py_buffer(b"good\xff\xfe\xfd\xfc")]
    )
    pq.write_table(pa.table({"text": bad, "n": [1, 2]}), "in.parquet")
    summary = score("in.parquet", "out.parquet")
    assert (summary.scored, summary.unscored) == (1, 1)
    assert pq.read_table("out.parquet")["n"].to_pylist() == [1, 2]


@pytest.mark.parametrize("make", [lambda: b"\xff" * 1000, lambda: b'"' * 999, lambda: b"{" * 999])
def test_rubbish_never_shows_a_traceback(make: Callable[[], bytes]) -> None:
    from scorer.errors import ScorerError

    for suffix in ("csv", "tsv", "jsonl", "parquet", "csv.gz", "csv.zst"):
        Path(f"in.{suffix}").write_bytes(make())
        with pytest.raises(ScorerError):
            score(f"in.{suffix}", f"out.{suffix}")
    assert not list(Path().glob("out*"))
