"""A recipe: everything that makes one model, read from one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

RECIPES = Path(__file__).parent.parent / "recipes"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Table):
    """Which rows, and which of them judge the model while it is trained."""

    set: Literal["imdb", "wine", "twitter"]
    template: str | None = None  # how the text is made of several columns; see scorer.composition
    soft: bool = False  # texts with teachers' probabilities join the training part
    split_by: str | None = None  # rows that share this column stay on one side; None: at random
    validation: float = Field(default=0.1, gt=0, lt=1)  # share of the rows held out
    # Share of the other rows that is held out too, at random: they judge how the model knows what
    # it has met in other words.
    met: float = Field(default=0.0, ge=0, lt=1)
    # In the end the model is trained once more, on all rows, for as many epochs as were best and
    # with the same mix.
    refit: bool = False


class Protocol(_Table):
    """A way to measure the recipe where no official test exists: train without some rows."""

    name: str
    data: str  # what the figure is measured on, in words
    split_by: str | None = None
    test: float = Field(gt=0, lt=1)  # share of the rows held out
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


class LayerSpec(_Table):
    """One Keras layer by its class name and the settings that differ between models."""

    kind: Literal[
        "Embedding", "SpatialDropout1D", "Dropout", "LSTM", "Bidirectional", "Dense",
        "Conv1D", "ReLU", "GlobalMaxPooling1D",
    ]  # fmt: skip
    units: int = 0  # Embedding: dimensions; Conv1D: filters; Bidirectional: of each direction
    rate: float = 0.0
    width: int = 0  # Conv1D
    activation: Literal["relu", "sigmoid", "softmax", "linear"] | None = None
    return_sequences: bool = False
    vectors: Literal["glove", "word2vec", "teacher"] | None = None
    trainable: bool = True
    mask_zero: bool = True  # Embedding


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
        """Width of the network's convolution; 0 without one."""
        return max((layer.width for layer in self.layers), default=0)


def read_recipe(name_or_path: str) -> Recipe:
    """The recipe of a TOML file, or the shipped one of that name."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = RECIPES / f"{name_or_path}.toml"
    return Recipe.model_validate(tomllib.loads(path.read_text("utf-8")))


def recipe_names() -> list[str]:
    return sorted(path.stem for path in RECIPES.glob("*.toml"))
