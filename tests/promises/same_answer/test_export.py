"""ONNX exports answer as Keras does, layer by layer and through the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
from click.testing import CliRunner

from scorer.bundle import read_bundle
from scorer.card import Card
from scorer.cli.zoo import main
from scorer.errors import ScorerError, UnsupportedModel
from scorer.export import onnx_inputs, run_onnx, to_onnx, write_onnx
from scorer.model import load_model
from scorer.vectorizer import Vectorizer
from scorer.zoo import find
from tests.support import tiny
from tests.units.bundle import test_bundle_graphs as graphs


def stacked(keras: Any, ids: int) -> list[Any]:
    layers = keras.layers
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.Dropout(0.1),
        layers.Bidirectional(layers.LSTM(4, use_bias=False)),
        layers.Dense(3, activation="relu"),
        layers.Dense(3, activation="softmax"),
    ]


def convolution(keras: Any, ids: int, padding: str = "same", mask: bool = False) -> list[Any]:
    layers = keras.layers
    pool = layers.GlobalAveragePooling1D() if mask else layers.GlobalMaxPooling1D()
    convolve = layers.Conv1D(7, 3, padding=padding, activation="relu")
    return [
        layers.Embedding(ids, 6, mask_zero=mask),
        *([] if mask else [convolve]),
        pool,
        layers.Dense(4, activation="tanh"),
        layers.Dense(1, activation="sigmoid"),
    ]


def linear(keras: Any, ids: int) -> list[Any]:
    return [keras.layers.Dense(1, activation="sigmoid")]


def gru(keras: Any, ids: int) -> list[Any]:
    layers = keras.layers
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.Bidirectional(layers.GRU(5, return_sequences=True), merge_mode="ave"),
        layers.GRU(4, reset_after=False, go_backwards=True),
        layers.Dense(2),
    ]


def rnn(keras: Any, ids: int) -> list[Any]:
    layers = keras.layers
    return [
        layers.Embedding(ids, 6, mask_zero=True),
        layers.Bidirectional(layers.SimpleRNN(5, return_sequences=True), merge_mode="mul"),
        layers.SimpleRNN(4, activation="relu", return_sequences=True),
        layers.Bidirectional(layers.LSTM(4, activation="sigmoid"), merge_mode="sum"),
        layers.Dense(2),
    ]


CASES: dict[str, tuple[Callable[[Any, int], list[Any]], dict[str, Any]]] = {
    "bidirectional": (tiny.bilstm, {}),
    "one direction": (tiny.stars, {}),
    "cut to a length": (tiny.points, {"output_sequence_length": 9}),
    "stacked": (stacked, {}),
    "gru": (gru, {}),
    "simple rnn": (rnn, {}),
    "convolution": (convolution, {"output_sequence_length": 12}),
    "valid convolution": (
        lambda k, n: convolution(k, n, padding="valid"),
        {"output_sequence_length": 12},
    ),
    "causal convolution": (
        lambda k, n: convolution(k, n, padding="causal"),
        {"output_sequence_length": 12},
    ),
    "masked average": (lambda k, n: convolution(k, n, mask=True), {}),
    "bag of words": (linear, {"output_mode": "count"}),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_onnx_runtime_answers_as_keras(case: str, tmp_path: Path) -> None:
    layers, vectorizer = CASES[case]
    model = tiny.build_model(layers, **vectorizer)
    model.save(tmp_path / "model.keras")
    bundle = read_bundle(tmp_path / "model.keras")
    texts = [text for text in tiny.GOLDEN if text]
    tokens = Vectorizer(bundle.vectorizer)(pa.array(texts))
    got = run_onnx(to_onnx(bundle).SerializeToString(), bundle, tokens)
    np.testing.assert_allclose(got, tiny.predict(model, texts), rtol=0, atol=1e-5)


GRAPHS = (
    *(graphs.kims_cnn, graphs.two_pools_of_one_convolution, graphs.merged_again, graphs.residual),
    *(graphs.activation_of_what_others_read, graphs.masked_residual, graphs.nested_and_shared),
)


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("graph", GRAPHS, ids=[graph.__name__ for graph in GRAPHS])
def test_graphs_of_several_inputs_answer_as_keras(graph: graphs.Graph, tmp_path: Path) -> None:
    import keras

    text = keras.Input((), dtype="string")
    model = keras.Model(text, graph(keras.layers, text))
    tiny.spread_weights(model, seed=3)
    model.save(tmp_path / "model.keras")
    bundle = read_bundle(tmp_path / "model.keras")
    texts = [text for text in tiny.GOLDEN if text]
    tokens = [Vectorizer(vectorizer)(pa.array(texts)) for vectorizer in bundle.vectorizers]
    written = to_onnx(bundle)
    got = run_onnx(written.SerializeToString(), bundle, *tokens)
    np.testing.assert_allclose(got, tiny.traced(model)(texts), rtol=0, atol=1e-5)
    properties = {p.key: json.loads(p.value) for p in written.metadata_props if p.key != "digest"}
    several = properties.get("vectorizers", [properties.get("vectorizer")])
    assert [v["output_mode"] for v in several] == [v.output_mode for v in bundle.vectorizers]


def test_a_setting_that_is_not_written_is_named(tmp_path: Path) -> None:
    def gru(keras: Any, ids: int) -> list[Any]:
        layers = keras.layers
        cell = layers.GRU(3, activation="softmax")
        return [layers.Embedding(ids, 4, mask_zero=True), cell, layers.Dense(1)]

    tiny.build_model(gru).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedModel, match=r"\(GRU\): the activation 'softmax' of a GRU"):
        to_onnx(read_bundle(tmp_path / "model.keras"))


def test_the_command_writes_a_file_that_serves_alone(tiny_zoo: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny.onnx"
    command = ["export", "tiny-binary", "--ids", "-o", str(target), "--zoo", str(tiny_zoo)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.stderr
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    properties = {p.key: p.value for p in onnx.load(target).metadata_props}
    words = json.loads(properties["vectorizer"])["vocabulary"]
    ids = np.array([[words.index("film") + 2, 1]], np.int64)
    feeds = {"ids": ids, "lengths": np.array([2], np.int32)}
    entry = find("tiny-binary", [tiny_zoo])
    bundle = read_bundle(entry.model_path)
    tokens = Vectorizer(bundle.vectorizer)(pa.array(["Film qqqq"]))
    assert onnx_inputs(bundle, tokens)["ids"].tolist() == ids.tolist()
    expected = load_model("tiny-binary", zoos=[tiny_zoo]).score(pa.array(["Film qqqq"])).outputs
    np.testing.assert_allclose(session.run(None, feeds)[0], expected, atol=1e-5)
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 2
    assert "use --force to replace it" in again.stderr


def test_the_command_writes_a_graph_that_reads_texts(tiny_zoo: Path, tmp_path: Path) -> None:
    for name in tiny.TASKS:
        target = tmp_path / f"{name}.onnx"
        command = ["export", name, "-o", str(target), "--zoo", str(tiny_zoo)]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.stderr
        assert "It reads texts: its input is `text`" in done.output
        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
        texts = [text for text in tiny.GOLDEN if text]
        scores = session.run(None, {"text": np.array(texts, object)})[0]
        expected = load_model(name, zoos=[tiny_zoo]).score(pa.array(texts)).outputs
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_scores_are_those_that_the_card_speaks_of(tmp_path: Path) -> None:
    """Logits with the card's activation, and of a binary model's two outputs the second."""

    def logits(keras: Any, ids: int) -> list[Any]:
        return [*tiny.bilstm(keras, ids)[:-1], keras.layers.Dense(2)]

    model = tiny.build_model(logits)
    model.save(tmp_path / "model.keras")
    bundle = read_bundle(tmp_path / "model.keras")
    raw = tiny.predict(model, tiny.GOLDEN)
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    rows = [(t, [float(p[1])] if t else None) for t, p in zip(tiny.GOLDEN, shares, strict=True)]
    fields = {**tiny.card_fields("tiny-binary", rows), "body": ""}
    fields["scorer"]["output_activation"] = "softmax"
    card = Card.model_validate(fields)
    for ids in (True, False):
        written = write_onnx(card, bundle, tmp_path / "x.onnx", ids=ids)
        assert written.gap < 1e-6
        assert written.why_ids == ("asked for" if ids else None)


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("kind", ["lstm", "gru", "bidirectional", "zeros", "maximum"])
def test_what_masked_layers_give_at_padding_is_read_as_in_keras(kind: str, tmp_path: Path) -> None:
    """Flatten and a maximum read it where the length is fixed."""

    def flat(keras: Any, ids: int) -> list[Any]:
        layers = keras.layers
        zeros = {"zero_output_for_mask": kind == "zeros"}
        lstm = layers.LSTM(3, return_sequences=True, **zeros)
        reader = {
            "gru": [layers.GRU(3, return_sequences=True), layers.Flatten()],
            "bidirectional": [layers.Bidirectional(lstm), layers.Flatten()],
            "maximum": [lstm, layers.GlobalMaxPooling1D()],
        }.get(kind, [lstm, layers.Flatten()])
        return [layers.Embedding(ids, 4, mask_zero=True), *reader, layers.Dense(1)]

    model = tiny.build_model(flat, output_sequence_length=7)
    model.save(tmp_path / "model.keras")
    bundle = read_bundle(tmp_path / "model.keras")
    texts = [text for text in tiny.GOLDEN if text]
    tokens = Vectorizer(bundle.vectorizer)(pa.array(texts))
    got = run_onnx(to_onnx(bundle).SerializeToString(), bundle, tokens)
    np.testing.assert_allclose(got, tiny.predict(model, texts), rtol=0, atol=1e-5)


def test_an_export_that_is_off_is_not_written(tiny_zoo: Path, tmp_path: Path) -> None:
    entry = find("tiny-points", [tiny_zoo])
    other = find("tiny-binary", [tiny_zoo])
    with pytest.raises(ScorerError, match="not written: ONNX Runtime is"):
        write_onnx(other.card, read_bundle(entry.model_path), tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_a_link_stays_and_a_device_is_written_to(tiny_zoo: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from scorer.cli.zoo import main

    (tmp_path / "link.onnx").symlink_to("real.onnx")
    for output in (tmp_path / "link.onnx", Path("/dev/null")):
        arguments = ["export", "tiny-binary", "--zoo", str(tiny_zoo), "-o", str(output)]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "link.onnx").is_symlink()
    assert (tmp_path / "real.onnx").stat().st_size > 100
    assert Path("/dev/null").is_char_device()
