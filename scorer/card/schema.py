"""The fields of a card, each checked, and how a card is read and rendered.

A card is `README.md` beside `model.keras`: YAML front matter between two `---` lines, then Markdown
for people. It is untrusted input: `scorer.card.text` caps it before anything is built from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from scorer.card.out_of_domain import CardPart, DomainFigures, Finite, MetricName, OutOfDomain
from scorer.card.text import join_front_matter, split_front_matter
from scorer.card.vectorizer import InputCard, VectorizerCard
from scorer.composition import Composition, parse_template
from scorer.errors import CardError, UsageError
from scorer.faults import in_words
from scorer.files import read_regular
from scorer.tasks import LABEL_SEPARATOR, TASKS, Problem, Task, task_named, task_names

MAX_CARD_BYTES = 1 << 20

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}$")]
Column = Annotated[str, StringConstraints(min_length=1, max_length=256)]
#: a few words for a column of a table: "film reviews"
FewWords = Annotated[str, StringConstraints(min_length=1, max_length=24, pattern=r"^[^\r\n]+$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\r\n]+$")]

#: a task as cards and reports write it: its name
TaskField = Annotated[
    Task,
    PlainValidator(task_named),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"enum": list(task_names()), "type": "string"}),
]


def _checked(template: str) -> str:
    parse_template(template)
    return template


Template = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_checked)]


class Label(CardPart):
    """One class: its name in the output and the spellings accepted for it in labelled data."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    aliases: tuple[str, ...] = ()


class Golden(CardPart):
    """A row and the model's final outputs for it; `None` where the tool gives no score.

    columns   what stands beside the text, where the model has further inputs
    """

    text: str
    output: tuple[Finite, ...] | None
    columns: dict[Column, str | Finite] | None = None


class ProfileHistogram(CardPart):
    """Counts of values between inner edges: bin i holds edges[i-1] <= value < edges[i]."""

    edges: tuple[Finite, ...]
    counts: tuple[Annotated[int, Field(ge=0)], ...]

    @model_validator(mode="after")
    def _consistent(self) -> ProfileHistogram:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError(
                f"a histogram with {len(self.edges)} inner edges needs "
                f"{len(self.edges) + 1} counts, not {len(self.counts)}"
            )
        if any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("the edges of a histogram must increase")
        return self


class TrainingProfile(CardPart):
    """What the training data looked like, for drift.

    tokens      tokens per row, before any truncation
    oov_share   share of a row's tokens that the vocabulary lacks, 0..1
    score       binary: probability of the last label; multiclass: probability of the predicted
                label; multilabel: the highest probability; regression: the prediction
    """

    rows: Annotated[int, Field(gt=0)]
    tokens: ProfileHistogram
    oov_share: ProfileHistogram
    score: ProfileHistogram


class PromisedFigure(CardPart):
    """A promised figure: `metric` on `data`, with its 95% interval and what it is compared with.

    source             what the notebook says whose network the model rebuilds
    baseline           the same figure of a linear model on the same rows
    majority_baseline  of always the most frequent label; of a regression of always the median
    """

    metric: MetricName
    value: Finite
    low: Finite | None = None
    high: Finite | None = None
    data: str
    rows: Annotated[int, Field(gt=0)]
    source: Finite | None = None
    baseline: Finite | None = None
    majority_baseline: Finite | None = None
    note: str = ""


class TrainedPart(CardPart):
    """One network of a model: which epoch's weights it has, and the validation loss there."""

    epoch: Annotated[int, Field(gt=0)]
    validation_loss: Finite
    vectors_found: Annotated[float, Field(ge=0, le=1)] | None = None


class Training(CardPart):
    """What trained the weights.

    rows, validation_rows, taught_rows  labelled rows, those held out of them for early stopping
                                        and the mix, and rows with another model's probabilities
    release, commit                     of the scripts that trained the weights
    networks                            in the order of the archive's branches; none of a linear
                                        model
    """

    recipe: str
    seed: int
    data: str
    rows: Annotated[int, Field(gt=0)] | None = None
    validation_rows: Annotated[int, Field(ge=0)] | None = None
    taught_rows: Annotated[int, Field(ge=0)] = 0
    release: str | None = None
    commit: str | None = None
    networks: tuple[TrainedPart, ...] = ()


class Speed(CardPart):
    """Rows per second of vectorizer and network together, as `scripts/bench_zoo.py` measured it."""

    rows_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    threads: Annotated[int, Field(gt=0)]
    data: str


