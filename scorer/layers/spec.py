"""What is declared of a Keras layer, in the terms that declarations and their readers share.

A declaration is data and small pure functions of settings and of what comes in. It knows no
weights, no engine and no graph: `scorer.bundle.annotate` asks it once for every call of a layer,
and everything else reads the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

MAX_UNITS = 1 << 16
MAX_WORDS = 5_000_000

Shape = tuple[int, ...]
Settings = Mapping[str, Any]
Check = Callable[[Any], bool]
#: the default of a setting that an archive must state
REQUIRED: Any = object()


class Unfit(Exception):
    """A layer cannot take what comes in; the text says why, without the layer's name."""


class Content(Enum):
    """What the positions after a row's last token hold, which decides who may read them.

    WORDS      anything: what the layers before make of the padding id
    STATES     zeros, or the last token's value again: what a recurrent layer gives under a mask
    RECTIFIED  the same, and nothing is negative anywhere, so that no maximum changes by it
    """

    WORDS = 1
    STATES = 2
    RECTIFIED = 3


@dataclass(frozen=True)
class Padding:
    """Positions that a row has only because a longer row stands beside it, or by a fixed length.

    source   the input whose token ids the positions come from
    masked   whether Keras carries a mask along: True where the id is not 0
    """

    source: str
    masked: bool = False
    content: Content = Content.WORDS


@dataclass(frozen=True)
class TensorSpec:
    """What a layer gives for one row.

    shape    without the batch; None for as many positions as the longest row of a batch has
    dtype    "ids" (token ids), "bag" (columns of word counts), "mask", or "float"
    padding  of the first dimension, where it counts tokens; None for what is no longer a sequence
    """

    shape: tuple[int | None, ...]
    dtype: str = "float"
    padding: Padding | None = None

    @property
    def width(self) -> int:
        """The last dimension, over which Dense and its like work."""
        width = self.shape[-1] if self.shape else None
        if width is None:
            raise Unfit("the width of what it reads is not known")
        return width

    @property
    def masked(self) -> bool:
        return self.padding is not None and self.padding.masked

    @property
    def open(self) -> bool:
        """Whether the number of positions, padding included, depends on a row's neighbours."""
        return self.padding is not None and None in self.shape


Inputs = Sequence[TensorSpec]


@dataclass(frozen=True)
class Setting:
    """A setting that inference needs: its supported values, and Keras' own where it is absent."""

    check: Check
    default: Any = REQUIRED


class Arity(Enum):
    """How a layer is called: on one tensor, on a list of them, on several arguments, or on one
    and the states that it begins with."""

    ONE = 1
    LIST = 2
    SEVERAL = 3
    STATES = 4


def no_weights(settings: Settings, inputs: Inputs) -> dict[str, Shape]:
    return {}


def never(settings: Settings, given: TensorSpec) -> bool:
    return False


def always(settings: Settings, given: TensorSpec) -> bool:
    """It reads every position, whatever the mask says."""
    return True


def unless_masked(settings: Settings, given: TensorSpec) -> bool:
    """It leaves masked positions out."""
    return not given.masked


@dataclass(frozen=True)
class LayerKind:
    """A Keras layer.

    name           Keras' class
    output         settings, what comes in -> what goes out; raises Unfit
    settings       those that inference needs, by name; `bundle/config/settings.py` checks others
    weights        settings, what comes in -> the shape of each weight by its place in the layer's
                   part of a `.keras` archive, in the order of Keras' `get_weights()`
    reads_padding  whether a position that is padding changes what other positions or rows become
    arity          how it is called
    training_only  it does nothing outside training
    wraps          the layers that may stand in its setting `layer`, a LayerSpec
    parameters     names of the tensors that a layer of SEVERAL or STATES takes, in order
    at_call        settings that are given where the layer is called, not where it is made
    as_settings    settings by which Keras takes the layer's weights, in their order; none where it
                   takes them as weights
    operation      it is a function of `keras.ops` of this name, not a layer
    """

    name: str
    output: Callable[[Settings, Inputs], TensorSpec]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    weights: Callable[[Settings, Inputs], dict[str, Shape]] = no_weights
    reads_padding: Callable[[Settings, TensorSpec], bool] = never
    arity: Arity = Arity.ONE
    training_only: bool = False
    wraps: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    at_call: tuple[str, ...] = ()
    as_settings: tuple[str, ...] = ()
    operation: bool = False


