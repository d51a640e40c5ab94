"""What a card says of a vectorizer becomes the spec that it means."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from scorer.card.vectorizer import VectorizerCard
from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer import Vectorizer, spec_from_config
from scorer.vectorizer.described import described_spec

TOKENIZER = {
    "class_name": "Tokenizer",
    "config": {"word_index": '{"a": 1, "b": 2, "à": 3}', "filters": "!", "lower": True},
}
INDEX = {"a": 1, "b": 2, "à": 3}
WORDS = ["", "[UNK]", "a", "b", "à"]
LAYER = spec_from_config({"standardize": None}, WORDS, None)


def ids(described: dict[str, Any], content: Any, text: str) -> list[int]:
    spec = described_spec(VectorizerCard(**described), content)
    return Vectorizer(spec)(pa.array([text])).ids.tolist()


@pytest.mark.parametrize(
    ("described", "content", "text", "wanted"),
    [
        ({"kind": "tokenizer"}, TOKENIZER, "A b!x À", [1, 2, 3]),
        ({"kind": "tokenizer", "replace": ["x+=>b"]}, TOKENIZER, "a xx", [1, 2]),
        ({"kind": "tokenizer", "sequence_length": 3}, TOKENIZER, "a b", [0, 1, 2]),
        ({"kind": "tokenizer", "sequence_length": 1}, TOKENIZER, "a b", [2]),
        (
            {"kind": "tokenizer", "sequence_length": 3, "padding": "post", "padding_id": 2},
            TOKENIZER,
            "a",
            [1, 2, 2],
        ),
        ({"kind": "word_index"}, INDEX, "A b", [2]),
        ({"kind": "word_index", "standardize": "lower"}, INDEX, "A À b", [1, 3, 2]),
        (
            {"kind": "word_index", "index_from": 3, "start_id": 1, "oov_id": 2, "num_words": 5},
            INDEX,
            "a b",
            [1, 4, 2],
        ),
        ({"kind": "vocabulary"}, WORDS, "A, b!", [2, 3]),
        ({"kind": "vocabulary", "standardize": "none"}, WORDS, "a, b", [1, 3]),
        ({"kind": "vocabulary", "standardize": "lower"}, WORDS, "A À", [2, 1]),
        ({"kind": "vocabulary", "sequence_length": 1}, WORDS, "a b", [2]),
        ({"kind": "textvectorization"}, LAYER, "a A", [2, 1]),
        ({"standardize": "lower", "replace": ["(a)=>\\1b "]}, LAYER, "Ab", [1, 3]),
        (
            {"kind": "textvectorization", "sequence_length": 2, "padding": "pre"},
            LAYER,
            "a",
            [0, 2],
        ),
    ],
)
def test_a_description_means_what_its_program_does(
    described: dict[str, Any], content: Any, text: str, wanted: list[int]
) -> None:
    assert ids(described, content, text) == wanted


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"kind": "tokenizer", "index_from": 3}, "index_from belongs to a word index"),
        ({"oov_id": 1}, "oov_id belongs to a word index, not to the archive"),
        ({"matrix": "count", "sequence_length": 3, "kind": "tokenizer"}, "has no sequence_length"),
        ({"matrix": "count", "padding": "pre", "kind": "tokenizer"}, "has no padding"),
        ({"kind": "pickle"}, "kind"),
        ({"replace": ["no arrow"]}, "replace"),
        ({"replace": ["a=>b"] * 33}, "replace"),
        ({"sequence_length": 0}, "sequence_length"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(
    described: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        VectorizerCard(**described)


@pytest.mark.parametrize(
    ("described", "content", "error", "message"),
    [
        ({"kind": "word_index", "matrix": "tfidf"}, INDEX, UnsupportedModel, "how many documents"),
        ({"kind": "vocabulary", "matrix": "freq"}, WORDS, UnsupportedModel, "the mode 'freq'"),
        ({"matrix": "count"}, LAYER, UnsupportedModel, "an output mode of its own"),
        (
            {"sequence_length": 5},
            spec_from_config({"output_sequence_length": 4}, WORDS, None),
            BundleError,
            "output_sequence_length=4, the card says sequence_length=5",
        ),
        (
            {"sequence_length": 5},
            spec_from_config({"output_mode": "count"}, WORDS[1:], None),
            BundleError,
            "makes a bag of words",
        ),
        (
            {"padding": "pre", "padding_id": 2},
            LAYER,
            BundleError,
            "padding and padding_id needs a number of ids for every row",
        ),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    described: dict[str, Any], content: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        described_spec(VectorizerCard(**described), content)


def test_a_side_of_padding_holds_for_the_layers_own_length() -> None:
    layer = spec_from_config({"output_sequence_length": 4}, WORDS, None)
    assert ids({"padding": "pre"}, layer, WORDS[2]) == [0, 0, 0, 2]
