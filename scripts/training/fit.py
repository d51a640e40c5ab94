"""The training loop: Adam under one cosine, early stopping on the validation loss, checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numba import njit

from scripts.training.batches import crop, shuffled
from scripts.training.heads import head_of
from scripts.training.network import Network, Tokens
from scripts.training.recipe import Training
from scripts.training.types import Floats, Ints, Weights

_UNKNOWN = 1
_WARM_UP = 0.1


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


def _adam_loop(
    arrays: tuple[Floats, Floats, Floats, Floats], factors: Floats, corrections: Floats
) -> None:
    """One pass over weight, gradient and both means, in place; an embedding has millions."""
    weight, gradient, mean, square = arrays
    rate, clip, keep = factors
    for k in range(weight.size):
        g = gradient[k] * clip
        mean[k] += np.float32(0.1) * (g - mean[k])
        square[k] += np.float32(0.001) * (g * g - square[k])
        scale = np.sqrt(square[k] / corrections[1]) + np.float32(1e-7)
        weight[k] = weight[k] * keep - rate * (mean[k] / corrections[0]) / scale


_adam = cast(Callable[..., None], njit(nogil=True, cache=True, error_model="numpy")(_adam_loop))


class Optimizer:
    """AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019) or plain SGD, on arrays in place."""

    def __init__(self, settings: Training, weights: Weights, steps: int) -> None:
        self.settings, self.steps, self.step = settings, steps, 0
        self.mean = {name: np.zeros_like(w) for name, w in weights.items()}
        self.square = {name: np.zeros_like(w) for name, w in weights.items()}

    def rate(self) -> float:
        """Linear warm-up over a tenth of the steps, then a cosine down to zero."""
        if self.settings.optimizer == "sgd":
            return self.settings.learning_rate
        done = self.step / self.steps
        if done < _WARM_UP:
            return self.settings.learning_rate * done / _WARM_UP
        phase = (done - _WARM_UP) / (1 - _WARM_UP)
        return self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, phase)))

    def update(self, weights: Weights, grads: Weights) -> None:
        self.step += 1
        norm = np.sqrt(sum(float(np.vdot(g, g)) for g in grads.values()))
        clip = np.float32(min(1.0, self.settings.clip_norm / (norm + 1e-12)))
        rate = np.float32(self.rate())
        for name, g in grads.items():
            w = weights[name]
            if self.settings.optimizer == "sgd":
                w -= rate * g
                continue
            decayed = w.ndim > 1 and not name.endswith("embeddings")
            decay = np.float32(self.settings.weight_decay if decayed else 0)
            _adam(
                (w.ravel(), g.ravel(), self.mean[name].ravel(), self.square[name].ravel()),
                np.array([rate, clip, np.float32(1) - rate * decay], np.float32),
                np.array([1 - 0.9**self.step, 1 - 0.999**self.step], np.float32),
            )


def smoothed(targets: Floats, smoothing: float) -> Floats:
    """Probabilities drawn towards the uniform distribution (Szegedy et al. 2016)."""
    classes = max(2, targets.shape[1])
    mixed = targets * (1 - smoothing) + smoothing / classes
    return cast(Floats, mixed.astype(np.float32))


def _fingerprint(network: Network, settings: Training, seed: int, rows: int) -> str:
    """Tells runs apart: settings, seed, rows, and the weights at the start (so the vocabulary)."""
    digest = hashlib.sha256(f"{settings} {seed} {rows}".encode())
    for name, array in network.weights.items():
        digest.update(name.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _drop_words(tokens: Ints, rate: float, rng: np.random.Generator) -> Ints:
    if rate == 0:
        return tokens
    dropped = (rng.random(tokens.size) < rate) & (tokens > 0)
    return cast(Ints, np.where(dropped, _UNKNOWN, tokens))


def _batches(
    data: Tokens, settings: Training, rng: np.random.Generator
) -> Iterator[tuple[list[Ints], Ints]]:
    limit = settings.crop
    lengths = data.lengths if limit is None else np.minimum(data.lengths, limit)
    for rows in shuffled(lengths, settings.batch_size, rng):
        tokens = [crop(data.rows[k], limit, rng) for k in rows]
        yield [_drop_words(t, settings.word_dropout, rng) for t in tokens], rows


def evaluate(network: Network, data: Tokens) -> tuple[float, float]:
    """Mean loss and score on whole texts, without smoothing."""
    logits = network.logits(data)
    return judge(network, logits, data.targets)


def judge(network: Network, logits: Floats, targets: Floats) -> tuple[float, float]:
    """Mean loss, and accuracy or minus the mean absolute error in the targets' own units."""
    head = head_of(network.task)
    loss, _ = head.loss(logits, targets)
    return loss / len(logits), head.score(logits, targets, network.scale)


