"""A TextVectorization layer's settings as a VectorizerSpec.

The rules, from the layer's source (keras/src/layers/preprocessing) and TensorFlow's string kernels:
lower-casing touches A-Z alone; punctuation is the 32 ASCII signs, deleted where they stand ("don't"
becomes "dont"); white space is tab, line feed, vertical tab, form feed, carriage return and space;
"character" splits into code points. N-grams are tokens joined by a space: all of one size, then all
of the next, in the order of `ngrams`; a text with fewer tokens has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer.spec import MAX_NGRAM, OOV_TOKEN, VectorizerSpec
from scorer.vectorizer.words import Words

STANDARDIZE = (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")
_SPLIT = (None, "whitespace", "character")
_OUTPUT_MODES = ("int", "count", "multi_hot", "tf_idf")


# Every setting a TextVectorization config may hold, with the layer's own default.
_DEFAULTS: dict[str, Any] = {
    "name": None,
    "trainable": True,
    "dtype": None,
    "max_tokens": None,
    "standardize": "lower_and_strip_punctuation",
    "split": "whitespace",
    "ngrams": None,
    "output_mode": "int",
    "output_sequence_length": None,
    "pad_to_max_tokens": False,
    "sparse": False,
    "ragged": False,
    "vocabulary": None,
    "idf_weights": None,
    "encoding": "utf-8",
    "vocabulary_size": None,
}


def spec_from_config(
    config: Mapping[str, Any], vocabulary: Sequence[str], idf_weights: np.ndarray | None
) -> VectorizerSpec:
    """Check a TextVectorization layer as stored in a .keras archive.

    `vocabulary` is the config's list or the lines of the archive's vocabulary.txt, with or without
    the leading specials; `idf_weights` is the layer's variable in the archive, one weight for each
    column, or None. Raises UnsupportedModel for a setting that the vectorizer lacks, BundleError
    for a vocabulary or weights that Keras would refuse too.
    """
    unknown = sorted(set(config) - set(_DEFAULTS))
    if unknown:
        raise UnsupportedModel(f"TextVectorization has an unknown setting {unknown[0]!r}")
    settings = {**_DEFAULTS, **config}
    _check_choices(settings)
    _check_sizes(settings)
    spec = VectorizerSpec(
        standardize=settings["standardize"],
        split=settings["split"],
        output_mode=settings["output_mode"],
        output_sequence_length=settings["output_sequence_length"],
        vocabulary=_words(vocabulary, settings["output_mode"]),
        max_tokens=settings["max_tokens"],
        pad_to_max_tokens=settings["pad_to_max_tokens"],
        idf_weights=None if idf_weights is None else np.array(idf_weights, np.float32),
        ngrams=_sizes(settings["ngrams"], settings["split"]),
    )
    _check_fit(spec)
    return spec


def _check_choices(settings: Mapping[str, Any]) -> None:
    allowed: dict[str, tuple[Any, ...]] = {
        "standardize": STANDARDIZE,
        "split": _SPLIT,
        "output_mode": _OUTPUT_MODES,
        "sparse": (False, True),  # how a bag is held, not what it holds
        "ragged": (False,),
        "encoding": ("utf-8",),
        "pad_to_max_tokens": (False, True),
    }
    for name, choices in allowed.items():
        value = settings[name]
        # `is` for the booleans, since 0 == False; a value may be anything JSON can hold.
        if not any(value is c or (isinstance(c, str) and value == c) for c in choices):
            known = ", ".join(repr(c) for c in choices)
            raise UnsupportedModel(
                f"TextVectorization {name}={_short(value)} is not supported; supported: {known}"
            )
    if not isinstance(settings["vocabulary"], list | tuple | None):
        raise UnsupportedModel(
            f"TextVectorization vocabulary={_short(settings['vocabulary'])} is not supported; "
            "it must be a list of words"
        )


def _check_sizes(settings: Mapping[str, Any]) -> None:
    for name, least in (("output_sequence_length", 1), ("max_tokens", 2)):
        value = settings[name]
        if value is not None and (type(value) is not int or value < least):
            raise UnsupportedModel(
                f"TextVectorization {name}={_short(value)} is not supported; "
                f"it must be None or a whole number from {least}"
            )
    if settings["pad_to_max_tokens"] and settings["max_tokens"] is None:
        raise BundleError("TextVectorization has pad_to_max_tokens but no max_tokens")
    if settings["output_mode"] != "int" and settings["output_sequence_length"] is not None:
        raise BundleError("TextVectorization has output_sequence_length in a mode other than 'int'")


def _sizes(ngrams: Any, split: str | None) -> tuple[int, ...]:
    """The sizes of n-grams: N stands for 1 to N; several are taken as they come."""
    if ngrams is None:
        return (1,)
    sizes = ngrams if isinstance(ngrams, list | tuple) else [ngrams]
    good = all(type(size) is int and 1 <= size <= MAX_NGRAM for size in sizes)
    if not good or not 1 <= len(sizes) <= MAX_NGRAM:
        raise UnsupportedModel(
            f"TextVectorization ngrams={_short(ngrams)} is not supported; "
            f"it must be None, or whole numbers from 1 to {MAX_NGRAM}"
        )
    if split is None:
        raise UnsupportedModel(
            f"TextVectorization ngrams={_short(ngrams)} with split=None is not supported: "
            "the n-grams would join the texts of several rows"
        )
    return tuple(sizes) if sizes is ngrams else tuple(range(1, ngrams + 1))


def _words(vocabulary: Sequence[str], output_mode: str) -> Words:
    """The vocabulary without its leading specials, refused where Keras refuses it."""
    words = vocabulary if isinstance(vocabulary, Words) else _checked(vocabulary)
    # Keras takes the list through a NumPy string array, which drops trailing NULs.
    if b"\0" in words.data:
        words = Words.of(word.rstrip("\0") for word in words)
    specials = ("", OOV_TOKEN) if output_mode == "int" else (OOV_TOKEN,)
    if words[: len(specials)] == specials:
        words = words[len(specials) :]
    if not words:
        raise BundleError("the vocabulary of TextVectorization is empty")
    if words.has_empty:
        raise BundleError("the vocabulary has an empty word, which is reserved for padding")
    if not words.are_distinct:
        repeated = Counter(words).most_common(1)[0][0]
        raise BundleError(f"the vocabulary has {_short(repeated)} more than once")
    return words


def _checked(vocabulary: Sequence[str]) -> Words:
    """The words of a list, which may hold anything."""
    if isinstance(vocabulary, str):
        raise BundleError("the vocabulary of TextVectorization is a string, not a list of words")
    other = next((word for word in vocabulary if not isinstance(word, str)), None)
    if other is not None:
        raise BundleError(f"the vocabulary holds {_short(other)}, which is not a string")
    try:
        return Words.of(vocabulary)
    except UnicodeEncodeError:
        other = next(word for word in vocabulary if any("\ud800" <= c <= "\udfff" for c in word))
        raise BundleError(f"the vocabulary word {_short(other)} is not valid Unicode") from None


def _check_fit(spec: VectorizerSpec) -> None:
    """Vocabulary, max_tokens and weights must agree."""
    size = len(spec.vocabulary) + (2 if spec.output_mode == "int" else 1)
    if spec.max_tokens is not None and size > spec.max_tokens:
        raise BundleError(f"the vocabulary has {size} tokens, max_tokens is {spec.max_tokens}")
    if (spec.idf_weights is not None) != (spec.output_mode == "tf_idf"):
        raise BundleError(
            f"output_mode={spec.output_mode!r} with"
            f"{'out' if spec.idf_weights is None else ''} idf_weights"
        )
    if spec.idf_weights is not None:
        if spec.idf_weights.shape != (spec.columns,):
            raise BundleError(
                f"idf_weights has the shape {spec.idf_weights.shape}, not ({spec.columns},)"
            )
        if not np.isfinite(spec.idf_weights).all():
            raise BundleError("idf_weights has values that are not finite")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
