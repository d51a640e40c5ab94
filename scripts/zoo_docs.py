"""Writes docs/zoo.md and the tables of models in README and docs/choosing.md from the cards. CI
checks them.

python scripts/zoo_docs.py            write them
python scripts/zoo_docs.py --check    exit with 1 where they are not what the cards say
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.bundle import TRAINING_ONLY, Branch, Bundle, Layer, read_entry
from scorer.card import Card, PromisedFigure, ScorerCard
from scorer.figures import figure_spec
from scorer.zoo import Entry, list_models, shipped_zoo
from scripts.pages import ROOT, with_block, write_pages
from scripts.training.datasets import DATASETS
from scripts.training.domains import DOMAINS, DomainSet

OFFICIAL = DATASETS["imdb"].test


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a page is stale.")
def main(check: bool) -> None:
    """Generate the pages about the zoo from its cards."""
    readme, choosing = ROOT / "README.md", ROOT / "docs" / "choosing.md"
    pages = {
        ROOT / "docs" / "zoo.md": zoo_page(shipped()),
        choosing: with_block(choosing.read_text("utf-8"), "domains", domain_table(shipped())),
        readme: with_block(
            readme.read_text(encoding="utf-8"), "zoo", summary_table(to_begin_with(shipped()))
        ),
    }
    write_pages(pages, check=check)


def shipped() -> list[Entry]:
    return [entry for entry in list_models() if entry.zoo == shipped_zoo()]


def to_begin_with(entries: list[Entry]) -> list[Entry]:
    """The models that their cards recommend; all of them where no card does."""
    return [entry for entry in entries if entry.card.scorer.recommended] or entries


def summary_table(entries: list[Entry]) -> str:
    lines = ["| model | for | figure | rows/s | MB |", "| --- | --- | --- | --- | --- |"]
    for entry in entries:
        card = entry.card.scorer
        figure = headline(entry.card)
        size = entry.model_path.stat().st_size / 1e6
        cells = [
            f"`{card.name}`",
            card.intended_for or card.task.name,
            figure,
            speed(entry.card),
            f"{size:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def domain_table(entries: list[Entry]) -> str:
    """The accuracy of each recommended or three-class model on each data set that cards name;
    in bold where the set's own training rows trained the model."""
    named = [e.card.scorer for e in entries if e.card.scorer.labels]
    chosen = [card for card in named if card.recommended or card.name == "reviews-3class"]
    lines = [
        f"| texts | majority baseline | {' | '.join(f'`{card.name}`' for card in chosen)} |",
        "| --- | --- |" + " --- |" * len(chosen),
    ]
    for data in DOMAINS:
        cells = [domain_cell(card, data) for card in chosen]
        baseline = next((m for m in (majority(card, data) for card in named) if m), "")
        lines.append(f"| {' | '.join([data.name, baseline, *cells])} |")
    return "\n".join(lines)


def domain_cell(card: ScorerCard, data: DomainSet) -> str:
    outside = (each for each in card.out_of_domain if each.data == data.name)
    inside = (each for each in card.by_domain if each.data == data.own_name)
    official = [f.value for f in card.figures if f.data == OFFICIAL and f.metric == "accuracy"]
    if data.name == "IMDB test" and official:
        return f"**{official[0]:.3f}**"
    for found, text in ((next(inside, None), "**{:.3f}**"), (next(outside, None), "{:.3f}")):
        if found is not None:
            return text.format(found.figures[0].value)
    return ""


def majority(card: ScorerCard, data: DomainSet) -> str:
    """Of two classes, where the model has two."""
    found = [each for each in card.out_of_domain if each.data == data.name]
    value = found[0].majority_baseline if found and len(card.labels) == 2 else None
    return "" if value is None else f"{value:.3f}"


def headline(card: Card) -> str:
    figure = card.headline
    return f"{figure_spec(figure.metric).text} {figure.value:.4f}, {figure.data}" if figure else "-"


def speed(card: Card) -> str:
    return f"{card.scorer.speed.rows_per_second:,.0f}" if card.scorer.speed else "-"


def zoo_page(entries: list[Entry]) -> str:
    head = (
        "# All models\n\n"
        "`scripts/zoo_docs.py` writes this page from the cards. Intervals are 95% intervals.\n"
        "*source*: the figure that the notebook states from which the network comes. *linear*:\n"
        "TF-IDF with a linear model, trained and measured on the same rows. *rows/s*: vectorizer\n"
        "and network on the cpu engine, by `scripts/bench_zoo.py`. *MB*: 10^6 bytes.\n\n"
    )
    sections = (section(entry) for entry in entries)
    return head + summary_table(entries) + "\n\n" + "\n".join(sections)


def section(entry: Entry) -> str:
    bundle, card = read_entry(entry), entry.card
    lines = [f"## {card.scorer.name} {card.scorer.version}", ""]
    lines += [f"{first_paragraph(card.body)}", ""]
    lines += [f"* network: {network(bundle)}; {bundle.parameters:,} weights"]
    if card.scorer.training:
        lines.append(f"* data: {card.scorer.training.data}; recipe `{card.scorer.training.recipe}`")
    if card.scorer.speed:
        measured = card.scorer.speed
        threads = f"{measured.threads} threads on {measured.data}"
        lines.append(f"* speed: {measured.rows_per_second:,.0f} rows/s, {threads}")
    lines += ["", "| figure | value | interval | rows | on | source | linear |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [figure_row(figure) for figure in card.scorer.figures]
    return "\n".join(lines) + "\n"


def first_paragraph(body: str) -> str:
    paragraphs = [p.strip() for p in body.split("\n\n")]
    return next((p for p in paragraphs if p and not p.startswith("#")), "")


def network(bundle: Bundle) -> str:
    branches = [branch_text(branch) for branch in bundle.branches]
    if not bundle.head:
        return branches[0]
    both = " and ".join(f"({branch})" for branch in branches)
    return " → ".join([both, *layer_names(bundle.head)])


def branch_text(branch: Branch) -> str:
    spec = branch.vectorizer
    words = f"{len(spec.vocabulary):,} {spec.token_kind}"
    if spec.ngrams != (1,):
        words += f" and n-grams (of {', '.join(map(str, spec.ngrams))})"
    reading = words if spec.output_mode == "int" else f"{words} as {spec.output_mode}"
    if spec.output_sequence_length:
        reading += f", first {spec.output_sequence_length} tokens"
    return " → ".join([reading, *layer_names(branch.layers)])


def layer_names(layers: Sequence[Layer]) -> list[str]:
    return [layer_name(layer) for layer in layers if layer.kind not in TRAINING_ONLY]


def layer_name(layer: Layer) -> str:
    inner = layer.settings.get("layer", layer)
    size = next(
        (inner.settings[k] for k in ("units", "filters", "output_dim") if k in inner.settings), ""
    )
    activation = inner.settings.get("activation")
    named = layer.kind in ("Dense", "Conv1D", "Activation")
    shown = f" {activation}" if activation and named else ""
    kind = f"Bidirectional {inner.kind}" if inner is not layer else layer.kind
    return f"{kind} {size}".strip() + shown


def figure_row(figure: PromisedFigure) -> str:
    interval = "" if figure.low is None else f"{figure.low:.4f} to {figure.high:.4f}"
    source = "" if figure.source is None else f"{figure.source:g}"
    linear = "" if figure.baseline is None else f"{figure.baseline:g}"
    name, value = figure_spec(figure.metric).text, f"{figure.value:.4f}"
    cells = [name, value, interval, f"{figure.rows:,}", figure.data, source, linear]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
