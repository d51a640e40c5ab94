"""The cpu engine against double precision, against itself in any batch, and its refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.bundle import Bundle, Layer
from scorer.engines import load_engine
from scorer.engines.cpu import CpuEngine
from scorer.engines.cpu.steps import cells, convolution
from scorer.engines.encode import bag_of_words
from scorer.errors import UnsupportedModel
from scorer.vectorizer import TokenBatch
from tests.support.networks import (
    Branch,
    activation,
    batch,
    bilstm,
    bundle,
    conv,
    dense,
    embedding,
    lstm,
    merge,
    merged,
    pool,
    random_rows,
    reference_lstm,
    spec,
    unit,
)

WORDS = 30
LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17, 40, 150]
Build = Callable[[np.random.Generator, int], Bundle]


def small_bilstm(rng: np.random.Generator, units: int) -> Bundle:
    layers = embedding(rng, WORDS, 7), bilstm(rng, 7, units), dense(rng, 2 * units, 1)
    return bundle(spec(WORDS), *layers)


def stacked(rng: np.random.Generator, units: int) -> Bundle:
    return bundle(
        spec(WORDS),
        embedding(rng, WORDS, 5),
        bilstm(rng, 5, units, return_sequences=True),
        dense(rng, 2 * units, 9, "tanh"),
        lstm(rng, 9, units),
        dense(rng, units, 3, "softmax"),
    )


def max_of_states(rng: np.random.Generator, units: int) -> Bundle:
    return bundle(
        spec(WORDS, length=150),
        embedding(rng, WORDS, 5),
        lstm(rng, 5, units, return_sequences=True),
        pool("GlobalMaxPooling1D"),
        dense(rng, units, 2, "linear"),
    )


def mean_of_states(rng: np.random.Generator, units: int) -> Bundle:
    return bundle(
        spec(WORDS),
        embedding(rng, WORDS, 5),
        bilstm(rng, 5, units, "mul", return_sequences=True),
        pool("GlobalAveragePooling1D"),
        dense(rng, units, 2, "linear"),
    )


def padded_lstm(rng: np.random.Generator, units: int) -> Bundle:
    return bundle(
        spec(WORDS, length=150),
        embedding(rng, WORDS, 5, mask=False),
        bilstm(rng, 5, units, "sum"),
        dense(rng, units, 1),
    )


def cnn(rng: np.random.Generator, filters: int) -> Bundle:
    return bundle(
        spec(WORDS, length=150),
        embedding(rng, WORDS, 5, mask=False),
        conv(rng, 5, filters, 3, padding="same"),
        conv(rng, filters, filters, 2, strides=[2]),
        pool("GlobalMaxPooling1D"),
        dense(rng, filters, 1),
    )


def bag(rng: np.random.Generator, units: int) -> Bundle:
    vectorizer = spec(WORDS, mode="tf_idf")
    layers = dense(rng, WORDS + 1, units, "relu"), dense(rng, units, 1)
    return bundle(vectorizer, *layers)


def unit_bag(mode: str) -> Build:
    def build(rng: np.random.Generator, units: int) -> Bundle:
        vectorizer = spec(WORDS, mode=mode)
        return bundle(
            vectorizer, unit(), dense(rng, WORDS + 1, units, "tanh"), dense(rng, units, 1)
        )

    return build


def unit_states(rng: np.random.Generator, units: int) -> Bundle:
    return bundle(
        spec(WORDS),
        embedding(rng, WORDS, 5),
        unit(),
        bilstm(rng, 5, units, return_sequences=True),
        unit(),
        lstm(rng, 2 * units, units),
        unit(),
        dense(rng, units, 1),
    )


def max_of_rectified(rng: np.random.Generator, units: int) -> Bundle:
    return bundle(
        spec(WORDS),
        embedding(rng, WORDS, 5),
        bilstm(rng, 5, units, return_sequences=True),
        activation("relu"),
        pool("GlobalMaxPooling1D"),
        dense(rng, 2 * units, 2, "linear"),
    )


def wide_and_deep(rng: np.random.Generator, units: int) -> Bundle:
    deep = embedding(rng, WORDS, 7), bilstm(rng, 7, units)
    wide = (dense(rng, WORDS + 1, 3, "tanh"),)
    head = merge("Concatenate"), dense(rng, 2 * units + 3, 4, "relu"), dense(rng, 4, 1)
    branches = Branch(spec(WORDS), deep), Branch(spec(WORDS, mode="multi_hot"), wide)
    return merged(*branches, head=head)


def three_summed(rng: np.random.Generator, units: int) -> Bundle:
    deep = (
        embedding(rng, WORDS, 5),
        lstm(rng, 5, units, return_sequences=True),
        activation("relu"),
        pool("GlobalMaxPooling1D"),
    )
    means = embedding(rng, WORDS, units), pool("GlobalAveragePooling1D")
    wide = (dense(rng, WORDS + 1, units),)
    return merged(
        Branch(spec(WORDS), deep),
        Branch(spec(WORDS, length=150), means),
        Branch(spec(WORDS, mode="count"), wide),
        head=(merge("Add"), activation("softmax")),
    )


NETWORKS: dict[str, Build] = {
    build.__name__: build
    for build in (
        max_of_rectified,
        wide_and_deep,
        three_summed,
        small_bilstm,
        stacked,
        max_of_states,
        mean_of_states,
        padded_lstm,
        cnn,
        bag,
        unit_states,
    )
}
NETWORKS |= {f"unit bag, {mode}": unit_bag(mode) for mode in ("count", "multi_hot", "tf_idf")}


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.array_equal(a.view(np.int32), b.view(np.int32)))


def runner(model: Bundle) -> Callable[[TokenBatch], np.ndarray]:
    """The cpu engine on a batch, whose rows further branches get without their first words."""
    engine = CpuEngine(model)

    def run(tokens: TokenBatch) -> np.ndarray:
        rows = np.split(tokens.ids, tokens.offsets[1:-1])[: len(tokens.n_tokens)]
        skips = range(1, len(model.branches))
        others = [batch([row[len(row) % (3 * skip) :] for row in rows]) for skip in skips]
        return engine.run(tokens, *others)

    return run


@pytest.mark.parametrize("name", NETWORKS)
@given(data=st.data(), units=st.integers(1, 37), seed=st.integers(0, 9999))
@settings(max_examples=12)
def test_a_row_has_the_same_bits_in_any_batch(
    name: str, data: st.DataObject, units: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    run = runner(NETWORKS[name](rng, units))
    lengths = data.draw(st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=40))
    rows = random_rows(rng, lengths, WORDS)
    together = run(batch(rows))
    order = data.draw(st.permutations(range(len(rows))))
    moved = run(batch([rows[i] for i in order]))
    assert same_bits(moved, together[order])
    cut = data.draw(st.integers(0, len(rows)))
    halves = [run(batch(rows[:cut])), run(batch(rows[cut:]))]
    assert same_bits(np.concatenate(halves), together)
    alone = np.concatenate([run(batch([row])) for row in rows[:5]])
    assert same_bits(alone, together[:5])


@pytest.mark.parametrize("name", NETWORKS)
def test_calls_from_several_threads_do_not_disturb_each_other(name: str) -> None:
    rng = np.random.default_rng(5)
    run = runner(NETWORKS[name](rng, 11))
    batches = [batch(random_rows(rng, rng.integers(0, 60, 200), WORDS)) for _ in range(8)]
    expected = [run(tokens) for tokens in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            outputs = list(pool.map(run, batches))
            assert all(map(same_bits, outputs, expected))


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_of_any_size_give_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    run = runner(NETWORKS[name](rng, 10))
    tokens = batch(random_rows(rng, rng.integers(0, 60, 150), WORDS))
    expected = run(tokens)
    for rows, size in [(1, 16 << 20), (7, 16 << 20), (1000, 1), (1000, 20_000)]:
        monkeypatch.setattr("scorer.engines.cpu.TILE_ROWS", rows)
        monkeypatch.setattr("scorer.engines.cpu.TILE_BYTES", size)
        monkeypatch.setattr("scorer.engines.cpu.MOST_BYTES", size)
        assert same_bits(run(tokens), expected)


@pytest.mark.parametrize("fold_bytes", [64 << 20, 0])
@given(width=st.integers(1, 20), units=st.integers(1, 70), seed=st.integers(0, 9999))
@settings(max_examples=25)
def test_lstm_against_double_precision(fold_bytes: int, width: int, units: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words, forward = embedding(rng, WORDS, width), lstm(rng, width, units)
    both = bilstm(rng, width, units)
    head = dense(rng, 2 * units, 4, "linear")
    rows = random_rows(rng, LENGTHS, WORDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "FOLD_BYTES", fold_bytes)
        one = CpuEngine(bundle(spec(WORDS), words, forward, dense_identity(units)))
        two = CpuEngine(bundle(spec(WORDS), words, both, head))
    states, outputs = one.run(batch(rows)), two.run(batch(rows))
    backward = replace(both, weights=both.weights[3:])
    for row, state, output in zip(rows, states, outputs, strict=True):
        x = words.weights[0][row].astype(np.float64)
        np.testing.assert_allclose(state, last(reference_lstm(forward, x)), rtol=0, atol=2e-6)
        ends = [last(reference_lstm(both, x)), last(reference_lstm(backward, x[::-1]))]
        expected = np.concatenate(ends) @ head.weights[0] + head.weights[1]
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["count", "multi_hot", "tf_idf"])
@given(rows=st.lists(st.lists(st.integers(1, 9), max_size=40), max_size=9))
@settings(max_examples=40)
def test_a_bag_of_length_1_against_double_precision(mode: str, rows: list[list[int]]) -> None:
    rng = np.random.default_rng(0)
    vectorizer = spec(8, mode=mode)
    head = dense(rng, 9, 3, "linear")
    tokens = batch(rows)
    outputs = CpuEngine(bundle(vectorizer, unit(), head)).run(tokens)
    bags = bag_of_words(vectorizer, tokens).astype(np.float64)
    lengths = np.linalg.norm(bags, axis=1, keepdims=True)
    expected = bags / np.where(lengths > 0, lengths, 1) @ head.weights[0] + head.weights[1]
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-6)


def dense_identity(units: int) -> Layer:
    config = {"units": units, "activation": "linear", "use_bias": False}
    return Layer("Dense", "identity", config, (np.eye(units, dtype=np.float32),))


def last(states: np.ndarray) -> np.ndarray:
    return states[-1] if len(states) else np.zeros(states.shape[1])


def test_large_states_and_weights_do_not_overflow() -> None:
    """Gates far in saturation, and a cell state that grows for thousands of steps."""
    rng = np.random.default_rng(0)
    layer = lstm(rng, 3, 4)
    weights = (layer.weights[0] * 300, layer.weights[1] * 300, layer.weights[2] * 0 + 200)
    huge = bundle(
        spec(WORDS),
        embedding(rng, WORDS, 3),
        replace(layer, weights=weights),
        dense_identity(4),
    )
    rows = random_rows(rng, [5000, 1, 0], WORDS)
    outputs = CpuEngine(huge).run(batch(rows))
    x = huge.layers[0].weights[0].astype(np.float64)
    for row, output in zip(rows, outputs, strict=True):
        with np.errstate(over="ignore"):
            expected = last(reference_lstm(huge.layers[1], x[row]))
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@given(filters=st.integers(1, 40), seed=st.integers(0, 9999), data=st.data())
@settings(max_examples=25)
def test_folded_convolution_equals_the_plain_one(
    filters: int, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    geometry = {
        "padding": data.draw(st.sampled_from(["valid", "same", "causal"])),
        "strides": [data.draw(st.integers(1, 3))],
        "dilation_rate": [1],
    }
    if geometry["strides"] == [1]:
        geometry["dilation_rate"] = [data.draw(st.integers(1, 3))]
    model = bundle(
        spec(WORDS, length=20),
        embedding(rng, WORDS, 5, mask=False),
        conv(rng, 5, filters, data.draw(st.integers(1, 5)), **geometry),
        pool("GlobalAveragePooling1D"),
        dense(rng, filters, 2, "linear"),
    )
    tokens = batch(random_rows(rng, [0, 1, 2, 5, 18, 19, 20], WORDS))
    folded = CpuEngine(model).run(tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "FOLD_BYTES", 0)
        plain = CpuEngine(model).run(tokens)
    np.testing.assert_allclose(folded, plain, rtol=0, atol=3e-6)


def test_a_head_reads_its_branches_in_order() -> None:
    """The outputs are the branches' own, side by side, and summed."""
    rng = np.random.default_rng(8)
    deep, wide = (
        Branch(model.vectorizer, model.branches[0].layers)
        for model in (small_bilstm(rng, 5), bag(rng, 3))
    )
    tokens = batch(random_rows(rng, rng.integers(0, 30, 70), WORDS))
    ends = [CpuEngine(merged(branch)).run(tokens) for branch in (deep, wide)]
    both = CpuEngine(merged(deep, wide, head=(merge("Concatenate"),))).run(tokens, tokens)
    summed = CpuEngine(merged(wide, deep, head=(merge("Add"),))).run(tokens, tokens)
    assert same_bits(both, np.hstack(ends))
    assert same_bits(summed, ends[1] + ends[0])


