"""Which Keras layers the cpu engine runs, by whom each is built, and what it says of the others."""

from __future__ import annotations

from scorer.engines.cpu.signals import Builder
from scorer.engines.cpu.steps import (
    attention,
    convolution,
    dense,
    embedding,
    merging,
    normalization,
    operations,
    planes,
    pooling,
    recurrent,
    reshaping,
)
from scorer.layers import KINDS, TRAINING_ONLY

#: those that know sequences and vectors; a block of vectors is made a sequence for them
_OF_SEQUENCES: dict[str, Builder] = {
    "Embedding": embedding.embedding,
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), recurrent.recurrent),
    "Bidirectional": recurrent.bidirectional,
    "Conv1D": convolution.convolution,
    "DepthwiseConv1D": convolution.convolution,
    "SeparableConv1D": convolution.convolution,
    "GlobalMaxPooling1D": convolution.max_pooling,
    "GlobalAveragePooling1D": pooling.pool_means,
    "MaxPooling1D": convolution.max_windows,
    "AveragePooling1D": pooling.pool_windows,
}
#: those that take a tensor of any shape
_OF_BLOCKS: dict[str, Builder] = {
    "Dense": dense.dense,
    "TimeDistributed": dense.at_each_position,
    "Activation": dense.activation,
    "ReLU": dense.relu,
    "LeakyReLU": dense.leaky_relu,
    "ELU": dense.elu,
    "Softmax": reshaping.softmax,
    "PReLU": reshaping.prelu,
    "UnitNormalization": normalization.unit_normalization,
    "BatchNormalization": normalization.batch_normalization,
    "LayerNormalization": normalization.layer_normalization,
    "RMSNormalization": normalization.layer_normalization,
    "GroupNormalization": normalization.group_normalization,
    "Normalization": normalization.normalization,
    "Rescaling": normalization.rescaling,
    **dict.fromkeys(merging.KINDS, merging.merge),
    "Dot": merging.dot,
    "Flatten": reshaping.shaped,
    "Reshape": reshaping.shaped,
    "Permute": reshaping.permute,
    "RepeatVector": reshaping.repeat_vector,
    "ZeroPadding1D": reshaping.zero_padding,
    "Cropping1D": reshaping.cropping,
    "UpSampling1D": reshaping.upsampling,
    "Conv2D": planes.convolution_2d,
    "MaxPooling2D": planes.pool_windows_2d,
    "AveragePooling2D": planes.pool_windows_2d,
    "GlobalMaxPooling2D": planes.pool_plane,
    "GlobalAveragePooling2D": planes.pool_plane,
    "Attention": attention.attention,
    "AdditiveAttention": attention.attention,
    "MultiHeadAttention": attention.multi_head,
    "GroupQueryAttention": attention.multi_head,
    "Identity": embedding.nothing,
    **dict.fromkeys(operations.ELEMENTWISE, operations.elementwise),
    **dict.fromkeys(operations.OF_TWO, operations.of_two),
    **dict.fromkeys(operations.REDUCTIONS, operations.reduction),
    "cast": operations.cast,
    "expand_dims": reshaping.shaped,
    "squeeze": reshaping.shaped,
    "reshape": reshaping.shaped,
    "transpose": operations.transpose,
    "get_item": operations.get_item,
    "flip": operations.flip,
    "matmul": operations.matmul,
    "concatenate": merging.merge,
    "one_hot": operations.one_hot,
    **dict.fromkeys(TRAINING_ONLY, embedding.nothing),
}
BUILDERS: dict[str, Builder] = {
    name: builder for name, builder in (_OF_SEQUENCES | _OF_BLOCKS).items() if name in KINDS
}
#: layers that it lacks, and how it says so after its name
LACKS: dict[str, str] = {
    **{name: "has no such layer" for name in KINDS if name not in BUILDERS},
    "Masking": "masks no positions by their values",
}
#: layers whose builders look at `Signal.pending`, or leave it as it is
TAKE_PENDING = {"GlobalMaxPooling1D", "MaxPooling1D", "Identity", "Rescaling", *TRAINING_ONLY}
#: layers whose builders take blocks
TAKE_BLOCKS = frozenset(_OF_BLOCKS)
