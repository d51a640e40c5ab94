"""The report's charts: inline SVG, no script, a tooltip on every mark."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from scorer.evaluation.drift.histograms import DriftPart
from scorer.evaluation.part import Figure
from scorer.evaluation.report.svg import BOTTOM, Frame, short, swatches
from scorer.evaluation.result import (
    Calibration,
    Curve,
    Histogram,
    LabelCalibration,
    ModelReport,
    Residuals,
    Threshold,
)
from scorer.printable import printable

UNIT = (0.0, 1.0)
#: how opaque the accent colour is in a cell of no row and of all: dark text stays readable on both
WEAKEST, STRONGEST = 0.05, 0.5
MATRIX_CELL = 76
#: of more classes the confusion matrix has small cells; its widths in pixels
DENSE, DENSE_CELL, DENSE_NAMES = 12, 28, 190


def roc(curves: Sequence[Curve]) -> Markup:
    """Receiver operating characteristic, the diagonal being chance."""
    frame = Frame(UNIT, UNIT)
    marks = [frame.rule(UNIT, UNIT, "chance")]
    marks += [
        frame.path(c.x, c.y, f"s{i % 10}", f"{c.label}: area {c.area:.4f}")
        for i, c in enumerate(curves)
    ]
    drawn = frame.draw("ROC curve", "false positive rate", "true positive rate", *marks)
    return drawn + swatches([f"{c.label}: area {c.area:.3f}" for c in curves])


def precision_recall(curves: Sequence[Curve]) -> Markup:
    """Precision over recall; the last point's precision is the class's share of the rows."""
    frame = Frame(UNIT, UNIT)
    marks = [
        frame.path(c.x, c.y, f"s{i % 10}", f"{c.label}: average precision {c.area:.4f}")
        for i, c in enumerate(curves)
    ]
    drawn = frame.draw("Precision-recall curve", "recall", "precision", *marks)
    return drawn + swatches([f"{c.label}: average precision {c.area:.3f}" for c in curves])


def reliability(bins: Sequence[Calibration], event: tuple[str, str]) -> Markup:
    """Stated against observed shares of an event; a dot's area grows with its rows."""
    frame = Frame(UNIT, UNIT)
    most = max(b.rows for b in bins)
    marks = [frame.rule(UNIT, UNIT, "chance")]
    marks.append(
        frame.path([b.stated for b in bins], [b.observed.value or 0 for b in bins], "s0 thin")
    )
    for b in bins:
        observed = b.observed.value or 0.0
        if b.observed.low is not None and b.observed.high is not None:
            marks.append(
                frame.rule((b.stated, b.stated), (b.observed.low, b.observed.high), "whisker s0")
            )
        words = f"{b.rows:,} rows: stated {b.stated:.3f}, observed {observed:.3f}"
        marks.append(frame.dot(b.stated, observed, 2.5 + 5 * (b.rows / most) ** 0.5, "s0", words))
    return frame.draw("Reliability diagram", f"stated {event[0]}", event[1], *marks)


def reliabilities(labels: Sequence[LabelCalibration], event: tuple[str, str]) -> Markup:
    """Stated against observed shares of each label's rows, as lines."""
    frame = Frame(UNIT, UNIT)
    marks = [frame.rule(UNIT, UNIT, "chance")]
    for i, item in enumerate(labels):
        stated = [b.stated for b in item.bins]
        observed = [b.observed.value or 0.0 for b in item.bins]
        marks.append(frame.path(stated, observed, f"s{i % 10} thin", item.label))
        for b in item.bins:
            words = f"{item.label}, {b.rows:,} rows: stated {b.stated:.3f}"
            words += f", observed {b.observed.value or 0.0:.3f}"
            marks.append(frame.dot(b.stated, b.observed.value or 0.0, 3, f"s{i % 10}", words))
    drawn = frame.draw("Reliability of each label", f"stated {event[0]}", event[1], *marks)
    return drawn + swatches([item.label for item in labels])


def histogram(data: Histogram, x_label: str) -> Markup:
    """Overlaid bars of every series, each as a share of its own rows."""
    totals = [max(sum(b.counts[i] for b in data.bins), 1) for i in range(len(data.series))]
    top = max(c / t for b in data.bins for c, t in zip(b.counts, totals, strict=True)) * 1.05
    frame = Frame((data.bins[0].low, data.bins[-1].high), (0.0, top or 1.0))
    marks = [
        frame.bar(
            b.low,
            b.high,
            b.counts[i] / totals[i],
            f"bar s{i % 10}",
            f"{name}: {b.counts[i]:,} rows from {b.low:g} to {b.high:g}",
        )
        for i, name in enumerate(data.series)
        for b in data.bins
        if b.counts[i]
    ]
    drawn = frame.draw("Histogram", x_label, "share of rows", *marks)
    names = [f"{name} ({total:,})" for name, total in zip(data.series, totals, strict=True)]
    return drawn + swatches(names) if len(data.series) > 1 else drawn


def observed(data: Residuals) -> Markup:
    """Mean truth of groups of rows over their mean prediction."""
    low = min(*data.predicted, *data.observed)
    high = max(*data.predicted, *data.observed)
    room = (high - low) * 0.04 or 1.0
    both = (low - room, high + room)
    frame = Frame(both, both)
    marks = [frame.rule(both, both, "chance"), frame.path(data.predicted, data.observed, "s0 thin")]
    marks += [
        frame.dot(x, y, 4, "s0", f"predicted {x:.2f}, truth {y:.2f}")
        for x, y in zip(data.predicted, data.observed, strict=True)
    ]
    return frame.draw("Truth over prediction", "mean prediction", "mean truth", *marks)


