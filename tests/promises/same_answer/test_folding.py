"""Tables of what ids add are computed when ids are first met: to the same bits, in any order."""

from __future__ import annotations

import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.engines.cpu import CpuEngine
from scorer.engines.cpu.loops.products import multiply, widen
from scorer.engines.cpu.loops.simd import pack_columns
from scorer.engines.cpu.steps import folding
from scorer.engines.cpu.steps.folding import Folded
from tests.support.networks import (
    batch,
    bilstm,
    bundle,
    conv,
    dense,
    embedding,
    pool,
    random_rows,
    spec,
)

WORDS, IDS = 30, 40


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.tobytes() == b.tobytes()


def table(rng: np.random.Generator, width: int, columns: int) -> tuple[Folded, np.ndarray]:
    """A table, and what all of it is in one product."""
    words = rng.standard_normal((IDS, width), np.float32)
    packed = pack_columns(rng.standard_normal((width, columns), np.float32))
    bias = widen(rng.standard_normal(columns, np.float32), packed.size // width)
    return Folded(words, packed, bias, padding=int(rng.integers(IDS))), multiply(
        words, packed, bias
    )


@given(
    calls=st.lists(st.lists(st.integers(0, IDS - 1), max_size=60), max_size=8),
    some=st.integers(1, 20),
    seed=st.integers(0, 999),
)
@settings(max_examples=60)
def test_what_was_met_is_there(calls: list[list[int]], some: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "_SOME", some)
        folded, whole = table(rng, int(rng.integers(1, 9)), int(rng.integers(1, 70)))
        met = {0}
        for ids in calls:
            folded.meet(np.array(ids, np.int32))
            met |= set(ids) if len(ids) < IDS else set(range(IDS))
            assert same_bits(folded.table[sorted(met)], whole[sorted(met)])


def test_threads_that_meet_at_once_find_all_there() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        folded, whole = table(rng, 30, 64)
        calls = [rng.integers(0, IDS, size).astype(np.int32) for size in (30, 39, 45, 20)]

        with ThreadPoolExecutor(4) as threads:
            found = threads.map(met, [folded] * len(calls), calls)
            for ids, rows in zip(calls, found, strict=True):
                assert same_bits(rows, whole[ids])


def met(folded: Folded, ids: np.ndarray) -> np.ndarray:
    folded.meet(ids)
    return folded.table[ids]


@pytest.mark.parametrize("kind", ["LSTM", "Conv1D"])
def test_rows_scored_before_change_no_bit(kind: str) -> None:
    """An engine that has met few ids, and one that has met all."""
    rng = np.random.default_rng(4)
    length = None if kind == "LSTM" else 20
    model = bundle(
        spec(WORDS, length=length),
        embedding(rng, WORDS, 9, mask=kind == "LSTM"),
        *(
            [bilstm(rng, 9, 10)]
            if kind == "LSTM"
            else [conv(rng, 9, 20, 3), pool("GlobalMaxPooling1D")]
        ),
        dense(rng, 20, 2, "linear"),
    )
    rows = random_rows(rng, [0, 1, 2, 7, 20] * 20, WORDS)
    together = CpuEngine(model).run(batch(rows))
    one_by_one = CpuEngine(model)
    alone = np.concatenate([one_by_one.run(batch([row])) for row in rows])
    assert same_bits(alone, together)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_ids_that_were_never_met_take_no_memory() -> None:
    """A table of 64 MB, of which 64 rows of 4 KB lie in as many of the places for huge pages."""
    ids, columns = 1 << 14, 1 << 10
    packed = pack_columns(np.ones((1, columns), np.float32))
    folded = Folded(np.ones((ids, 1), np.float32), packed, widen(np.zeros(1), columns))
    before = resident_bytes()
    folded.meet(np.arange(100, ids, ids // 64, dtype=np.int32))
    assert folded.table.nbytes == 64 << 20
    assert resident_bytes() - before < 8 << 20


def resident_bytes() -> int:
    _, pages, *_ = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(pages) * mmap.PAGESIZE
