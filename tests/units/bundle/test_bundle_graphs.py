"""Networks that are no chain: forks, nested models, shared layers, further inputs.

Each is saved by Keras, read from its archive, run by both engines and held to Keras' own answers.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.bundle import Bundle, Pieces, read_bundle
from scorer.bundle.config.read import read_model
from scorer.bundle.network import Call
from scorer.card.vectorizer import InputCard, VectorizerCard
from scorer.engines import load_engine
from scorer.errors import UnsupportedModel
from scorer.vectorizer import Vectorizer
from tests.support.tiny import TEXTS, WORDS, spread_weights

IDS = len(WORDS) + 2
Graph = Callable[[Any, Any], Any]  # keras.layers, text -> the last tensor


def _ids(k: Any, text: Any, **settings: Any) -> Any:
    vectorizer = k.TextVectorization(**settings)
    vectorizer.set_vocabulary(list(WORDS))
    return vectorizer(text)


def kims_cnn(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=30))
    pooled = [
        k.GlobalMaxPooling1D()(k.Conv1D(5, size, activation="relu")(words)) for size in (2, 3, 5)
    ]
    return k.Dense(3)(k.Dropout(0.5)(k.Concatenate()(pooled)))


def two_pools_of_one_convolution(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=30))
    hidden = k.Dropout(0.1)(k.Conv1D(5, 3, activation="relu")(words))
    return k.Dense(2)(
        k.Concatenate()([k.GlobalMaxPooling1D()(hidden), k.GlobalAveragePooling1D()(hidden)])
    )


def activation_of_what_others_read(k: Any, text: Any) -> Any:
    """What an activation overwrites would be read by the other branch."""
    words = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    states = k.LSTM(4, return_sequences=True)(words)
    last = k.LSTM(3)(states)
    rectified = k.GlobalMaxPooling1D()(k.ReLU()(states))
    squashed = k.GlobalAveragePooling1D()(k.Activation("tanh")(states))
    plain = k.GlobalAveragePooling1D()(states)
    return k.Dense(2)(k.Concatenate()([rectified, squashed, plain, last]))


def residual(k: Any, text: Any) -> Any:
    """Sequences of one text that are added, joined and multiplied, of which one stores less."""
    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=30))
    wide = k.Conv1D(6, 3, padding="same")(words)
    both = k.Add()([words, wide])
    joined = k.Concatenate()([both, k.Multiply()([wide, words]), words])
    return k.Dense(1)(k.GlobalMaxPooling1D()(joined))


def masked_residual(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    states = k.Bidirectional(k.LSTM(3, return_sequences=True))(words)
    both = k.Average()([words, states])
    return k.Dense(1)(k.LSTM(4)(k.Concatenate()([both, words])))


def merged_again(k: Any, text: Any) -> Any:
    """Vectors of two vectorizers that are merged twice and in the middle of a branch."""
    words = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    mean, last = k.GlobalAveragePooling1D()(words), k.LSTM(6)(words)
    inside = k.Dense(4, "tanh")(k.Maximum()([mean, last]))
    bag = k.Dense(4)(_ids(k, text, output_mode="multi_hot"))
    once = k.Subtract()([inside, bag])
    return k.Dense(2)(k.Concatenate()([once, k.Minimum()([bag, inside]), inside]))


def an_operation(k: Any, text: Any) -> Any:
    """`x + y` leaves an operation in the graph, not a layer."""
    words = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    return k.Dense(1)(k.LSTM(4)(words) + k.Dense(4)(k.GlobalAveragePooling1D()(words)))


def shared(k: Any, text: Any) -> Any:
    """One LSTM and one Dense read two Embeddings of one vectorizer."""
    ids = _ids(k, text)
    lstm, dense = k.LSTM(4), k.Dense(3, "relu")
    ends = [dense(lstm(k.Embedding(IDS, 5, mask_zero=True)(ids))) for _ in range(2)]
    return k.Dense(1)(k.Concatenate()(ends))


def nested(k: Any, text: Any) -> Any:
    import keras

    words = keras.Input((None, 6))
    encoder = keras.Model(words, k.Dense(4, "tanh")(k.LSTM(5)(words)), name="encoder")
    head = keras.Sequential([k.Dense(3, "relu"), k.Dropout(0.2), k.Dense(2)], name="head")
    embedded = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    return head(encoder(embedded))


def nested_and_shared(k: Any, text: Any) -> Any:
    """A model inside a model, called twice."""
    import keras

    ids = keras.Input((None,), dtype="int32")
    inner = keras.Sequential([k.Embedding(IDS, 6, mask_zero=True), k.LSTM(5)])
    encoder = keras.Model(ids, k.Dense(4)(inner(ids)))
    plain, other = _ids(k, text), _ids(k, text, standardize="lower")
    return k.Dense(2)(k.Concatenate()([encoder(plain), encoder(other)]))


def nested_sequential_that_masks(k: Any, text: Any) -> Any:
    """A mask that is made inside a model and read after it."""
    import keras

    inner = keras.Sequential(
        [k.Embedding(IDS, 6, mask_zero=True), k.LSTM(5, return_sequences=True)]
    )
    return k.Dense(1)(k.LSTM(3)(inner(_ids(k, text))))


def nested_functional_that_masks(k: Any, text: Any) -> Any:
    import keras

    ids = keras.Input((None,), dtype="int32")
    inner = keras.Model(
        ids, k.LSTM(5, return_sequences=True)(k.Embedding(IDS, 6, mask_zero=True)(ids))
    )
    return k.Dense(1)(k.LSTM(3)(inner(_ids(k, text))))


def nested_under_a_mask(k: Any, text: Any) -> Any:
    """A mask that is made before a model and read in it, and after it."""
    import keras

    words = keras.Input((None, 6))
    inner = keras.Model(words, k.LSTM(5, return_sequences=True)(words))
    embedded = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    return k.Dense(1)(k.LSTM(3)(inner(embedded)))


def last_state_beside_all(k: Any, text: Any) -> Any:
    """The query of an attention is a state; another LSTM's state is all that is read of it."""
    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=9))
    states, last = k.GRU(4, return_sequences=True, return_state=True)(words)
    found = k.Attention()([k.Reshape((1, 4))(last), states])
    _, alone, _ = k.LSTM(3, return_state=True, go_backwards=True)(words)
    return k.Dense(2)(k.Concatenate()([k.Flatten()(found), alone, last]))


