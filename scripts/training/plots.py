"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.training.heads import head_of
from scripts.training.learner import Learnt


def plot_curves(learnt: Sequence[Learnt], path: Path) -> None:
    """Training and validation loss, and the validation score, by epoch; a row for each network."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2 * len(learnt)), layout="constrained")
    for axes, network in zip(figure.subplots(len(learnt), 2, squeeze=False), learnt, strict=True):
        _plot(axes, network)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _plot(pair: Any, learnt: Learnt) -> None:
    losses, scores = pair
    curve, recipe = learnt.curve, learnt.recipe
    epochs = [e.epoch for e in curve]
    losses.plot(epochs, [e.train_loss for e in curve], "o-", label="training")
    losses.plot(epochs, [e.loss for e in curve], "s-", label="validation")
    losses.set(title=f"{recipe.name}: loss", xlabel="epoch")
    losses.legend()
    scores.plot(epochs, [abs(e.score) for e in curve], "s-", color="C1")
    title = f"validation {head_of(recipe.task).score_name}"
    scores.set(title=title, xlabel="epoch")
    for axes in (losses, scores):
        axes.set_xticks(epochs)
        axes.grid(alpha=0.3)
