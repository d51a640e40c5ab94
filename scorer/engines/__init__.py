"""The engines, which run a bundle's network: token ids and numbers in, outputs out."""

from __future__ import annotations

import importlib.util
import logging
from typing import Protocol

import numpy as np

from scorer.bundle import Bundle
from scorer.engines.devices import has_gpu
from scorer.errors import EngineError, UnsupportedModel, pip_install
from scorer.layers.spec import FIX_LENGTH
from scorer.vectorizer import TokenBatch

log = logging.getLogger(__name__)

__all__ = ["Engine", "load_engine"]


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

    def run(self, *inputs: TokenBatch | np.ndarray) -> np.ndarray:
        """float32 (rows, outputs) for those rows, in their order. Thread-safe.

        inputs: of the same rows for each input of the bundle, by the input's own vectorizer; or
        float32 (rows, width) where it takes numbers.
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
            "the cpu engine does not support mixed precision: use --device gpu or --engine keras"
        )
    if engine == "cpu":
        return _cpu(bundle)
    try:
        return _cpu(bundle)
    except UnsupportedModel as error:
        if _has_keras():
            log.warning(
                "the keras engine runs this model, which takes longer to start: the cpu engine "
                "does not run it: %s",
                error,
            )
            return _keras(bundle, device, precision)
        raise UnsupportedModel(
            f"{error}; the keras engine may run it: {pip_install('keras')}"
        ) from error


def _check_choice(device: str, engine: str | None, precision: str) -> None:
    if device not in ("auto", "cpu", "gpu"):
        raise EngineError(f"unknown device {device!r}: choose auto, cpu or gpu")
    if engine not in (None, "cpu", "keras"):
        raise EngineError(f"unknown engine {engine!r}: choose cpu or keras")
    if precision not in ("float32", "mixed"):
        raise EngineError(f"unknown precision {precision!r}: choose float32 or mixed")
    if engine == "cpu" and device == "gpu":
        raise EngineError("the cpu engine does not run on a GPU: use the keras engine")


def refuse_padding_readers(bundle: Bundle) -> None:
    """Raise UnsupportedModel where a layer reads padding whose amount depends on the neighbours.

    Keras pads a batch to its longest row. That changes no score where the length is fixed, where
    no padding is made (bags of words), where every layer over the tokens heeds the mask, or where a
    maximum is taken of what is never negative and is zero, or a repetition, at the padding.
    """
    for node in bundle.nodes:
        if node.reads_padding:
            raise UnsupportedModel(
                f"layer {node.layer.name} ({node.layer.kind}) reads padding as words, so a score "
                f"would depend on its neighbours: {FIX_LENGTH}"
            )


def _cpu(bundle: Bundle) -> Engine:
    from scorer.engines.cpu import CpuEngine

    return CpuEngine(bundle)


def _keras(bundle: Bundle, device: str, precision: str) -> Engine:
    from scorer.engines.keras import KerasEngine

    return KerasEngine(bundle, device=device, precision=precision)


def _has_keras() -> bool:
    return importlib.util.find_spec("keras") is not None
