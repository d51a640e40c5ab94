"""The options of `zoo add`, in the groups that its help shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from scorer.cli import completion
from scorer.cli.options import argument, option, options
from scorer.tasks import task_names

_PATH = click.Path(path_type=Path)
_SIDES = click.Choice(["pre", "post"])

PREDICTS = "What the model predicts"
READS = "How a text becomes the model's input"
PROVES = "What the outputs mean, and how to check them"
PLACE = "Card and zoo"


@dataclass(frozen=True)
class DescribedOptions:
    """What a card cannot be without."""

    name: str | None = option(
        "--name", help="Name the model: lower-case letters, digits, hyphens. Default: ask."
    )
    version: str = option(
        "--version", default="1.0.0", show_default=True, help="Give it this version."
    )
    task: str | None = option(
        "--task",
        type=click.Choice(task_names()),
        help="Say what the model predicts (a linear output cut at 0.5: regression). Default: ask.",
    )
    labels: tuple[str, ...] = option(
        "--label",
        multiple=True,
        help="Name a label (repeat in the order of the outputs). One sigmoid output is the "
        "probability of the second label.",
    )
    text_columns: tuple[str, ...] = option(
        "--text-column",
        multiple=True,
        help="Name the text column of your tables (repeat to give several names to look for).",
    )
    label_columns: tuple[str, ...] = option(
        "--label-column",
        multiple=True,
        help="Name the column with the true labels (repeatable). Default: none.",
    )
    licence: str = option(
        "--license", default="other", show_default=True, help="State the model's licence."
    )


@dataclass(frozen=True)
class VectorizerOptions:
    """What a program does to a text outside its model; names are those of the card."""

    vectorizer: Path | None = option(
        "--vectorizer",
        type=_PATH,
        metavar="FILE",
        help="Read the ids of words from this file: Tokenizer.to_json(), a word index in JSON, "
        "vocabulary.txt, or a .keras with a TextVectorization. Default: the archive's own "
        "TextVectorization.",
    )
    standardize: str | None = option(
        "--standardize",
        type=click.Choice(["none", "lower", "strip_punctuation", "lower_and_strip_punctuation"]),
        help="Apply this to each text before the vectorizer. Default: nothing.",
    )
    replace: tuple[str, ...] = option(
        "--replace",
        multiple=True,
        metavar="'REGEX=>TEXT'",
        help=r"Replace REGEX by TEXT after --standardize; TEXT may contain \1 (repeat in order). "
        "Default: no replacement.",
    )
    sequence_length: int | None = option(
        "--sequence-length",
        type=click.IntRange(min=1),
        metavar="N",
        help="Pad and truncate each row to N ids, as in training. Default: what the archive says.",
    )
    padding: str | None = option(
        "--padding",
        type=_SIDES,
        help="Pad on this side. Default: pre for a Tokenizer or word index, as pad_sequences "
        "does; post for a TextVectorization.",
    )
    truncating: str | None = option(
        "--truncating",
        type=_SIDES,
        help="Truncate on this side. Default: as for --padding.",
    )
    padding_id: int | None = option(
        "--padding-id",
        type=click.IntRange(min=0),
        metavar="N",
        help="Pad with this id. Default: 0.",
    )
    index_from: int | None = option(
        "--index-from",
        type=click.IntRange(min=0),
        metavar="N",
        help="Add N to the ranks of a word index (3 for Keras' imdb and reuters). Default: 0.",
    )
    start_id: int | None = option(
        "--start-id",
        type=click.IntRange(min=0),
        metavar="N",
        help="Put this id before each text (1 for Keras' imdb and reuters). Default: no id.",
    )
    oov_id: int | None = option(
        "--oov-id",
        type=click.IntRange(min=0),
        metavar="N",
        help="Give words outside a word index this id (2 for Keras' imdb and reuters). Default: "
        "drop them.",
    )
    num_words: int | None = option(
        "--num-words",
        type=click.IntRange(min=1),
        metavar="N",
        help="Treat ids of N and above in a word index as unknown words. Default: keep all.",
    )
    matrix: str | None = option(
        "--matrix",
        type=click.Choice(["binary", "count", "freq", "tfidf"]),
        help="Make bags of words, as texts_to_matrix() does in this mode. Default: rows of ids.",
    )
    inputs: tuple[str, ...] = option(
        "--input",
        multiple=True,
        metavar="NAME=COLUMN[,COLUMN...]",
        help="Feed the network's input NAME from these columns (repeat for each input). Default: "
        "feed the text.",
    )


@dataclass(frozen=True)
class ProofOptions:
    """What the outputs mean, and what they must be."""

    output_activation: str | None = option(
        "--output-activation",
        type=click.Choice(["sigmoid", "softmax"]),
        help="Apply this to outputs that are logits. Default: nothing.",
    )
    expect: Path | None = option(
        "--expect",
        type=_PATH,
        metavar="FILE.csv",
        help="Compare with the outputs of your own program: the file has the text column, further "
        "input columns, and y0, y1 ..., the final outputs. They must agree to 1e-5 (1e-2 for "
        "float16). Default: no comparison.",
    )
    dry_run: bool = option(
        "--dry-run",
        is_flag=True,
        help="Print what was understood and what is missing; add nothing.",
    )


@dataclass(frozen=True)
class Arguments:
    """Of `zoo add`."""

    archive: Path = argument(type=_PATH, shell_complete=completion.files)
    described: DescribedOptions = options(DescribedOptions, group=PREDICTS)
    reading: VectorizerOptions = options(VectorizerOptions, group=READS)
    proof: ProofOptions = options(ProofOptions, group=PROVES)
    card: Path | None = option(
        "--card",
        group=PLACE,
        type=_PATH,
        help="Take the card from this file, in place of the options above. Default: no file.",
    )
    target: Path | None = option(
        "--zoo", group=PLACE, type=_PATH, help="Add it to this zoo. Default: your own zoo."
    )
    force: bool = option(
        "--force", group=PLACE, is_flag=True, help="Replace this version if it exists."
    )
