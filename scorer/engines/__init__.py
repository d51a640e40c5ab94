"""Engines run a bundle's network: token ids in, outputs out."""

from __future__ import annotations

import importlib.util
import logging
from typing import Protocol

import numpy as np

from scorer.bundle import Bundle
from scorer.engines.devices import has_gpu
from scorer.errors import EngineError, UnsupportedModel
from scorer.vectorizer import TokenBatch

log = logging.getLogger(__name__)

__all__ = ["Engine", "load_engine"]

#: layers over tokens that know no mask, and those that heed one (and end the tokens, unless they
#: return sequences)
_READ_PADDING = ("Conv1D", "GlobalMaxPooling1D")
_END_TOKENS = ("LSTM", "GRU", "Bidirectional", "GlobalAveragePooling1D")


class Engine(Protocol):
    """A network ready to run. Outputs of a row depend on that row alone.

    precision    "float32", or "mixed", whose outputs differ by more than rounding
    window_rows  how many rows a call is best given
    """

    name: str
    precision: str
    window_rows: int

    def run(self, tokens: TokenBatch) -> np.ndarray:
        """float32 (rows, outputs) for those rows, in their order. Thread-safe."""
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
    no padding is made (bags of words), or where every layer over the tokens heeds the mask.
    """
    spec = bundle.vectorizer
    if spec.output_mode != "int" or spec.output_sequence_length is not None:
        return
    masked = False
    for layer in bundle.layers:
        if layer.kind == "Embedding":
            masked = layer.config["mask_zero"]
        elif layer.kind in _READ_PADDING or (layer.kind in _END_TOKENS and not masked):
            raise UnsupportedModel(
                f"layer {layer.name} ({layer.kind}) reads padding as words, so a score would "
                "depend on its neighbours; mask it (mask_zero=True) or set output_sequence_length"
            )
        inner = layer.config.get("layer", layer)
        if layer.kind in _END_TOKENS and not inner.config.get("return_sequences", False):
            return


def _cpu(bundle: Bundle) -> Engine:
    from scorer.engines.cpu import CpuEngine

    return CpuEngine(bundle)


def _keras(bundle: Bundle, device: str, precision: str) -> Engine:
    from scorer.engines.keras import KerasEngine

    return KerasEngine(bundle, device=device, precision=precision)


def _has_keras() -> bool:
    return importlib.util.find_spec("keras") is not None
