"""Arrow's own format (Feather version 2 is the same): files, and streams."""

from __future__ import annotations

from scorer.tables.formats.base import Format, Input, Output, Reader, Writer
from scorer.tables.text.options import ReadOptions


class Arrow(Format):
    """A file has a list of its batches at its end; a stream has none."""

    def __init__(
        self, label: str, suffixes: tuple[str, ...], magic: bytes, *, is_stream: bool
    ) -> None:
        self.label = label
        self.suffixes = suffixes
        self.magic = magic
        self.is_stream = is_stream

    def open(self, data: Input, options: ReadOptions) -> Reader:
        from scorer.tables.arrow import ArrowReader

        file = data.seekable(self.label)
        return ArrowReader(data.source.name, file, self, is_stream=self.is_stream)

    def converter(self, reader: Reader, output: Output) -> Writer:
        from scorer.tables.arrow import arrow_converter

        return arrow_converter(output, reader.schema, is_stream=self.is_stream)


ARROW = Arrow("Arrow", (".arrow", ".feather", ".ipc"), b"ARROW1", is_stream=False)
ARROW_STREAM = Arrow(
    "Arrow stream", (".arrows", ".arrow", ".ipc"), b"\xff\xff\xff\xff", is_stream=True
)
