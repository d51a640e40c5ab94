"""Random CSV and JSON Lines files: mostly well-formed, full of what readers stumble over."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

BOM = b"\xef\xbb\xbf"
WORDS = ("good", "bad film", "", "", "a", " x ", "007", "1.10", "=1+1", "naïve 🎬", "日本", "NA")
MARKS = (",", ";", "\t", "|", '"', '""', "\\", "\\\\", "'", "\n", "\r\n", "\r", "\0", "{}")
SPACES = ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e", "\xa0", "\ufeff")
ENDS = ("\n", "\n", "\n", "\r\n", "\r\n", "\r")


@dataclass(frozen=True)
class Case:
    """A file, and how it is said to be written."""

    name: str
    content: bytes
    options: dict[str, Any] = field(default_factory=dict)


def random_text(rng: random.Random) -> str:
    pool = rng.choice([WORDS, WORDS, (*WORDS, *MARKS), (*MARKS, "x"), (*WORDS, *SPACES)])
    return "".join(rng.choices(pool, k=rng.randint(0, 4)))


def random_csv(rng: random.Random) -> Case:
    options: dict[str, Any] = {}
    delimiter = rng.choice([",", ",", ";", "\t", "|"])
    name, usual = rng.choice([("f.csv", ","), ("f.tsv", "\t")])
    stated = rng.random() < 0.1
    if delimiter != usual and not stated:
        options["delimiter"] = delimiter
    if rng.random() < 0.2:
        options["quoting"] = "none"
    if rng.random() < 0.25:
        options["escape"] = "\\"
    if rng.random() < 0.2:
        options["header"] = False
    if rng.random() < 0.1:
        options["encoding"] = "latin-1"
    end = rng.choice(ENDS)
    width = rng.randint(1, 4)
    if rng.random() < 0.1:
        options |= {"header": False, "columns": [*(f"c{i}" for i in range(1, width)), "text"]}
    lines = list(_csv_lines(rng, options, delimiter, end, width))
    if stated:
        lines.insert(0, f"sep={delimiter}{end}")
    text = "".join(lines)
    if rng.random() < 0.3:
        text = text.removesuffix(end)
    content = text.encode(options.get("encoding", "utf-8"), "replace")
    return Case(name, _spoiled(rng, _with_bom(rng, content), lines), options)


def _csv_lines(
    rng: random.Random, options: dict[str, Any], delimiter: str, end: str, width: int
) -> Iterator[str]:
    """The records of a file, mostly as the csv module writes them, some not."""
    buffer = io.StringIO(newline="")
    none = options.get("quoting") == "none"
    writer = csv.writer(
        buffer,
        delimiter=delimiter,
        lineterminator=end,
        quoting=csv.QUOTE_NONE if none else rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        escapechar=options.get("escape"),
        doublequote="escape" not in options or rng.random() < 0.5,
        quotechar=None if none else '"',
    )
    if options.get("header", True):
        yield delimiter.join([f"c{i}" for i in range(width - 1)] + ["text"]) + end
    for _ in range(rng.randint(0, 12)):
        if rng.random() < 0.08:
            yield rng.choice([end, end * 2, "\n"])
        ragged = rng.choice([-1, 1]) if rng.random() < 0.1 else 0
        cells = [random_text(rng) for _ in range(max(1, width + ragged))]
        raw = delimiter.join(cells) + rng.choice([end, end, "\n", "\r\n"])
        if rng.random() < 0.85:
            buffer.seek(0)
            buffer.truncate()
            try:
                writer.writerow(cells)
                raw = buffer.getvalue()
            except csv.Error:  # no escape, and a cell that needs one: leave it as it is
                pass
        yield raw


def random_jsonl(rng: random.Random) -> Case:
    end = rng.choice(ENDS)
    lines = []
    for _ in range(rng.randint(0, 12)):
        value: dict[str, Any] = {"text": random_text(rng)}
        draw = rng.random()
        if draw < 0.1:
            value = {}
        elif draw < 0.13:
            value["text"] = rng.choice([None, 3, True, [1], "\ud83d", "a\0b"])
        if rng.random() < 0.5:
            odd = ["x", None, 1.5, {"text": "}"}, float("nan"), "\udc00"]
            value[rng.choice(["n", "é", "\ud800", "text "])] = rng.choice(odd)
        line = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=None)
        lines.append(rng.choice(["", "", " ", "\t"]) + line + rng.choice(["", "", " "]) + end)
        if rng.random() < 0.08:
            lines.append(rng.choice([end, " " + end, "[1]" + end, "{" + end, "nul" + end]))
    text = "".join(lines)
    if rng.random() < 0.3:
        text = text.removesuffix(end)
    content = text.encode("utf-8", "surrogatepass")
    return Case("f.jsonl", _spoiled(rng, _with_bom(rng, content), lines))


def _with_bom(rng: random.Random, content: bytes) -> bytes:
    blank = rng.choice([b"", b"", b"", b"\n", b"\r\n\r\n"]) if rng.random() < 0.2 else b""
    return (BOM if rng.random() < 0.1 else b"") + blank + content


def _spoiled(rng: random.Random, content: bytes, lines: Sequence[str]) -> bytes:
    """Every third file has bytes taken out or put in, mostly behind its first line."""
    if rng.random() < 0.67 or not content:
        return content
    spoiled = bytearray(content)
    first = len(lines[0].encode("utf-8", "surrogatepass")) if lines and rng.random() < 0.9 else 0
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(min(first, len(spoiled)), len(spoiled))
        put = rng.choice([b'"', b'"', b"\n", b"\r", b"\xff", b"\0", b"\\", b",", b"}", b"\xc3"])
        spoiled[at : at + rng.randint(0, 1)] = rng.choice([b"", put])
    return bytes(spoiled)


MAKERS: dict[str, Callable[[random.Random], Case]] = {"csv": random_csv, "jsonl": random_jsonl}
