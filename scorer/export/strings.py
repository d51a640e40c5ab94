"""Texts to token ids or a bag, in the graph: see `characters` for what ONNX Runtime can express.

    text [rows] -> stages -> words [rows, W] -> n-grams -> numbers -> start, cut, pad

Strings of a row that there are not are "", which no token is. Every tensor of words has one more
column than the longest row has words, so that none is empty.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.errors import UnsupportedModel
from scorer.export.characters import Characters, Cut, Stage, stages
from scorer.export.graph import Graph
from scorer.vectorizer import VectorizerSpec
from scorer.vectorizer.vectorizer import LEFT_OUT, numbering

_NONE = -1  # the number of a token that is left out, or is not there


@dataclass(frozen=True)
class Tokens:
    """Names of values: int64 (rows, columns), and int64 (rows, 1), how many of them count."""

    numbers: str
    counts: str


def written_ids(graph: Graph, spec: VectorizerSpec, text: str) -> tuple[str, str]:
    """Of a text, [rows], what `onnx_inputs` gives: ids int64 (rows, tokens), lengths int32 (rows,).

    Raises UnsupportedModel saying what ONNX Runtime's operators cannot do.
    """
    found = _looked_up(graph, spec, text)
    if spec.start_id is not None:
        found = _started(graph, found, spec.start_id)
    if spec.output_sequence_length is not None:
        found = _arranged(graph, found, spec, spec.output_sequence_length)
    if spec.padding.masked:
        found = _kept(graph, graph.node("Max", found.numbers, graph.whole(0)), 0)
    if spec.output_sequence_length is None:
        found = _trimmed(graph, found)
    flat = graph.node("Squeeze", found.counts, graph.whole(1))
    return found.numbers, graph.node("Cast", flat, to=graph.onnx.TensorProto.INT32)


def written_bag(graph: Graph, spec: VectorizerSpec, text: str) -> str:
    """Of a text, [rows], its bag: float32 (rows, columns), as `bag_of_words` makes it."""
    found = _looked_up(graph, spec, text)
    if spec.start_id is not None:
        found = _started(graph, found, spec.start_id)
    columns = graph.whole(spec.columns)
    there = _present(graph, found.numbers)
    places = graph.node("Where", there, found.numbers, columns)
    ones = graph.node("Cast", there, to=graph.onnx.TensorProto.FLOAT)
    rows = graph.node("Shape", text, start=0, end=1)
    shape = graph.node("Concat", rows, graph.whole(spec.columns + 1), axis=0)
    zero = graph.onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    empty = graph.node("ConstantOfShape", shape, value=zero)
    bag = graph.node("ScatterElements", empty, places, ones, axis=1, reduction="add")
    bag = graph.node("Slice", bag, graph.whole(0), columns, graph.whole(1))
    return _weighed(graph, spec, bag, ones)


def _weighed(graph: Graph, spec: VectorizerSpec, bag: str, ones: str) -> str:
    """What the bag's mode makes of how often a token occurs."""
    if spec.output_mode == "multi_hot":
        return graph.node("Min", bag, graph.number(1))
    if spec.output_mode == "freq":
        total = graph.node("ReduceSum", ones, graph.whole(1), keepdims=1)
        return graph.node("Div", bag, graph.node("Max", total, graph.number(1)))
    if spec.output_mode == "log_tf_idf":
        there = graph.node("Greater", bag, graph.number(0))
        logs = graph.node("Log", graph.node("Max", bag, graph.number(1)))
        logs = graph.node("Add", logs, graph.number(1))
        bag = graph.node("Where", there, logs, graph.number(0))
    if spec.idf_weights is not None:
        bag = graph.node("Mul", bag, graph.constant(spec.idf_weights))
    return bag


def _looked_up(graph: Graph, spec: VectorizerSpec, text: str) -> Tokens:
    """The numbers of a text's n-grams, without those that are left out, -1 behind them.

    A number is an id, or a column of a bag.
    """
    if spec.category is not None:
        raise UnsupportedModel(f"layer {spec.category.layer}: a look-up of values is not written")
    words = _words(graph, spec, text)
    found = [_grams(graph, words, size) for size in spec.ngrams]
    grams = found[0] if len(found) == 1 else graph.node("Concat", *found, axis=1)
    unknown, *known = _numbers(spec)
    numbers = graph.node(
        "LabelEncoder",
        grams,
        domain="ai.onnx.ml",
        keys_strings=[*spec.vocabulary, ""],
        values_int64s=[*known, _NONE],
        default_int64=unknown,
    )
    if spec.ngrams == (1,) and unknown != _NONE:
        return Tokens(numbers, _count(graph, _present(graph, numbers)))
    return _kept(graph, numbers, _NONE)


