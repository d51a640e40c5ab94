"""A table on its way through the model: open, bound to it, with the writer of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias

from scorer.binding import Binding
from scorer.jobs.settings import Settings
from scorer.model import Model
from scorer.pipeline import Observer, Scoring, Tally, run
from scorer.scores import Scores
from scorer.tables import (
    Reader,
    Source,
    TableFormat,
    Window,
    WindowSize,
    Writer,
    chosen,
    open_reader,
    open_writer,
)
from scorer.tables.parts import Part, Splittable

#: opens what an output is written to: from the input's format to the stream and the output's
OpenOutput: TypeAlias = Callable[
    [TableFormat], AbstractContextManager[tuple[BinaryIO, TableFormat]]
]
#: windows with the scores that they have already
Pairs: TypeAlias = Iterable[tuple[Window, Scores | None]]


class Watcher(Protocol):
    """Follows a table: `begin` says which columns it wants to see, then every window, `end`."""

    def begin(self, reader: Reader) -> Sequence[str]: ...

    def __call__(self, window: Window, scores: Scores) -> None: ...

    def end(self) -> None: ...


@dataclass(frozen=True)
class Table:
    """An open input with the model bound to it, and the writer of its output."""

    reader: Reader
    binding: Binding
    writer: Writer

    def windows(self, others: Sequence[str], size: WindowSize) -> Iterator[Window]:
        """Its rows, with the columns `others` beside the text."""
        text = self.binding.text
        if text is None:
            return iter(())
        columns = [column for column in dict.fromkeys(others) if column != text]
        added = frozenset(self.binding.output_schema.names)
        return self.reader.windows(text, columns, size, added)


@contextmanager
def opened_table(
    model: Model,
    source: Source,
    settings: Settings,
    output: OpenOutput,
    part: Part | None = None,
) -> Iterator[Table]:
    """A table, or a part of it; its output is published when the block ends.

    Raises InputError, ColumnError, OutputError, UsageError.
    """
    with ExitStack() as stack:
        reader, input_format = open_reader(source, settings.spec.read)
        stack.callback(reader.close)
        binding = model.bind(reader, settings.spec.text_column, settings.spec.output)
        if part is not None:
            assert isinstance(reader, Splittable)
            reader.only(part)
        reader = chosen(reader, settings.spec.columns)
        binding.check_free(reader)
        stream, written = stack.enter_context(output(input_format))
        added = binding.output_schema
        safe = settings.spec.csv_safe
        writer = open_writer(stream, written.format, reader, added, _metadata(model), csv_safe=safe)
        stack.callback(writer.abandon)
        yield Table(reader, binding, writer)


def _metadata(model: Model) -> dict[str, str]:
    card = model.card.scorer
    return {
        "scorer.model": card.name,
        "scorer.model_version": card.version,
        "scorer.model_sha256": model.digest,
    }


def unscored(windows: Iterable[Window]) -> Pairs:
    """Windows of which nothing is known."""
    return ((window, None) for window in windows)


def run_table(
    model: Model,
    table: Table,
    settings: Settings,
    observers: Sequence[Observer],
    watchers: Sequence[Watcher],
    pairs: Callable[[Iterable[Window]], Pairs] = unscored,
) -> Tally:
    """Take the table's rows through the model to its writer; `pairs` adds what is known of them.

    Raises RowsLost.
    """
    with ExitStack() as stack:
        others = [*table.writer.columns, *table.binding.context_columns]
        for watcher in watchers:
            stack.callback(watcher.end)
            others += watcher.begin(table.reader)
        windows = table.windows(others, model.window_size(settings.policy.batch_size))
        scoring = Scoring(table.binding, table.writer)
        threads = settings.policy.threads
        tally = run(pairs(windows), scoring, threads, [*observers, *watchers])
        table.writer.close()
        tally.check(table.reader.rows)
    return tally
