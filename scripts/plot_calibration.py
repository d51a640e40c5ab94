"""Draws the calibration of a report's models: what they stated against what came true.

evaluate -m imdb-flagship -m twitter-flagship labelled.parquet --report reports
python scripts/plot_calibration.py reports/report.json calibration.png
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
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
        click.echo(f"{model['model']}: calibration error {_error(model):.4f}")


def draw(axes: Any, model: dict[str, Any]) -> None:
    """One point for each of 15 bins of probability that has rows, with its 95% interval."""
    bins = model["calibration"]
    stated = [b["stated"] for b in bins]
    observed = [b["observed"]["value"] for b in bins]
    low = [b["observed"]["value"] - (b["observed"]["low"] or b["observed"]["value"]) for b in bins]
    high = [
        (b["observed"]["high"] or b["observed"]["value"]) - b["observed"]["value"] for b in bins
    ]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.errorbar(stated, observed, yerr=[low, high], fmt="o-", markersize=4, capsize=2)
    axes.set(
        title=f"{model['model']}: calibration error {_error(model):.4f}",
        xlabel="probability stated",
        ylabel="share that came true",
    )
    axes.grid(alpha=0.3)


def _error(model: dict[str, Any]) -> float:
    """The expected calibration error: the bins' gaps, each as much as it has rows."""
    bins = model["calibration"]
    gaps = [b["rows"] * abs(b["stated"] - b["observed"]["value"]) for b in bins]
    return float(sum(gaps) / sum(b["rows"] for b in bins))


if __name__ == "__main__":
    main()
