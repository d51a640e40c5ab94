"""Parts of a large table: cut so that each is read alone, row for row as within the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Protocol, TypeAlias, runtime_checkable

from scorer.tables.formats.base import Reader

SKIPPED_BYTES = 1 << 20

#: hears how many more bytes of a table have been looked through
Looking: TypeAlias = Callable[[int], None]


def unseen(more: int) -> None:
    """Nobody looks on."""


@dataclass(frozen=True)
class Part:
    """The row groups of Parquet, or the bytes of text, from `first` to before `end`."""

    first: int
    end: int


@dataclass(frozen=True)
class PartSize:
    """About so many rows make a part where a file says its rows, else so many bytes."""

    rows: int
    bytes: int


@dataclass(frozen=True)
class Parts:
    """The parts of a table in order; none where it stays whole, and then the `reason`, if there is
    something that the user can do."""

    parts: tuple[Part, ...] = ()
    reason: str = ""


@runtime_checkable
class Splittable(Protocol):
    """A reader that finds its table's parts, and reads one of them."""

    @property
    def lines(self) -> int | None:
        """The lines that have been read, of a part those of the part; None where there are none.

        What stands before the first row belongs to the first part.
        """
        ...

    def parts(self, size: PartSize, looking: Looking = unseen) -> Parts:
        """Where to cut. Nothing else may be read by this reader then."""
        ...

    def only(self, part: Part) -> None:
        """Read no other rows than those of a part; rejects count rows and lines from there."""
        ...


def parts_of_reader(reader: Reader, size: PartSize, looking: Looking = unseen) -> Parts:
    """The parts of an open table. It can only be closed afterwards."""
    if isinstance(reader, Splittable):
        return reader.parts(size, looking)
    label = reader.format.label
    return Parts(
        (), f"{label} is not split: write it as Parquet of several row groups, CSV or JSON Lines"
    )


def lines_of(reader: Reader) -> int:
    """The lines that a reader has read; 0 where its format is not split at lines."""
    lines: int | None = getattr(reader, "lines", None)
    return lines or 0


def parts_between(places: Iterable[int]) -> Parts:
    """What lies between each place and the next; no parts where that is the whole."""
    parts = tuple(Part(first, end) for first, end in pairwise(places) if first < end)
    return Parts(parts) if len(parts) > 1 else Parts()


def line_starts(file: BinaryIO, begin: int, end: int, every: int) -> Iterator[int]:
    """Where lines begin that end with LF, `every` bytes or more from one to the next."""
    at = begin + every
    while at < end:
        file.seek(at - 1)  # an LF there ends the line before
        while piece := file.read(SKIPPED_BYTES):
            found = piece.find(b"\n")
            if found >= 0:
                at = file.tell() - len(piece) + found + 1
                break
        else:
            return
        if at < end:
            yield at
        at += every