@dataclass(frozen=True)
class LayerSpec:
    """A layer of a model: its kind, its name, and the settings that inference needs, checked."""

    kind: str
    name: str
    settings: dict[str, Any]


# Checks of values.


def one_of(*values: Any) -> Check:
    return lambda value: any(type(value) is type(v) and value == v for v in values)


def whole(most: int) -> Check:
    return lambda value: type(value) is int and 0 < value <= most


def flag(value: Any) -> bool:
    return type(value) is bool


def integer(value: Any) -> bool:
    return type(value) is int and abs(value) <= MAX_UNITS


def number(value: Any) -> bool:
    """Finite, and such that its square is as well in float32."""
    return type(value) in (int, float) and abs(value) < 1e19  # False for NaN


def positive(value: Any) -> bool:
    return number(value) and value > 0


def either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def listed(check: Check, least: int = 1, most: int = 8) -> Check:
    """A list of so many values."""
    return lambda value: (
        isinstance(value, list) and least <= len(value) <= most and all(map(check, value))
    )


def size(value: Any) -> bool:
    """A list of one whole number, as Keras stores sizes along one dimension."""
    return isinstance(value, list) and len(value) == 1 and UNITS(value[0])


def size_2d(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(UNITS, value))


UNITS = whole(MAX_UNITS)
#: one number of a shape; -1 for what is left
DIMENSION = either(UNITS, one_of(-1))
#: Keras' activations but `glu` and `threshold`, which Keras' layers cannot have either: the one
#: changes the width, the other needs arguments
ACTIVATIONS = (
    "linear sigmoid tanh relu softmax elu selu gelu silu swish softplus softsign exponential mish "
    "relu6 leaky_relu hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid log_softmax celu "
    "soft_shrink hard_shrink tanh_shrink squareplus sparse_plus sparse_sigmoid sparsemax"
).split()
ACTIVATION = one_of(*ACTIVATIONS)


# What comes in, and what goes out.


def floats(given: TensorSpec) -> TensorSpec:
    """`given`, which must not be token ids: they need an Embedding."""
    if given.dtype in ("ids", "mask"):
        raise Unfit(
            "it reads token ids, which need an Embedding first: where the program gives the layer "
            "the padded ids as numbers, give --sequence-length; where it gives a bag of words, "
            "--matrix"
        )
    return given


def sequence(given: TensorSpec) -> TensorSpec:
    """`given`, which must be one vector for each position."""
    if len(floats(given).shape) != 2:
        what = "a bag of words" if given.dtype == "bag" else f"the shape {shown(given.shape)}"
        raise Unfit(f"it expects a sequence (positions, width), not {what}")
    return given


#: what may be done where layers need to know how many positions there are
FIX_LENGTH = "give the number of positions that training used (--sequence-length N)"


def fixed(given: TensorSpec) -> TensorSpec:
    """`given`, whose every dimension must be known."""
    if None in floats(given).shape:
        raise Unfit(f"it needs a fixed number of positions: {FIX_LENGTH}")
    return given


def dimension(axis: int, given: TensorSpec) -> int:
    """The place in `given.shape` of a dimension that Keras counts with the batch as its first."""
    rank = len(given.shape) + 1
    place = axis + rank if axis < 0 else axis
    if not 1 <= place < rank:
        raise Unfit(f"axis {axis} is not one of a row's dimensions {shown(given.shape)}")
    return place - 1


def unmasked(given: TensorSpec) -> TensorSpec:
    """`given` where Keras drops the mask, and with other values at its padding."""
    return replace(given, padding=given.padding and Padding(given.padding.source))


def whole_row(*shape: int | None) -> TensorSpec:
    """A tensor whose dimensions no longer count a text's positions."""
    return TensorSpec(shape)


def unchanged(settings: Settings, inputs: Inputs) -> TensorSpec:
    """The same shape, the same mask, and padding that keeps what it holds."""
    return inputs[0]


def filled(given: TensorSpec, content: Content) -> TensorSpec:
    """`given` with other values at its padding."""
    if given.padding is None:
        return given
    return replace(given, padding=replace(given.padding, content=content))


def shown(shape: Sequence[int | None]) -> str:
    """`(any, 64)`"""
    return f"({', '.join('any' if n is None else str(n) for n in shape)})"
