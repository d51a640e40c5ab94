"""CSV and TSV: one format with two settings of the delimiter."""

from __future__ import annotations

from typing import BinaryIO

from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.text.options import ReadOptions

UTF8_BOM = b"\xef\xbb\xbf"


class Delimited(Format):
    """Lines of cells; `delimiter` is the usual one, which the options may replace."""

    options = ("delimiter", "encoding", "quoting", "escape", "header", "columns")

    def __init__(self, label: str, suffixes: tuple[str, ...], delimiter: str) -> None:
        self.label = label
        self.suffixes = suffixes
        self.delimiter = delimiter

    def sniff(self, head: bytes) -> bool:
        """By the first line: tabs and no comma are TSV, and any text may be CSV."""
        first_line = head.removeprefix(UTF8_BOM).lstrip().split(b"\n", 1)[0]
        return self.delimiter == "," or (b"\t" in first_line and b"," not in first_line)

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.text.delimited import DelimitedReader

        return DelimitedReader(data, self, self.delimiter, options)

    def writer(self, reader: Reader, output: Output) -> Writer:
        if not output.csv_safe:
            return super().writer(reader, output)
        from scorer.tables.text.formulas import FormulaGuard

        def unguarded(stream: BinaryIO) -> Writer:
            return super(Delimited, self).writer(
                reader, Output(stream, output.added, output.metadata)
            )

        return FormulaGuard(unguarded, output.stream)

    def converter(self, reader: Reader, output: Output) -> Writer:
        from scorer.tables.convert import ToCsv

        header = getattr(reader, "has_header", True)  # only CSV and TSV can be without
        return ToCsv(reader, output, self.delimiter, header=header)


CSV = Delimited("CSV", (".csv",), ",")
TSV = Delimited("TSV", (".tsv", ".tab"), "\t")
