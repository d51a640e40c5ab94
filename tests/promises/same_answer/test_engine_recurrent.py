"""The cpu engine's recurrent layers: in double precision, in any batch, and after padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.bundle import Bundle, Layer
from scorer.engines.cpu import CpuEngine
from scorer.engines.cpu.steps import cells, recurrent
from scorer.errors import UnsupportedModel
from scorer.vectorizer import Padding, VectorizerSpec
from tests.promises.same_answer.test_engine_cpu import LENGTHS, dense_identity, last, same_bits
from tests.support.networks import (
    batch,
    both_ways,
    bundle,
    dense,
    embedding,
    gru,
    lstm,
    pool,
    random_rows,
    reference_states,
    simple_rnn,
    spec,
)

WORDS = 30
Make = Callable[..., Layer]  # of rng, width, units, settings


def gru_before(rng: np.random.Generator, width: int, units: int, **more: object) -> Layer:
    return gru(rng, width, units, reset_after=False, **more)


def unusual(make: Make, activation: str, gate: str) -> Make:
    """With activations that no fused loop has."""
    names = {"activation": activation, "recurrent_activation": gate}

    def made(rng: np.random.Generator, width: int, units: int, **more: object) -> Layer:
        return make(rng, width, units, **names, **more)

    return made


def rectified(rng: np.random.Generator, width: int, units: int, **more: object) -> Layer:
    return simple_rnn(rng, width, units, activation="relu", **more)


MAKES: dict[str, Make] = {
    "LSTM": lstm,
    "LSTM of other activations": unusual(lstm, "tanh", "hard_sigmoid"),
    "GRU": gru,
    "GRU of other activations": unusual(gru, "relu", "sigmoid"),
    "GRU that resets before": gru_before,
    "GRU that resets before, of other activations": unusual(gru_before, "sigmoid", "hard_sigmoid"),
    "SimpleRNN": simple_rnn,
    "SimpleRNN of relu": rectified,
}
kinds = pytest.mark.parametrize("kind", MAKES)
seeds = st.integers(0, 9999)


@kinds
@pytest.mark.parametrize("fold_bytes", [64 << 20, 0])
@given(width=st.integers(1, 20), units=st.integers(1, 70), bias=st.booleans(), seed=seeds)
@settings(max_examples=12)
def test_states_against_double_precision(
    kind: str, fold_bytes: int, width: int, units: int, bias: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    words, one, other = embedding(rng, WORDS, width), *_pair(kind, rng, width, units)
    if not bias:
        one, other = (replace(layer, weights=layer.weights[:2]) for layer in (one, other))
    rows = random_rows(rng, LENGTHS[:-1], WORDS)
    ends = bundle(spec(WORDS), words, one, dense_identity(units))
    both = bundle(spec(WORDS), words, both_ways(one, other), dense_identity(2 * units))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "FOLD_BYTES", fold_bytes)
        states, outputs = (CpuEngine(model).run(batch(rows)) for model in (ends, both))
    for row, state, output in zip(rows, states, outputs, strict=True):
        x = words.weights[0][row]
        forward, backward = reference_states(one, x), reference_states(other, x[::-1])
        expected = np.concatenate([last(forward), last(backward)])
        # States of a relu grow from step to step, and with them what a float32 rounds off.
        largest = max(1.0, *(float(np.abs(each).max(initial=0)) for each in (forward, backward)))
        # Some random recurrences amplify what is rounded off, in any float32 implementation.
        plain = np.abs(reference_states(one, x, np.float32) - forward).max(initial=0)
        other_way = np.abs(reference_states(other, x[::-1], np.float32) - backward).max(initial=0)
        atol = max(4e-6 * largest, 4 * float(plain), 4 * float(other_way))
        np.testing.assert_allclose(state, last(forward), rtol=0, atol=atol)
        np.testing.assert_allclose(output, expected, rtol=0, atol=atol)


def _pair(kind: str, rng: np.random.Generator, width: int, units: int) -> tuple[Layer, Layer]:
    return MAKES[kind](rng, width, units), MAKES[kind](rng, width, units)


def stacked(make: Make, rng: np.random.Generator, units: int) -> Bundle:
    """Both directions of every state, then the last of another's, which multiplies its input."""
    pair = (make(rng, 5, units, return_sequences=True) for _ in range(2))
    head = make(rng, 2 * units, units), dense(rng, units, 2, "linear")
    return bundle(spec(WORDS), embedding(rng, WORDS, 5), both_ways(*pair), *head)


def masked_mean(make: Make, rng: np.random.Generator, units: int) -> Bundle:
    layer = make(rng, 5, units, return_sequences=True)
    head = pool("GlobalAveragePooling1D"), dense(rng, units, 2, "linear")
    return bundle(spec(WORDS, length=40), embedding(rng, WORDS, 5), layer, *head)


def unmasked_mean(make: Make, rng: np.random.Generator, units: int) -> Bundle:
    """Over padding on the left, which the backward direction reads last and the forward first."""
    pair = (make(rng, 5, units, return_sequences=True) for _ in range(2))
    head = pool("GlobalAveragePooling1D"), dense(rng, 2 * units, 2, "linear")
    words = embedding(rng, WORDS, 5, mask=False)
    return bundle(padded_left(40), words, both_ways(*pair), *head)


def unmasked_ends(make: Make, rng: np.random.Generator, units: int) -> Bundle:
    pair = (make(rng, 5, units) for _ in range(2))
    words, head = embedding(rng, WORDS, 5, mask=False), dense(rng, units, 2, "linear")
    return bundle(spec(WORDS, length=40), words, both_ways(*pair, merge="ave"), head)


