"""JSON: one object a line (JSON Lines), or one array of objects."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, BinaryIO, cast

from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.text.options import ReadOptions

UTF8 = "utf-8"
_LINES = re.compile(rb"(\xef\xbb\xbf)?\s*\{")
_ARRAY = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*[{\]]")


class JsonLines(Format):
    label = "JSON Lines"
    suffixes = (".jsonl", ".ndjson", ".json")
    options = ("encoding",)
    objects = True

    def sniff(self, head: bytes) -> bool:
        return _LINES.match(head) is not None

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.text.jsonl import JsonLinesReader

        return JsonLinesReader(data, self, options.encoding)

    def writer(self, reader: Reader, output: Output) -> Writer:
        if reader.format is self or not reader.format.objects:
            return super().writer(reader, output)
        from scorer.tables.text.json_array import OneLineWriter

        return OneLineWriter(output.stream, reader.encoding, output.added)

    def converter(self, reader: Reader, output: Output) -> Writer:
        from scorer.tables.convert import ToJsonLines

        return ToJsonLines(reader.name, output.stream, reader.schema)


class JsonArray(Format):
    label = "JSON array"
    suffixes = (".json",)
    options = ("encoding",)
    objects = True

    def sniff(self, head: bytes) -> bool:
        return _ARRAY.match(head) is not None

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.source import as_utf8
        from scorer.tables.text.json_array import JsonArrayReader

        if options.encoding != UTF8:  # a bracket's byte may be half of another character there
            stream = as_utf8(data.source.name, cast(Any, data.stream), options.encoding)
            data = replace(data, stream=cast(BinaryIO, stream))
        return JsonArrayReader(data, self, UTF8)

    def writer(self, reader: Reader, output: Output) -> Writer:
        if reader.format is self or not reader.format.objects:
            return super().writer(reader, output)
        from scorer.tables.text.json_array import JsonArrayWriter

        return JsonArrayWriter(output.stream, reader.encoding, output.added)

    def converter(self, reader: Reader, output: Output) -> Writer:
        from scorer.tables.text.json_array import ToJsonArray

        return ToJsonArray(reader.name, output.stream, reader.schema)


JSONL = JsonLines()
JSON_ARRAY = JsonArray()