def _numbers(spec: VectorizerSpec) -> list[int]:
    """Of a token that the vocabulary lacks, then of each of its words; -1 for what is left out."""
    table = numbering(spec)
    ids = np.arange(1, len(spec.vocabulary) + 2) if table is None else table[1:].astype(np.int64)
    shift = int(spec.output_mode != "int")  # a bag's ids are columns + 1
    numbers: list[int] = np.where(ids == LEFT_OUT, _NONE, ids - shift).tolist()
    return numbers


def _grams(graph: Graph, words: str, size: int) -> str:
    """string (rows, W): the n-gram that begins at each word, "" where there are too few words."""
    if size == 1:
        return words
    none, grams = _text(graph, ""), words
    for by in range(1, size):
        last = _shifted(graph, words, by)
        grams = graph.node("StringConcat", grams, _text(graph, " "))
        grams = graph.node("StringConcat", grams, last)
    return graph.node("Where", graph.node("Equal", last, none), none, grams)


def _shifted(graph: Graph, words: str, by: int) -> str:
    """The words that stand so many places later, "" behind the last."""
    behind = [_filled(graph, words, "")] * by
    longer = graph.node("Concat", words, *behind, axis=1)
    end = graph.whole(sys.maxsize)
    return graph.node("Slice", longer, graph.whole(by), end, graph.whole(1))


def _words(graph: Graph, spec: VectorizerSpec, text: str) -> str:
    """string (rows, W): the tokens of each text."""
    before, last = stages(spec)
    for stage in before:
        text = _staged(graph, stage, text)
    if spec.split == "character" or not last.separators:
        text = _staged(graph, last, text)
        if spec.split == "character":
            apart = _class(last.separators, without=True) if last.separators else "(?s:.)"
            words = _cut_up(graph, text, tokenexp=apart)
        else:
            words = graph.node("Unsqueeze", text, graph.whole(1))
        return graph.node("Concat", words, _filled(graph, text, ""), axis=1)
    words = _cut_up(graph, text, tokenexp=_word(last))
    words = graph.node("Concat", words, _filled(graph, text, ""), axis=1)
    if not last.changed and not last.deleted:
        return words
    flat = graph.node("Reshape", words, graph.whole(-1))
    flat = _staged(graph, last, flat)
    return graph.node("Reshape", flat, graph.node("Shape", words))


def _word(last: Characters) -> str:
    """The pattern of a run without separators in which some character is left."""
    run = _class(last.separators, without=True)
    if not last.deleted:
        return f"{run}+"
    return f"{run}*{_class(last.separators | last.deleted, without=True)}{run}*"


def _staged(graph: Graph, stage: Stage, text: str) -> str:
    """The texts, [n], after a stage."""
    if isinstance(stage, Cut):
        pieces = _cut_up(graph, text, separators=[_quoted(stage.literal)])
        return _joined(graph, text, pieces, stage.between)
    if not stage.changed and not stage.deleted:
        return text
    changed = frozenset(stage.changed)
    run = _class(changed | stage.deleted, without=True) + "+"
    pieces = _cut_up(graph, text, tokenexp=f"{_class(changed)}|{run}" if changed else run)
    if changed:
        made = graph.node(
            "LabelEncoder",
            pieces,
            domain="ai.onnx.ml",
            keys_strings=list(stage.changed),
            values_strings=list(stage.changed.values()),
            default_string="",
        )
        same = graph.node("Equal", made, _text(graph, ""))
        pieces = graph.node("Where", same, pieces, made)
    return _joined(graph, text, pieces, "")


def _cut_up(graph: Graph, text: str, **how: Any) -> str:
    """string (n, pieces): the matches of a pattern, or what lies between separators."""
    how |= {"mark": 0, "mincharnum": 1, "pad_value": ""}
    return graph.node("Tokenizer", text, domain="com.microsoft", **how)


def _joined(graph: Graph, text: str, pieces: str, between: str) -> str:
    """The pieces of each of the texts, [n], one after another, with a text before each."""
    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    prefix = f"join{len(graph.nodes)}_"
    one, so_far = prefix + "piece", prefix + "text"
    nodes = [helper.make_node("Gather", [pieces, prefix + "number"], [one], axis=1)]
    if between:
        nodes.append(helper.make_node("StringConcat", [_text(graph, between), one], [one + "_"]))
        one += "_"
    nodes += [
        helper.make_node("StringConcat", [so_far, one], [prefix + "longer"]),
        helper.make_node("Identity", [prefix + "go_on"], [prefix + "still"]),
    ]
    given = [("number", types.INT64, []), ("go_on", types.BOOL, []), ("text", types.STRING, ["n"])]
    made = [("still", types.BOOL, []), ("longer", types.STRING, ["n"])]
    values = [
        [helper.make_tensor_value_info(prefix + name, kind, shape) for name, kind, shape in side]
        for side in (given, made)
    ]
    body = helper.make_graph(nodes, prefix + "body", *values)
    count = graph.node("Shape", pieces, start=1, end=2)
    empty = graph.node("Expand", _text(graph, ""), graph.node("Shape", text))
    return graph.node("Loop", count, "", empty, body=body)


