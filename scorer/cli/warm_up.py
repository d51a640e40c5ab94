"""`scorer warm-up`: compile before the first run what models need."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scorer import zoo
from scorer.cli import completion
from scorer.cli.common import HELP, ExpectedErrors, zoo_option
from scorer.cli.compile_view import compiling_shown
from scorer.cli.startup import skip_unused_imports
from scorer.errors import UnsupportedModel, UsageError
from scorer.printable import printable

if TYPE_CHECKING:
    from scorer.compiling.places import Place


@click.command(cls=ExpectedErrors, context_settings=HELP)
@click.option(
    "-m",
    "--model",
    "references",
    multiple=True,
    shell_complete=completion.models,
    help="Compile for this model: its name, name@version or path (repeatable).",
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Compile for the newest version of every model.",
)
@click.option(
    "--cache-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the compiled code in this folder; set $SCORER_CACHE_DIR to it for the runs. "
    "Default: $SCORER_CACHE_DIR, else beside the package, else your cache folder.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@zoo_option
def main(
    references: tuple[str, ...],
    every: bool,
    cache_dir: Path | None,
    quiet: bool,
    zoos: tuple[Path, ...],
) -> None:
    """Compile the code that models and large text files need, so that no later run waits for it.

    \b
    scorer warm-up -m imdb-bilstm
    scorer warm-up --all --cache-dir /opt/scorer/cache      for an image

    The compiled code fits the processor that compiled it. Another kind of processor compiles its
    own, once, into the first folder that the user can write to.
    """
    if every == bool(references):
        raise UsageError("name models with -m, or give --all")
    skip_unused_imports()
    from scorer.compiling import places
    from scorer.tables.text.fields import prepare_loops

    place = _place(cache_dir)
    with places.confined(place) if cache_dir else nullcontext():
        for reference in _references(zoos) if every else references:
            line = _warm_up(reference, zoos, quiet=quiet, required=not every)
            if not quiet:
                click.echo(printable(line))
        with compiling_shown(shown=not quiet):
            prepare_loops()
    if not quiet:
        click.echo(printable(f"kept in {place.path}"))


def _place(cache_dir: Path | None) -> Place:
    """Where what is compiled will be kept. Raises UsageError where nothing can be."""
    from scorer.compiling import places

    folders = places.places()
    if cache_dir is not None:
        folders = [places.Place(cache_dir.absolute() / places.FOLDER, named=True)]
    for place in folders:
        if places.writable(place):
            return place
    names = ", ".join(str(place.path) for place in folders)
    raise UsageError(
        f"no folder can take the compiled code ({names}): give --cache-dir a folder that this user "
        "owns and only this user can write to"
    )


def _references(zoos: tuple[Path, ...]) -> list[str]:
    return [entry.card.ref for entry in zoo.list_models(zoos)]


def _warm_up(reference: str, zoos: tuple[Path, ...], *, quiet: bool, required: bool) -> str:
    """Load a model, which compiles what it needs; a line on that."""
    from scorer.compiling.watch import compilation
    from scorer.model import load_model

    kernels, seconds = compilation.done, compilation.seconds
    try:
        with compiling_shown(shown=not quiet):
            model = load_model(reference, zoos=zoos, engine="cpu")
    except UnsupportedModel as error:
        if required:
            raise
        return f"{reference}: nothing to compile: {error}"
    kernels, seconds = compilation.done - kernels, compilation.seconds - seconds
    if not kernels:
        return f"{model.ref}: nothing left to compile"
    return f"{model.ref}: {kernels} loops compiled in {seconds:.1f} s"