class Fit:
    """One training run. It can be stopped after any epoch and goes on from its checkpoint."""

    def __init__(
        self, network: Network, settings: Training, seed: int, folder: Path, rows: int
    ) -> None:
        self.network, self.settings, self.seed, self.folder = network, settings, seed, folder
        self.fingerprint = _fingerprint(network, settings, seed, rows)
        steps = -(-rows // settings.batch_size) * settings.epochs
        self.optimizer = Optimizer(settings, network.weights, steps)
        self.curve: list[Epoch] = []
        self.best: Weights = {}

    def run(
        self,
        train: Tokens,
        validation: Tokens,
        log: Callable[[str], None],
        epochs: int | None = None,
    ) -> Weights:
        """Trains to the end or to the early stop and leaves the network with the best weights;
        or, with `epochs`, for so many, and leaves it with the last ones."""
        self._resume(log)
        while not self._done(epochs):
            done = self._epoch(train, validation)
            self.curve.append(done)
            if epochs is not None or done.loss <= min(e.loss for e in self.curve):
                self.best = {k: w.copy() for k, w in self.network.weights.items()}
            self._save()
            log(
                f"epoch {done.epoch}: loss {done.train_loss:.4f}, validation loss {done.loss:.4f}, "
                f"score {done.score:.4f}, {done.seconds:.0f} s"
            )
        self._load_weights(self.best)
        return self.best

    def _epoch(self, train: Tokens, validation: Tokens) -> Epoch:
        started = time.monotonic()
        number = len(self.curve) + 1
        rng = np.random.default_rng([self.seed, number])
        targets = train.targets
        if not head_of(self.network.task).standardised:
            targets = smoothed(targets, self.settings.label_smoothing)
        total = 0.0
        for tokens, rows in _batches(train, self.settings, rng):
            loss, grads = self.network.gradients(tokens, targets[rows], rng)
            self.optimizer.update(self.network.weights, grads)
            total += loss * len(rows)
        loss, score = evaluate(self.network, validation)
        seconds = time.monotonic() - started
        return Epoch(number, total / len(train.rows), loss, score, seconds)

    def _done(self, epochs: int | None) -> bool:
        if epochs is not None:
            return len(self.curve) >= epochs
        if not self.curve:
            return False
        waited = len(self.curve) - best_epoch(self.curve)
        return len(self.curve) >= self.settings.epochs or waited >= self.settings.patience

    def _load_weights(self, weights: Weights) -> None:
        for name, array in self.network.weights.items():
            array[...] = weights[name]

    def _save(self) -> None:
        optimizer = self.optimizer
        groups = {
            "now": self.network.weights, "best": self.best,
            "mean": optimizer.mean, "square": optimizer.square,
        }  # fmt: skip
        arrays = {f"{g}|{k}": w for g, group in groups.items() for k, w in group.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "checkpoint.part.npz"
        np.savez(partial, step=np.int64(optimizer.step), run=self.fingerprint, **arrays)  # type: ignore[arg-type]
        curve = [asdict(epoch) for epoch in self.curve]
        (self.folder / "curve.json").write_text(json.dumps(curve, indent=1) + "\n", "utf-8")
        partial.replace(self.folder / "checkpoint.npz")

    def _resume(self, log: Callable[[str], None]) -> None:
        path = self.folder / "checkpoint.npz"
        if not path.exists():
            return
        with np.load(path) as stored:
            if str(stored["run"]) != self.fingerprint:
                log(f"{path} is of another run: begins anew")
                return
            groups: dict[str, Weights] = {}
            for key in stored.files:
                group, _, name = key.partition("|")
                groups.setdefault(group, {})[name] = stored[key]
        curve = json.loads((self.folder / "curve.json").read_text("utf-8"))
        self.curve = [Epoch(**epoch) for epoch in curve]
        self._load_weights(groups["now"])
        self.best = groups["best"]
        self.optimizer.mean, self.optimizer.square = groups["mean"], groups["square"]
        self.optimizer.step = int(groups["step"][""])
        log(f"goes on after epoch {len(self.curve)}")
