"""For every declared layer, one with random settings, as Keras code on a sequence of words."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from scorer.layers.operations import BINARY, UNARY
from scorer.layers.spec import ACTIVATIONS

WIDTH, LENGTH = 6, 8
#: keras.layers, a sequence (rows, positions, WIDTH), and what settings are drawn by
Case = Callable[[Any, Any, Random], Any]


def _activation(r: Random) -> str:
    return r.choice(ACTIVATIONS)


def _yes(r: Random) -> bool:
    return r.random() < 0.5


def _recurrent(kind: str, sequences: bool | None = None) -> Case:
    def case(k: Any, x: Any, r: Random) -> Any:
        return _rnn(k, kind, r, sequences)(x)

    return case


def _rnn(k: Any, kind: str, r: Random, sequences: bool | None = None, units: int = 4) -> Any:
    settings = {
        "use_bias": _yes(r),
        "go_backwards": _yes(r),
        "return_sequences": _yes(r) if sequences is None else sequences,
        "activation": r.choice(("tanh", "relu", "sigmoid")),
    }
    if kind != "SimpleRNN":
        settings["recurrent_activation"] = r.choice(("sigmoid", "hard_sigmoid"))
    if kind == "GRU":
        settings["reset_after"] = _yes(r)
    if _yes(r):
        return getattr(k, kind)(units, **settings)
    way = {key: settings.pop(key) for key in ("go_backwards", "return_sequences")}
    return k.RNN(getattr(k, f"{kind}Cell")(units, **settings), **way)


def _bidirectional(k: Any, x: Any, r: Random) -> Any:
    inner = _rnn(k, r.choice(("LSTM", "GRU", "SimpleRNN")), r)
    other = None
    if inner.go_backwards:
        settings = inner.get_config() | {"go_backwards": False, "name": "other"}
        other = type(inner).from_config(settings)
    merge = r.choice(("concat", "sum", "mul", "ave"))
    return k.Bidirectional(inner, backward_layer=other, merge_mode=merge)(x)


def _conv(r: Random, **more: Any) -> dict[str, Any]:
    strides, dilation = r.choice(((1, 1), (2, 1), (1, 2)))
    return {
        "kernel_size": r.choice((1, 2, 3)),
        "strides": strides,
        "dilation_rate": dilation,
        "padding": r.choice(("valid", "same")),
        "activation": _activation(r),
        "use_bias": _yes(r),
        **more,
    }


def _conv1d(k: Any, x: Any, r: Random) -> Any:
    settings = _conv(r, padding=r.choice(("valid", "same", "causal")))
    return k.Conv1D(4, groups=r.choice((1, 2)), **settings)(x)


def _image(k: Any, x: Any) -> Any:
    return k.Reshape((LENGTH, WIDTH // 2, 2))(x)


def _conv2d(k: Any, x: Any, r: Random) -> Any:
    settings = _conv(r)
    if settings["dilation_rate"] * (settings["kernel_size"] - 1) >= WIDTH // 2:
        settings["padding"] = "same"
    return k.Conv2D(4, groups=r.choice((1, 2)), **settings)(_image(k, x))


def _window(r: Random) -> dict[str, Any]:
    strides, padding = r.choice((None, 1, 2)), r.choice(("valid", "same"))
    return {"pool_size": r.choice((1, 2, 3)), "strides": strides, "padding": padding}


def _affine(r: Random) -> dict[str, Any]:
    return {"center": _yes(r), "scale": _yes(r), "epsilon": r.choice((1e-3, 1e-5))}


def _layer_normalization(k: Any, x: Any, r: Random) -> Any:
    axis = r.choice((-1, 2, [1, 2])) if x.shape[1] else -1
    return k.LayerNormalization(axis=axis, **_affine(r))(x)


def _reshape(k: Any, x: Any, r: Random) -> Any:
    return k.Reshape(r.choice(((LENGTH * WIDTH,), (-1, 3), (4, 2, WIDTH), (LENGTH, WIDTH, 1))))(x)


def _permute(k: Any, x: Any, r: Random) -> Any:
    return k.Permute(r.choice(((2, 1), (1, 2))))(x)


def _prelu(k: Any, x: Any, r: Random) -> Any:
    return k.PReLU(shared_axes=[1] if x.shape[1] is None or _yes(r) else None)(x)


def _time_distributed(k: Any, x: Any, r: Random) -> Any:
    inner = r.choice((k.Dense(3, _activation(r)), k.Activation(_activation(r)), k.Dropout(0.3)))
    return k.TimeDistributed(inner)(x)


def _relu(k: Any, x: Any, r: Random) -> Any:
    settings = {
        "max_value": r.choice((None, 0.3)),
        "negative_slope": r.choice((0.0, 0.2)),
        "threshold": r.choice((0.0, 0.1)),
    }
    return k.ReLU(**settings)(x)


def _merge(kind: str) -> Case:
    def case(k: Any, x: Any, r: Random) -> Any:
        return getattr(k, kind)()([x, k.Dense(WIDTH)(x), *([x] if kind != "Subtract" else [])])

    return case


def _concatenate(k: Any, x: Any, r: Random) -> Any:
    if x.shape[1] and _yes(r):
        unmasked = [k.Conv1D(WIDTH, size)(x) for size in (1, 2)]
        return k.Concatenate(axis=1)(unmasked)
    return k.Concatenate()([x, k.Dense(3)(x)])


def _dot(k: Any, x: Any, r: Random) -> Any:
    axes, normalize = r.choice((2, -1, (2, 2), (1, 1))), _yes(r)
    return k.Dot(axes, normalize=normalize)([x, k.Dense(WIDTH)(x)])


def _attention(k: Any, x: Any, r: Random) -> Any:
    layer = k.Attention(use_scale=_yes(r), score_mode=r.choice(("dot", "concat")))
    given = [x, k.Dense(WIDTH)(x), *([k.Dense(WIDTH, "tanh")(x)] if _yes(r) else [])]
    return layer(given, use_causal_mask=_yes(r))


def _additive_attention(k: Any, x: Any, r: Random) -> Any:
    return k.AdditiveAttention(use_scale=_yes(r))([x, k.Dense(WIDTH)(x)])


def _heads(k: Any, x: Any, r: Random) -> Any:
    layer = k.MultiHeadAttention(
        2,
        3,
        value_dim=r.choice((None, 4)),
        use_bias=_yes(r),
        output_shape=r.choice((None, 5)),
        dropout=r.choice((0, 0.3)),
    )
    if _yes(r):
        return layer(query=x, value=k.Dense(4)(x), key=k.Dense(5)(x), use_causal_mask=_yes(r))
    return layer(x, x, use_causal_mask=_yes(r))


def _grouped(k: Any, x: Any, r: Random) -> Any:
    return k.GroupQueryAttention(3, 4, 2, use_bias=_yes(r), dropout=r.choice((0, 0.3)))(x, x)


def _of_two(name: str) -> Case:
    """With a tensor of the same shape, of one column, or with a constant on either side."""

    def case(k: Any, x: Any, r: Random) -> Any:
        function = getattr(_ops(), name)
        x = k.Dense(WIDTH, "sigmoid")(x) + 0.5
        columns = _ops().convert_to_tensor([0.5 + 0.25 * i for i in range(WIDTH)])
        places = columns * _ops().ones((LENGTH, 1)) if x.shape[1] else columns
        other = r.choice(
            (
                *(k.Dense(WIDTH, "sigmoid")(x) + 0.5, k.Dense(1, "sigmoid")(x)),
                *(2.5, 2, columns, places, np.asarray(places) + 0.25),
            )
        )
        return function(*r.choice(((x, other), (other, x))))

    return case


def _of_one(name: str) -> Case:
    return lambda k, x, r: getattr(_ops(), name)(k.Dense(4, "sigmoid")(x) + 0.1)


def _reduction(name: str) -> Case:
    def case(k: Any, x: Any, r: Random) -> Any:
        axis = r.choice((1, 2, -1, (1, 2)))
        return getattr(_ops(), name)(x, axis=axis, keepdims=_yes(r))

    return case


def _ops() -> Any:
    import keras

    return keras.ops


def _expand(k: Any, x: Any, r: Random) -> Any:
    return _ops().expand_dims(x, r.choice((1, 2, 3, -1)))


def _squeeze(k: Any, x: Any, r: Random) -> Any:
    return _ops().squeeze(k.Dense(1)(x), r.choice((2, -1)))


def _item(k: Any, x: Any, r: Random) -> Any:
    every = slice(None)
    keys = [(every, 0), (every, -1, every), (every, every, 1), (every, slice(1, -1)), (every,)]
    return x[r.choice(keys)]


def _matmul(k: Any, x: Any, r: Random) -> Any:
    return _ops().matmul(x, _ops().transpose(x, (0, 2, 1)))


def _normalization(k: Any, x: Any, r: Random) -> Any:
    if _yes(r):
        stated = {"mean": [0.5] * WIDTH, "variance": [2.0] * WIDTH}
        return k.Normalization(**stated, invert=_yes(r))(x)
    layer = k.Normalization(axis=r.choice((-1, None)) if x.shape[1] else -1)
    layer.adapt(np.random.default_rng(3).normal(1, 2, (20, LENGTH, WIDTH)))
    return layer(x)


def _discretization(k: Any, x: Any, r: Random) -> Any:
    mode = r.choice(("int", "one_hot", "count"))
    given = k.GlobalMaxPooling1D()(x) if mode == "count" else x
    return k.Discretization([-0.5, 0.0, 0.4], output_mode=mode)(given)


def _category_encoding(k: Any, x: Any, r: Random) -> Any:
    return k.CategoryEncoding(12, r.choice(("one_hot", "multi_hot", "count")))(_ids(x))


def _integer_lookup(k: Any, x: Any, r: Random) -> Any:
    return k.IntegerLookup(vocabulary=[7, 3, 5], mask_token=r.choice((None, 0)))(_ids(x))


def _ids(x: Any) -> Any:
    """What the Embedding read."""
    return x._keras_history.operation.input


CASES: dict[str, Case] = {
    "Embedding": lambda k, x, r: x,
    "Dense": lambda k, x, r: k.Dense(4, _activation(r), use_bias=_yes(r))(x),
    "Identity": lambda k, x, r: k.Identity()(x),
    "Masking": lambda k, x, r: k.Masking(r.choice((0.0, 0.5)))(k.ReLU()(x)),
    "Activation": lambda k, x, r: k.Activation(_activation(r))(x),
    "ReLU": _relu,
    "LeakyReLU": lambda k, x, r: k.LeakyReLU(r.choice((0.3, 0.01)))(x),
    "ELU": lambda k, x, r: k.ELU(r.choice((1.0, 0.4)))(x),
    "PReLU": _prelu,
    "Softmax": lambda k, x, r: k.Softmax()(k.GlobalMaxPooling1D()(x)),
    "LSTM": _recurrent("LSTM"),
    "GRU": _recurrent("GRU"),
    "SimpleRNN": _recurrent("SimpleRNN"),
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "Conv1D": _conv1d,
    "DepthwiseConv1D": lambda k, x, r: k.DepthwiseConv1D(
        **_conv(r), depth_multiplier=r.choice((1, 2))
    )(x),
    "SeparableConv1D": lambda k, x, r: k.SeparableConv1D(
        5, **_conv(r), depth_multiplier=r.choice((1, 2))
    )(x),
    "Conv2D": _conv2d,
    "GlobalMaxPooling1D": lambda k, x, r: k.GlobalMaxPooling1D(keepdims=_yes(r))(x),
    "GlobalAveragePooling1D": lambda k, x, r: k.GlobalAveragePooling1D(keepdims=_yes(r))(x),
    "GlobalMaxPooling2D": lambda k, x, r: k.GlobalMaxPooling2D(keepdims=_yes(r))(_image(k, x)),
    "GlobalAveragePooling2D": lambda k, x, r: k.GlobalAveragePooling2D(keepdims=_yes(r))(
        _image(k, x)
    ),
    "MaxPooling1D": lambda k, x, r: k.MaxPooling1D(**_window(r))(x),
    "AveragePooling1D": lambda k, x, r: k.AveragePooling1D(**_window(r))(x),
    "MaxPooling2D": lambda k, x, r: k.MaxPooling2D(**_window(r))(_image(k, x)),
    "AveragePooling2D": lambda k, x, r: k.AveragePooling2D(**_window(r))(_image(k, x)),
    "Flatten": lambda k, x, r: k.Flatten()(x),
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": lambda k, x, r: k.RepeatVector(r.choice((1, 3)))(k.GlobalMaxPooling1D()(x)),
    "ZeroPadding1D": lambda k, x, r: k.ZeroPadding1D(r.choice((1, (0, 3))))(x),
    "Cropping1D": lambda k, x, r: k.Cropping1D(r.choice((1, (0, 3))))(x),
    "UpSampling1D": lambda k, x, r: k.UpSampling1D(r.choice((1, 3)))(x),
    "UnitNormalization": lambda k, x, r: k.UnitNormalization()(x),
    "BatchNormalization": lambda k, x, r: k.BatchNormalization(
        axis=r.choice((-1, 2, 1)) if x.shape[1] else -1, **_affine(r)
    )(x),
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": lambda k, x, r: k.RMSNormalization()(x),
    "GroupNormalization": lambda k, x, r: k.GroupNormalization(r.choice((1, 2, -1)), **_affine(r))(
        x
    ),
    "Concatenate": _concatenate,
    "Dot": _dot,
    "Attention": _attention,
    "AdditiveAttention": _additive_attention,
    "MultiHeadAttention": _heads,
    "GroupQueryAttention": _grouped,
    **{
        name: _merge(name)
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    },
    "Normalization": _normalization,
    "Discretization": _discretization,
    "CategoryEncoding": _category_encoding,
    "Hashing": lambda k, x, r: k.Hashing(4, salt=r.choice((None, 3, [1, 2])))(_ids(x)),
    "IntegerLookup": _integer_lookup,
    "Rescaling": lambda k, x, r: k.Rescaling(r.choice((1, 0.5)), r.choice((0, -1.5)))(x),
    "Dropout": lambda k, x, r: k.Dropout(0.2)(x),
    "SpatialDropout1D": lambda k, x, r: k.SpatialDropout1D(0.2)(x),
    "SpatialDropout2D": lambda k, x, r: k.SpatialDropout2D(0.2)(_image(k, x)),
    "AlphaDropout": lambda k, x, r: k.AlphaDropout(0.2)(x),
    "GaussianDropout": lambda k, x, r: k.GaussianDropout(0.2)(x),
    "GaussianNoise": lambda k, x, r: k.GaussianNoise(0.2)(x),
    "ActivityRegularization": lambda k, x, r: k.ActivityRegularization(0.2)(x),
    **{name: _of_two(name) for name in BINARY},
    **{name: _of_one(name) for name in (*UNARY, "elu", "gelu")},
    "softmax": lambda k, x, r: _ops().softmax(x, axis=r.choice((-1, 2, 1)) if x.shape[1] else -1),
    **{name: _reduction(name) for name in ("mean", "max", "min", "sum")},
    "cast": lambda k, x, r: _ops().cast(_ids(x) if x.shape[1] and _yes(r) else x, "float32"),
    "expand_dims": _expand,
    "squeeze": _squeeze,
    "reshape": lambda k, x, r: _ops().reshape(x, (-1, LENGTH * WIDTH)),
    "transpose": lambda k, x, r: _ops().transpose(x, (0, 2, 1)),
    "get_item": _item,
    "matmul": _matmul,
    "flip": lambda k, x, r: _ops().flip(x, r.choice((1, 2, -1)) if x.shape[1] else 2),
    "concatenate": lambda k, x, r: _ops().concatenate([x, k.Dense(3)(x)], axis=-1),
    "one_hot": lambda k, x, r: _ops().one_hot(_ids(x), 12),
}
