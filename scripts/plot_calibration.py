"""Draws the calibration of a report's models: what they stated against what came true.

    evaluate -m imdb-flagship -m imdb-bilstm labelled.parquet -o report
    python scripts/plot_calibration.py report/report.json calibration.png

The picture has a panel for each model that gives probabilities.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("report", type=_FILE)
@click.argument("picture", type=click.Path(path_type=Path))
def main(report: Path, picture: Path) -> None:
    """Draw the models of REPORT (a report.json) into PICTURE."""
    models = [
        model
        for model in json.loads(report.read_text(encoding="utf-8"))["models"]
        if model["calibration"]
    ]
    if not models:
        raise click.ClickException(f"{report}: no model in it gives probabilities")
    figure = Figure(figsize=(4.2 * len(models), 4), layout="constrained")
    for axes, model in zip(figure.subplots(1, len(models), squeeze=False)[0], models, strict=True):
        draw(axes, model)
    figure.savefig(picture, dpi=100)
    for model in models:
        click.echo(": ".join(_title(model)))


def draw(axes: Any, model: dict[str, Any]) -> None:
    """One point for each of 15 bins of probability that has rows, with its 95% interval."""
    bins = model["calibration"]
    shares = [[b["observed"][key] for key in ("low", "value", "high")] for b in bins]
    low, observed, high = np.array(shares, float).T
    reach = np.nan_to_num([observed - low, high - observed])  # no interval: too few rows
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar([b["stated"] for b in bins], observed, yerr=reach, fmt="o-", ms=4, capsize=2)
    axes.set(
        title="\n".join(_title(model)), xlabel="probability stated", ylabel="share that came true"
    )
    axes.grid(alpha=0.3)


def _title(model: dict[str, Any]) -> tuple[str, str]:
    return model["model"], f"calibration error {model['figures']['ece']['value']:.4f}"


if __name__ == "__main__":
    main()
