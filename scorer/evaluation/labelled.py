"""What summaries and reports say of labelled rows beside a model's figures. Light."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scorer.evaluation.part import Figure, Part


class Baseline(Part):
    """What the prediction that is best without reading a text scores on the same rows.

    Of classes it is the most frequent label, of sets of labels the most frequent set, of numbers
    their median.
    """

    says: str = Field(description="as in: always 'positive'")
    figures: dict[str, Figure]
    main_figure: str
    gain: Figure = Field(description="the model's main figure less the baseline's, paired")
    verdict: Literal["better", "worse", "no difference"] = Field(
        description="of the model against the baseline"
    )


class LeftOut(Part):
    """Scored rows whose label means none of the model's, and what was predicted of them."""

    value: str | None = Field(description="null: rows without a label")
    rows: int
    predicted: dict[str, int]


class LabelSource(Part):
    """Where the truth came from and how it was read."""

    column: str = Field(description="of a multilabel model's 0/1 columns, all, comma-separated")
    rule: str
    understood: str = Field(description="the rule and what was left out, in one sentence")
    usable: int
    blank: int
    unusable: int
    unusable_values: dict[str, int] = Field(description="the most frequent ones, with their rows")
