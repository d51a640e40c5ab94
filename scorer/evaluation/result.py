"""The result of an evaluation: what `report.json` holds, in its documented, versioned schema.

Figures that are not defined on the data (ROC AUC of one class) are null. Shares are 0..1. Rows are
counted from 1 in the order of the inputs. A minor version adds fields, a major one changes them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from scorer.card import TaskField
from scorer.evaluation.drift.histograms import Drift
from scorer.evaluation.labelled import Baseline, LabelSource, LeftOut
from scorer.evaluation.part import Figure, Part, Quartiles
from scorer.evaluation.predictions import Predictions
from scorer.evaluation.why import Why

SCHEMA_VERSION: Literal["1.2"] = "1.2"


class Curve(Part):
    """Points of a curve, thinned to a few hundred at most. `label`: the class against the rest."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float | None


class ClassFigures(Part):
    """One class: `support` rows have this label, `predicted` rows were given it."""

    label: str
    support: int
    predicted: int
    precision: Figure
    recall: Figure
    f1: Figure


class Bin(Part):
    """A bar of a histogram, low <= value < high (the last one up to and with `high`)."""

    low: float
    high: float
    counts: tuple[int, ...] = Field(description="one for each series")


class Histogram(Part):
    series: tuple[str, ...]
    bins: tuple[Bin, ...]


class Calibration(Part):
    """Rows whose probability lies in one of 15 equal bins: what was stated, what happened."""

    rows: int
    stated: float
    observed: Figure


class LabelCalibration(Part):
    """The reliability diagram of one label of several that a row may have."""

    label: str
    bins: tuple[Calibration, ...]


class Threshold(Part):
    """What a model would do at another threshold.

    A binary model for its last label; a multilabel model for all labels, which count together:
    `accuracy` is the share of labels rightly given or left out, the others are micro averages.
    """

    threshold: float
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    share_predicted: float
    note: str = ""


class ThresholdAdvice(Part):
    """The threshold with the best F1 or accuracy, as `Threshold` counts them."""

    figure: Literal["f1", "accuracy"]
    threshold: float
    value: float = Field(description="on these rows, on which the threshold was chosen")
    in_use: float = Field(description="by the threshold in use")
    expected: float = Field(
        description="by 5-fold cross-validation: what to expect on further rows like these"
    )
    recommended: bool = Field(description="it is better than the one in use in both ways")


class Residuals(Part):
    """A regression's errors (prediction - truth) along its predictions."""

    histogram: Histogram
    predicted: tuple[float, ...] = Field(description="mean prediction of each group of rows")
    observed: tuple[float, ...] = Field(description="mean truth of each group")
    low: tuple[float, ...] = Field(description="10% quantile of the error in each group")
    middle: tuple[float, ...] = Field(description="median error in each group")
    high: tuple[float, ...] = Field(description="90% quantile of the error in each group")


class SliceRow(Part):
    """One value of a slice. `gap`: its main figure less all other rows', with the interval."""

    value: str
    rows: int
    figures: dict[str, Figure]
    gap: Figure
    verdict: Literal["better", "worse", "no difference", "too few rows"]


class Slice(Part):
    column: str
    note: str
    main_figure: str
    rows: tuple[SliceRow, ...]


class Mistake(Part):
    """A row that the model got most wrong; `size` is |error| or the probability it lost."""

    row: int
    id: str | None = Field(default=None, description="what the report's `id_column` says")
    text: str
    truth: str
    predicted: str
    size: float
    why: Why | None = Field(default=None, description="the words behind it, of the first mistakes")


class Promise(Part):
    """A figure of the card beside today's. `difference` is today's less the promised one."""

    metric: str
    data: str
    promised: Figure
    today: Figure
    difference: Figure
    verdict: Literal["as promised", "better than promised", "worse than promised"]
    sentence: str


class SlicedPredictions(Part):
    """One value of a slice: its rows, what they were given and what their texts are like."""

    value: str
    rows: int = Field(description="scored rows")
    predicted: dict[str, int] = Field(description="rows by label; empty for a regression")
    score: Quartiles = Field(description="as of `predictions.score`")
    tokens: Quartiles
    oov_share: Quartiles


class PredictionSlice(Part):
    column: str
    note: str
    rows: tuple[SlicedPredictions, ...]


