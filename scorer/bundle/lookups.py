"""Inputs that StringLookup, IntegerLookup or Hashing reads: a row's values, or a text's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scorer.bundle.config.read import ModelSpec, input_shape
from scorer.bundle.pieces import Pieces
from scorer.errors import BundleError, UnsupportedModel
from scorer.vectorizer import VectorizerSpec, of_values, of_words


def looked_up(
    name: str, spec: VectorizerSpec, model: ModelSpec, pieces: Pieces, columns: Sequence[str]
) -> VectorizerSpec:
    """The lookup as the columns that feed it need it.

    columns   that the card names for the archive's input; none: the text feeds it
    As many columns as the input has places give a value each. One column of texts, where it has
    another number of places, gives the words of its texts. The text's own column is one.
    Raises BundleError where they do not fit, UnsupportedModel for what is not run.
    """
    call = model.vectorizers[name]
    mode = call.settings.get("output_mode", "int")
    places = _places(call.source, model)
    given = max(len(columns), 1)
    if places == 0 and mode not in ("int", "one_hot"):
        raise UnsupportedModel(
            f"layer {name} ({call.kind}): {mode!r:.40} of an input without a dimension counts over "
            "the rows of a batch: give the input shape=(1,)"
        )
    if given == (1 if places == 0 else places) or (places is None and given > 1):
        if mode == "one_hot" and given > 1:
            raise UnsupportedModel(
                f"layer {name} ({call.kind}): one_hot of several values is not supported: use "
                "multi_hot, or an input for each"
            )
        return of_values(spec, given)
    if given == 1 and spec.category is not None and not spec.category.numeric:
        return _of_words(of_words(spec, places), pieces)
    takes = "any number of" if places is None else str(places)
    raise BundleError(f"input {call.source}: it takes {takes} values, {given} columns are given")


def _places(source: str, model: ModelSpec) -> int | None:
    """How many values an input takes for a row; 0: one, without a dimension; None: any number."""
    shape = input_shape(model.inputs[source])
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2:
        raise UnsupportedModel(
            f"input {source}: it takes the shape {shape!r:.60}, no row of values"
        )
    places = shape[1] if len(shape) == 2 else 0
    if places is not None and (type(places) is not int or places < 0):
        raise BundleError(f"config.json: input {source}: its shape is {shape!r:.60}")
    return places


def _of_words(spec: VectorizerSpec, pieces: Pieces) -> VectorizerSpec:
    """With what the card adds; an empty text fills rows unless the card says otherwise."""
    told = pieces.inside(spec)
    if pieces.described is not None and pieces.described.padding_id:
        return told
    return replace(told, padding=replace(told.padding, value=spec.padding.value))