class ScorerCard(CardPart):
    """The `scorer:` mapping. `figures[0]` is the headline figure.

    intended_for       the texts that it is for, in a few words: "film reviews"
    not_for            what to use another model for, in a sentence: "Tweets and single sentences."
    recommended        whether it is the one to begin with for those texts
    vectorizer         how a text becomes ids, where the archive alone does not say it
    inputs             what feeds each of several inputs, in any order
    output_activation  what is applied to the archive's outputs, which are logits
    by_domain          what the model scored on held-out rows of each domain of its own data
    out_of_domain      what the model scored on data sets of other kinds of texts
    """

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    version: Version
    task: TaskField
    intended_for: FewWords | None = None
    not_for: Sentence | None = None
    recommended: bool = False
    labels: tuple[Label, ...] = ()
    text_columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    text_template: Template | None = None
    vectorizer: VectorizerCard | None = None
    inputs: Annotated[tuple[InputCard, ...], Field(max_length=16)] = ()
    output_activation: Literal["sigmoid", "softmax"] | None = None
    label_columns: tuple[Column, ...] = ()
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    figures: tuple[PromisedFigure, ...] = ()
    by_domain: Annotated[tuple[DomainFigures, ...], Field(max_length=256)] = ()
    out_of_domain: Annotated[tuple[OutOfDomain, ...], Field(max_length=256)] = ()
    golden: tuple[Golden, ...] = ()
    training_profile: TrainingProfile | None = Field(default=None, alias="reference")
    training: Training | None = None
    speed: Speed | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ScorerCard:
        faults = [*self._use_faults(), *self._label_faults(), *self._golden_faults()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _use_faults(self) -> Iterator[str]:
        if self.recommended and self.intended_for is None:
            yield "a recommended model needs `intended_for`: what it is recommended for"

    def _label_faults(self) -> Iterator[str]:
        count = len(self.labels)
        if not self.task.accepts(count):
            yield f"a {self.task} model needs {self.task.labels_wanted} labels, not {count}"
        spellings = [s.casefold() for x in self.labels for s in {x.name, *x.aliases}]
        twice = sorted({s for s in spellings if spellings.count(s) > 1})
        if twice:
            yield f"the spelling {twice[0]!r} stands for two labels"
        holding = [] if self.task.exclusive else [s for s in spellings if LABEL_SEPARATOR in s]
        if holding:
            yield f"{holding[0]!r} holds {LABEL_SEPARATOR!r}, which joins a row's labels in CSV"

    def _golden_faults(self) -> Iterator[str]:
        if not self.task.accepts(len(self.labels)):
            return
        for i, row in enumerate(self.golden):
            if row.output is not None and len(row.output) != self.outputs:
                yield f"golden row {i} has {len(row.output)} outputs, the task has {self.outputs}"

    @cached_property
    def composition(self) -> Composition | None:
        """How the text is made of several columns; None where it is one column."""
        return None if self.text_template is None else parse_template(self.text_template)

    @property
    def outputs(self) -> int:
        """How many final outputs a row has."""
        return self.task.width(len(self.labels))

    @property
    def network_outputs(self) -> tuple[int, ...]:
        """How many outputs the network may have: the task's, or one for each of its labels."""
        return tuple(dict.fromkeys((self.outputs, max(len(self.labels), 1))))

    @cached_property
    def columns_beside(self) -> tuple[str, ...]:
        """The columns that feed the network beside the text, each once."""
        named = (column for each in self.inputs for column in each.columns)
        return tuple(dict.fromkeys(c for c in named if c not in self.text_columns))

    def problem(self, threshold: float | None = None) -> Problem:
        """What the model predicts; `threshold` replaces the card's.

        Raises UsageError for a threshold where the task takes none.
        """
        if threshold is not None and not self.task.takes_threshold:
            by_threshold = " and ".join(task.name for task in TASKS if task.takes_threshold)
            raise UsageError(
                f"a threshold is for {by_threshold} models; "
                f"{self.name}@{self.version} is {self.task}"
            )
        labels = tuple(label.name for label in self.labels)
        return Problem(self.task, labels, self.threshold if threshold is None else threshold)


class Card(BaseModel):
    """A whole card: the front matter (hub fields kept as they are) and the Markdown body."""

    model_config = ConfigDict(frozen=True, extra="allow")

    license: str
    scorer: ScorerCard
    body: str = Field(default="", exclude=True)

    @cached_property
    def ref(self) -> str:
        return f"{self.scorer.name}@{self.scorer.version}"

    @property
    def headline(self) -> PromisedFigure | None:
        return self.scorer.figures[0] if self.scorer.figures else None


def read_card(path: Path) -> Card:
    """Read and check the card at `path`. Raises CardError naming the file and the field."""
    try:
        raw = read_regular(path, MAX_CARD_BYTES)
    except OSError as error:
        raise CardError(f"{path}: cannot read the card: {error.strerror}") from error
    try:
        return parse_card(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CardError(f"{path}: the card is not UTF-8 (byte {error.start})") from error
    except CardError as error:
        raise CardError(f"{path}: {error}") from error


def parse_card(text: str) -> Card:
    """Check the text of a card. Raises CardError naming the field and the rule."""
    fields, body = split_front_matter(text)
    if not isinstance(fields, dict) or "scorer" not in fields:
        raise CardError("the card's front matter has no `scorer:` mapping")
    try:
        return Card.model_validate({**fields, "body": body})
    except ValidationError as error:
        raise CardError(card_faults(error)) from error


def card_faults(error: ValidationError) -> str:
    """All that is wrong with a card, in one line of plain words."""
    parts: dict[str, type[BaseModel]] = {
        "scorer": ScorerCard,
        "vectorizer": VectorizerCard,
        "inputs": InputCard,
    }
    parts |= {"golden": Golden, "figures": PromisedFigure, "labels": Label}
    parts |= {"out_of_domain": OutOfDomain}
    known = {
        name: tuple(field.alias or key for key, field in part.model_fields.items())
        for name, part in parts.items()
    }
    return in_words(error, known)


def render_card(card: Card) -> str:
    """The text of a card, as `parse_card` reads it."""
    front = card.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not card.scorer.recommended:
        del front["scorer"]["recommended"]
    for row in front["scorer"]["golden"]:
        row.setdefault("output", None)
    return join_front_matter(front, card.body)