def states_of_both_directions(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    layer = k.LSTM(3, return_sequences=True, return_state=True)
    states, forward, _, backward, _ = k.Bidirectional(layer, merge_mode="sum")(words)
    both = k.Concatenate()([backward, forward])
    return k.Dense(2)(k.Concatenate()([both, k.LSTM(2)(states)]))


def cell_states(k: Any, text: Any) -> Any:
    """Of an LSTM that reads its padding, and of both directions of one that skips it."""
    plain = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=9))
    last, _, cell = k.LSTM(3, return_state=True)(plain)
    masked = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    layer = k.LSTM(3, return_sequences=True, return_state=True, activation="relu")
    _, _, forward, _, backward = k.Bidirectional(layer)(masked)
    return k.Dense(2)(k.Concatenate()([cell, backward, last, forward]))


def several_cells(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 6, mask_zero=True)(_ids(k, text))
    cells = [k.LSTMCell(4), k.GRUCell(3, reset_after=False), k.LSTMCell(5)]
    states = k.RNN(cells, return_sequences=True)(words)
    return k.Dense(2)(k.RNN(k.StackedRNNCells([k.SimpleRNNCell(4), k.SimpleRNNCell(3)]))(states))


def begun_with_states(k: Any, text: Any) -> Any:
    """An encoder of another text, and of the same one, hands its states on."""
    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=9))
    other = k.Embedding(IDS, 6)(_ids(k, text, standardize="lower", output_sequence_length=7))
    _, *states = k.LSTM(5, return_state=True)(words)
    again = k.LSTM(5, go_backwards=True)(words, initial_state=states)
    following = k.GRU(5, return_sequences=True)(other, initial_state=states[0])
    return k.Dense(2)(k.Concatenate()([again, k.LSTM(5)(following, initial_state=states)]))


def einsum_dense(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=9))
    wide = k.EinsumDense("abc,cd->abd", (None, 5), activation="relu", bias_axes="d")(words)
    return k.EinsumDense("ab,bc->ac", 2)(k.GlobalMaxPooling1D()(wide))


def positions_that_are_a_constant(k: Any, text: Any) -> Any:
    """What `TokenAndPositionEmbedding` becomes where it is no class."""
    import keras

    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=9))
    places = k.Embedding(9, 6)(keras.ops.arange(9))
    both = words + places
    return k.Dense(2)(k.GlobalAveragePooling1D()(both + k.MultiHeadAttention(2, 3)(both, both)))


def activations_that_are_layers(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 6)(_ids(k, text, output_sequence_length=9))
    hidden = k.Conv1D(5, 3, activation=k.LeakyReLU(negative_slope=0.2))(words)
    dense = k.Dense(4, activation=k.ReLU(max_value=0.5, negative_slope=0.1))
    return k.Dense(2)(k.Dense(3, activation=k.ELU())(dense(k.GlobalMaxPooling1D()(hidden))))


