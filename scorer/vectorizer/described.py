"""A VectorizerSpec of what a card says, and of the file or layer that it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from scorer.card.vectorizer import VectorizerCard
from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer.keras_tokenizer import MATRIX_MODES, spec_from_tokenizer
from scorer.vectorizer.preparation import Preparation, parse_replacement, standardized
from scorer.vectorizer.spec import Padding, Side, VectorizerSpec
from scorer.vectorizer.textvectorization import spec_from_config
from scorer.vectorizer.word_index import Numbering, spec_from_word_index

#: kinds of programs that split texts with Python's own functions, whose letters are Unicode's
_PYTHON = ("tokenizer", "word_index")


def described_spec(described: VectorizerCard, content: Any) -> VectorizerSpec:
    """What the card describes. `content` is the parsed JSON of a tokenizer or a word index, the
    lines of a vocabulary, or the spec of the TextVectorization that another archive holds.

    Raises BundleError, UnsupportedModel.
    """
    makers: dict[str | None, Callable[[VectorizerCard, Any], VectorizerSpec]] = {
        "tokenizer": _tokenizer,
        "word_index": _word_index,
        "vocabulary": _vocabulary,
        "textvectorization": _layer,
        None: _layer,
    }
    return _arranged(makers[described.kind](described, content), described)


def _prepared(described: VectorizerCard) -> Preparation:
    python = described.kind in _PYTHON
    name = None if described.standardize == "none" else described.standardize
    replacements = (parse_replacement(text, python=python) for text in described.replace)
    return Preparation((*standardized(name, unicode=python), *replacements))


def _mode(described: VectorizerCard) -> str:
    return "int" if described.matrix is None else MATRIX_MODES[described.matrix]


def _tokenizer(described: VectorizerCard, content: Any) -> VectorizerSpec:
    return spec_from_tokenizer(content, _prepared(described), _mode(described))


def _word_index(described: VectorizerCard, content: Any) -> VectorizerSpec:
    if described.matrix == "tfidf":
        raise UnsupportedModel(
            "a word index does not say in how many documents a word occurs, which the matrix mode "
            "tfidf needs: give the Tokenizer's JSON"
        )
    numbering = Numbering(
        index_from=described.index_from,
        start_id=described.start_id,
        oov_id=described.oov_id,
        num_words=described.num_words,
    )
    return spec_from_word_index(content, numbering, _prepared(described), _mode(described))


def _vocabulary(described: VectorizerCard, content: Any) -> VectorizerSpec:
    """Of `TextVectorization.get_vocabulary()`; its other settings are the layer's defaults.

    A `standardize` that is given stands for the layer's own.
    """
    mode = _mode(described)
    if mode not in ("int", "multi_hot", "count"):
        raise UnsupportedModel(
            f"a vocabulary alone makes no matrix of the mode {described.matrix!r}: give the "
            "TextVectorization itself, saved in a model of its own"
        )
    config: dict[str, Any] = {"output_mode": mode}
    if described.standardize is not None:
        config["standardize"] = None
    spec = spec_from_config(config, content, None)
    return replace(spec, preparation=_prepared(described))


def _layer(described: VectorizerCard, content: Any) -> VectorizerSpec:
    """Of a TextVectorization with all its settings, in the archive or in one beside it."""
    spec: VectorizerSpec = content
    if described.matrix is not None:
        raise UnsupportedModel(
            "a TextVectorization has an output mode of its own: leave the matrix mode out"
        )
    return replace(spec, preparation=_prepared(described))


def _arranged(spec: VectorizerSpec, described: VectorizerCard) -> VectorizerSpec:
    """The spec with the length, the sides and the padding that the card states.

    A program that uses `pad_sequences` has its defaults, left and left; a TextVectorization and
    whoever uses it with a length pads and cuts at the end.
    """
    stated, own = described.sequence_length, spec.output_sequence_length
    length = own if stated is None and described.arranging else stated
    if length is None and described.arranging:
        raise BundleError(
            f"{' and '.join(described.arranging)} needs a number of ids for every row, which "
            "neither the archive nor the vectorizer states: give --sequence-length N"
        )
    if length is None:
        return spec
    if spec.output_mode != "int":
        raise BundleError("the vectorizer makes a bag of words, which has no sequence_length")
    if own is not None and own != length:
        raise BundleError(
            f"the vectorizer has output_sequence_length={own}, "
            f"the card says sequence_length={length}"
        )
    usual: Side = "pre" if described.kind in _PYTHON else "post"
    padding = Padding(
        side=described.padding or usual,
        truncating=described.truncating or usual,
        value=described.padding_id,
    )
    return replace(spec, output_sequence_length=length, padding=padding)
