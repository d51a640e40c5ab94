"""The options of `zoo add`, in the groups that its help shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from scorer.cli.grouping import grouped
from scorer.cli.options import argument, options
from scorer.tasks import task_names

_PATH = click.Path(path_type=Path)
_SIDES = click.Choice(["pre", "post"])

PREDICTS = "What the model predicts"
READS = "How a text becomes the model's input"
PROVES = "What comes out, and the proof of it"
PLACE = "The zoo"


@dataclass(frozen=True)
class DescribedOptions:
    """What a card cannot be without."""

    name: str | None = grouped(
        PREDICTS, "--name", help="Name the model: lower-case letters, digits and hyphens."
    )
    version: str = grouped(
        PREDICTS, "--version", default="1.0.0", show_default=True, help="Give it this version."
    )
    task: str | None = grouped(
        PREDICTS,
        "--task",
        type=click.Choice(task_names()),
        help="Say what it predicts. A linear output that its author cuts at 0.5 is a regression.",
    )
    labels: tuple[str, ...] = grouped(
        PREDICTS,
        "--label",
        multiple=True,
        help="Name a label (repeat, in the order of the outputs; with one sigmoid, the second is "
        "the one whose probability it is).",
    )
    text_columns: tuple[str, ...] = grouped(
        PREDICTS,
        "--text-column",
        multiple=True,
        help="Name your tables' text column (repeat: candidates).",
    )
    label_columns: tuple[str, ...] = grouped(
        PREDICTS,
        "--label-column",
        multiple=True,
        help="Name the column with the truth. Default: none.",
    )
    licence: str = grouped(
        PREDICTS, "--license", default="other", show_default=True, help="State the model's licence."
    )


@dataclass(frozen=True)
class VectorizerOptions:
    """What a program does to a text outside its model; names are those of the card."""

    vectorizer: Path | None = grouped(
        READS,
        "--vectorizer",
        type=_PATH,
        metavar="FILE",
        help="Read words' ids from this file: Tokenizer.to_json(), a word index in JSON, "
        "vocabulary.txt, or a .keras with a TextVectorization. Default: the archive's own.",
    )
    standardize: str | None = grouped(
        READS,
        "--standardize",
        type=click.Choice(["none", "lower", "strip_punctuation", "lower_and_strip_punctuation"]),
        help="Do this to a text first. Default: nothing beyond what the vectorizer does.",
    )
    replace: tuple[str, ...] = grouped(
        READS,
        "--replace",
        multiple=True,
        metavar="'REGEX=>TEXT'",
        help=r"Replace this after --standardize (repeat, in order; cut at the last =>; TEXT knows "
        r"\1).",
    )
    sequence_length: int | None = grouped(
        READS,
        "--sequence-length",
        type=click.IntRange(min=1),
        metavar="N",
        help="Pad and cut each row to N ids: what training used. Default: what the archive says.",
    )
    padding: str | None = grouped(
        READS,
        "--padding",
        type=_SIDES,
        help="Pad at this side. Default, as their authors': pre for a Tokenizer or word index "
        "(pad_sequences), post for a TextVectorization.",
    )
    truncating: str | None = grouped(
        READS, "--truncating", type=_SIDES, help="Cut at this side. Default: as for --padding."
    )
    padding_id: int | None = grouped(
        READS,
        "--padding-id",
        type=click.IntRange(min=0),
        metavar="N",
        help="Pad with this id. Default: 0.",
    )
    index_from: int | None = grouped(
        READS,
        "--index-from",
        type=click.IntRange(min=0),
        metavar="N",
        help="Add N to the ranks of a word index (imdb, reuters: 3). Default: 0.",
    )
    start_id: int | None = grouped(
        READS,
        "--start-id",
        type=click.IntRange(min=0),
        metavar="N",
        help="Put this id before each text (imdb, reuters: 1). Default: none.",
    )
    oov_id: int | None = grouped(
        READS,
        "--oov-id",
        type=click.IntRange(min=0),
        metavar="N",
        help="Give words that a word index lacks this id (imdb, reuters: 2). Default: leave out.",
    )
    num_words: int | None = grouped(
        READS,
        "--num-words",
        type=click.IntRange(min=1),
        metavar="N",
        help="Take a word index's ids from N on as unknown words. Default: none.",
    )
    matrix: str | None = grouped(
        READS,
        "--matrix",
        type=click.Choice(["binary", "count", "freq", "tfidf"]),
        help="Make rows as texts_to_matrix() in this mode. Default: rows of ids.",
    )
    inputs: tuple[str, ...] = grouped(
        READS,
        "--input",
        multiple=True,
        metavar="NAME=COLUMN[,COLUMN...]",
        help="Feed the network's input NAME from these columns (repeat: one for each input).",
    )


@dataclass(frozen=True)
class ProofOptions:
    """What the outputs mean, and what they must be."""

    output_activation: str | None = grouped(
        PROVES,
        "--output-activation",
        type=click.Choice(["sigmoid", "softmax"]),
        help="Apply this to the outputs, which are logits. Default: nothing.",
    )
    expect: Path | None = grouped(
        PROVES,
        "--expect",
        type=_PATH,
        metavar="FILE.csv",
        help="Hold the model to your own program: the text column, further input columns, and y0, "
        "y1 ... its final outputs. All must agree to 1e-5 (1e-2 where it computes in float16).",
    )
    dry_run: bool = grouped(
        PROVES,
        "--dry-run",
        is_flag=True,
        help="Add nothing; say what was understood and what is missing.",
    )


@dataclass(frozen=True)
class Arguments:
    """Of `zoo add`."""

    archive: Path = argument(type=_PATH)
    described: DescribedOptions = options(DescribedOptions)
    reading: VectorizerOptions = options(VectorizerOptions)
    proof: ProofOptions = options(ProofOptions)
    card: Path | None = grouped(
        PLACE,
        "--card",
        type=_PATH,
        help="Take the card from this file, in place of the options above.",
    )
    target: Path | None = grouped(
        PLACE, "--zoo", type=_PATH, help="Add it to this zoo. Default: your own zoo."
    )
    force: bool = grouped(
        PLACE, "--force", is_flag=True, help="Replace this version where it is there."
    )
