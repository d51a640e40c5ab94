"""JSON Lines: one object a line."""

from __future__ import annotations

from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.options import ReadOptions

UTF8_BOM = b"\xef\xbb\xbf"


class JsonLines(Format):
    label = "JSON Lines"
    suffixes = (".jsonl", ".ndjson", ".json")
    options = ("encoding",)
    objects = True

    def sniff(self, head: bytes) -> bool:
        return head.removeprefix(UTF8_BOM).lstrip().startswith(b"{")

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.jsonl import JsonLinesReader

        return JsonLinesReader(data.source.name, data.stream, self, options.encoding)

    def converter(self, reader: Reader, output: Output) -> Writer:
        from scorer.tables.convert import ToJsonLines

        return ToJsonLines(reader.name, output.stream, reader.schema)


JSONL = JsonLines()
