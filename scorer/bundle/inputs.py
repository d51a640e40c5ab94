"""What an archive's inputs take: a text by way of a vectorizer, or columns of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scorer.bundle.annotate import heeds_masks
from scorer.bundle.config.read import ModelSpec, input_shape
from scorer.bundle.lookups import looked_up
from scorer.bundle.network import Call, Input, Layer, Node
from scorer.bundle.pieces import Pieces
from scorer.errors import BundleError, UnsupportedModel
from scorer.layers.spec import Padding, TensorSpec
from scorer.vectorizer import VectorizerSpec

#: layers that take ids, be they of words or of categories
_ID_READERS = frozenset(("Embedding", "CategoryEncoding", "IntegerLookup", "Hashing"))
#: and functions that do
_ID_FUNCTIONS = frozenset(("one_hot", "cast"))
_NO_VECTORIZER = (
    "the model takes {what}, and nothing in the archive makes them of a text: save what "
    "made them in your program, and give the file with --vectorizer: Tokenizer.to_json(), a word "
    "index, vocabulary.txt, or a .keras that holds the TextVectorization"
)


def network_inputs(
    model: ModelSpec,
    inside: Mapping[str, VectorizerSpec],
    pieces: Pieces,
    *,
    uses_file: bool = False,
) -> tuple[Input, ...]:
    """The network's inputs, in the order in which calls read them.

    inside      the archive's own vectorizers, by the name under which calls read them
    uses_file   these have their words from the file beside the archive
    Raises BundleError and UnsupportedModel, saying which piece is missing or does not fit.
    """
    made = {call.name for call in model.calls}
    names = list(dict.fromkeys(n for c in model.calls for n in c.inputs if n not in made))
    outside = [name for name in names if name not in inside]
    looked = [model.vectorizers[n].source for n in names if n in inside and inside[n].category]
    _check_names(model, [*outside, *looked], pieces)
    if pieces.kind is not None and not outside and not uses_file:
        raise BundleError(
            "the archive holds its own vectorizer, so the one beside it would never be used: "
            "leave it out"
        )
    inputs = []
    for name in names:
        if name in inside:
            source = model.vectorizers[name].source
            columns = next((card.columns for card in pieces.inputs if card.name == source), ())
            if inside[name].category is not None:
                spec = looked_up(name, inside[name], model, pieces, columns)
            else:
                spec = pieces.inside(inside[name])
            inputs.append(input_of(name, spec, source))
        else:
            inputs.append(_Outside(name, model, pieces).input())
    if all(given.vectorizer is None for given in inputs):
        raise UnsupportedModel("no input of the model takes a text, each takes numbers")
    return tuple(inputs)


def with_numbers(inputs: Sequence[Input], model: ModelSpec, pieces: Pieces) -> tuple[Call, ...]:
    """The model's calls, those on ids that look nothing up by them reading the ids as numbers.

    Some programs give the padded ids themselves to a Dense layer. It must be said how many there
    are, so that no bag of words is taken for ids by mistake.
    """
    told = pieces.described is not None and pieces.described.sequence_length is not None
    shapes = {given.name: _row_shape(model, given) for given in inputs if _of_ids(given) and told}
    made: dict[str, list[Call]] = {}
    calls = []
    for call in model.calls:
        name = call.inputs[0]
        if (
            name in shapes
            and len(call.inputs) == 1
            and call.layer.kind not in _ID_READERS | _ID_FUNCTIONS
        ):
            if name not in made:
                made[name] = _as_numbers(name, shapes[name])
                calls += made[name]
            call = replace(call, inputs=(made[name][-1].name,))
        calls.append(call)
    return tuple(calls)


def _of_ids(given: Input) -> bool:
    spec = given.vectorizer
    return given.spec.dtype == "ids" and spec is not None and spec.category is None


def _row_shape(model: ModelSpec, given: Input) -> list[Any]:
    """Of the archive's input, without the batch."""
    settings = model.inputs.get(given.source, {})
    shape = input_shape(settings)
    return list(shape[1:]) if isinstance(shape, list) else []


def _as_numbers(name: str, shape: Sequence[Any]) -> list[Call]:
    """The calls that make numbers of ids, in the shape that the archive's input has."""
    cast = Layer("cast", f"{name}/numbers", {"dtype": "float32"})
    calls = [Call(cast.name, cast, (name,))]
    if len(shape) == 2:
        column = Layer("expand_dims", f"{name}/column", {"axis": 2})
        calls.append(Call(column.name, column, (cast.name,)))
    return calls


def input_of(name: str, vectorizer: VectorizerSpec, source: str = "text") -> Input:
    """The input of a network that a vectorizer feeds."""
    if vectorizer.output_mode == "int":
        shape = (vectorizer.output_sequence_length,)
        return Input(name, vectorizer, TensorSpec(shape, "ids", Padding(name)), source)
    return Input(name, vectorizer, TensorSpec((vectorizer.columns,), "bag"), source)


def with_masks(inputs: Sequence[Input], nodes: Sequence[Node]) -> tuple[Input, ...]:
    """The inputs, their vectorizers told where ids of 0 are skipped by every layer.

    Then rows need no padding, whichever side it would be on, and lose their zeros.
    """
    return tuple(_with_mask(given, nodes) for given in inputs)


