"""Turns text into token ids as Keras' preprocessing does, over Arrow buffers.

spec.py               what a vectorizer is told, and a batch of ids
textvectorization.py  a TextVectorization layer's settings as a spec
keras_tokenizer.py    the same of `Tokenizer.to_json()`
word_index.py         the same of a word -> id mapping
index_lookup.py       the same of StringLookup, IntegerLookup and Hashing
preparation.py        letters lowered and patterns replaced, before a text is split
vectorizer.py         runs a spec: prepare, split, look up, start, cut and pad
words.py              a vocabulary's words, in one piece of memory
building.py kernels.py actions.py
                      its tables and compiled loops, and what each byte does
described.py          a spec of what a card says
categories.py         runs a spec whose values are not split: a column's categories
hashing.py            the hash functions that Keras puts strings into buckets by
"""

from scorer.vectorizer.categories import MOST_NUMBER, Categories
from scorer.vectorizer.index_lookup import LOOKUPS, of_values, of_words, spec_from_lookup
from scorer.vectorizer.spec import (
    BAG_MODES,
    OOV_TOKEN,
    Category,
    Padding,
    TokenBatch,
    VectorizerSpec,
)
from scorer.vectorizer.textvectorization import spec_from_config
from scorer.vectorizer.vectorizer import Vectorizer, expect_kernels

__all__ = [
    "BAG_MODES",
    "LOOKUPS",
    "MOST_NUMBER",
    "OOV_TOKEN",
    "Categories",
    "Category",
    "Padding",
    "TokenBatch",
    "Vectorizer",
    "VectorizerSpec",
    "expect_kernels",
    "of_values",
    "of_words",
    "spec_from_config",
    "spec_from_lookup",
]
