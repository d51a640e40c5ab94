"""Text to token ids, as Keras' TextVectorization does it, over Arrow's buffers.

The rules, from the layer's source (keras/src/layers/preprocessing) and TensorFlow's string kernels:
lower-casing touches A-Z alone; punctuation is the 32 ASCII signs, deleted where they stand ("don't"
becomes "dont"); white space is tab, line feed, vertical tab, form feed, carriage return and space;
"character" splits into code points. Every rule is about single bytes, so one table of 256 actions
and one pass over the bytes serve all settings. N-grams are tokens joined by a space: all of one
size, then all of the next, in the order of `ngrams`; a text with fewer tokens has none.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from scorer.errors import BundleError, UnsupportedModel

if TYPE_CHECKING:
    import pyarrow as pa

OOV_TOKEN = "[UNK]"
_STANDARDIZE = (None, "lower", "strip_punctuation", "lower_and_strip_punctuation")
_SPLIT = (None, "whitespace", "character")
_OUTPUT_MODES = ("int", "count", "multi_hot", "tf_idf")
_WHITESPACE = b"\t\n\v\f\r "
MAX_NGRAM = 16  # tokens of an n-gram, and sizes of n-grams

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


@dataclass(frozen=True, eq=False)
class VectorizerSpec:
    """A TextVectorization layer's settings, checked. Made by `spec_from_config`.

    `vocabulary` holds the words without the specials: word i has the id i + 2 (0 is padding, 1 an
    unknown word). In the bag modes it is column i + 1 of `columns`, column 0 counts unknown words;
    `idf_weights` (columns,) float32 is there in mode "tf_idf" alone. `ngrams` are the sizes that
    are looked up, in order; a "word" of the vocabulary may then be several, joined by spaces.
    """

    standardize: str | None
    split: str | None
    output_mode: str
    output_sequence_length: int | None
    vocabulary: tuple[str, ...]
    max_tokens: int | None = None
    pad_to_max_tokens: bool = False
    idf_weights: np.ndarray | None = None
    ngrams: tuple[int, ...] = (1,)

    @property
    def columns(self) -> int:
        """Width of the output in a bag mode."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        return len(self.vocabulary) + 1

    @property
    def token_kind(self) -> str:
        """What its tokens are, for people."""
        return "characters" if self.split == "character" else "words"

    def ids_of(self, n_tokens: np.ndarray) -> np.ndarray:
        """How many ids texts of so many tokens have before the cut to output_sequence_length."""
        counts: np.ndarray = sum(
            (np.maximum(n_tokens - (size - 1), 0) for size in self.ngrams), np.zeros_like(n_tokens)
        )
        return counts


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The token ids of some rows, one row after another, without padding.

    ids       int32 (total,)     kept tokens or n-grams; 1 is unknown, 2 the vocabulary's first
    offsets   int64 (rows + 1,)  row r has ids[offsets[r]:offsets[r + 1]]
    n_tokens  int32 (rows,)      tokens in the text, before the cut to output_sequence_length;
                                 single ones, whatever n-grams are looked up
    n_oov     int32 (rows,)      how many of those n_tokens are no entry of the vocabulary
    """

    ids: np.ndarray
    offsets: np.ndarray
    n_tokens: np.ndarray
    n_oov: np.ndarray


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


class Vectorizer:
    """Calls turn texts into a TokenBatch. Safe to share between threads; a call holds no GIL while
    it works and uses one core.

    A text without tokens (null, empty, punctuation only) gives an empty row. With `split=None` the
    whole text is one token, and an empty one none, which Keras maps to its padding id.
    """

    def __init__(self, spec: VectorizerSpec) -> None:
        # Here, not above: Numba takes a second to import, and a spec alone does not need it.
        from scorer import vectorizer_kernels as kernels

        self._tokenize = kernels.tokenize
        self._actions = _byte_actions(spec.standardize, spec.split, kernels.KEEP, kernels.BREAK)
        self._limit = spec.output_sequence_length or np.iinfo(np.int64).max
        words, ids, ngrams = _words_and_ngrams(spec)
        starts, entries = _pack(words, ids)
        self._longest = int(np.diff(starts).max(initial=1)) - 1
        self._sizes = np.array(spec.ngrams, np.int64)
        slots = kernels.build_slots(starts[:-1], entries)
        paths = kernels.build_paths(*_places(ngrams, words, starts), len(entries))
        self._tables = (slots, entries, paths)

    def __call__(self, texts: pa.Array) -> TokenBatch:
        """`texts` is any kind of Arrow string Array (dictionary and view types are cast)."""
        data, offsets = _string_buffers(texts)
        return TokenBatch(
            *self._tokenize(
                data,
                offsets,
                self._actions,
                self._limit,
                self._longest,
                self._sizes,
                self._tables,
            )
        )


def _check_choices(settings: Mapping[str, Any]) -> None:
    allowed: dict[str, tuple[Any, ...]] = {
        "standardize": _STANDARDIZE,
        "split": _SPLIT,
        "output_mode": _OUTPUT_MODES,
        "sparse": (False,),
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


def _words(vocabulary: Sequence[str], output_mode: str) -> tuple[str, ...]:
    """The vocabulary without its leading specials, refused where Keras refuses it."""
    if isinstance(vocabulary, str):
        raise BundleError("the vocabulary of TextVectorization is a string, not a list of words")
    for word in vocabulary:
        if not isinstance(word, str):
            raise BundleError(f"the vocabulary holds {_short(word)}, which is not a string")
        if not word.isascii() and any("\ud800" <= c <= "\udfff" for c in word):
            raise BundleError(f"the vocabulary word {_short(word)} is not valid Unicode")
    # Keras takes the list through a NumPy string array, which drops trailing NULs.
    words = tuple(word.rstrip("\0") for word in vocabulary)
    specials = ("", OOV_TOKEN) if output_mode == "int" else (OOV_TOKEN,)
    if words[: len(specials)] == specials:
        words = words[len(specials) :]
    if not words:
        raise BundleError("the vocabulary of TextVectorization is empty")
    if "" in words:
        raise BundleError("the vocabulary has an empty word, which is reserved for padding")
    if len(set(words)) < len(words):
        repeated = Counter(words).most_common(1)[0][0]
        raise BundleError(f"the vocabulary has {_short(repeated)} more than once")
    return words


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


def _byte_actions(standardize: str | None, split: str | None, keep: int, brk: int) -> np.ndarray:
    """What each of the 256 bytes does, uint16 (256,): see `vectorizer_kernels.tokenize`."""
    actions = np.arange(256, dtype=np.uint16) | keep
    if split == "character":  # every byte but UTF-8's continuation bytes starts a code point
        actions[[b for b in range(256) if b & 0xC0 != 0x80]] |= brk
    if split == "whitespace":
        actions[list(_WHITESPACE)] = brk
    if standardize in ("lower", "lower_and_strip_punctuation"):
        actions[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
    if standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
        actions[list(string.punctuation.encode())] = 0
    return actions


def _words_and_ngrams(
    spec: VectorizerSpec,
) -> tuple[list[str], list[int], dict[tuple[str, ...], int]]:
    """The tokens that count, with their ids, and the n-grams of two or more by their tokens.

    A token that is only part of n-grams has the id 1. An entry that is no n-gram of a size that is
    looked up is left out, since no text has it.
    """
    if spec.ngrams == (1,):
        return list(spec.vocabulary), list(range(2, len(spec.vocabulary) + 2)), {}
    split = _characters if spec.split == "character" else _spaced
    parts = {split(word): index for index, word in enumerate(spec.vocabulary, start=2)}
    ngrams = {p: index for p, index in parts.items() if len(p) > 1 and len(p) in spec.ngrams}
    words = {p[0]: index for p, index in parts.items() if len(p) == 1}
    for word in chain.from_iterable(ngrams):
        words.setdefault(word, 1)
    return list(words), list(words.values()), ngrams


def _spaced(ngram: str) -> tuple[str, ...]:
    return tuple(ngram.split(" "))


def _characters(ngram: str) -> tuple[str, ...]:
    """The characters that are joined by spaces, some of which may be spaces; () for other texts."""
    joined = len(ngram) % 2 and not ngram[1::2].strip(" ")
    return tuple(ngram[::2]) if joined else ()


def _pack(words: Sequence[str], ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Starts int64 (words + 1,) and entries uint64, as vectorizer_kernels has them."""
    encoded = [word.encode() for word in words]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    starts = np.ones(len(encoded) + 1, np.int64)  # no entry begins at 0
    starts[1:] += np.cumsum(1 + (lengths + 7) // 8)
    packed = np.zeros(8 * starts[-1], np.uint8)
    shift = 8 * (starts[:-1] + 1) - (np.cumsum(lengths) - lengths)  # what comes before each word
    packed[np.arange(lengths.sum()) + np.repeat(shift, lengths)] = np.frombuffer(
        b"".join(encoded), np.uint8
    )
    entries = packed.view("<u8").astype(np.uint64)
    entries[starts[:-1]] = (lengths.astype(np.uint64) << np.uint64(32)) | np.array(ids, np.uint64)
    return starts, entries


def _places(
    ngrams: Mapping[tuple[str, ...], int], words: Sequence[str], starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The n-grams as vectorizer_kernels.build_paths takes them."""
    place = dict(zip(words, starts.tolist(), strict=False))
    places = np.fromiter(map(place.__getitem__, chain.from_iterable(ngrams)), np.int64)
    ends = np.cumsum(np.fromiter(map(len, ngrams), np.int64, len(ngrams)))
    return places, ends, np.fromiter(ngrams.values(), np.int64, len(ngrams))


def _string_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Bytes uint8 (bytes,) and offsets int64 (rows + 1,) of a string Array; nulls become empty."""
    import pyarrow as pa

    if not isinstance(texts, pa.Array):
        raise TypeError(f"expected an Arrow Array of strings, not {type(texts).__name__}")
    if not pa.types.is_string(texts.type) and not pa.types.is_large_string(texts.type):
        value_type = texts.type.value_type if pa.types.is_dictionary(texts.type) else texts.type
        if value_type not in (pa.string(), pa.large_string(), pa.string_view(), pa.null()):
            raise TypeError(f"expected an Arrow Array of strings, not of {texts.type}")
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")  # a null's slot may hold bytes
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offset_buffer, data = texts.buffers()
    width = np.int32 if pa.types.is_string(texts.type) else np.int64
    offsets = np.frombuffer(offset_buffer, width, len(texts) + 1, texts.offset * width().itemsize)
    return np.frombuffer(data or b"", np.uint8), offsets.astype(np.int64)
