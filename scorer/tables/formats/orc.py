"""ORC."""

from __future__ import annotations

from scorer.tables.foreign import is_binary
from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.text.options import ReadOptions


class Orc(Format):
    label = "ORC"
    suffixes = (".orc",)
    magic = b"ORC"

    def sniff(self, head: bytes) -> bool:
        """By its magic, which a column's name may begin with, and bytes that no text has."""
        return super().sniff(head) and is_binary(head)

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.orc import OrcReader

        return OrcReader(data.source.name, data.seekable(self.label), self)

    def converter(self, reader: Reader, output: Output) -> Writer:
        from scorer.tables.orc import orc_converter

        return orc_converter(output, reader.schema)


ORC = Orc()
