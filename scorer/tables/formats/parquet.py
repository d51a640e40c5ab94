"""Parquet."""

from __future__ import annotations

from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.text.options import ReadOptions


class Parquet(Format):
    label = "Parquet"
    suffixes = (".parquet", ".parq", ".pq")
    magic = b"PAR1"

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.parquet.reader import ParquetReader

        return ParquetReader(data.source.name, data.seekable(self.label), self)

    def converter(self, reader: Reader, output: Output) -> Writer:
        from scorer.tables.convert import ToParquet
        from scorer.tables.parquet.writer import check_columns

        check_columns(reader.name, reader.schema)
        return ToParquet(output.stream, reader.schema, output.added, output.metadata)


PARQUET = Parquet()