GRAPHS: dict[str, Graph] = {
    graph.__name__: graph
    for graph in (
        *(kims_cnn, two_pools_of_one_convolution, activation_of_what_others_read, residual),
        *(masked_residual, merged_again, an_operation, shared, nested, nested_and_shared),
        *(nested_sequential_that_masks, nested_functional_that_masks, nested_under_a_mask),
        *(last_state_beside_all, states_of_both_directions, positions_that_are_a_constant),
        *(activations_that_are_layers, cell_states, several_cells, begun_with_states),
        einsum_dense,
    )
}


def tokens_of(bundle: Bundle) -> list[Any]:
    return [Vectorizer(vectorizer)(pa.array(TEXTS)) for vectorizer in bundle.vectorizers]


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking|.*destroy the mask")
@pytest.mark.parametrize("name", GRAPHS)
def test_engines_equal_plain_keras(name: str, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    text = keras.Input((), dtype="string")
    model = keras.Model(text, GRAPHS[name](keras.layers, text))
    spread_weights(model, seed=3)
    model.save(tmp_path / "model.keras")
    expected = np.asarray(model(tf.constant(TEXTS)))
    bundle = read_bundle(tmp_path / "model.keras")
    assert bundle.parameters == model.count_params()
    assert bundle.outputs == expected.shape[1]
    for engine in ("cpu", "keras"):
        loaded = load_engine(bundle, engine=engine)
        outputs = loaded.run(*tokens_of(bundle))
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5, err_msg=engine)
        alone = [loaded.run(*(_row(t, i) for t in tokens_of(bundle))) for i in range(3)]
        np.testing.assert_allclose(np.concatenate(alone), outputs[:3], rtol=0, atol=1e-6)


def _row(tokens: Any, row: int) -> Any:
    first, end = tokens.offsets[row : row + 2]
    counts = tokens.n_tokens[row : row + 1], tokens.n_oov[row : row + 1]
    return type(tokens)(tokens.ids[first:end], np.array([0, end - first]), *counts)


def test_a_vectorizer_beside_the_archive_and_numbers(tmp_path: Path) -> None:
    """Ids from outside, padded to a length that the archive does not set, and numbers."""
    import keras

    k = keras.layers
    ids, numbers = keras.Input((None,), name="words"), keras.Input((3,), name="numbers")
    hidden = k.GlobalMaxPooling1D()(k.Conv1D(4, 3, activation="relu")(k.Embedding(IDS, 6)(ids)))
    both = k.Concatenate()([hidden, k.Dense(2, "tanh")(numbers), numbers])
    model = keras.Model([ids, numbers], k.Dense(2)(both))
    spread_weights(model, seed=3)
    model.save(tmp_path / "model.keras")
    path, words = tmp_path / "model.keras", tmp_path / "vocabulary.txt"
    with pytest.raises(UnsupportedModel, match="say which column feeds words"):
        read_bundle(path)
    words.write_text("\n[UNK]\n" + "\n".join(WORDS), encoding="utf-8")
    inputs = (
        InputCard(name="numbers", columns=("a", "b", "c")),
        InputCard(name="words", columns=("text",)),
    )
    card = VectorizerCard(kind="vocabulary")
    open_ended = read_bundle(path, pieces=Pieces(card, words, inputs=inputs))
    with pytest.raises(UnsupportedModel, match="reads padding"):
        load_engine(open_ended, engine="cpu")
    card = VectorizerCard(kind="vocabulary", sequence_length=25)
    bundle = read_bundle(path, pieces=Pieces(card, words, inputs=inputs))
    assert [given.vectorizer is None for given in bundle.inputs] == [False, True]
    vectorizer = bundle.inputs[0].vectorizer
    assert vectorizer is not None
    tokens = Vectorizer(vectorizer)(pa.array(TEXTS))
    values = np.random.default_rng(0).normal(size=(len(TEXTS), 3)).astype(np.float32)
    from scorer.engines.encode import padded_ids

    expected = np.asarray(model([padded_ids(tokens, 25), values]))
    for engine in ("cpu", "keras"):
        outputs = load_engine(bundle, engine=engine).run(tokens, values)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5, err_msg=engine)


