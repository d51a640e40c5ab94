"""A JSON array of objects: every object's bytes kept, its rows balanced, in bounded memory."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.errors import InputError, UsageError
from scorer.jobs.plan import plan
from scorer.jobs.score import score_table
from scorer.jobs.summary import FileSummary
from scorer.tables import ReadOptions, Source, open_reader
from scorer.tables.formats import JSON_ARRAY, JSONL
from tests.support.parrot import expected, parrot
from tests.support.settings import settings_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def score(name: str, output: str, **options: Any) -> FileSummary:
    settings = settings_of(batch_size=3, read=ReadOptions(**options))
    return score_table(parrot(), plan([name], output).jobs[0], settings)


AWKWARD = {
    "one line": '[{"text":"good","n":1},{"text":"bad"}]',
    "pretty": json.dumps([{"text": "good", "n": {"a": [1, 2]}}, {"text": None}], indent=2),
    "brackets in strings": '[{"text":"a ] , } \\" [ {"},{"text":"\\\\"},{"text":"]"}]\n',
    "unicode": '\ufeff [ {"text":"日本語 🎬 \u2028"} ,\n {"text":"ü"} ] \n\n',
    "empty objects": '[{"text":"a"},{},{ }]',
    "numbers": '[{"text":"x","n":1.10,"m":1e400,"k":123456789012345678901234567890}]',
    "crlf": '[\r\n{"text":\r\n"good"},\r\n{"text":"bad"}\r\n]\r\n',
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_objects_keep_their_bytes(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.text.json_array.CHUNK_BYTES", chunk)
    content = AWKWARD[name]
    Path("in.json").write_bytes(content.encode())
    before = json.loads(content.removeprefix("\ufeff"))
    summary = score("in.json", "out.json")
    assert (summary.read, summary.rejected) == (len(before), 0)
    out = Path("out.json").read_bytes().decode()
    after = json.loads(out)
    wanted = expected(parrot(), [row.get("text") for row in before]).to_pylist()
    added = [
        {**row, "prediction": new["prediction"]} for row, new in zip(before, wanted, strict=True)
    ]
    assert [{k: v for k, v in row.items() if k != "probability"} for row in after] == added
    if name != "empty objects":
        for start in re.findall(r'\{"text":[^}]*"', content):
            assert start in out
    score("in.json", "out.jsonl")
    assert [
        json.loads(line) for line in Path("out.jsonl").read_bytes().split(b"\n") if line
    ] == after


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["[", "]", '"', "\\", "{},"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    rows=st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=8),
    indent=st.sampled_from([None, 1]),
    escaped=st.booleans(),
    chunk=st.integers(1, 40),
)
def test_any_array_is_taken_apart_where_json_does(
    rows: list[dict[str, Any]], indent: int | None, escaped: bool, chunk: int
) -> None:
    from scorer.tables.text.json_array import _Elements

    content = json.dumps(rows, indent=indent, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scorer.tables.text.json_array.CHUNK_BYTES", chunk)
        found = list(_Elements("in", io.BytesIO(content)))
    assert [json.loads(one.raw) for one in found if one.raw] == rows
    lines = [content[: content.index(one.raw)].count(b"\n") + 1 for one in found[:1] if one.raw]
    assert [one.line for one in found[:1] if one.raw] == lines


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_read_is_set_aside_alone() -> None:
    rows = ['{"text":"good"}', '{"text":}', "1", "", '{"text":3}', '{"a":1} {"b":2}', "[1,2]"]
    rows += ['{"text":"bad"}']
    Path("in.json").write_text("[\n" + ",\n".join(rows) + "\n]")
    summary = score("in.json", "out.json")
    assert (summary.read, summary.scored, summary.rejected) == (8, 2, 6)
    rejects = [json.loads(x) for x in Path("out.json.rejects.jsonl").read_text().splitlines()]
    assert [reject["row"] for reject in rejects] == [2, 3, 4, 5, 6, 7]
    assert [reject["line"] for reject in rejects] == [3, 4, 5, 6, 7, 8]
    assert rejects[2]["reason"] == "invalid JSON: nothing before or after a comma"
    assert rejects[0]["raw"] == '{"text":}'
    assert [row["text"] for row in json.loads(Path("out.json").read_text())] == ["good", "bad"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text":"good"}', "is cut off: its JSON array has no closing bracket"),
        ('[{"text":"go', "is cut off"),
        ('[{"text":"good"}] [', "goes on after the end of its JSON array"),
        ("[{1}]", "not a JSON array file: line 1: invalid JSON"),
    ],
)
def test_what_is_not_one_array_is_refused(content: str, message: str) -> None:
    Path("in.json").write_text(content)
    with pytest.raises(InputError, match=re.escape(f"in.json: {message}")):
        score("in.json", "out.json")
    assert not Path("out.json").exists()


@pytest.mark.usefixtures("folder")
def test_names_tell_lines_from_arrays_by_content() -> None:
    Path("in.json").write_text('{"text":"good"}\n{"text":"bad"}\n')
    score("in.json", "lines.json")
    assert Path("lines.json").read_text().startswith('{"text":"good",')
    Path("array.json").write_text("[]")
    score("array.json", "empty.json")
    assert Path("empty.json").read_text() == "[]\n"
    for data, format in ((b'[ {"text":"a"}]', JSON_ARRAY), (b'{"text":"a"}', JSONL)):
        reader, found = open_reader(Source("stdin", lambda data=data: io.BytesIO(data)))  # type: ignore[misc]
        assert found.format is format
        reader.close()
    Path("one.json").write_text('[{"text":"a"}]')
    with pytest.raises(UsageError, match="the output is JSON array too"):
        score("one.json", "out.csv")


@pytest.mark.usefixtures("folder")
def test_other_encodings_come_out_as_utf8() -> None:
    for encoding in ("latin-1", "utf-16", "shift_jis"):
        word = "表" if encoding == "shift_jis" else "é"  # whose second byte is a backslash
        Path("in.json").write_bytes(f'[{{"text":"{word}"}}]'.encode(encoding))
        score("in.json", f"{encoding}.json", encoding=encoding)
        assert json.loads(Path(f"{encoding}.json").read_text("utf-8"))[0]["text"] == word


def test_a_long_object_is_rejected_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scorer.tables.text.json_array.MAX_LINE_BYTES", 1000)
    monkeypatch.setattr("scorer.tables.text.json_array.CHUNK_BYTES", 100)
    content = b'[{"text":"a"},\n{"text":"' + b"x" * 9000 + b'"},\n{"text":"b"}]'
    reader, _ = open_reader(Source("in.json", lambda: io.BytesIO(content)))
    found = list(reader.windows("text"))
    assert [text for window in found for text in window.texts.to_pylist()] == ["a", "b"]
    (reject,) = [reject for window in found for reject in window.rejects]
    assert (reject.row, reject.line, len(reject.raw)) == (
        2,
        2,
        999,
    )  # the line end before it counts
    reader.close()