def _with_mask(given: Input, nodes: Sequence[Node]) -> Input:
    spec = given.vectorizer
    if spec is None or spec.output_mode != "int" or spec.padding.value != 0:
        return given
    if spec.padding.is_implied and not spec.has_zero_words:
        return given
    if not heeds_masks(given.name, nodes):
        return given
    masked = replace(spec, padding=replace(spec.padding, masked=True))
    return replace(given, vectorizer=masked)


def masked_apart(inputs: Sequence[Input], nodes: Sequence[Node]) -> Node | None:
    """The first layer under a mask whose rows hold ids 0 elsewhere than at their end.

    Such a mask is told by the ids alone. An engine that takes every id of a row for a word cannot
    run the layer.
    """
    apart = set()
    for given in inputs:
        spec = given.vectorizer
        if spec is not None and spec.output_mode == "int" and not spec.padding.masked:
            before = spec.padding.value == 0 and not spec.padding.is_implied
            if before or spec.has_zero_words:
                apart.add(given.name)
    for node in nodes:
        if any(g.masked and g.padding and g.padding.source in apart for g in node.given):
            return node
    return None


def check_ids(inputs: Sequence[Input], nodes: Sequence[Node]) -> None:
    """Raise BundleError where a vectorizer makes ids that an Embedding has no row for."""
    by_name = {each.name: each.vectorizer for each in inputs}
    for node in nodes:
        vectorizer = by_name.get(node.inputs[0])
        if node.layer.kind == "Embedding" and vectorizer is not None:
            rows, needed = node.layer.settings["input_dim"], vectorizer.id_count
            if rows < needed:
                raise BundleError(
                    f"layer {node.layer.name}: {rows} rows of weights, "
                    f"the vocabulary needs {needed}"
                )


def _check_names(model: ModelSpec, needed: Sequence[str], pieces: Pieces) -> None:
    """Every card of an input names one, and where there are several, each that needs one has it."""
    sources = list(model.inputs)
    described = [card.name for card in pieces.inputs]
    listed = ", ".join(sources)
    for name in described:
        if name not in sources:
            raise BundleError(f"the model has no input {name!r}; its inputs are {listed}")
        if described.count(name) > 1:
            raise BundleError(f"the input {name!r} is described twice")
    missing = [name for name in needed if name not in described]
    for name in missing if len(sources) > 1 else ():
        pieces.lack(
            f"--input {name}=COLUMN",
            f"the model has the inputs {listed}: say which column feeds {name} "
            f"(--input {name}=COLUMN)",
        )


@dataclass(frozen=True)
class _Outside:
    """An input that no vectorizer in the archive reads."""

    name: str
    model: ModelSpec
    pieces: Pieces

    def input(self) -> Input:
        settings = self.model.inputs[self.name]
        if settings.get("dtype") == "string":
            raise UnsupportedModel(
                f"input {self.name}: it takes texts, and no TextVectorization or lookup reads it"
            )
        width = self._width(settings)
        named = next((c.columns for c in self.pieces.inputs if c.name == self.name), None)
        several = len(self.model.inputs) > 1
        if named is None and several and width is not None and not self._reads_ids():
            return self._of_numbers(width, width)  # noted as missing: numbers, by all that is known
        columns = named or ("",)
        if len(columns) > 1 or (width == 1 and several):
            return self._of_numbers(width, len(columns))
        spec = self.pieces.beside(width)
        if spec is None:
            ids = self._reads_ids()
            what = "token ids" if ids else "numbers"
            self.pieces.lack("--vectorizer FILE", _NO_VECTORIZER.format(what=what))
            spec = self.pieces.stand_in(width, ids=ids)
        return self._of_text(width, spec)

    def _width(self, settings: Mapping[str, Any]) -> int | None:
        """How many numbers the input takes for a row; None for any number."""
        shape = input_shape(settings)
        if isinstance(shape, list) and len(shape) == 3 and shape[2] == 1:
            shape = shape[:2]
        if not isinstance(shape, list) or not 1 <= len(shape) <= 2:
            raise UnsupportedModel(
                f"input {self.name}: it takes the shape {shape!r:.60}, neither ids nor numbers "
                "of a row"
            )
        width = shape[1] if len(shape) == 2 else 1
        if width is not None and (type(width) is not int or width < 1):
            raise BundleError(f"config.json: input {self.name}: its shape is {shape!r:.60}")
        return width

    def _reads_ids(self) -> bool:
        readers = (call.layer.kind for call in self.model.calls if self.name in call.inputs)
        return any(kind in _ID_READERS for kind in readers)

    def _of_numbers(self, width: int | None, columns: int) -> Input:
        if width != columns:
            takes = "any number of" if width is None else str(width)
            raise BundleError(f"input {self.name}: it takes {takes} numbers, {columns} are given")
        ids = self._reads_ids()
        spec = TensorSpec((columns,), "ids", Padding(self.name)) if ids else TensorSpec((columns,))
        return Input(self.name, None, spec, self.name)

    def _of_text(self, width: int | None, spec: VectorizerSpec) -> Input:
        given = input_of(self.name, spec, self.name)
        made = given.spec.shape[0]
        if width is not None and made != width:
            what, option = ("ids", "--sequence-length")
            if spec.output_mode != "int":
                what, option = "columns", "the vocabulary or --num-words"
            raise BundleError(
                f"input {self.name}: it takes {width} {what}, the vectorizer gives {made}: "
                f"look at {option}"
            )
        return given
