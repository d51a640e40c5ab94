"""What `zoo list` and `zoo show` print. What cards say is escaped, as strangers may write it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scorer import zoo
from scorer.printable import printable, printable_lines
from scorer.tasks import TASKS

if TYPE_CHECKING:
    from scorer.bundle import Bundle, Layer
    from scorer.card import Card
    from scorer.card.out_of_domain import OutOfDomain
    from scorer.vectorizer import VectorizerSpec

#: the columns of the list with their titles; where they do not fit, the last ones go first
COLUMNS = {
    "model": "MODEL",
    "for": "FOR",
    "figure": "FIGURE",
    "rows_per_second": "ROWS/S",
    "size": "MB",
}
RIGHT = ("rows_per_second", "size")
RECOMMENDED, GAP, MARGIN = "*", "  ", 15


def width() -> int:
    """Columns of the terminal; $COLUMNS goes first, and without a terminal it is 80."""
    return shutil.get_terminal_size().columns


def listed(entry: zoo.Entry) -> dict[str, Any]:
    """A model of the list, for JSON."""
    card, figure = entry.card.scorer, entry.card.headline
    return {
        "name": card.name,
        "version": card.version,
        "task": card.task.name,
        "for": card.intended_for,
        "recommended": card.recommended,
        "metric": figure.metric if figure else None,
        "figure": figure.value if figure else None,
        "data": figure.data if figure else None,
        "rows_per_second": card.speed.rows_per_second if card.speed else None,
        "bytes": entry.model_path.stat().st_size,
        "zoo": str(entry.zoo),
    }


def list_text(rows: Sequence[dict[str, Any]], *, versions: bool) -> str:
    """The models by their tasks, those that are recommended first, within the terminal's width."""
    cells = [_cells(row, versions=versions) for row in rows]
    widths = {
        name: max(len(title), *(len(each[name]) for each in cells))
        for name, title in COLUMNS.items()
    }
    shown = list(COLUMNS)
    while len(shown) > 1 and _total(widths, shown) > width():
        shown.pop()
    lines = [_line(" ", COLUMNS, widths, shown)]
    for task in TASKS:
        of_task = [(r, c) for r, c in zip(rows, cells, strict=True) if r["task"] == task.name]
        lines += ["", task.name] if of_task else []
        for row, cell in sorted(of_task, key=lambda each: _order(each[0])):
            lines.append(_line(RECOMMENDED if row["recommended"] else " ", cell, widths, shown))
    if any(row["recommended"] for row in rows):
        lines += ["", f"{RECOMMENDED} recommended for these texts; `zoo show MODEL` says more"]
    return "\n".join(lines)


def _order(row: dict[str, Any]) -> tuple[bool, bool, str]:
    return not row["recommended"], row["for"] is None, row["for"] or ""


def _cells(row: dict[str, Any], *, versions: bool) -> dict[str, str]:
    rate = row["rows_per_second"]
    made = {
        "model": f"{row['name']}@{row['version']}" if versions else row["name"],
        "for": row["for"] or "-",
        "figure": f"{row['metric']} {row['figure']:.3f}" if row["metric"] else "-",
        "rows_per_second": _rate(rate) if rate else "-",
        "size": f"{row['bytes'] / 1e6:.1f}",
    }
    return {name: printable(cell) for name, cell in made.items()}


def _rate(rows: float) -> str:
    """11,000 is 11k."""
    return f"{rows:.0f}" if rows < 1000 else f"{rows / 1000:.3g}k"


def _total(widths: dict[str, int], shown: Sequence[str]) -> int:
    return 2 + sum(widths[name] for name in shown) + len(GAP) * (len(shown) - 1)


def _line(mark: str, cells: dict[str, str], widths: dict[str, int], shown: Sequence[str]) -> str:
    parts = (
        cells[name].rjust(widths[name]) if name in RIGHT else cells[name].ljust(widths[name])
        for name in shown
    )
    return f"{mark} {GAP.join(parts)}".rstrip()


def shown(entry: zoo.Entry, bundle: Bundle) -> dict[str, Any]:
    """A model with its network, for JSON."""
    return {
        "path": str(entry.model_path),
        "digest": bundle.digest,
        "parameters": bundle.parameters,
        "branches": [
            {
                "input": branch.given.source,
                "vectorizer": _vectorizer(branch.given.vectorizer),
                "layers": list(_layers(branch.layers)),
            }
            for branch in bundle.branches
        ],
        "head": list(_layers(bundle.head)),
        "card": entry.card.model_dump(mode="json", by_alias=True),
    }


def _vectorizer(spec: VectorizerSpec | None) -> dict[str, Any] | None:
    """A vectorizer's settings; None where the input takes numbers."""
    if spec is None:
        return None
    return {
        "standardize": spec.standardize,
        "split": spec.split,
        "ngrams": spec.ngrams,
        "output_mode": spec.output_mode,
        "output_sequence_length": spec.output_sequence_length,
        "padding": spec.padding.side,
        "truncating": spec.padding.truncating,
        "padding_id": spec.padding.value,
        "start_id": spec.start_id,
        "vocabulary": len(spec.vocabulary),
    }