def thresholds(data: Sequence[Threshold], own: float | None) -> Markup:
    """Precision, recall and F1 over the threshold; the one in use dashed."""
    frame = Frame(UNIT, UNIT)
    marks = [frame.rule((own, own), UNIT, "chance")] if own is not None else []
    for i, name in enumerate(("precision", "recall", "f1")):
        known = [(t.threshold, v) for t in data if (v := getattr(t, name)) is not None]
        marks.append(frame.path([x for x, _ in known], [y for _, y in known], f"s{i}", name))
    drawn = frame.draw("Precision and recall over the threshold", "threshold", "figure", *marks)
    return drawn + swatches(["precision", "recall", "F1"])


def residuals(data: Residuals) -> Markup:
    """Median error along the prediction, with the band that holds 80% of the rows."""
    low, high = min(0.0, *data.low), max(0.0, *data.high)
    room = (high - low) * 0.06 or 1.0
    span = (data.predicted[0], data.predicted[-1])
    if span[0] == span[1]:
        span = (span[0] - 1, span[1] + 1)
    frame = Frame(span, (low - room, high + room))
    marks = [
        frame.band(data.predicted, data.low, data.high),
        frame.rule(span, (0, 0), "chance"),
        frame.path(data.predicted, data.middle, "s0", "median error"),
    ]
    drawn = frame.draw("Errors", "prediction", "prediction - truth", *marks)
    return drawn + swatches(["median error; the band holds 80% of the rows"])


def drift(part: DriftPart, title: str) -> Markup:
    """Shares per bin of the card: today's as bars, the training data's as steps."""
    n = len(part.observed)
    top = max(*part.observed, *part.expected) * 1.08 or 1.0
    frame = Frame((0.0, float(n)), (0.0, top), height=225.0)
    marks = []
    for i, (now, then) in enumerate(zip(part.observed, part.expected, strict=True)):
        words = f"{_bin_name(part.edges, i)}: today {now:.1%}, training {then:.1%}"
        marks.append(frame.bar(i + 0.12, i + 0.88, now, "bar s0", words))
        marks.append(frame.rule((i + 0.04, i + 0.96), (then, then), "line s1"))
    step = max(1, round(len(part.edges) / 6))
    for i in range(0, len(part.edges), step):
        place = frame.height - BOTTOM + 18
        marks.append(frame.text(frame.px(i + 1), place, short(float(f"{part.edges[i]:.4g}"))))
    drawn = frame.draw(f"Drift: {title}", title.lower(), "share of rows", *marks, x_ticks=False)
    return drawn + swatches(["today", "training data"])


def strip(item: Figure, span: tuple[float, float]) -> Markup:
    """A small line over `span`: the interval, and the figure as a dot."""
    if item.value is None or span[1] <= span[0]:
        return Markup("")
    ends = (item.value if v is None else v for v in (item.low, item.high))
    left, right = (place(v, span) for v in ends)
    return Markup('<i class="strip" style="--l:{};--h:{};--v:{}"></i>').format(
        left, right, place(item.value, span)
    )


def place(value: float | None, span: tuple[float, float]) -> str:
    """Where a value lies on the line of `strip`, in % of its width."""
    low, high = span
    if value is None or high <= low:
        return ""
    return f"{(min(max(value, low), high) - low) / (high - low) * 100:.3g}"


def _bin_name(edges: Sequence[float], i: int) -> str:
    if i == 0:
        return f"below {edges[0]:g}" if edges else "all"
    if i == len(edges):
        return f"from {edges[-1]:g}"
    return f"{edges[i - 1]:g} to {edges[i]:g}"


def confusion(model: ModelReport) -> Markup:
    """A table whose cells are as strong as their share of the row.

    Of many classes the cells are small, hold counts alone, and are blank where there is none.
    """
    count, dense = len(model.labels), len(model.labels) > DENSE
    head = Markup("").join(Markup("<th>{}</th>").format(_name(label)) for label in model.labels)
    rows = []
    for label, counts in zip(model.labels, model.confusion, strict=True):
        total = max(sum(counts), 1)
        cells = Markup("").join((_small if dense else _cell)(n, n / total) for n in counts)
        rows.append(Markup("<tr><th>{}</th>{}</tr>").format(_name(label), cells))
    return Markup(
        '<table class="matrix{}" style="min-width:{}px"><thead><tr><th></th>{}</tr></thead>'
        "<tbody>{}</tbody></table>"
    ).format(
        " dense" if dense else "",
        DENSE_NAMES + DENSE_CELL * count if dense else MATRIX_CELL * (count + 1),
        head,
        Markup("").join(rows),
    )


def _cell(count: int, share: float) -> Markup:
    return Markup(
        '<td style="background:rgb(var(--accent) / {:.2f})"><b>{:,}</b><small>{:.1%}</small></td>'
    ).format(WEAKEST + (STRONGEST - WEAKEST) * share, count, share)


def _small(count: int, share: float) -> Markup:
    if not count:
        return Markup("<td></td>")
    return Markup('<td style="background:rgb(var(--accent) / {:.2f})">{:,}</td>').format(
        WEAKEST + (STRONGEST - WEAKEST) * share, count
    )


def _name(label: str) -> str:
    return printable(label)[:40]
