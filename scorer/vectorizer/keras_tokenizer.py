"""`Tokenizer.to_json()` as a VectorizerSpec.

The rules, from keras/preprocessing/text.py of Keras 2: lower-case (`str.lower`), each of `filters`
becomes `split`, tokens are what lies between; with `char_level` every character is a token and the
filters do nothing. A word beyond `num_words` counts as unknown. An unknown word becomes the id of
`oov_token`, or is left out without one. `texts_to_matrix` has a column for each id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer.preparation import Lower, Preparation, Replace, Step
from scorer.vectorizer.spec import VectorizerSpec
from scorer.vectorizer.word_index import numbered, ranks_of

#: a matrix mode of Keras' Tokenizer -> the bag mode
MATRIX_MODES = {
    "binary": "multi_hot",
    "count": "count",
    "freq": "freq",
    "tfidf": "log_tf_idf",
}


def spec_from_tokenizer(
    document: Any, preparation: Preparation | None = None, output_mode: str = "int"
) -> VectorizerSpec:
    """Check what `Tokenizer.to_json()` wrote, parsed once. `preparation` is done before it.

    Raises BundleError for what Keras could not have written, UnsupportedModel for a setting that
    the vectorizer lacks.
    """
    config = _config(document)
    words, ranks = ranks_of(_inner(config, "word_index"), "the tokenizer's word_index")
    num_words = _whole(config, "num_words")
    oov = config.get("oov_token")
    if oov is not None and not isinstance(oov, str):
        raise BundleError(f"the tokenizer's oov_token is {oov!r:.40}, not a word")
    unknown = dict(zip(words, ranks.tolist(), strict=True)).get(oov) if oov is not None else None
    if oov is not None and unknown is None:
        raise BundleError(f"the tokenizer's word_index lacks its oov_token {oov!r:.40}")
    kept, ids = numbered(words, ranks, num_words)
    characters = config.get("char_level", False)
    steps, separators = _splitting(config, characters=bool(characters))
    width = num_words or len(words) + 1
    if output_mode != "int" and int(ids.max()) >= width:
        raise BundleError(f"the tokenizer has the id {ids.max()}, its matrix {width} columns")
    return VectorizerSpec(
        standardize=None,
        split="character" if characters else None,
        output_mode=output_mode,
        output_sequence_length=None,
        vocabulary=kept,
        idf_weights=_idf(config, width) if output_mode == "log_tf_idf" else None,
        separators=separators,
        preparation=(preparation or Preparation()).then(*steps),
        word_ids=ids,
        unknown_id=unknown,
        width=None if output_mode == "int" else width,
    )


def _config(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping) or document.get("class_name") != "Tokenizer":
        raise BundleError("the file does not hold what Tokenizer.to_json() writes")
    config = document.get("config")
    if not isinstance(config, Mapping):
        raise BundleError("the tokenizer has no config")
    return config


def _inner(config: Mapping[str, Any], key: str) -> Any:
    """A mapping that Keras writes as JSON inside the JSON."""
    value = config.get(key)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"the tokenizer's {key} is not JSON") from error


def _whole(config: Mapping[str, Any], key: str) -> int | None:
    """A setting that is a whole number or absent; Keras takes 0 for absent."""
    value = config.get(key)
    if value is not None and (type(value) is not int or value < 0):
        raise BundleError(f"the tokenizer's {key} is {value!r:.40}, not a whole number")
    return value or None


def _splitting(config: Mapping[str, Any], *, characters: bool) -> tuple[list[Step], bytes]:
    """What is done to a text before it is split, and the bytes that split it."""
    lower, split = config.get("lower", True), config.get("split", " ")
    filters = config.get("filters") or ""
    if not isinstance(filters, str) or not isinstance(lower, bool):
        raise BundleError("the tokenizer's filters and lower are not a text and true or false")
    steps: list[Step] = [Lower(unicode=True)] if lower else []
    if characters:
        return steps, b""
    if not isinstance(split, str) or len(split) != 1 or not split.isascii():
        raise UnsupportedModel(
            f"the tokenizer splits at {split!r:.40}: only one ASCII character is supported"
        )
    wide = sorted({sign for sign in filters if not sign.isascii()})
    if wide:
        steps.append(Replace(f"[{re.escape(''.join(wide))}]", split))
    narrow = {sign for sign in filters if sign.isascii()}
    return steps, "".join(sorted(narrow | {split})).encode()


def _idf(config: Mapping[str, Any], width: int) -> np.ndarray:
    """float32 (width,): log(1 + documents / (1 + documents with the word)) for each id."""
    documents = _whole(config, "document_count")
    if documents is None:
        raise BundleError("the tokenizer counted no documents, which the mode tfidf needs")
    found = _inner(config, "index_docs")
    if not isinstance(found, Mapping):
        raise BundleError("the tokenizer's index_docs is not a mapping")
    counts = np.zeros(width)
    for key, count in found.items():
        if not str(key).isdecimal() or type(count) is not int or count < 0:
            raise BundleError("the tokenizer's index_docs does not map ids to whole numbers")
        if int(key) < width:
            counts[int(key)] = count
    return np.log(1 + documents / (1 + counts)).astype(np.float32)