def _layers(layers: Iterable[Layer]) -> Iterable[dict[str, Any]]:
    for layer in layers:
        kind, settings = layer.kind, dict(layer.settings)
        inner = settings.pop("layer", None)
        if inner is not None:
            kind, settings = f"{kind}({inner.kind})", {**inner.settings, **settings}
        count = sum(int(w.size) for w in layer.weights)
        yield {"kind": kind, "name": layer.name, "settings": settings, "parameters": count}


def show_text(entry: zoo.Entry, bundle: Bundle) -> str:
    """What a model is for and how good it is; how to use it; its network; its card's text."""
    card = entry.card
    parts = [
        "\n".join(_entries(_about(card))),
        "\n".join(_use(card)),
        "\n".join(_entries(_network(entry, bundle))),
        "\n".join(printable(line) for line in _layer_table(entry, bundle)),
        printable_lines(_wrapped(card.body.strip())),
    ]
    return "\n\n".join(part for part in parts if part)


def _entries(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lines of names and texts, the texts wrapped in a column of their own."""
    indent, room = " " * MARGIN, max(width(), 2 * MARGIN)
    for name, text in entries:
        lines = textwrap.wrap(
            printable(text),
            room,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        yield name.ljust(MARGIN) + lines[0][MARGIN:]
        yield from lines[1:]


def _about(card: Card) -> Iterator[tuple[str, str]]:
    mapping = card.scorer
    yield "model", card.ref + (", recommended for these texts" if mapping.recommended else "")
    yield "for", mapping.intended_for or "not stated by its card"
    yield from [("not for", mapping.not_for)] if mapping.not_for else []
    labels = [label.name for label in mapping.labels]
    yield "predicts", f"{', '.join(labels)} ({mapping.task})" if labels else "a number (regression)"
    for i, figure in enumerate(mapping.figures):
        yield "" if i else "figures", f"{_figure(figure)} on {figure.data} ({figure.rows:,} rows)"
    for i, other in enumerate(mapping.out_of_domain):
        yield "" if i else "on other texts", _elsewhere(other)


def _figure(figure: Any) -> str:
    interval = "" if figure.low is None else f" ({figure.low:.3f} to {figure.high:.3f})"
    return f"{figure.metric} {figure.value:.3f}{interval}"


def _elsewhere(other: OutOfDomain) -> str:
    baseline = other.majority_baseline
    against = "" if baseline is None else f"; majority baseline {baseline:.3f}"
    return (
        f"{_figure(other.figures[0])} on {other.data}: {other.texts} ({other.rows:,} rows{against})"
    )


def _use(card: Card) -> Iterator[str]:
    """Commands to copy."""
    name = printable(card.scorer.name)
    yield f"{'use':<{MARGIN}}score -m {name} reviews.csv"
    given = "table" if card.scorer.columns_beside else '["A text."]'
    yield f'{"in Python":<{MARGIN}}scorer.load("{name}").predict({given})'


def _network(entry: zoo.Entry, bundle: Bundle) -> Iterator[tuple[str, str]]:
    card = entry.card.scorer
    beside = f", and {', '.join(card.columns_beside)} beside it" if card.columns_beside else ""
    yield "reads", f"the column {' or '.join(card.text_columns)}{beside}"
    yield from [("as", card.text_template)] if card.text_template else []
    if card.output_activation:
        yield "outputs", f"{card.output_activation} of the network's outputs"
    yield "file", str(entry.model_path)
    yield "sha256", bundle.digest
    yield "weights", f"{bundle.parameters:,}"


def _layer_table(entry: zoo.Entry, bundle: Bundle) -> Iterator[str]:
    """The layers: kind, settings, weights. Those of each input, and what joins them."""
    from scorer.adding.words import input_words, layer_line, vectorizer_lines

    card = entry.card.scorer
    for branch in bundle.branches:
        if card.inputs:
            fed = input_words(branch.given, card.inputs, card.text_columns)
            yield from _entries([("input", fed)])
        if branch.given.vectorizer is not None:
            described = vectorizer_lines(branch.given.vectorizer, card.vectorizer)
            yield from _entries([("vectorizer", "; ".join(described))])
        yield from (f"  {layer_line(layer)}" for layer in branch.layers)
    if bundle.head:
        yield "merged"
    yield from (f"  {layer_line(layer)}" for layer in bundle.head)


def _wrapped(body: str) -> str:
    """Markdown with long paragraphs and list items wrapped; tables and code stay as they are."""
    lines: list[str] = []
    in_code = False
    for line in body.splitlines():
        in_code ^= line.startswith("```")
        if in_code or line.startswith(("```", "|", "#", "    ")) or len(line) <= width():
            lines.append(line)
        else:
            hang = "  " if line.startswith(("* ", "- ")) else ""
            lines += textwrap.wrap(
                line,
                width(),
                subsequent_indent=hang,
                break_on_hyphens=False,
                break_long_words=False,
            )
    return "\n".join(lines)
