"""Which layers are written to ONNX, and what is said of the others."""

from __future__ import annotations

from scorer.export.activations import ACTIVATIONS
from scorer.export.attention import ATTENTION
from scorer.export.graph import Writer
from scorer.export.nodes import NODES
from scorer.export.shapes import SHAPES
from scorer.export.windows import WINDOWS
from scorer.layers import KINDS, TRAINING_ONLY

WRITERS: dict[str, Writer] = {
    **NODES,
    **ACTIVATIONS,
    **WINDOWS,
    **SHAPES,
    **ATTENTION,
    **dict.fromkeys(TRAINING_ONLY, SHAPES["Identity"]),
}
#: layers that are not written, and how that is said
UNWRITTEN: dict[str, str] = {
    name: "not written to ONNX yet" for name in KINDS if name not in WRITERS
}