class Distributions(Part):
    """Of all scored rows. `slices` are there where no row has a label."""

    score: Histogram = Field(description="of what `predictions.score` has the quartiles of")
    tokens: Histogram = Field(description="tokens per row; the last bin holds all longer ones")
    oov_share: Histogram = Field(description="the rows' shares of unknown tokens")
    slices: tuple[PredictionSlice, ...] = ()


class ModelReport(Part):
    """All about one model on this data; what needs labels is empty where there are none."""

    model: str
    sha256: str
    task: TaskField
    labels: tuple[str, ...]
    threshold: float | None
    scored: int
    unscored: int
    evaluated: int
    predictions: Predictions | None = Field(
        default=None, description="of all scored rows, labelled or not"
    )
    distributions: Distributions | None = None
    label_source: LabelSource | None = Field(
        default=None, description="how this model's labels were read; null without usable labels"
    )
    left_out: tuple[LeftOut, ...] = ()
    figures: dict[str, Figure] = Field(default_factory=dict)
    baseline: Baseline | None = None
    headlines: tuple[str, ...] = ()
    classes: tuple[ClassFigures, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = Field(
        default=(), description="rows by true label (outer) and predicted label (inner)"
    )
    roc: tuple[Curve, ...] = Field(default=(), description="x: false, y: true positive rate")
    precision_recall: tuple[Curve, ...] = Field(default=(), description="x: recall, y: precision")
    calibration: tuple[Calibration, ...] = ()
    calibration_by_label: tuple[LabelCalibration, ...] = Field(
        default=(), description="of a multilabel model's first labels"
    )
    scores: Histogram | None = None
    thresholds: tuple[Threshold, ...] = ()
    threshold_advice: tuple[ThresholdAdvice, ...] = ()
    residuals: Residuals | None = None
    slices: tuple[Slice, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    promises: tuple[Promise, ...] = ()
    drift: Drift | None = None


class PairedDifference(Part):
    """`model` less `other` on the same rows, by the same bootstrap draws."""

    model: str
    other: str
    metric: str
    difference: Figure
    verdict: Literal["better", "worse", "no difference"]


class Disagreement(Part):
    """A row on which the models differ most; `predictions` in the order of the models."""

    row: int
    id: str | None = Field(default=None, description="what the report's `id_column` says")
    text: str
    truth: str | None
    predictions: tuple[str, ...]
    spread: float


class Comparison(Part):
    """Several models on the rows that all of them scored and whose label all of them have."""

    rows: int
    labels: tuple[str, ...] = Field(
        default=(), description="the labels that all models have, where some have further ones"
    )
    note: str = Field(default="", description="what of the rows and figures differs because of it")
    baseline: Baseline | None = Field(default=None, description="against the leading model")
    main_figure: str
    leaderboard: tuple[str, ...]
    figures: dict[str, dict[str, Figure]]
    differences: tuple[PairedDifference, ...]
    agreement: tuple[tuple[float | None, ...], ...] = Field(
        description="share of equal predictions; a regression's: correlation"
    )
    models: tuple[str, ...] = Field(description="the order of `agreement` and of predictions")
    disagreements: tuple[Disagreement, ...]


class Gate(Part):
    """A requirement and whether it held."""

    requirement: str
    model: str
    passed: bool
    sentence: str


class Method(Part):
    """How the intervals were made."""

    level: float
    replicates: int
    groups: int
    seed: int


class Report(Part):
    """The whole of `report.json`."""

    schema_version: Literal["1.2"] = SCHEMA_VERSION
    created: str = Field(description="ISO 8601, UTC")
    scorer: str = Field(description="version of this tool")
    inputs: tuple[str, ...]
    text_column: str | None = Field(default=None, description="the column of the texts")
    rows: int
    rejected: int
    labels: LabelSource | None = Field(description="of the first model")
    id_column: str | None = Field(
        default=None, description="names rows: the one asked for, or one whose values all differ"
    )
    method: Method
    models: tuple[ModelReport, ...]
    comparison: Comparison | None = None
    gates: tuple[Gate, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The text of report.json."""
        return self.model_dump_json(indent=1) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `report.json`."""
    return Report.model_json_schema(mode="serialization")


if __name__ == "__main__":
    import json

    print(json.dumps(json_schema(), indent=1))
