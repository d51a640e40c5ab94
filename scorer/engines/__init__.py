"""Engines run a bundle's network: token ids in, one batch for each branch, outputs out."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from scorer.bundle import Bundle, Layer
from scorer.engines.devices import has_gpu
from scorer.errors import EngineError, UnsupportedModel
from scorer.vectorizer import TokenBatch

log = logging.getLogger(__name__)

__all__ = ["Engine", "load_engine"]

#: layers over the positions of a row, those among them that heed a mask
_HEED_MASKS = ("LSTM", "GRU", "Bidirectional", "GlobalAveragePooling1D")
_READERS = (*_HEED_MASKS, "Conv1D", "GlobalMaxPooling1D")


class Engine(Protocol):
    """A network ready to run. Outputs of a row depend on that row alone.

    precision    "float32", or "mixed", whose outputs differ by more than rounding
    window_rows  how many rows a call is best given
    short_rows   how many, where their texts are short
    """

    name: str
    precision: str
    window_rows: int
    short_rows: int

    def run(self, *tokens: TokenBatch) -> np.ndarray:
        """float32 (rows, outputs) for those rows, in their order. Thread-safe.

        tokens: of the same rows for each branch of the bundle, by the branch's own vectorizer.
        """
        ...


def load_engine(
    bundle: Bundle, *, device: str = "auto", engine: str | None = None, precision: str = "float32"
) -> Engine:
    """The engine for a bundle: `cpu`, or `keras` on a GPU and for layers that `cpu` lacks.

    device: "auto" (a GPU if there is one and Keras can use it), "cpu" or "gpu".
    engine: forces "cpu" or "keras". precision: "float32", or "mixed" (keras alone).
    Raises UnsupportedModel, or EngineError where the engine or device is not there.
    """
    _check_choice(device, engine, precision)
    refuse_padding_readers(bundle)
    if engine == "keras" or device == "gpu":
        return _keras(bundle, device, precision)
    if engine is None and device == "auto" and has_gpu() and _has_keras():
        try:
            return _keras(bundle, "gpu", precision)
        except EngineError as error:
            log.warning("there is a GPU, but %s", error)
    if precision != "float32":
        raise EngineError(
            "the cpu engine knows no mixed precision: use --device gpu or --engine keras"
        )
    if engine == "cpu":
        return _cpu(bundle)
    try:
        return _cpu(bundle)
    except UnsupportedModel as error:
        if _has_keras():
            return _keras(bundle, device, precision)
        raise UnsupportedModel(
            f"{error}; the keras engine may run it: pip install 'scorer[keras]'"
        ) from error


def _check_choice(device: str, engine: str | None, precision: str) -> None:
    if device not in ("auto", "cpu", "gpu"):
        raise EngineError(f"no device {device!r}: auto, cpu or gpu")
    if engine not in (None, "cpu", "keras"):
        raise EngineError(f"no engine {engine!r}: cpu or keras")
    if precision not in ("float32", "mixed"):
        raise EngineError(f"no precision {precision!r}: float32 or mixed")
    if engine == "cpu" and device == "gpu":
        raise EngineError("the cpu engine does not run on a GPU: use the keras engine")


def refuse_padding_readers(bundle: Bundle) -> None:
    """Raise UnsupportedModel where a layer reads padding whose amount depends on the neighbours.

    Keras pads a batch to its longest row. That changes no score where the length is fixed, where
    no padding is made (bags of words), where every layer over the tokens heeds the mask, or where a
    maximum is taken of what is never negative and is zero, or a repetition, at the padding.
    """
    for branch in bundle.branches:
        spec = branch.vectorizer
        if spec.output_mode == "int" and spec.output_sequence_length is None:
            _refuse_readers(branch.layers)


def _refuse_readers(layers: Sequence[Layer]) -> None:
    masked = False
    padding = "embedded"  # what is there: then "states", zeros or the last; then "rectified" ones
    for layer in layers:
        inner = layer.config.get("layer", layer)
        if layer.kind == "Embedding":
            masked = layer.config["mask_zero"]
        elif layer.kind in _READERS:
            heeds = masked and layer.kind in _HEED_MASKS
            if not heeds and not (layer.kind == "GlobalMaxPooling1D" and padding == "rectified"):
                raise UnsupportedModel(
                    f"layer {layer.name} ({layer.kind}) reads padding as words, so a score would "
                    "depend on its neighbours; mask it (mask_zero=True) or set "
                    "output_sequence_length"
                )
            if not inner.config.get("return_sequences", False):
                return
            padding = "states"
        elif _is_relu(layer):
            padding = "rectified" if padding != "embedded" else padding
        elif layer.weights or layer.kind == "Activation":
            padding = "embedded"


def _is_relu(layer: Layer) -> bool:
    return layer.kind == "ReLU" or (layer.kind, layer.config.get("activation")) == (
        "Activation",
        "relu",
    )


def _cpu(bundle: Bundle) -> Engine:
    from scorer.engines.cpu import CpuEngine

    return CpuEngine(bundle)


def _keras(bundle: Bundle, device: str, precision: str) -> Engine:
    from scorer.engines.keras import KerasEngine

    return KerasEngine(bundle, device=device, precision=precision)


def _has_keras() -> bool:
    return importlib.util.find_spec("keras") is not None
