"""The learning curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.training.fit import Epoch
from scripts.training.recipe import Recipe


def plot_curve(curve: Sequence[Epoch], recipe: Recipe, path: Path) -> None:
    """Training and validation loss, and the validation score, by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    epochs = [e.epoch for e in curve]
    losses.plot(epochs, [e.train_loss for e in curve], "o-", label="training")
    losses.plot(epochs, [e.loss for e in curve], "s-", label="validation")
    losses.set(title=f"{recipe.name}: loss", xlabel="epoch")
    losses.legend()
    regression = recipe.task == "regression"
    scores.plot(epochs, [abs(e.score) for e in curve], "s-", color="C1")
    title = "validation mean absolute error" if regression else "validation accuracy"
    scores.set(title=title, xlabel="epoch")
    for axes in (losses, scores):
        axes.set_xticks(epochs)
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
