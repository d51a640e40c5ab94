"""Which Keras layers the cpu engine runs, by whom each is built, and what it says of the others."""

from __future__ import annotations

from scorer.engines.cpu import (
    convolution,
    dense,
    embedding,
    merging,
    normalization,
    pooling,
    recurrent,
)
from scorer.engines.cpu.signals import Builder
from scorer.layers import KINDS, TRAINING_ONLY

BUILDERS: dict[str, Builder] = {
    "Embedding": embedding.embedding,
    "Dense": dense.dense,
    "Activation": dense.activation,
    "ReLU": dense.relu,
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), recurrent.recurrent),
    "Bidirectional": recurrent.bidirectional,
    "Conv1D": convolution.convolution,
    "GlobalMaxPooling1D": convolution.max_pooling,
    "GlobalAveragePooling1D": pooling.pool_means,
    "UnitNormalization": normalization.unit_normalization,
    **dict.fromkeys(merging.KINDS, merging.merge),
    "Identity": embedding.nothing,
    "Rescaling": embedding.rescaling,
    **dict.fromkeys(TRAINING_ONLY, embedding.nothing),
}
#: layers that it lacks, and how it says so after its name
LACKS: dict[str, str] = {name: "has no such layer" for name in KINDS if name not in BUILDERS}
#: layers whose builders look at `Signal.pending`, or leave it as it is
TAKE_PENDING = {"GlobalMaxPooling1D", "Identity", "Rescaling", *TRAINING_ONLY}
