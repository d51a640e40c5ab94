"""The cpu engine's vector code against double precision, and against itself in any batch."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.engines.cpu.loops import kernels, vectors
from scorer.engines.cpu.loops.products import multiply, widen
from scorer.engines.cpu.loops.simd import pack, pack_columns, padded

FUNCTIONS = {
    kernels.RELU: lambda x: np.maximum(x, 0),
    kernels.SIGMOID: lambda x: 1 / (1 + np.exp(-x)),
    kernels.TANH: np.tanh,
}
sizes = st.integers(1, 40)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_activations_are_good_to_float_precision(kind: int) -> None:
    x = np.linspace(-27, 27, 64 * 1000, dtype=np.float32).reshape(1000, 64)
    y = x.copy()
    kernels.activate(y, 64, kind)
    np.testing.assert_allclose(y, FUNCTIONS[kind](x.astype(np.float64)), rtol=0, atol=1.8e-7)


@pytest.mark.parametrize("kind", [kernels.SIGMOID, kernels.TANH])
def test_activations_saturate(kind: int) -> None:
    x = np.array([[-3e38, -1e4, -100, -30, 30, 100, 1e4, 3e38]], dtype=np.float32)
    wide = np.zeros((1, padded(8)), dtype=np.float32)
    wide[:, :8] = x
    kernels.activate(wide, 8, kind)
    low = 0 if kind == kernels.SIGMOID else -1
    np.testing.assert_allclose(wide[0, :8], [low] * 4 + [1] * 4, rtol=0, atol=1e-12)


@given(columns=st.integers(1, 33), rows=st.integers(1, 9), scale=st.sampled_from([0.1, 5, 300]))
def test_softmax(columns: int, rows: int, scale: float) -> None:
    x = np.random.default_rng(columns).normal(0, scale, (rows, columns))
    wide = np.full((rows, padded(columns)), np.nan, dtype=np.float32)
    wide[:, :columns] = x
    x = wide[:, :columns].astype(np.float64)
    kernels.activate(wide, columns, kernels.SOFTMAX)
    expected = np.exp(x - x.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(wide[:, :columns], expected, rtol=0, atol=1e-6)


def _product(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    packed = pack_columns(w)
    return multiply(x, packed, widen(bias, packed.size // len(w)))[:, : w.shape[1]]


@given(rows=st.integers(0, 40), k=sizes, columns=st.integers(1, 150), seed=st.integers(0, 99))
def test_product(rows: int, k: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, k)).astype(np.float32)
    w = rng.normal(size=(k, columns)).astype(np.float32)
    bias = rng.normal(size=columns).astype(np.float32)
    y = _product(x, w, bias)
    expected = x.astype(np.float64) @ w.astype(np.float64) + bias
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    order = rng.permutation(rows)
    assert np.array_equal(_product(x[order], w, bias), y[order])
    for r in range(min(rows, 3)):
        assert np.array_equal(_product(x[r : r + 1], w, bias)[0], y[r])


def test_a_large_bias_does_not_cost_the_product_its_digits() -> None:
    """A regression's bias may be 90 and its product 5: they are added once, not 40 times over."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(300, 40)).astype(np.float32), np.full((40, 1), 0.125, np.float32)
    y = _product(x, w, np.array([88.23], dtype=np.float32))
    expected = x.astype(np.float64) @ w + np.float32(88.23)
    assert np.abs(y - expected).max() <= np.spacing(np.float32(88.23)) * 0.6


@given(k=sizes, units=sizes)
def test_pack_keeps_every_weight(k: int, units: int) -> None:
    matrix = np.arange(k * 4 * units, dtype=np.float32).reshape(k, 4, units) + 1
    packed = pack(matrix)
    assert packed.shape == (padded(units) // vectors.LANES, k, 4, vectors.LANES)
    unpacked = packed.transpose(1, 2, 0, 3).reshape(k, 4, -1)
    assert np.array_equal(unpacked[:, :, :units], matrix)
    assert not unpacked[:, :, units:].any()


OF_KERNELS = ("cpu_kernels", "engine_cpu", "engine_recurrent")
PROCESSORS = {"4 lanes": ("generic", ""), "8 lanes": ("haswell", "+avx,+avx2,+fma")}
SCORES = """
import hashlib
import numpy as np
from scorer.engines.cpu import CpuEngine
from scorer.engines.cpu.loops.vectors import LANES
from tests.promises.same_answer import test_engine_recurrent as networks

digest, rows = hashlib.sha256(), [list(range(1, n)) for n in (9, 30, 2, 17, 5, 24, 1, 11)]
for units in (7, 40):
    for kind in ("LSTM", "GRU"):
        bundle = networks.stacked(networks.MAKES[kind], np.random.default_rng(units), units)
        digest.update(CpuEngine(bundle).run(networks.batch(rows)).tobytes())
print(LANES, digest.hexdigest())
"""


def _as(lanes: str, cache: Path) -> dict[str, str]:
    """The environment in which kernels are compiled for a lesser processor."""
    name, features = PROCESSORS[lanes]
    lesser = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    return {**os.environ, **lesser, "NUMBA_CACHE_DIR": str(cache)}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86-64 instructions")
@pytest.mark.parametrize("lanes", PROCESSORS)
def test_other_processors(lanes: str, tmp_path: Path) -> None:
    """These tests and the engine's, compiled for lesser instructions than this machine's."""
    here, environment = Path(__file__).parent, _as(lanes, tmp_path)
    code = f"from scorer.engines.cpu.loops.vectors import LANES; assert LANES == {lanes[0]}, LANES"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    files = [str(here / f"test_{name}.py") for name in OF_KERNELS]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.skipif(vectors.LANES < 16, reason="this processor has no AVX-512")
def test_avx2_and_avx_512_give_the_same_bits(tmp_path: Path) -> None:
    """Both round each sum in one order and each multiply-add once, however many lanes they have."""
    results = [
        subprocess.run(
            [sys.executable, "-c", SCORES],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for environment in (dict(os.environ), _as("8 lanes", tmp_path))
    ]
    assert [lanes for lanes, _ in results] == ["16", "8"]
    assert results[0][1] == results[1][1]
