"""The keras engine on a real GPU: CUDA_VISIBLE_DEVICES=0 python -m pytest -m gpu -s tests/...

Not run where there is none; see the README for where it has been. The other tests hide GPUs from
TensorFlow, hence the variable.
"""

from __future__ import annotations

import numpy as np
import pytest

from scorer.bundle import Bundle
from scorer.engines import load_engine
from scorer.engines.devices import ASSUMED_BYTES, gpu_bytes, has_gpu
from scorer.vectorizer import TokenBatch
from tests.support.networks import batch, bilstm, bundle, dense, embedding, lstm, random_rows, spec

pytestmark = pytest.mark.gpu
WORDS = 500


def _networks() -> dict[str, Bundle]:
    rng = np.random.default_rng(0)
    words = embedding(rng, WORDS, 32)
    stacked = bilstm(rng, 32, 24, return_sequences=True), lstm(rng, 48, 16)
    return {
        "lstm": bundle(spec(WORDS), words, lstm(rng, 32, 48), dense(rng, 48, 3, "softmax")),
        "bilstm": bundle(spec(WORDS), words, bilstm(rng, 32, 64), dense(rng, 128, 1)),
        "stacked": bundle(spec(WORDS), words, *stacked, dense(rng, 16, 1, "linear")),
        "bag": bundle(spec(WORDS, mode="tf_idf"), dense(rng, WORDS + 1, 1)),
    }


NETWORKS = _networks()


def _tokens(rows: int) -> TokenBatch:
    rng = np.random.default_rng(1)
    return batch(random_rows(rng, rng.integers(0, 400, rows), WORDS))


@pytest.mark.parametrize("name", NETWORKS)
def test_gpu_equals_the_cpu_engine(name: str) -> None:
    tokens = _tokens(3000)
    expected = load_engine(NETWORKS[name], engine="cpu").run(tokens)
    outputs = load_engine(NETWORKS[name], device="gpu").run(tokens)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_mixed_precision(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = _tokens(3000)
    expected = load_engine(NETWORKS[name], engine="cpu").run(tokens)
    outputs = load_engine(NETWORKS[name], device="gpu", precision="mixed").run(tokens)
    difference = float(np.abs(outputs - expected).max())
    with capsys.disabled():
        print(f"\n{name}: mixed precision moves a score by at most {difference:.1e}")
    assert difference < 1e-2


def test_the_gpu_is_found_without_a_framework() -> None:
    assert has_gpu()
    assert gpu_bytes() != ASSUMED_BYTES
