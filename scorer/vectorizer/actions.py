"""What each byte of a text does to its tokens."""

from __future__ import annotations

import string

import numpy as np

from scorer.vectorizer.spec import VectorizerSpec

_WHITESPACE = b"\t\n\v\f\r "


def byte_actions(spec: VectorizerSpec, keep: int, brk: int) -> np.ndarray:
    """What each of the 256 bytes does, uint16 (256,): see `kernels.tokenize`."""
    actions = np.arange(256, dtype=np.uint16) | keep
    if spec.split == "character":  # every byte but UTF-8's continuation bytes starts a code point
        actions[[b for b in range(256) if b & 0xC0 != 0x80]] |= brk
    if spec.split == "whitespace":
        actions[list(_WHITESPACE)] = brk
    actions[list(spec.separators)] = brk
    if spec.standardize in ("lower", "lower_and_strip_punctuation"):
        actions[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
    if spec.standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
        actions[list(string.punctuation.encode())] = 0
    return actions
