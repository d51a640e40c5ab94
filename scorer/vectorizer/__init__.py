"""Turns text into token ids as Keras' preprocessing does, over Arrow buffers.

spec.py               what a vectorizer is told, and a batch of ids
textvectorization.py  a TextVectorization layer's settings as a spec
keras_tokenizer.py    the same of `Tokenizer.to_json()`
word_index.py         the same of a word -> id mapping
preparation.py        letters lowered and patterns replaced, before a text is split
vectorizer.py         runs a spec: prepare, split, look up, start, cut and pad
lookup.py kernels.py  its tables and compiled loops
"""

from scorer.vectorizer.spec import (
    BAG_MODES,
    OOV_TOKEN,
    Padding,
    TokenBatch,
    VectorizerSpec,
)
from scorer.vectorizer.textvectorization import spec_from_config
from scorer.vectorizer.vectorizer import Vectorizer, expect_kernels

__all__ = [
    "BAG_MODES",
    "OOV_TOKEN",
    "Padding",
    "TokenBatch",
    "Vectorizer",
    "VectorizerSpec",
    "expect_kernels",
    "spec_from_config",
]
