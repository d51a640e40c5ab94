"""Engines run a bundle's network: token ids in, outputs out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np

from scorer.bundle import Bundle
from scorer.errors import EngineError, UnsupportedModel
from scorer.vectorizer import TokenBatch

__all__ = ["Engine", "load_engine"]

#: layers over tokens that know no mask, and those that heed one (and end the tokens, unless they
#: return sequences)
_READ_PADDING = ("Conv1D", "GlobalMaxPooling1D")
_END_TOKENS = ("LSTM", "GRU", "Bidirectional", "GlobalAveragePooling1D")


class Engine(Protocol):
    """A network ready to run. Outputs of a row depend on that row alone."""

    name: str

    def run(self, tokens: TokenBatch) -> np.ndarray:
        """float32 (rows, outputs) for those rows, in their order. Thread-safe."""
        ...


def load_engine(bundle: Bundle, *, device: str = "auto", engine: str | None = None) -> Engine:
    """The engine for a bundle: `cpu`, or `keras` on a GPU and for layers that `cpu` lacks.

    device: "auto" (a GPU if there is one and Keras is installed), "cpu" or "gpu".
    engine: forces "cpu" or "keras". Raises UnsupportedModel, or EngineError where the engine or
    device is not there.
    """
    if device not in ("auto", "cpu", "gpu"):
        raise EngineError(f"no device {device!r}: auto, cpu or gpu")
    if engine not in (None, "cpu", "keras"):
        raise EngineError(f"no engine {engine!r}: cpu or keras")
    if engine == "cpu" and device == "gpu":
        raise EngineError("the cpu engine does not run on a GPU: use the keras engine")
    refuse_padding_readers(bundle)
    if engine == "cpu":
        return _cpu(bundle)
    if engine == "keras" or device == "gpu" or (device == "auto" and _has_gpu() and _has_keras()):
        return _keras(bundle, device)
    try:
        return _cpu(bundle)
    except UnsupportedModel as error:
        if _has_keras():
            return _keras(bundle, device)
        raise UnsupportedModel(
            f"{error}; the keras engine may run it: pip install 'scorer[keras]'"
        ) from error


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


def _keras(bundle: Bundle, device: str) -> Engine:
    from scorer.engines.keras import KerasEngine

    return KerasEngine(bundle, device=device)


def _has_gpu() -> bool:
    """Whether the kernel driver of an Nvidia GPU is there; imports nothing to find out."""
    return Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists()


def _has_keras() -> bool:
    return importlib.util.find_spec("keras") is not None