def test_no_rows_and_read_only_ids() -> None:
    engine = CpuEngine(small_bilstm(np.random.default_rng(0), 5))
    assert engine.run(batch([])).shape == (0, 1)
    tokens = batch([[1, 2, 3], [4]])
    expected = engine.run(tokens)
    tokens.ids.flags.writeable = False
    assert same_bits(engine.run(tokens), expected)


def test_a_slice_of_a_longer_id_array() -> None:
    """Offsets need not begin at zero: a window may be a slice of a larger batch."""
    engine = CpuEngine(small_bilstm(np.random.default_rng(0), 5))
    tokens = batch([[1, 2, 3], [4], [5, 6]])
    part = TokenBatch(tokens.ids, tokens.offsets[1:], tokens.n_tokens[1:], tokens.n_oov[1:])
    assert same_bits(engine.run(part), engine.run(tokens)[1:])


def _refusals() -> dict[str, tuple[Callable[[], Bundle], str]]:
    rng = np.random.default_rng(0)
    words, head = embedding(rng, WORDS, 4), dense(rng, 4, 1)
    bare = embedding(rng, WORDS, 4, mask=False)
    ragged, fixed = spec(WORDS), spec(WORDS, length=9)
    soft = lstm(rng, 4, 4, activation="softmax")
    hard = bilstm(rng, 4, 2, recurrent_activation="softmax")
    backwards = lstm(rng, 4, 4, go_backwards=True, return_sequences=True)
    sequences = bilstm(rng, 4, 2, return_sequences=True)
    maximum, relu_layer = pool("GlobalMaxPooling1D"), activation("relu")
    return {
        "activation": (
            lambda: bundle(ragged, words, soft, head),
            r"layer lstm \(LSTM\): the cpu engine does not run the activation 'softmax'",
        ),
        "recurrent activation": (
            lambda: bundle(ragged, words, hard, head),
            r"layer bidirectional \(Bidirectional\): .* activation 'softmax' inside a LSTM",
        ),
        "direction": (
            lambda: bundle(ragged, words, backwards, lstm(rng, 4, 4)),
            "go_backwards=True",
        ),
        "unmasked LSTM": (lambda: bundle(ragged, bare, lstm(rng, 4, 4), head), "reads padding"),
        "unmasked conv": (lambda: bundle(ragged, words, conv(rng, 4, 4, 3), head), "reads padding"),
        "max of zeros": (lambda: bundle(ragged, words, sequences, maximum, head), "reads padding"),
        "max of biases": (
            lambda: bundle(ragged, words, sequences, dense(rng, 4, 4, "relu"), maximum, head),
            "reads padding",
        ),
        "max of rectified biases": (
            lambda: bundle(ragged, words, sequences, dense(rng, 4, 4), relu_layer, maximum, head),
            "reads padding",
        ),
        "max of rectified words": (
            lambda: bundle(ragged, words, relu_layer, maximum, head),
            "reads padding",
        ),
        "max of sigmoids": (
            lambda: bundle(
                ragged, words, sequences, relu_layer, activation("sigmoid"), maximum, head
            ),
            "reads padding",
        ),
        "max without mask": (
            lambda: bundle(ragged, bare, sequences, relu_layer, maximum, head),
            "reads padding",
        ),
        "max in a second branch": (
            lambda: merged(
                Branch(ragged, (words, lstm(rng, 4, 4))),
                Branch(ragged, (words, maximum)),
                head=(merge("Add"), head),
            ),
            "reads padding",
        ),
        "a branch that ends in a sequence": (
            lambda: merged(
                Branch(ragged, (words, lstm(rng, 4, 4))),
                Branch(ragged, (words, sequences)),
                head=(merge("Add"), head),
            ),
            "joins several inputs only where each is of a fixed size, unmasked",
        ),
        "mean of padding": (
            lambda: bundle(ragged, bare, pool("GlobalAveragePooling1D"), head),
            "reads padding",
        ),
        "too short": (
            lambda: bundle(fixed, bare, conv(rng, 4, 4, 10), maximum),
            "no window of 10 in 9",
        ),
        "a sequence at the end": (lambda: bundle(ragged, words, sequences), "one vector a row"),
        "tokens": (lambda: bundle(ragged, head), "which need an Embedding first"),
        "a second embedding": (
            lambda: bundle(ragged, words, words, head),
            "right after the vectorizer",
        ),
        "a bag for an LSTM": (
            lambda: bundle(spec(3, mode="count"), lstm(rng, 4, 4), head),
            "expects a sequence",
        ),
        "pooled twice": (lambda: bundle(fixed, words, maximum, maximum), "expects a sequence"),
    }


