"""Writes docs/layers.md: which Keras layers run, by which engine, and which are written to ONNX.

python scripts/layer_docs.py            write it
python scripts/layer_docs.py --check    exit with 1 where it is not what the tables say
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scorer.engines.cpu.table import BUILDERS
from scorer.export.table import WRITERS
from scorer.layers import LAYERS, LayerKind
from scorer.vectorizer import LOOKUPS as LOOKUP_KINDS
from scripts.pages import ROOT, write_pages

PAGE = ROOT / "docs" / "layers.md"
HEAD = """# Layers

`scripts/layer_docs.py` writes this page from the code.

The keras engine runs every layer of this page with the settings that Keras has for it. The cpu
engine runs those marked *cpu*. If a model has a setting that the cpu engine lacks, a message names
it, and the keras engine runs the model, if Keras is installed. `zoo export` writes the layers
marked *ONNX*. A model with any other layer or setting is refused, and the message names it.

| layer | cpu | keras | ONNX |
| --- | --- | --- | --- |
"""
LOOKUPS = """
A `TextVectorization`, `StringLookup`, `IntegerLookup` or `Hashing` that reads an input of the model
runs before the network, by the same code for all engines. {names} read a
column's values as they are (`--input NAME=COLUMN`), a `StringLookup` of several places also the
words of a text.
"""
TRAINING = """
These layers act only in training, so scorer leaves them out, whatever their settings:
{names}.
"""
OPERATIONS = """
## Operations

Operations that `x + y`, `x[:, -1]` and functions of `keras.ops` put into a Functional model:

| operation | cpu | keras | ONNX |
| --- | --- | --- | --- |
"""


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where the page is stale.")
def main(check: bool) -> None:
    """Generate the page about layers."""
    write_pages({PAGE: page()}, check=check)


def page() -> str:
    kept = sorted((k for k in LAYERS if not k.training_only), key=lambda kind: kind.name.lower())
    names = ", ".join(f"`{k.name}`" for k in LAYERS if k.training_only)
    text = HEAD + "".join(row(kind) for kind in kept if not kind.operation)
    text += LOOKUPS.format(names=", ".join(f"`{name}`" for name in LOOKUP_KINDS))
    text += TRAINING.format(names=names)
    operations = [row(kind) for kind in kept if kind.operation]
    return text + (OPERATIONS + "".join(operations) if operations else "")


def row(kind: LayerKind) -> str:
    marks = ["yes" if there else "-" for there in (kind.name in BUILDERS, kind.name in WRITERS)]
    inside = f" of {', '.join(f'`{name}`' for name in kind.wraps)}" if kind.wraps else ""
    return f"| `{kind.name}`{inside} | {marks[0]} | yes | {marks[1]} |\n"


if __name__ == "__main__":
    main()
