"""A model's inputs, vectorizers and layers in words, for `zoo show` and `zoo add --dry-run`.

Nothing heavy is imported: `zoo show` starts fast.
"""

from __future__ import annotations

from collections.abc import Iterator

from scorer.bundle import Input, Layer
from scorer.card.vectorizer import InputCard, VectorizerCard
from scorer.vectorizer import Category, VectorizerSpec

#: kind of vectorizer -> what it is called
NAMES = {
    "tokenizer": "a Tokenizer of Keras",
    "word_index": "a word index",
    "vocabulary": "a vocabulary of TextVectorization",
    "textvectorization": "a TextVectorization",
    None: "the archive's own TextVectorization",
}
_MODES = {
    "count": "how often each occurs",
    "multi_hot": "1 where it occurs",
    "tf_idf": "TF-IDF",
    "freq": "its share of the text",
    "log_tf_idf": "TF-IDF as Tokenizer has it",
}
_SHOWN = ("units", "filters", "kernel_size", "pool_size", "output_dim", "activation", "merge_mode")


def input_words(given: Input, cards: tuple[InputCard, ...], text_columns: tuple[str, ...]) -> str:
    """What feeds an input."""
    named = next((card.columns for card in cards if card.name == given.source), ())
    if given.vectorizer is None:
        return f"{given.source}: numbers of {', '.join(named) or 'columns that no --input names'}"
    fed = " or ".join(named or text_columns) or "the text column"
    if given.vectorizer.category is not None:
        kind = "whole numbers" if given.vectorizer.category.numeric else "values"
        return f"{given.source}: the {kind} of {', '.join(named) or fed}"
    (width,) = given.spec.shape
    if given.spec.dtype != "ids":
        return f"{given.source}: the text of {fed} as {width:,} numbers"
    length = "as many ids as it has words" if width is None else f"{width:,} ids"
    return f"{given.source}: the text of {fed} as {length}"


def vectorizer_lines(spec: VectorizerSpec, told: VectorizerCard | None) -> Iterator[str]:
    """The vectorizer: what it is, what it does first, and how rows get their length."""
    if spec.category is not None:
        return _lookup_lines(spec, spec.category)
    return _text_lines(spec, told)


def _text_lines(spec: VectorizerSpec, told: VectorizerCard | None) -> Iterator[str]:
    told = told or VectorizerCard()
    if not spec.vocabulary:
        yield "none is given: --vectorizer FILE"
        return
    beside = f", in {told.file}" if told.file else ""
    entries = spec.token_kind
    if spec.ngrams != (1,):
        entries = f"n-grams of {' and '.join(map(str, spec.ngrams))} {entries}"
    yield f"{NAMES[told.kind]}{beside}: {len(spec.vocabulary):,} {entries}"
    if told.standardize is not None:
        yield f"first: {told.standardize} (--standardize)"
    for replacement in told.replace:
        pattern, _, text = replacement.rpartition("=>")
        yield f"first: {pattern!r} becomes {text!r}"
    if spec.standardize:
        yield f"then: {spec.standardize}"
    if spec.start_id is not None:
        yield f"id {spec.start_id} comes before every text"
    if told.kind == "word_index":
        unknown = "left out" if spec.unknown_id is None else f"id {spec.unknown_id}"
        yield f"ids: rank + {told.index_from}; unknown words: {unknown}"
    if spec.output_mode != "int":
        yield f"a row is {spec.columns:,} numbers, one for each word: {_MODES[spec.output_mode]}"
    elif spec.output_sequence_length is None:
        yield "every row has as many ids as its text"
    else:
        pad = spec.padding
        end = {"pre": "start", "post": "end"}
        yield (
            f"every row has {spec.output_sequence_length:,} ids: padded with {pad.value} at its "
            f"{end[pad.side]}, cut at its {end[pad.truncating]}"
        )


def _lookup_lines(spec: VectorizerSpec, category: Category) -> Iterator[str]:
    """A lookup: how many values have an id, and what becomes of the others."""
    known = f"{len(spec.vocabulary):,} values" if spec.vocabulary else "any value"
    yield f"{category.layer}: {known}, each looked up as it is"
    if category.buckets is not None:
        yield f"unknown values: one of {category.buckets.count:,} ids, by their hash"
    elif spec.unknown_id is None:
        yield "unknown values: the row is not scored"


def layer_line(layer: Layer) -> str:
    """A layer, its settings that say most, and its weights."""
    kind, settings = layer.kind, dict(layer.settings)
    inner = settings.pop("layer", None)
    if inner is not None:
        kind, settings = f"{kind}({inner.kind})", {**inner.settings, **settings}
    shown = ", ".join(f"{key}={settings[key]}" for key in _SHOWN if key in settings)
    count = sum(int(weights.size) for weights in layer.weights)
    return f"{kind:<22} {shown:<45} {count:>9,}"
