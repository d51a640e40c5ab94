"""A recipe: everything that makes one model, read from one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scorer.layers import KINDS

RECIPES = Path(__file__).parent.parent / "recipes"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


SetName = Literal["imdb", "wine", "twitter", "reviews", "reviews-3class", "posts"]


class Data(_Table):
    """Which rows, and which of them judge the model while it is trained."""

    set: SetName
    also: tuple[SetName, ...] = ()  # further sets, whose files follow on the command line
    template: str | None = None  # how the text is made of several columns; see scorer.composition
    soft: int = 0  # so many texts with another model's probabilities join the training part
    test_set: SetName | None = None  # that of the official test file; None: `set`
    split_by: str | None = None  # rows that share this column stay on one side; None: at random
    validation: float = Field(default=0.1, gt=0, lt=1)  # share of the rows held out
    # Share of the rows that are kept for the card's figures and that nothing else reads.
    test: float = Field(default=0.0, ge=0, lt=1)
    # Share of the other rows that is held out too, at random: they measure the model on rewordings
    # of what it was trained on.
    met: float = Field(default=0.0, ge=0, lt=1)
    # Domains that stay out of held-out and validation rows, because the model that the training
    # starts from was trained on them.
    unmeasured: tuple[str, ...] = ()
    # In the end the model is trained once more, on all rows, for as many epochs as were best and
    # with the same mix.
    refit: bool = False
    # How much each source's rows count in the loss; 1 where it is not named, 0 leaves it out.
    weights: dict[str, float] = {}
    # The classes of each domain count as if each had (its share ** (1 - balance)) of the rows:
    # 0 as they are, 1 all alike.
    balance: float = Field(default=0.0, ge=0, le=1)
    # The mix, and so the probabilities, are for rows weighted the same way: for macro recall.
    balanced_mix: bool = False


class Protocol(_Table):
    """A way to measure the recipe where no official test exists: train without some rows."""

    name: str
    data: str  # what the figure is measured on, in words
    split_by: str | None = None
    test: float = Field(default=0.0, ge=0, lt=1)  # share of the rows held out
    domains: tuple[str, ...] = ()  # or these domains, whole
    parts: int = 1  # so many such shares are held out in turn, each by a training of its own
    sample: int | None = None  # train on that many of the other rows only
    source: float | None = None  # the source's figure under this protocol
    baseline: float | None = None
    note: str = ""


class Source(_Table):
    """What the model retraces, if anything, and the figures beside which it is put."""

    notebook: str | None = None
    said: str = ""  # the notebook's figure and how it was measured
    figure: float | None = None
    baseline: float | None = None
    baseline_name: str = ""


class Vectorizer(_Table):
    """Settings of Keras' TextVectorization; the rest stay at their defaults."""

    max_tokens: int
    standardize: Literal["lower_and_strip_punctuation", "lower"] = "lower_and_strip_punctuation"
    split: Literal["whitespace", "character"] = "whitespace"
    ngrams: int = 1  # up to that many words or characters
    output_mode: Literal["int", "multi_hot", "count", "tf_idf"] = "int"
    output_sequence_length: int | None = None


class LayerSpec(BaseModel):
    """One Keras layer: its class name, and the arguments of that class.

    layer    the layer that a Bidirectional or TimeDistributed wraps
    vectors  word vectors that an Embedding starts from
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str
    layer: LayerSpec | None = None
    vectors: Literal["glove", "word2vec", "teacher"] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def with_arguments(self, **changes: Any) -> LayerSpec:
        return LayerSpec.model_validate({**self.model_dump(), **changes})

    @model_validator(mode="after")
    def _declared(self) -> LayerSpec:
        """The zoo takes only layers, and only values, that scorer.layers declares."""
        if self.kind not in KINDS:
            raise ValueError(f"no layer {self.kind!r}; there are {', '.join(sorted(KINDS))}")
        for name, setting in KINDS[self.kind].settings.items():
            given = self.arguments.get(name)
            if given is not None and not any(map(setting.check, (given, [given]))):
                raise ValueError(f"{self.kind} does not take {name} = {given!r}")
        return self


class Wide(_Table):
    """A linear model on n-grams, added to the network's logits before the head's activation."""

    vectorizer: Vectorizer  # whose output is a bag
    unit: bool = False  # a text's bag is brought to length 1
    l2: float = 100.0  # on weights divided by the n-gram's idf, against the summed loss
    rare: float = 0.0  # how much less rare n-grams pay: idf times (idf / mean idf) to this power
    steps: int = 60  # of L-BFGS

    @property
    def title(self) -> str:
        unit = "characters" if self.vectorizer.split == "character" else "words"
        return f"n-grams of up to {self.vectorizer.ngrams} {unit}"


class Training(_Table):
    """How the weights are found."""

    optimizer: Literal["adam", "sgd", "lbfgs"] = "adam"
    batch_size: int = 64
    epochs: int = 8  # at most; also the length of the learning rate's single cosine
    learning_rate: float = 2e-3  # its peak
    patience: int = 2  # epochs without a lower validation loss
    crop: int | None = None  # a random window of at most that many tokens of each text
    word_dropout: float = 0.0  # share of tokens replaced by the unknown word
    label_smoothing: float = 0.0
    weight_decay: float = 0.0  # decoupled, on matrices but the embedding (Loshchilov 2019)
    clip_norm: float = 1.0
    inverse_l2: float = 1e-3  # lbfgs: scikit-learn's C


class Beside(_Table):
    """A second network. It is trained alone on the same rows, and its logits are added."""

    vectorizer: Vectorizer
    layers: tuple[LayerSpec, ...]
    training: Training


class Recipe(_Table):
    name: str
    version: str = "1.0.0"
    task: Literal["binary", "multiclass", "regression"]
    summary: str  # one sentence for the card
    limits: tuple[str, ...] = ()  # beyond those of the data set
    source: Source
    seed: int = 7
    start: bool = False  # from the weights of a bundle's network of the same layers
    commit: str | None = None  # whose scripts trained the shipped weights, where not this one's
    bundle: bool = True  # False: trained and reported only
    data: Data
    protocols: tuple[Protocol, ...] = ()
    vectorizer: Vectorizer
    layers: tuple[LayerSpec, ...]
    beside: Beside | None = None  # only with `wide`
    wide: tuple[Wide, ...] = ()
    training: Training = Training()

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        """Only with a bag of n-grams are logits added; a regression has no epochs to repeat."""
        if self.beside is not None and not self.wide:
            raise ValueError("a network `beside` another needs `wide`")
        if self.data.refit and self.training.optimizer == "lbfgs":
            raise ValueError("`refit` is for networks")
        return self

    @property
    def networks(self) -> tuple[Recipe, ...]:
        """A recipe for each network alone."""
        alone = self.model_copy(update={"beside": None})
        if self.beside is None:
            return (alone,)
        return alone, alone.model_copy(update=dict(self.beside))

    @property
    def convolution(self) -> int:
        """Width of the network's widest convolution; 0 without one."""
        return max((layer.arguments.get("kernel_size", 0) for layer in self.layers), default=0)

    @property
    def outputs(self) -> int:
        """How many numbers the network gives for a text."""
        return int(self.layers[-1].arguments["units"])


def read_recipe(name_or_path: str) -> Recipe:
    """The recipe of a TOML file, or the shipped one of that name."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = RECIPES / f"{name_or_path}.toml"
    return Recipe.model_validate(tomllib.loads(path.read_text("utf-8")))


def recipe_names() -> list[str]:
    return sorted(path.stem for path in RECIPES.glob("*.toml"))