REFUSALS = _refusals()


@pytest.mark.parametrize("case", REFUSALS)
def test_what_it_cannot_run_is_refused_by_name(case: str) -> None:
    build, message = REFUSALS[case]
    with pytest.raises(UnsupportedModel, match=message):
        load_engine(build(), engine="cpu")


def test_it_needs_neither_keras_nor_tensorflow() -> None:
    code = (
        "import sys, scorer.engines.cpu\n"
        "heavy = [m for m in ('keras', 'tensorflow', 'sklearn', 'pandas') if m in sys.modules]\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["relu", "linear"])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("filters", [1, 16, 37])
def test_a_convolution_pooled_in_one_go_is_the_same_to_the_bit(
    filters: int, padding: str, kind: str
) -> None:
    """A layer between that does nothing keeps the two steps apart."""
    rng = np.random.default_rng(filters)
    words = embedding(rng, WORDS, 5, mask=False)
    convolved = conv(rng, 5, filters, 3, padding=padding, activation=kind)
    end = pool("GlobalMaxPooling1D"), dense(rng, filters, 2, "linear")
    fixed = spec(WORDS, length=40)
    joined = CpuEngine(bundle(fixed, words, convolved, *end))
    apart = CpuEngine(bundle(fixed, words, convolved, activation("linear"), *end))
    assert [len(x._plan.inputs[0].instructions) for x in (joined, apart)] == [2, 3]
    rows = batch(random_rows(rng, (0, 1, 2, 3, 17, 39, 40), WORDS))
    np.testing.assert_array_equal(joined.run(rows), apart.run(rows))
