"""Excel workbooks (.xlsx): the first sheet, which is read and never written."""

from __future__ import annotations

from scorer.errors import UsageError
from scorer.tables.compression import WORKBOOK
from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.formats.delimited import CSV
from scorer.tables.text.options import ReadOptions


class Excel(Format):
    label = "Excel"
    suffixes = (".xlsx",)
    magic = b"PK\x03\x04"
    written_as = CSV

    def sniff(self, head: bytes) -> bool:
        """By the first member of the archive."""
        return WORKBOOK.match(head) is not None

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.excel import ExcelReader

        return ExcelReader(data.source.name, data.seekable(self.label), self)

    def converter(self, reader: Reader, output: Output) -> Writer:
        raise UsageError(f"{reader.name}: Excel files are not written: write CSV")


EXCEL = Excel()