def padded_left(length: int, value: int = 0) -> VectorizerSpec:
    return replace(spec(WORDS, length=length), padding=Padding("pre", "pre", value))


def left(rows: list[list[int]], length: int, value: int = 0) -> list[list[int]]:
    """Rows as that vectorizer gives them."""
    return [[value] * (length - len(row)) + row for row in rows]


NETWORKS = (stacked, masked_mean, unmasked_mean, unmasked_ends)


@kinds
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
@given(units=st.integers(1, 37), seed=seeds, data=st.data())
@settings(max_examples=6)
def test_a_row_has_the_same_bits_in_any_batch_and_tile(
    kind: str, network: Callable[..., Bundle], units: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    engine = CpuEngine(network(MAKES[kind], rng, units))
    lengths = data.draw(st.lists(st.sampled_from(LENGTHS[:-1]), min_size=1, max_size=40))
    rows = random_rows(rng, lengths, WORDS)
    if network is unmasked_mean:
        rows = left(rows, 40)
    together = engine.run(batch(rows))
    order = data.draw(st.permutations(range(len(rows))))
    assert same_bits(engine.run(batch([rows[i] for i in order])), together[order])
    alone = np.concatenate([engine.run(batch([row])) for row in rows[:5]])
    assert same_bits(alone, together[:5])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scorer.engines.cpu.TILE_ROWS", data.draw(st.integers(1, 9)))
        assert same_bits(engine.run(batch(rows)), together)


@kinds
@pytest.mark.parametrize("network", [unmasked_mean, unmasked_ends])
@pytest.mark.parametrize("units", [3, 16, 40])
def test_starting_behind_the_padding_changes_no_bit(
    kind: str, network: Callable[..., Bundle], units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of all lengths, in one tile, against the run that reads every padding id."""
    rng = np.random.default_rng(units)
    engine = CpuEngine(network(MAKES[kind], rng, units))
    rows = random_rows(rng, [0, 1, 2, 3, 39, 40, *rng.integers(0, 41, 60)], WORDS)
    rows[5][3] = 0  # among the words it is read as any other id
    if network is unmasked_mean:
        rows = left(rows, 40)
    quick = engine.run(batch(rows))

    def none(given: object, padding: int, *, reverse: bool) -> np.ndarray:
        return np.zeros(len(given.starts), dtype=np.int64)  # type: ignore[attr-defined]

    monkeypatch.setattr(recurrent, "_padding_first", none)
    assert same_bits(engine.run(batch(rows)), quick)


def test_padding_of_another_id_is_read_first_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    words, layer = embedding(rng, WORDS, 5, mask=False), gru(rng, 5, 6)
    engine = CpuEngine(bundle(padded_left(40, 7), words, layer, dense_identity(6)))
    rows = left(random_rows(rng, [0, 3, 40], WORDS), 40, 7)
    for row, state in zip(rows, engine.run(batch(rows)), strict=True):
        expected = last(reference_states(layer, words.weights[0][row].astype(np.float64)))
        np.testing.assert_allclose(state, expected, rtol=0, atol=4e-6)


@kinds
@pytest.mark.parametrize("mask", [True, False])
def test_backwards_with_every_state(kind: str, mask: bool) -> None:
    """Keras gives the states as they are made, the mask's zeros first; the next layer masks
    the positions that the words had."""
    rng = np.random.default_rng(3)
    layer = MAKES[kind](rng, 5, 6, go_backwards=True, return_sequences=True)
    after = gru(rng, 6, 4)
    words = embedding(rng, WORDS, 5, mask=mask)
    engine = CpuEngine(bundle(spec(WORDS, length=9), words, layer, after, dense_identity(4)))
    rows = random_rows(rng, [0, 1, 4, 8, 9], WORDS)
    for row, state in zip(rows, engine.run(batch(rows)), strict=True):
        ids = row if mask else row + [0] * (9 - len(row))
        made = reference_states(layer, words.weights[0][ids[::-1]].astype(np.float64))
        outputs = np.concatenate([np.zeros((9 - len(made), 6)), made])
        read = outputs[: len(row)] if mask else outputs
        np.testing.assert_allclose(state, last(reference_states(after, read)), rtol=0, atol=4e-6)


def _refusals() -> dict[str, tuple[Bundle, str]]:
    rng = np.random.default_rng(0)
    words, head = embedding(rng, WORDS, 4), dense(rng, 4, 1)
    after = gru(rng, 4, 4)
    backwards = gru(rng, 4, 4, go_backwards=True, return_sequences=True)
    return {
        "softmax": (
            bundle(spec(WORDS), words, gru(rng, 4, 4, activation="softmax"), head),
            r"layer gru \(GRU\): the cpu engine does not run the activation 'softmax' inside a GRU",
        ),
        "all states backwards, of rows of their own length": (
            bundle(spec(WORDS), words, backwards, after, head),
            "only where rows have a fixed length",
        ),
        "a mask of padding before the words": (
            bundle(padded_left(9), words, after, head),
            "has no masks for padding that stands before the words",
        ),
    }


REFUSALS = _refusals()


@pytest.mark.parametrize("case", REFUSALS)
def test_what_it_cannot_run_is_refused_by_name(case: str) -> None:
    model, message = REFUSALS[case]
    with pytest.raises(UnsupportedModel, match=message):
        CpuEngine(model)
