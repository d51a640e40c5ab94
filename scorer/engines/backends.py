"""Where Keras' backends differ: devices, a call that does not wait, and running out of memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from scorer.errors import EngineError

#: float32 or int32 inputs (rows, width), one a branch, to the backend's own tensor (rows, outputs)
Forward = Callable[[list[np.ndarray]], Any]


def choose_devices(keras: Any, device: str) -> list[str]:
    """Keras' names of all GPUs, or of the CPU. device: "auto", "cpu" or "gpu".

    Raises EngineError where "gpu" is asked for and the backend sees none.
    """
    gpus = [] if device == "cpu" else [f"gpu:{i}" for i in range(_count_gpus(keras))]
    if not gpus and device == "gpu":
        raise EngineError(
            f"Keras' {keras.backend.backend()} backend sees no GPU: "
            "install its GPU build, or use --device cpu"
        )
    # Under PyTorch "cpu:0" is not where tensors of "cpu" are, so Keras would make copies of them.
    return gpus or ["cpu" if keras.backend.backend() == "torch" else "cpu:0"]


def _count_gpus(keras: Any) -> int:
    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        import torch

        return int(torch.cuda.device_count())
    try:
        return len(keras.distribution.list_devices("gpu"))
    except (RuntimeError, AttributeError, NotImplementedError):
        return 0


def forward(keras: Any, model: Any) -> Forward:
    """A compiled call of a model, which returns while a GPU still works.

    Raises EngineError for a backend other than TensorFlow, JAX and PyTorch.
    """
    backend = keras.backend.backend()
    if backend not in _FORWARD:
        raise EngineError(
            f"Keras' {backend} backend is not supported: set KERAS_BACKEND to {', '.join(_FORWARD)}"
        )
    return _FORWARD[backend](model)


def _tensorflow(model: Any) -> Forward:
    import tensorflow as tf

    compiled: Forward = tf.function(lambda inputs: model(inputs, training=False))
    return compiled


def _jax(model: Any) -> Forward:
    import jax

    def call(trainable: Any, others: Any, inputs: Any) -> Any:
        return model.stateless_call(trainable, others, inputs, training=False)[0]

    variables = model.trainable_variables, model.non_trainable_variables
    return partial(jax.jit(call), *([v.value for v in each] for each in variables))


def _torch(model: Any) -> Forward:
    import torch

    def call(inputs: list[np.ndarray]) -> Any:
        with torch.no_grad():
            return model(inputs, training=False)

    return call


_FORWARD: dict[str, Callable[[Any], Forward]] = {
    "tensorflow": _tensorflow,
    "jax": _jax,
    "torch": _torch,
}


def out_of_memory(error: Exception) -> bool:
    """Whether a device had too little memory: each backend says so in its own way."""
    named = type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
    return named or "RESOURCE_EXHAUSTED" in str(error)  # JAX has one class for all
