"""What a card states about its model on other kinds of text than its training data.

A report reads these figures: on texts that differ from the training data it names the data set of
the card that they resemble most, and what the model scored there.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from scorer.figures import figure_names

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Index = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def _known_figure(name: str) -> str:
    if name not in figure_names():
        raise ValueError(f"{name!r} is not a figure: choose one of {', '.join(figure_names())}")
    return name


MetricName = Annotated[str, AfterValidator(_known_figure)]


class CardPart(BaseModel):
    """A mapping of a card, whose fields are known by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class MeasuredFigure(CardPart):
    """A figure with its 95% interval."""

    metric: MetricName
    value: Finite
    low: Finite | None = None
    high: Finite | None = None


class StabilityIndexes(CardPart):
    """Population stability indexes against the card's training profile; its histograms' names."""

    tokens: Index
    oov_share: Index
    score: Index


class DomainFigures(CardPart):
    """What the model scored on some labelled rows.

    data               the name of the domain or data set
    rows               labelled and scored rows: what the figures are of
    figures            the headline figure first
    majority_baseline  the headline figure of the prediction that is best without reading a text:
                       always the most frequent label; of a regression always the median
    """

    data: Words
    rows: Annotated[int, Field(gt=0)]
    figures: Annotated[tuple[MeasuredFigure, ...], Field(min_length=1)]
    majority_baseline: Finite | None = None


class OutOfDomain(DomainFigures):
    """What the model scored on a data set that it was not trained on.

    texts              what its texts are, as in "restaurant reviews"
    median_tokens      median of the tokens per row, before any truncation
    median_oov_share   median of the rows' shares of tokens that the vocabulary lacks, 0..1
    psi                how far the data set is from the training data
    """

    texts: Words
    median_tokens: Index
    median_oov_share: Share
    psi: StabilityIndexes | None = None
    note: str = ""