@pytest.mark.parametrize("shape", [(9,), (9, 1)])
def test_ids_that_a_layer_reads_as_numbers(shape: tuple[int, ...], tmp_path: Path) -> None:
    """A Dense or an LSTM on the padded ids themselves, where it is said how many they are."""
    import keras

    from scorer.engines.encode import padded_ids

    k = keras.layers
    first = k.Dense(4, "tanh") if len(shape) == 1 else k.LSTM(4)
    model = keras.Sequential([keras.Input(shape), first, k.Dense(2)])
    spread_weights(model, seed=3)
    path, words = tmp_path / "model.keras", tmp_path / "vocabulary.txt"
    model.save(path)
    words.write_text("\n[UNK]\n" + "\n".join(WORDS), encoding="utf-8")
    with pytest.raises(UnsupportedModel, match="give --sequence-length; where it gives a bag"):
        read_bundle(path, pieces=Pieces(VectorizerCard(kind="vocabulary"), words))
    for side in ("pre", "post"):
        card = VectorizerCard(kind="vocabulary", sequence_length=9, padding=side)
        bundle = read_bundle(path, pieces=Pieces(card, words))
        tokens = Vectorizer(bundle.vectorizer)(pa.array(TEXTS))
        expected = np.asarray(model(padded_ids(tokens, 9).astype(np.float32).reshape(-1, *shape)))
        for engine in ("cpu", "keras"):
            outputs = load_engine(bundle, engine=engine).run(tokens)
            np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5, err_msg=engine)


def _mixed_texts(k: Any, text: Any) -> Any:
    one = k.Embedding(IDS, 4, mask_zero=True)(_ids(k, text))
    two = k.Embedding(IDS, 4, mask_zero=True)(_ids(k, text, standardize="lower"))
    return k.Dense(1)(k.GlobalAveragePooling1D()(k.Add()([one, two])))


def _running_sum(k: Any, text: Any) -> Any:
    import keras

    words = k.Embedding(IDS, 4, mask_zero=True)(_ids(k, text))
    return k.Dense(1)(keras.ops.cumsum(k.LSTM(2)(words), axis=-1))


def _cells_backwards(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 4)(_ids(k, text, output_sequence_length=9))
    return k.Dense(1)(k.RNN([k.LSTMCell(3), k.LSTMCell(2)], go_backwards=True)(words))


def _other_einsum(k: Any, text: Any) -> Any:
    words = k.Embedding(IDS, 4)(_ids(k, text, output_sequence_length=9))
    return k.Dense(1)(k.Flatten()(k.EinsumDense("abc,bd->adc", (3, 4))(words)))


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (_other_einsum, "Keras' EinsumDense is not run: Dense works on the last dimension"),
        (_cells_backwards, "several cells with go_backwards"),
        (_mixed_texts, "only an Embedding's own mask"),
        (
            _running_sum,
            "'cumsum' is not among the operations",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(graph: Graph, says: str, tmp_path: Path) -> None:
    import keras

    text = keras.Input((), dtype="string")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.Model(text, graph(keras.layers, text)).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedModel, match=says):
        read_bundle(tmp_path / "model.keras")


def _old_nodes(config: dict[str, Any]) -> None:
    """Calls as Keras 2 writes them: lists of [layer, call, output, keywords]."""
    for entry in config["layers"]:
        nodes = []
        for node in entry["inbound_nodes"]:
            (given,) = node["args"]
            tensors = given if isinstance(given, list) else [given]
            nodes.append([[*tensor["config"]["keras_history"], {}] for tensor in tensors])
        entry["inbound_nodes"] = nodes
        if "layers" in entry["config"] and "input_layers" in entry["config"]:
            _old_nodes(entry["config"])
    for key in ("input_layers", "output_layers"):
        config[key] = [config[key]] if isinstance(config[key][0], str) else config[key]


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking|.*destroy the mask")
@pytest.mark.parametrize("graph", [kims_cnn, residual, nested], ids=lambda graph: graph.__name__)
def test_calls_are_read_as_keras_2_writes_them(graph: Graph) -> None:
    import keras

    text = keras.Input((), dtype="string")
    new = json.loads(keras.Model(text, graph(keras.layers, text)).to_json())
    layers = new["config"]["layers"]
    for entry in layers:  # Keras 2 writes no masks down
        for node in entry["inbound_nodes"]:
            node["kwargs"] = {}
    new["config"]["layers"] = [x for x in layers if x["class_name"] != "NotEqual"]
    old = json.loads(json.dumps(new))
    _old_nodes(old["config"])
    assert [_told(call) for call in read_model(old).calls] == [
        _told(call) for call in read_model(new).calls
    ]


def _told(call: Call) -> tuple[Any, ...]:
    return call.name, call.layer.kind, call.inputs, call.place
