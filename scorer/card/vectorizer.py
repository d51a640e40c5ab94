"""What a card states about the way from a text to the archive's inputs.

A model of Keras' own kind needs none of this: its first layer is TextVectorization. Where a program
kept its tokenizer, its cleaning or its padding in Python, the card states them under `vectorizer:`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Id = Annotated[int, Field(ge=0, le=10_000_000)]
Kind = Literal["tokenizer", "word_index", "vocabulary", "textvectorization"]
#: the name of the vectorizer's file in a bundle
FILES: Final[dict[Kind, str]] = {
    "tokenizer": "vectorizer.json",
    "word_index": "vectorizer.json",
    "vocabulary": "vectorizer.txt",
    "textvectorization": "vectorizer.keras",
}
#: each kind of vectorizer in words
_WHAT: Final[dict[Kind | None, str]] = {
    "tokenizer": "a Tokenizer, whose own ids are used",
    "word_index": "a word index",
    "vocabulary": "a vocabulary, whose line number is the id",
    "textvectorization": "a TextVectorization",
    None: "the archive's own vectorizer",
}
Standardize = Literal["none", "lower", "strip_punctuation", "lower_and_strip_punctuation"]
Replacement = Annotated[
    str, StringConstraints(pattern=r"(?s)^.+=>.*$", min_length=3, max_length=1100)
]


class VectorizerCard(BaseModel):
    """How a text becomes ids or a bag, in the order in which it is done.

    standardize      applied to a text first, by the names that TextVectorization has; "none": not
    replace          REGEX=>TEXT, in order, after `standardize`, before the vectorizer's own rules
    kind             what the file beside the archive is; None: the vectorizer is in the archive
    index_from, start_id, oov_id, num_words   of a word index: how a program makes ids of ranks
    matrix           a row is a bag, of this mode of Keras' Tokenizer; None: ids
    sequence_length  ids of every row; None: as the vectorizer has it
    padding, truncating   the side on which short rows are filled and long ones are cut
    padding_id       what they are filled with
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    kind: Kind | None = None
    standardize: Standardize | None = None
    replace: Annotated[tuple[Replacement, ...], Field(max_length=32)] = ()
    index_from: Id = 0
    start_id: Id | None = None
    oov_id: Id | None = None
    num_words: Annotated[int, Field(gt=0, le=10_000_000)] | None = None
    matrix: Literal["binary", "count", "freq", "tfidf"] | None = None
    sequence_length: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    padding: Literal["pre", "post"] | None = None
    truncating: Literal["pre", "post"] | None = None
    padding_id: Id = 0

    @property
    def file(self) -> str | None:
        """The file beside the archive; None where the archive holds the vectorizer."""
        return None if self.kind is None else FILES[self.kind]

    @property
    def arranging(self) -> list[str]:
        """The fields that are given and mean something only where every row has as many ids."""
        fields = {
            "padding": self.padding,
            "truncating": self.truncating,
            "padding_id": self.padding_id or None,
        }
        return [name for name, value in fields.items() if value is not None]

    @model_validator(mode="after")
    def _consistent(self) -> VectorizerCard:
        faults = [
            f"{name} belongs to a word index, not to {_WHAT[self.kind]}"
            for name, value in self._numbering.items()
            if value is not None and self.kind != "word_index"
        ]
        if self.matrix is not None:
            given = ["sequence_length"] if self.sequence_length is not None else []
            faults += [f"a bag (matrix) has no {name}" for name in (*given, *self.arranging)]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def _numbering(self) -> dict[str, int | None]:
        """What only a program that makes ids of ranks has; None where it is not given."""
        return {
            "index_from": self.index_from or None,
            "start_id": self.start_id,
            "oov_id": self.oov_id,
            "num_words": self.num_words,
        }


class InputCard(BaseModel):
    """One of several inputs of a network, by its name in the archive, and what feeds it.

    columns   the text's column, or the columns of the numbers that stand side by side in it
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    columns: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...],
        Field(min_length=1, max_length=1024),
    ]
