"""What is done faster for most lines is what `json` does for all of them."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.tables.jsonl import JsonLinesWriter, _parsed

PIECES = [
    "{", "}", "[", "]", '"a"', ":", ",", "1", "-0", "1e400", "1" * 30, "NaN", "null", " ", "\n",
    "\r\n", "\t", "\f", "\ufeff", '"\\ud800"', '"\\u00e9"', '"x', "{}", '{"a":1}', "\0",
]  # fmt: skip


def outcome(parse: Any, text: str) -> tuple[str, str]:
    try:
        return "value", repr(parse(text))
    except (ValueError, RecursionError) as error:
        return type(error).__name__, str(error)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
@example('{"a": 1}\r\n')
@example('{"a": 1}\n\n')
@example('{"a": 1}\x00')
@example('{"a": 1} x')
@example("{" * 3)
def test_every_line_is_parsed_as_by_json(text: str) -> None:
    assert outcome(_parsed, text) == outcome(json.loads, text)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('{"a":{}}\n', '{"a":{},"p":"é"}\n'),
        ('{"a":{} } \r\n', '{"a":{} ,"p":"é"} \r\n'),
        ("{}\n", '{"p":"é"}\n'),
        (" { \t}", ' { \t"p":"é"}'),
        ('{"a":"{"}', '{"a":"{","p":"é"}'),
        ('{"a":"}\\n"\n}\n', '{"a":"}\\n"\n,"p":"é"}\n'),
    ],
)
def test_new_keys_stand_before_the_last_brace(line: str, wanted: str) -> None:
    writer = JsonLinesWriter(io.BytesIO(), "utf-8", pa.schema([("p", pa.string())]))
    assert writer._append(line.encode(), '"p":"é"') == wanted.encode()
