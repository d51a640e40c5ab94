"""The training of one network by `model.fit`: AdamW under one cosine, early stopping on the
validation loss, a checkpoint after every epoch."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from scripts.training.batches import Tokens, TrainingBatches, WholeTexts
from scripts.training.heads import head_of
from scripts.training.network import Network
from scripts.training.recipe import Training

_WARM_UP = 0.1
_CURVE = "curve.json"
Log = Callable[[str], None]


@dataclass(frozen=True)
class Epoch:
    """One line of the learning curve. `score` is accuracy, or minus the mean absolute error."""

    epoch: int
    train_loss: float
    loss: float
    score: float
    seconds: float


def best_epoch(curve: Sequence[Epoch]) -> int:
    """That of the least validation loss."""
    return min(curve, key=lambda e: e.loss).epoch


def optimizer_of(settings: Training, steps: int) -> Any:
    """AdamW (Loshchilov and Hutter 2019) with a linear warm-up over a tenth of the steps and a
    cosine down to zero, decay on neither embeddings nor biases; or plain SGD."""
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(settings.learning_rate, global_clipnorm=settings.clip_norm)
    warm_up = max(1, round(_WARM_UP * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps - warm_up),
        warmup_target=settings.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=settings.weight_decay, global_clipnorm=settings.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=["embeddings", "bias"])
    return optimizer


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the curve, the last epoch's model with its optimizer, and the best epoch's; stops where
    the validation loss has not fallen for `patience` epochs (None: never).

    Keras' BackupAndRestore forgets what EarlyStopping waited for, and so resumes another training.
    """

    def __init__(
        self, folder: Path, run: str, patience: int | None, log: Log, scale: float
    ) -> None:
        super().__init__()
        self.folder, self.run, self.patience = folder, run, patience
        self.log, self.scale = log, scale
        self.curve: list[Epoch] = []

    def resume(self, model: Any) -> None:
        """Gives the compiled model the weights and the optimizer's state of this run's last epoch.

        The optimizer stays the model's own: a stored one forgets what its decay leaves out.
        """
        path = self.folder / _CURVE
        if not path.exists():
            return
        stored = json.loads(path.read_text("utf-8"))
        if stored["run"] != self.run:
            self.log(f"{path} belongs to another run: training starts from the first epoch")
            return
        self.curve = [Epoch(**epoch) for epoch in stored["curve"]]
        self.log(f"resumed after epoch {len(self.curve)}")
        stored_model = keras.saving.load_model(self.path(len(self.curve)))
        model.set_weights(stored_model.get_weights())
        model.optimizer.build(model.trainable_variables)
        pairs = zip(model.optimizer.variables, stored_model.optimizer.variables, strict=True)
        for own, other in pairs:
            own.assign(other)

    def path(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.keras"

    @property
    def stopped(self) -> bool:
        waited = len(self.curve) - best_epoch(self.curve) if self.curve else 0
        return self.patience is not None and waited >= self.patience

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Dropout starts each epoch anew from (layer, epoch), as a resumed training must."""
        self._started = time.monotonic()
        for number, layer in enumerate(self.model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                generator.state.assign([number, epoch << 16])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        sign = -self.scale if "val_mean_absolute_error" in logs else 1.0
        score = sign * next(v for k, v in logs.items() if k in _SCORES)
        seconds = time.monotonic() - self._started
        done = Epoch(epoch + 1, logs["loss"], logs["val_loss"], score, seconds)
        self.curve.append(done)
        self._save()
        self.model.stop_training = self.stopped
        self.log(
            f"epoch {done.epoch}: loss {done.train_loss:.4f}, validation loss {done.loss:.4f}, "
            f"score {done.score:.4f}, {done.seconds:.0f} s"
        )

    def _save(self) -> None:
        """The model before the curve that names it, so that a kill leaves a whole checkpoint."""
        self.folder.mkdir(parents=True, exist_ok=True)
        last = len(self.curve)
        self.model.save(self.path(last))
        curve = [asdict(epoch) for epoch in self.curve]
        partial = self.folder / f"{_CURVE}.part"
        partial.write_text(json.dumps({"run": self.run, "curve": curve}, indent=1) + "\n", "utf-8")
        partial.replace(self.folder / _CURVE)
        for path in self.folder.glob("epoch-*.keras"):
            if path not in (self.path(last), self.path(best_epoch(self.curve))):
                path.unlink()


_SCORES = (
    "val_binary_accuracy", "val_categorical_accuracy", "val_mean_absolute_error",
)  # fmt: skip


def fingerprint(network: Network, settings: Training, seed: int, rows: int) -> str:
    """Tells runs apart: settings, seed, rows, and the weights at the start (so the vocabulary)."""
    digest = hashlib.sha256(f"{settings!r} {seed} {rows}".encode())
    for array in network.arrays():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Fit:
    """One training run. It can be stopped after any epoch and goes on from its checkpoint."""

    def __init__(
        self, network: Network, settings: Training, seed: int, folder: Path, rows: int
    ) -> None:
        self.network, self.settings, self.seed, self.folder = network, settings, seed, folder
        self.run_name = fingerprint(network, settings, seed, rows)
        self.curve: list[Epoch] = []

    def run(self, train: Tokens, validation: Tokens, log: Log, epochs: int | None = None) -> None:
        """Trains to the end or to the early stop and leaves the network with the best weights;
        or, with `epochs`, for so many, and leaves it with the last ones."""
        network, settings = self.network, self.settings
        patience = settings.patience if epochs is None else None
        kept = Checkpoint(self.folder, self.run_name, patience, log, network.scale)
        self._compile(len(train.rows))
        kept.resume(network.model)
        batches = TrainingBatches(train, settings, self.seed)
        begin = keras.callbacks.LambdaCallback(on_epoch_begin=lambda n, logs: batches.begin(n))
        if not kept.stopped:
            network.model.fit(
                batches.dataset(),
                validation_data=WholeTexts(validation).dataset(),
                initial_epoch=len(kept.curve),
                epochs=epochs or settings.epochs,
                callbacks=[begin, kept],
                shuffle=False,  # the batches are drawn in a random order
                verbose=1 if sys.stderr.isatty() else 0,
            )
        self.curve = kept.curve
        last = len(self.curve) if epochs is not None else best_epoch(self.curve)
        network.model.load_weights(kept.path(last))

    def _compile(self, rows: int) -> None:
        settings = self.settings
        steps = -(-rows // settings.batch_size) * settings.epochs
        head = head_of(self.network.task)
        self.network.model.compile(
            optimizer=optimizer_of(settings, steps),
            loss=head.keras_loss(settings.label_smoothing),
            weighted_metrics=[head.keras_metric()],
        )