def _kept(graph: Graph, numbers: str, without: int) -> Tokens:
    """The numbers of each row less those that equal `without`, which stands behind them instead."""
    keep = graph.node("Not", graph.node("Equal", numbers, graph.whole(without)))
    as_numbers = graph.node("Cast", keep, to=graph.onnx.TensorProto.INT64)
    ends = graph.node("CumSum", as_numbers, graph.constant(np.array(1, np.int64)))
    width = graph.node("Shape", numbers, start=1, end=2)
    places = graph.node("Where", keep, graph.node("Sub", ends, graph.whole(1)), width)
    shape = graph.node("Shape", numbers)
    wider = graph.node("Add", shape, graph.whole(0, 1))
    filler = graph.onnx.numpy_helper.from_array(np.array([without], np.int64))
    empty = graph.node("ConstantOfShape", wider, value=filler)
    moved = graph.node("ScatterElements", empty, places, numbers, axis=1)
    moved = graph.node("Slice", moved, graph.whole(0), width, graph.whole(1))
    return Tokens(moved, _count(graph, keep))


def _started(graph: Graph, found: Tokens, start: int) -> Tokens:
    """Every row after a number of its own."""
    rows = graph.node("Shape", found.counts)
    first = graph.node("Expand", graph.whole(start), rows)
    numbers = graph.node("Concat", first, found.numbers, axis=1)
    return Tokens(numbers, graph.node("Add", found.counts, graph.whole(1)))


def _arranged(graph: Graph, found: Tokens, spec: VectorizerSpec, length: int) -> Tokens:
    """Rows of one length: cut at one side, filled at one."""
    padding, all_of_it = spec.padding, graph.whole(length)
    kept = graph.node("Min", found.counts, all_of_it)
    places = graph.constant(np.arange(length, dtype=np.int64)[None])
    if padding.side == "pre":
        places = graph.node("Sub", places, graph.node("Sub", all_of_it, kept))
    before = graph.node("Less", places, graph.whole(0))
    own = graph.node("And", graph.node("Not", before), graph.node("Less", places, kept))
    if padding.truncating == "pre":
        places = graph.node("Add", places, graph.node("Sub", found.counts, kept))
    places = graph.node("Where", own, places, graph.whole(0))
    rows = graph.node("Shape", found.counts, start=0, end=1)
    places = graph.node("Expand", places, graph.node("Concat", rows, all_of_it, axis=0))
    taken = graph.node("GatherElements", found.numbers, places, axis=1)
    numbers = graph.node("Where", own, taken, graph.whole(padding.value))
    if padding.is_implied:
        return Tokens(numbers, kept)
    return Tokens(numbers, graph.node("Expand", all_of_it, graph.node("Shape", kept)))


def _trimmed(graph: Graph, found: Tokens) -> Tokens:
    """As many columns as the longest row has tokens, one at least; 0 behind a row's tokens."""
    numbers = graph.node("Max", found.numbers, graph.whole(0))
    longest = graph.node("ReduceMax", found.counts, keepdims=0)
    end = graph.node("Max", graph.node("Reshape", longest, graph.whole(1)), graph.whole(1))
    return Tokens(graph.node("Slice", numbers, graph.whole(0), end, graph.whole(1)), found.counts)


def _present(graph: Graph, numbers: str) -> str:
    return graph.node("GreaterOrEqual", numbers, graph.whole(0))


def _count(graph: Graph, there: str) -> str:
    """int64 (rows, 1): how many of a row's are True."""
    ones = graph.node("Cast", there, to=graph.onnx.TensorProto.INT64)
    return graph.node("ReduceSum", ones, graph.whole(1), keepdims=1)


def _filled(graph: Graph, first: str, text: str) -> str:
    """string (rows, 1) of one text, for as many rows as `first` has."""
    rows = graph.node("Shape", first, start=0, end=1)
    shape = graph.node("Concat", rows, graph.whole(1), axis=0)
    return graph.node("Expand", _text(graph, text), shape)


def _text(graph: Graph, text: str) -> str:
    """A constant text, [1]."""
    name = f"w{len(graph.weights)}"
    kind = graph.onnx.TensorProto.STRING
    graph.weights.append(graph.onnx.helper.make_tensor(name, kind, [1], [text.encode()]))
    return name


def _quoted(literal: str) -> str:
    """A pattern of RE2 that matches one text."""
    return "".join(f"\\x{{{ord(sign):x}}}" for sign in literal)


def _class(characters: Iterable[str], *, without: bool = False) -> str:
    """A pattern of RE2: one of these characters, or one of all others."""
    codes = sorted(map(ord, characters))
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    listed = "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges)
    return f"[{'^' if without else ''}{listed}]"
