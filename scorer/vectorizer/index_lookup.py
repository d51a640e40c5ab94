"""The settings of StringLookup, IntegerLookup and Hashing as a VectorizerSpec.

The rules, from the layers' source (keras/src/layers/preprocessing). Of a lookup: ids begin with the
mask token, if there is one, then come `num_oov_indices` for unknown values, then the words. In the
modes that count, the mask token has no column. Of Hashing: the mask value has the bin 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer.categories import MOST_NUMBER, NO_ID
from scorer.vectorizer.spec import Buckets, Category, Padding, VectorizerSpec

LOOKUPS = ("StringLookup", "IntegerLookup", "Hashing")
MAX_BUCKETS = 5_000_000
_MODES = {"int": "int", "one_hot": "count", "multi_hot": "multi_hot", "count": "count"}
_RENAMED = {"binary": "multi_hot"}

#: every setting that a lookup may hold, with its default
_COMMON: dict[str, Any] = {
    "name": None,
    "trainable": True,
    "dtype": None,
    "output_mode": "int",
    "sparse": False,
    "salt": None,
}
_LOOKUP: dict[str, Any] = {
    **_COMMON,
    "max_tokens": None,
    "num_oov_indices": 1,
    "mask_token": None,
    "oov_token": None,
    "vocabulary": None,
    "vocabulary_dtype": None,
    "vocabulary_size": None,
    "has_input_vocabulary": None,
    "idf_weights": None,
    "invert": False,
    "pad_to_max_tokens": False,
    "encoding": "utf-8",
    "oov_method": "floormod",
}
_HASHING: dict[str, Any] = {**_COMMON, "num_bins": None, "mask_value": None}


def spec_from_lookup(
    kind: str, config: Mapping[str, Any], vocabulary: Sequence[Any] | None, *, numeric: bool
) -> VectorizerSpec:
    """Check a layer of LOOKUPS as stored in an archive.

    vocabulary   the config's list or the lines of the archive's vocabulary.txt, special tokens
                 included where the archive has them; Hashing has none
    numeric      what it reads are numbers, not texts
    Raises UnsupportedModel for a setting that is not run, BundleError for what Keras would refuse.
    """
    defaults = _HASHING if kind == "Hashing" else _LOOKUP
    where = f"layer {str(config.get('name'))[:60]} ({kind})"
    for name in config:
        if name not in defaults:
            raise UnsupportedModel(f"{where}: the setting {name[:60]!r} is not supported")
    settings = {**defaults, **config}
    settings["output_mode"] = _RENAMED.get(str(settings["output_mode"]), settings["output_mode"])
    _check_common(where, settings)
    if kind == "Hashing":
        return _hashing(where, settings, numeric=numeric)
    if numeric != (kind == "IntegerLookup"):
        raise UnsupportedModel(f"{where}: its input takes {'numbers' if numeric else 'texts'}")
    return _lookup(where, settings, vocabulary or (), numeric=numeric)


def _check_common(where: str, settings: Mapping[str, Any]) -> None:
    mode = settings["output_mode"]
    if not isinstance(mode, str) or mode not in _MODES:
        raise UnsupportedModel(
            f"{where}: output_mode={mode!r:.40} is not supported: a row has one value, for which "
            "one_hot does as well"
        )
    if settings["sparse"] is not False:
        raise UnsupportedModel(f"{where}: sparse=True is not supported: save it with sparse=False")


def _hashing(where: str, settings: Mapping[str, Any], *, numeric: bool) -> VectorizerSpec:
    bins, mask = settings["num_bins"], settings["mask_value"]
    if type(bins) is not int or not 0 < bins <= MAX_BUCKETS:
        raise BundleError(f"{where}: num_bins={bins!r:.40} is not a whole number from 1")
    masked = mask is not None and bins > 1
    buckets = Buckets(bins - masked, int(masked), salt=_salt(where, settings["salt"]))
    words = (_key(where, mask, numeric=numeric),) if masked else ()
    return _spec(where, settings, words, np.zeros(len(words)), bins, (None, buckets), numeric)


def _lookup(
    where: str, settings: Mapping[str, Any], vocabulary: Sequence[Any], *, numeric: bool
) -> VectorizerSpec:
    _check_lookup(where, settings)
    mode, mask, unknown = settings["output_mode"], settings["mask_token"], _unknown(where, settings)
    first = int(mask is not None and mode == "int")
    words = [_key(where, word, numeric=numeric) for word in vocabulary]
    masks = [] if mask is None else [_key(where, mask, numeric=numeric)]
    special = masks[:first] + [str(settings["oov_token"])] * unknown
    if words[: len(special)] == special:
        words = words[len(special) :]
    if not words:
        raise BundleError(f"{where}: its vocabulary is empty")
    if len(set(masks + words)) < len(masks) + len(words):
        raise BundleError(f"{where}: its vocabulary has a word twice")
    begin = first + unknown
    ids = np.arange(begin, begin + len(words))
    width = begin + len(words)
    if settings["pad_to_max_tokens"]:
        width = max(width, settings["max_tokens"])
    modulo = numeric and settings["oov_method"] == "floormod"
    buckets = Buckets(unknown, first, modulo, _salt(where, settings["salt"]))
    unseen = (first if unknown == 1 else None, buckets if unknown > 1 else None)
    own = np.concatenate([[0 if first else NO_ID] * len(masks), ids])
    return _spec(where, settings, (*masks, *words), own, width, unseen, numeric)


def _check_lookup(where: str, settings: Mapping[str, Any]) -> None:
    fixed: dict[str, tuple[Any, ...]] = {
        "invert": (False,),
        "idf_weights": (None,),
        "encoding": ("utf-8",),
        "oov_method": ("floormod", "farmhash"),
        "vocabulary_dtype": (None, "int64", "string"),
        "pad_to_max_tokens": (False, True),
    }
    for name, choices in fixed.items():
        if not any(settings[name] is c or settings[name] == c for c in choices):
            raise UnsupportedModel(f"{where}: {name}={settings[name]!r:.40} is not supported")
    most = settings["max_tokens"]
    if most is not None and (type(most) is not int or not 1 < most <= MAX_BUCKETS):
        raise BundleError(f"{where}: max_tokens={most!r:.40} is not a whole number from 2")
    if settings["pad_to_max_tokens"] and most is None:
        raise BundleError(f"{where}: pad_to_max_tokens without max_tokens")


def _unknown(where: str, settings: Mapping[str, Any]) -> int:
    """How many ids unknown values have."""
    count = settings["num_oov_indices"]
    if type(count) is not int or not 0 <= count <= MAX_BUCKETS:
        raise BundleError(f"{where}: num_oov_indices={count!r:.40} is not a whole number from 0")
    return count


def _salt(where: str, salt: Any) -> tuple[int, int] | None:
    if salt is None:
        return None
    parts = salt if isinstance(salt, list) else [salt, salt]
    if len(parts) != 2 or not all(type(part) is int and abs(part) < 1 << 64 for part in parts):
        raise BundleError(f"{where}: salt={salt!r:.40} is neither a whole number nor two of them")
    return parts[0], parts[1]


def _key(where: str, word: Any, *, numeric: bool) -> str:
    """A word as values are compared with it."""
    if not numeric:
        if not isinstance(word, str):
            raise BundleError(f"{where}: its vocabulary holds {word!r:.40}, which is not a text")
        if not word.isascii() and any("\ud800" <= c <= "\udfff" for c in word):
            raise BundleError(f"{where}: its vocabulary word {word!r:.40} is not valid Unicode")
        return word
    try:
        number = int(word) if isinstance(word, str) and len(word) < 24 else word
    except ValueError:
        number = None
    if type(number) is not int or abs(number) >= MOST_NUMBER:
        raise BundleError(f"{where}: its vocabulary holds {word!r:.40}, no whole number below 2^53")
    return str(number)


def _spec(
    where: str,
    settings: Mapping[str, Any],
    words: tuple[str, ...],
    ids: np.ndarray,
    width: int,
    unseen: tuple[int | None, Buckets | None],
    numeric: bool,
) -> VectorizerSpec:
    """unseen: the id of all unknown values, or the buckets that they are put into."""
    mode = settings["output_mode"]
    return VectorizerSpec(
        standardize=None,
        split=None,
        output_mode=_MODES[mode],
        output_sequence_length=1 if mode == "int" else None,
        vocabulary=words,
        word_ids=np.asarray(ids, np.int32),
        unknown_id=unseen[0],
        width=None if mode == "int" else width,
        category=Category(where.removeprefix("layer "), numeric, unseen[1]),
    )


def of_values(spec: VectorizerSpec, values: int) -> VectorizerSpec:
    """The lookup of so many values side by side, each of a column of its own."""
    length = values if spec.output_mode == "int" else None
    return replace(spec, output_sequence_length=length)


def of_words(spec: VectorizerSpec, length: int | None) -> VectorizerSpec:
    """The lookup of the words of a text, which a program splits before it gives them to the model.

    At white space; into characters where the space is a word. Short rows are filled with the empty
    text, as the programs do it that make rows of one length.
    Raises UnsupportedModel where unknown words are hashed or have no id.
    """
    assert spec.category is not None
    assert spec.word_ids is not None
    if spec.unknown_id is None:
        raise UnsupportedModel(
            f"layer {spec.category.layer}: it looks up the words of a text, and runs with "
            "num_oov_indices=1 alone"
        )
    ids = dict(zip(spec.vocabulary, spec.word_ids.tolist(), strict=True))
    empty = ids.pop("", spec.unknown_id)
    if spec.output_mode != "int" and empty != NO_ID:
        raise UnsupportedModel(
            f"layer {spec.category.layer}: it counts the words of a text, and the empty ones that "
            "fill a row with them: give it mask_token=''"
        )
    return replace(
        spec,
        split="character" if " " in ids else "whitespace",
        vocabulary=tuple(ids),
        word_ids=np.array(list(ids.values()), np.int32),
        output_sequence_length=length if spec.output_mode == "int" else None,
        padding=Padding(value=max(empty, 0)),
        category=None,
    )
