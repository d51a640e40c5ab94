"""`zoo`: list, show, verify, add, remove and export models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scorer import zoo
from scorer.cli import completion
from scorer.cli.common import (
    HELP,
    ExpectedErrorsGroup,
    echo,
    json_option,
    model_argument,
    with_version,
    zoo_option,
)
from scorer.cli.compile_view import compiling_shown
from scorer.cli.zoo_add import add_command
from scorer.errors import OutputExists, UsageError
from scorer.printable import printable, printable_lines

if TYPE_CHECKING:
    from scorer.bundle import Branch, Bundle, Layer
    from scorer.card import Card, ScorerCard
    from scorer.vectorizer import VectorizerSpec


@with_version
@click.group(cls=ExpectedErrorsGroup, context_settings=HELP)
def main() -> None:
    """List, check and add the models on this machine.

    \b
    zoo list                                  list the models
    zoo show imdb-bilstm                      show one model and its figures
    zoo verify                                check every model against its card
    zoo add my-model.keras --card card.md     put a model into your own zoo
    """


@main.command("list")
@zoo_option
@click.option("--all-versions", is_flag=True, help="List older versions too.")
@json_option
def list_command(zoos: tuple[Path, ...], all_versions: bool, as_json: bool) -> None:
    """List the models with their figures, speed and size.

    \b
    zoo list
    zoo list --json | jq '.[].name'
    """
    rows = [_listed(entry) for entry in zoo.list_models(zoos, all_versions=all_versions)]
    if as_json:
        echo(json.dumps(rows, indent=1))
    elif rows:
        echo(_table(rows))
    else:
        searched = ", ".join(str(path) for path in zoo.search_path(zoos))
        click.echo(printable(f"No models. Searched: {searched}"), err=True)


@main.command("show")
@model_argument
@zoo_option
@json_option
def show_command(model: str, zoos: tuple[Path, ...], as_json: bool) -> None:
    """Show what a model is for, how good it is, and its network and card.

    \b
    zoo show imdb-bilstm
    zoo show imdb-bilstm@1.0.0 --json
    """
    from scorer.bundle import read_entry

    entry = zoo.find(model, zoos)
    bundle = read_entry(entry)
    if as_json:
        echo(json.dumps(_shown(entry, bundle), indent=1))
    else:
        echo(_show_text(entry, bundle))


def _listed(entry: zoo.Entry) -> dict[str, Any]:
    card = entry.card
    figure = card.headline
    return {
        "name": card.scorer.name,
        "version": card.scorer.version,
        "task": card.scorer.task.name,
        "metric": figure.metric if figure else None,
        "figure": figure.value if figure else None,
        "data": figure.data if figure else None,
        "rows_per_second": card.scorer.speed.rows_per_second if card.scorer.speed else None,
        "bytes": entry.model_path.stat().st_size,
        "zoo": str(entry.zoo),
    }


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = ("NAME", "VERSION", "TASK", "FIGURE", "ON", "ROWS/S", "SIZE")
    cells: list[Sequence[str]] = [
        (
            row["name"],
            row["version"],
            row["task"],
            f"{row['metric']} {row['figure']:.3f}" if row["metric"] else "-",
            row["data"] or "-",
            f"{row['rows_per_second']:,.0f}" if row["rows_per_second"] else "-",
            f"{row['bytes'] / 1e6:.1f} MB",
        )
        for row in rows
    ]
    cells = [[printable(cell) for cell in line] for line in cells]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = (
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in [head, *cells]
    )
    return "\n".join(line.rstrip() for line in lines)


def _shown(entry: zoo.Entry, bundle: Bundle) -> dict[str, Any]:
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


def _show_text(entry: zoo.Entry, bundle: Bundle) -> str:
    card = entry.card
    lines = [
        f"{card.ref}  ({card.scorer.task})",
        f"  file        {entry.model_path}",
        f"  digest      sha256:{bundle.digest}",
        f"  reads       {' or '.join(card.scorer.text_columns)}",
        *_template_lines(card),
        *_label_lines(card),
        *_activation_lines(card),
        f"  weights     {bundle.parameters:,}",
        *(line for branch in bundle.branches for line in _branch_lines(branch, card.scorer)),
        *(["  merged"] if bundle.head else []),
        *_layer_lines(bundle.head),
        *_figure_lines(card),
    ]
    body = printable_lines(card.body.strip())
    return "\n".join([*(printable(line) for line in lines), "", body])


def _template_lines(card: Card) -> list[str]:
    template = card.scorer.text_template
    return [f"  as          {template}"] if template else []


def _branch_lines(branch: Branch, card: ScorerCard) -> list[str]:
    """An input: what feeds it, its vectorizer, and its layers."""
    from scorer.adding.words import input_words, vectorizer_lines

    lines = []
    if card.inputs:
        lines.append(f"  input       {input_words(branch.given, card.inputs, card.text_columns)}")
    if branch.given.vectorizer is not None:
        described = vectorizer_lines(branch.given.vectorizer, card.vectorizer)
        lines += [f"  vectorizer  {line}" for line in described]
    return [*lines, *_layer_lines(branch.layers)]


def _layer_lines(layers: Iterable[Layer]) -> list[str]:
    from scorer.adding.words import layer_line

    return [f"    {layer_line(layer)}" for layer in layers]


def _label_lines(card: Card) -> list[str]:
    labels = ", ".join(label.name for label in card.scorer.labels)
    return [f"  labels      {labels}"] if labels else []


def _activation_lines(card: Card) -> list[str]:
    activation = card.scorer.output_activation
    return [f"  outputs     {activation} of what the network gives"] if activation else []


def _figure_lines(card: Card) -> list[str]:
    lines = ["  figures"] if card.scorer.figures else []
    for figure in card.scorer.figures:
        interval = "" if figure.low is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
        data = f"{figure.data} ({figure.rows:,} rows)"
        lines.append(f"    {figure.metric} {figure.value:.4f}{interval} on {data}")
    return lines


@main.command("verify")
@click.argument("models", nargs=-1, shell_complete=completion.models)
@zoo_option
@click.option(
    "--engine",
    "engines",
    type=click.Choice(["cpu", "keras"]),
    multiple=True,
    help="Check this engine (repeatable). Default: all that are installed and have the layers.",
)
@click.option(
    "--deep",
    is_flag=True,
    help="List every rule that a refused archive breaks, not only the first.",
)
@json_option
def verify_command(
    models: tuple[str, ...],
    zoos: tuple[Path, ...],
    engines: tuple[str, ...],
    deep: bool,
    as_json: bool,
) -> None:
    """Check models against their cards: digests, golden rows, batch invariance.

    End with exit code 1 where a check fails.

    \b
    zoo verify                        every model, every installed engine
    zoo verify imdb-bilstm --engine cpu
    zoo verify downloads/my-model --deep
    """
    from scorer.verify import verify

    entries = [zoo.find(model, zoos) for model in models]
    entries = entries or zoo.list_models(zoos, all_versions=True)
    if not entries:
        raise UsageError("no model to verify: every zoo is empty")
    results = []
    for entry in entries:
        with compiling_shown():
            checks = list(verify(entry, engines, deep=deep))
        results.append((entry, checks))
        if not as_json:
            echo(_verdict(entry, checks))
    if as_json:
        echo(json.dumps([_verdict_json(*result) for result in results], indent=1))
    if not all(check.passed for _, checks in results for check in checks):
        raise SystemExit(1)


def _verdict(entry: zoo.Entry, checks: Sequence[Any]) -> str:
    good = all(check.passed for check in checks)
    lines = [f"{'ok  ' if good else 'FAIL'}  {_reference(entry)}"]
    lines += [f"  {'ok  ' if c.passed else 'FAIL'}  {c.name}: {c.detail}" for c in checks]
    lines = [printable(line) for line in lines]
    return "\n".join(lines[:1] if good else lines) + (
        printable(f"  {checks[-1].detail}") if good else ""
    )


def _verdict_json(entry: zoo.Entry, checks: Sequence[Any]) -> dict[str, Any]:
    return {
        "model": _reference(entry),
        "passed": all(check.passed for check in checks),
        "checks": [vars(check) for check in checks],
    }


def _reference(entry: zoo.Entry) -> str:
    return f"{entry.index.name}@{entry.index.version}" if entry.index else str(entry.model_path)


main.add_command(add_command, "add")


@main.command("remove")
@model_argument
@zoo_option
@click.option("--yes", is_flag=True, help="Remove the model even if it is a shipped one.")
def remove_command(model: str, zoos: tuple[Path, ...], yes: bool) -> None:
    """Remove a model from its zoo. A shipped model is removed only with --yes.

    \b
    zoo remove my-model@1.0.0
    """
    from scorer.curate import remove

    entry = zoo.find(model, zoos)
    if entry.zoo == zoo.shipped_zoo() and not yes:
        folder = printable(str(entry.model_path.parent))
        echo(f"Would remove {folder} (shipped; give --yes to do it)")
        return
    echo(printable(f"Removed {remove(entry)}"))


@main.command("export")
@model_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Write to this file.",
)
@zoo_option
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def export_command(model: str, output: Path, zoos: tuple[Path, ...], force: bool) -> None:
    """Write a model's network as ONNX.

    This needs the extra `onnx`. ONNX Runtime must give the outputs of the card's golden rows. The
    vectorizer's settings and vocabulary go into the file's metadata as JSON.

    \b
    zoo export imdb-bilstm -o imdb-bilstm.onnx
    """
    from scorer.bundle import read_entry
    from scorer.export import write_onnx

    if output.is_file() and not force:
        raise OutputExists(f"{output}: already exists; use --force to replace it")
    entry = zoo.find(model, zoos)
    bundle = read_entry(entry)
    gap = write_onnx(entry.card, bundle, output)
    echo(f"Wrote {output}: at most {gap:.1e} from the card's golden rows")
