"""What lies beside an archive: the file of a vectorizer, and what a card says of the inputs.

Files are untrusted. Each is read once, within its size; its digest is checked before it is parsed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scorer.bundle.alone import read_vectorizer
from scorer.bundle.dangers import load_json
from scorer.bundle.foreign import refuse_foreign
from scorer.bundle.words import vocabulary_lines
from scorer.card.vectorizer import InputCard, Kind, VectorizerCard
from scorer.errors import BundleError, UnsupportedModel
from scorer.files import read_regular
from scorer.vectorizer import VectorizerSpec
from scorer.vectorizer.described import described_spec

MAX_FILE = 256 << 20
#: of a tokenizer's config, which Keras writes as JSON in JSON, and which are read
_TABLES = ("word_index", "index_docs")
#: commas in a tokenizer's file, which holds five tables of its words
_MAX_VALUES = 12_000_000


@dataclass(frozen=True)
class Pieces:
    """What a user gives beside an archive; nothing where the archive is whole.

    described   how a text becomes ids or a bag, as the card says it
    vectorizer  the file that `described.kind` speaks of
    digest      the SHA-256 that this file must have; None: any
    inputs      what feeds each of several inputs
    lacking     where it is a mapping, what is missing is noted there, by the option that would give
                it, and something stands in its place, so that the rest can be told
    """

    described: VectorizerCard | None = None
    vectorizer: Path | None = None
    digest: str | None = None
    inputs: tuple[InputCard, ...] = ()
    lacking: dict[str, str] | None = None

    def lack(self, option: str, what: str) -> None:
        """Note what is missing. Raises UnsupportedModel where nothing may stand in its place."""
        if self.lacking is None:
            raise UnsupportedModel(what)
        self.lacking[option] = what

    def stand_in(self, length: int | None, *, ids: bool) -> VectorizerSpec:
        """A vectorizer without a word, in the place of one that is missing."""
        stated = self.described.sequence_length if self.described else None
        bag = 1 if length is None else length
        return VectorizerSpec(
            standardize=None,
            split=None,
            output_mode="int" if ids else "count",
            output_sequence_length=(length or stated) if ids else None,
            vocabulary=(),
            width=None if ids else bag,
        )

    @property
    def kind(self) -> Kind | None:
        """What the file beside the archive is; None where there is none."""
        return None if self.described is None else self.described.kind

    @property
    def stands_for_standardize(self) -> bool:
        """Whether the card says what a `standardize` function of the archive's program does."""
        card = self.described
        return card is not None and (card.standardize is not None or bool(card.replace))

    def inside(self, spec: VectorizerSpec) -> VectorizerSpec:
        """An archive's own vectorizer, with what the card adds to it.

        The card may speak of a vocabulary file, from which the archive's own one has its words.
        """
        if self.described is None:
            return spec
        if self.kind is None:
            return described_spec(self.described, spec)
        return described_spec(replace_card(self.described, kind=None), spec)

    def vocabulary(self) -> Sequence[str] | None:
        """The words of a vocabulary file; None where the file is of another kind, or none."""
        if self.kind != "vocabulary" or self.vectorizer is None:
            return None
        try:
            return _lines(self.content())
        except BundleError as error:
            raise BundleError(f"{self.vectorizer.name}: {error}") from error

    def beside(self, length: int | None) -> VectorizerSpec | None:
        """The vectorizer that the file holds; None where the card speaks of none.

        length   the number of ids that the archive's input takes, where it states one: what the
                 card leaves open is taken from it
        Raises BundleError and UnsupportedModel, naming the file.
        """
        if self.described is None or self.described.kind is None:
            return None
        if self.vectorizer is None:
            raise BundleError(
                f"the card says vectorizer.kind {self.kind}, and no such file was given"
            )
        try:
            return self._fitted(self._parsed(self.content()), length)
        except (BundleError, UnsupportedModel) as error:
            raise type(error)(f"{self.vectorizer.name}: {error}") from error

    def content(self) -> bytes:
        """The file's bytes, checked against the digest."""
        assert self.vectorizer is not None
        try:
            data = read_regular(self.vectorizer, MAX_FILE)
        except OSError as error:
            raise BundleError(f"cannot be read: {error.strerror}") from error
        found = hashlib.sha256(data).hexdigest()
        if self.digest not in (None, found):
            raise BundleError(
                f"the file's digest is {found[:12]}…, the zoo's index says {self.digest[:12]}…: "
                "the file was changed or damaged; restore it, or `zoo add` the model again"
            )
        return data

    def _parsed(self, data: bytes) -> Any:
        """What `described_spec` takes as the content of such a file."""
        if self.kind == "textvectorization":
            return read_vectorizer(data, replaced_standardize=self.stands_for_standardize)
        return _DOCUMENTS[self.kind](data) if self.kind else None

    def _fitted(self, content: Any, length: int | None) -> VectorizerSpec:
        """The spec, `length` ids long where neither the card nor the vectorizer sets a length."""
        assert self.described is not None
        plain = replace_card(self.described, padding=None, truncating=None, padding_id=0)
        spec = described_spec(plain, content)
        open_ended = spec.output_mode == "int" and spec.output_sequence_length is None
        if length is None or not open_ended:
            return described_spec(self.described, content)
        return described_spec(replace_card(self.described, sequence_length=length), content)


def replace_card(card: VectorizerCard, **fields: Any) -> VectorizerCard:
    """The card with other values, checked."""
    return VectorizerCard.model_validate({**card.model_dump(), **fields})


def _document(data: bytes) -> Any:
    """A word index, or Tokenizer.to_json() with the JSON that stands as texts inside it."""
    refuse_foreign(data)
    document = load_json(data, "the file", _MAX_VALUES)
    if isinstance(document, str):  # json.dump(tokenizer.to_json(), file), as many programs have it
        document = load_json(
            document.encode("utf-8", "surrogatepass"), "the text in the file", _MAX_VALUES
        )
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict) or document.get("class_name") != "Tokenizer":
        return document
    inner = {
        key: load_json(value.encode("utf-8", "surrogatepass"), f"the tokenizer's {key}")
        for key, value in config.items()
        if key in _TABLES and isinstance(value, str)
    }
    return {**document, "config": {**config, **inner}}


def _lines(data: bytes) -> Sequence[str]:
    refuse_foreign(data)
    return vocabulary_lines(data)


_DOCUMENTS: dict[Kind, Callable[[bytes], Any]] = {
    "tokenizer": _document,
    "word_index": _document,
    "vocabulary": _lines,
}
