"""Declares each Keras layer that a bundle may have: settings, weights, output shape, padding.

    spec.py           LayerKind, Setting, TensorSpec, Padding: the terms
    core.py activations.py recurrent.py convolution.py pooling.py reshaping.py normalization.py
    merging.py attention.py preprocessing.py operations.py
                      the declarations
    windows.py        positions of a window that moves

A layer is added by declaring it in one of those modules and naming it in LAYERS. The keras engine
then runs it. CONTRIBUTING.md says what else may follow.
"""

from __future__ import annotations

from scorer.layers.activations import ACTIVATION_LAYERS
from scorer.layers.attention import ATTENTION
from scorer.layers.convolution import CONVOLUTION
from scorer.layers.core import CORE, TRAINING
from scorer.layers.merging import MERGING
from scorer.layers.normalization import NORMALIZATION
from scorer.layers.operations import OPERATIONS
from scorer.layers.pooling import POOLING
from scorer.layers.preprocessing import PREPROCESSING
from scorer.layers.recurrent import RECURRENT
from scorer.layers.reshaping import RESHAPING
from scorer.layers.spec import LayerKind, LayerSpec

__all__ = ["KINDS", "LAYERS", "TRAINING_ONLY", "LayerKind", "LayerSpec"]

LAYERS: tuple[LayerKind, ...] = (
    *CORE,
    *ACTIVATION_LAYERS,
    *RECURRENT,
    *CONVOLUTION,
    *POOLING,
    *RESHAPING,
    *NORMALIZATION,
    *MERGING,
    *ATTENTION,
    *PREPROCESSING,
    *OPERATIONS,
    *TRAINING,
)
KINDS = {kind.name: kind for kind in LAYERS}
TRAINING_ONLY = frozenset(kind.name for kind in LAYERS if kind.training_only)
