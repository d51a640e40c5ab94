"""`zoo`: list, show, verify, add, remove and export models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from scorer import zoo
from scorer.cli import completion, zoo_view
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
from scorer.printable import printable


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
    """List the models with what they are for, their figures, speed and size.

    The figure is the card's headline on its own kind of data; rows/s are of two cores.

    \b
    zoo list
    zoo list --json | jq '.[].name'
    """
    rows = [zoo_view.listed(entry) for entry in zoo.list_models(zoos, all_versions=all_versions)]
    if as_json:
        echo(json.dumps(rows, indent=1))
    elif rows:
        echo(zoo_view.list_text(rows, versions=all_versions))
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
        echo(json.dumps(zoo_view.shown(entry, bundle), indent=1))
    else:
        echo(zoo_view.show_text(entry, bundle))


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


def _inputs(names: tuple[str, ...]) -> str:
    """A graph's inputs in words."""
    listed = ", ".join(f"`{name}`" for name in names)
    return f"its input is {listed}" if len(names) == 1 else f"its inputs are {listed}"


@main.command("export")
@model_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Write to this file.",
)
@click.option(
    "--ids",
    is_flag=True,
    help="Write a graph that reads token ids, for programs other than ONNX Runtime. Default: it "
    "reads texts, if ONNX Runtime has the operators for the model's vectorizer.",
)
@zoo_option
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def export_command(
    model: str, output: Path, ids: bool, zoos: tuple[Path, ...], force: bool
) -> None:
    """Write a model as ONNX.

    This needs the extra `onnx`. ONNX Runtime must give the outputs of the card's golden rows. If
    the graph reads token ids, the vectorizer's settings and vocabulary go into the file's metadata
    as JSON.

    \b
    zoo export imdb-bilstm -o imdb-bilstm.onnx
    """
    from scorer.bundle import read_entry
    from scorer.export import write_onnx

    if output.is_file() and not force:
        raise OutputExists(f"{output}: already exists; use --force to replace it")
    entry = zoo.find(model, zoos)
    bundle = read_entry(entry)
    written = write_onnx(entry.card, bundle, output, ids=ids)
    echo(f"Wrote {output}: at most {written.gap:.1e} from the card's golden rows")
    if written.why_ids is None:
        echo(printable(f"It reads texts: {_inputs(written.inputs)}"))
    elif not ids:
        echo(printable(f"It reads token ids, not texts: {written.why_ids}"))
