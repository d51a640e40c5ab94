"""What turns a text into ids or a bag: settings that any of the readers makes, and a batch of ids.

A VectorizerSpec comes from a TextVectorization layer (textvectorization.py), from Keras' Tokenizer
(keras_tokenizer.py) or from a word index (word_index.py). The steps are the same for all:

    prepare -> split into tokens -> look each up -> start, cut and pad
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from scorer.vectorizer.preparation import Preparation

OOV_TOKEN = "[UNK]"
MAX_NGRAM = 16  # tokens of an n-gram, and sizes of n-grams

#: what a bag holds of a token that occurs c times in a text of n tokens
BAG_MODES = ("count", "multi_hot", "tf_idf", "freq", "log_tf_idf")
Side = Literal["pre", "post"]


@dataclass(frozen=True)
class Padding:
    """How a row of ids gets its fixed length, as `keras.utils.pad_sequences` does it.

    side        where `value` is put: before ("pre") or after ("post") the ids
    truncating  which end of a longer row is cut off
    masked      every layer skips padding and other zeros: rows keep their own length, without them
    """

    side: Side = "post"
    truncating: Side = "post"
    value: int = 0
    masked: bool = False

    @property
    def is_implied(self) -> bool:
        """Whether rows are stored without their padding: it is zeros at the end, or not read."""
        return self.masked or (self.side == "post" and self.value == 0)


@dataclass(frozen=True)
class Buckets:
    """Where unknown values go: `count` ids from `first`, by a hash of the value.

    modulo  a whole number's remainder is the hash
    salt    of SipHash; None: FarmHash's fingerprint
    """

    count: int
    first: int = 0
    modulo: bool = False
    salt: tuple[int, int] | None = None


@dataclass(frozen=True)
class Category:
    """What a lookup is, which takes a column's values as they are: one value, one id.

    layer    its name, for messages
    numeric  values are whole numbers, not texts
    buckets  for values that are no word; None: they have the spec's `unknown_id`
    """

    layer: str
    numeric: bool = False
    buckets: Buckets | None = None


@dataclass(frozen=True, eq=False)
class VectorizerSpec:
    """Checked settings.

    standardize, split   of single bytes, as TextVectorization names them
    output_mode          "int" (ids) or one of BAG_MODES (`columns` numbers a row)
    output_sequence_length   ids of every row, its padding included; None: rows keep their length
    vocabulary           the words that have an id of their own, without the special ones
    max_tokens, pad_to_max_tokens   of TextVectorization: a bag may be wider than its vocabulary
    idf_weights          float32 (columns,), in the modes "tf_idf" and "log_tf_idf" alone
    ngrams               sizes that are looked up, in order; a "word" of the vocabulary may then be
                         several, joined by spaces
    separators           further bytes that end a token and belong to none
    preparation          what is done to a text before it is split
    word_ids             int32 (words,), the id of each word, or its column in a bag; None: word i
                         has the id i + 2, or the column i + 1
    unknown_id           id or column of other tokens; None: they are left out. Without `word_ids`
                         it is 1, or the column 0
    start_id             an id that comes before every text's own
    width                columns of a bag; None: as many as the vocabulary needs
    padding              how rows get `output_sequence_length`
    category             texts are not split: each is a value that is looked up as it is, an empty
                         one too (see categories.py). A row without an id is then not scored
    """

    standardize: str | None
    split: str | None
    output_mode: str
    output_sequence_length: int | None
    vocabulary: Sequence[str]
    max_tokens: int | None = None
    pad_to_max_tokens: bool = False
    idf_weights: np.ndarray | None = None
    ngrams: tuple[int, ...] = (1,)
    separators: bytes = b""
    preparation: Preparation = field(default_factory=Preparation)
    word_ids: np.ndarray | None = None
    unknown_id: int | None = 1
    start_id: int | None = None
    width: int | None = None
    padding: Padding = field(default_factory=Padding)
    category: Category | None = None

    @property
    def columns(self) -> int:
        """Width of the output in a bag mode."""
        if self.width is not None:
            return self.width
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        return len(self.vocabulary) + 1

    @property
    def id_count(self) -> int:
        """One more than the largest id that a row can hold: the rows that an Embedding needs."""
        if self.word_ids is None:
            largest = [len(self.vocabulary) + 1]
        else:
            largest = [int(self.word_ids.max(initial=0)), self.unknown_id or 0]
        if self.category is not None and self.category.buckets is not None:
            largest.append(self.category.buckets.first + self.category.buckets.count - 1)
        return max(*largest, self.start_id or 0, self.padding.value) + 1

    @property
    def has_zero_words(self) -> bool:
        """Whether an id 0, which a mask skips, may stand for something else than padding."""
        zero_word = self.word_ids is not None and bool((self.word_ids == 0).any())
        buckets = self.category.buckets if self.category else None
        zero_bucket = buckets is not None and buckets.first == 0
        return zero_word or zero_bucket or self.unknown_id == 0 or self.start_id == 0

    @property
    def token_kind(self) -> str:
        """What its tokens are, for people."""
        if self.category is not None:
            return "values"
        return "characters" if self.split == "character" else "words"

    def ids_of(self, n_tokens: np.ndarray) -> np.ndarray:
        """How many ids texts of so many tokens have before the cut to output_sequence_length,
        where no token is left out."""
        counts: np.ndarray = sum(
            (np.maximum(n_tokens - (size - 1), 0) for size in self.ngrams), np.zeros_like(n_tokens)
        )
        return counts + (self.start_id is not None)


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The token ids of some rows, one row after another, without padding that is implied.

    ids       int32 (total,)     kept tokens or n-grams, as `VectorizerSpec.word_ids` numbers them;
                                 for a bag, one more than the column
    offsets   int64 (rows + 1,)  row r has ids[offsets[r]:offsets[r + 1]]
    n_tokens  int32 (rows,)      tokens in the text, before the cut to output_sequence_length;
                                 single ones, whatever n-grams are looked up
    n_oov     int32 (rows,)      how many of those n_tokens are no entry of the vocabulary
    truncated bool (rows,)       whether the cut left ids out; None: no row was cut
    """

    ids: np.ndarray
    offsets: np.ndarray
    n_tokens: np.ndarray
    n_oov: np.ndarray
    truncated: np.ndarray | None = None
