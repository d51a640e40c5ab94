"""Runtimes of ONNX graphs. They have no vectorizer for the model: ours gives them the token ids."""

from __future__ import annotations

import json
import shutil
import threading
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.benchmarks.peers.base import Job, Peer, Score, fastest

if TYPE_CHECKING:
    import numpy as np

    from scorer.vectorizer import TokenBatch

    Run = Callable[[dict[str, np.ndarray]], np.ndarray]

BATCHES = (8, 16, 32, 64, 128)
SAMPLE = 1_000


@dataclass(frozen=True, kw_only=True)
class Graph(Peer):
    """A bundle's network in another runtime, at its best batch size and number of workers.

    Rows are sorted by length, cut into batches and padded to their longest. Batches run one by one
    on all threads, or one on each thread: whichever is faster.
    """

    model: str

    @abstractmethod
    def open(self, path: Path, threads: int, workers: int) -> Run:
        """The graph as a function that `workers` threads may call at once."""

    def prepare(self, job: Job) -> str:
        import onnx

        from scorer import zoo
        from scorer.bundle import read_bundle
        from scorer.export import to_onnx

        archive = zoo.find(self.model).model_path
        shutil.copy(archive, job.folder / "model.keras")
        onnx.save(to_onnx(read_bundle(archive)), str(job.folder / "network.onnx"))
        plans = [(batch, workers) for workers in {1, job.threads} for batch in BATCHES]
        texts = job.training().sample(SAMPLE).texts
        batch, workers = fastest(plans, lambda plan: self._score(job, *plan), texts)
        (job.folder / "plan.json").write_text(json.dumps([batch, workers]), encoding="utf-8")
        return f"batches of {batch}, {workers} at a time"

    def load(self, job: Job) -> Score:
        plan = json.loads((job.folder / "plan.json").read_text(encoding="utf-8"))
        return self._score(job, *plan)

    def _score(self, job: Job, batch: int, workers: int) -> Score:
        import numpy as np
        import pyarrow as pa

        from scorer.bundle import read_bundle
        from scorer.export import onnx_inputs
        from scorer.vectorizer import Vectorizer
        from scripts.benchmarks import stages

        bundle = read_bundle(job.folder / "model.keras")
        vectorizer = Vectorizer(bundle.vectorizer)
        run = self.open(job.folder / "network.onnx", job.threads, workers)

        def score(texts: list[str]) -> list[bool]:
            windows = stages.windows(pa.array(texts, pa.string()))
            tokens = _joined(stages.over_threads(vectorizer, windows, job.threads))
            order = np.argsort(-np.diff(tokens.offsets), kind="stable")
            batches = [order[i : i + batch] for i in range(0, len(order), batch)]

            def run_batch(rows: np.ndarray) -> np.ndarray:
                return run(onnx_inputs(bundle, stages.select(tokens, rows)))[:, 0]

            scores = np.empty(len(order), np.float32)
            scores[order] = np.concatenate(stages.over_threads(run_batch, batches, workers))
            positive: list[bool] = (scores >= 0.5).tolist()
            return positive

        return score


def _joined(parts: list[TokenBatch]) -> TokenBatch:
    import numpy as np

    from scorer.vectorizer import TokenBatch

    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    return TokenBatch(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([part.n_tokens for part in parts]),
        np.concatenate([part.n_oov for part in parts]),
    )


@dataclass(frozen=True, kw_only=True)
class OnnxRuntime(Graph):
    """ONNX Runtime's CPU provider."""

    def open(self, path: Path, threads: int, workers: int) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads // workers
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        names = [node.name for node in session.get_inputs()]

        def run(feed: dict[str, np.ndarray]) -> np.ndarray:
            scores: np.ndarray = session.run(None, {name: feed[name] for name in names})[0]
            return scores

        return run


@dataclass(frozen=True, kw_only=True)
class OpenVino(Graph):
    """OpenVINO's CPU device, in float32.

    It would choose bfloat16 where the processor has it, which gave wrong scores of a third of the
    reviews on one processor.
    """

    def open(self, path: Path, threads: int, workers: int) -> Run:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": workers,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = openvino.Core().compile_model(str(path), "CPU", settings)
        names = [node.any_name for node in compiled.inputs]
        local = threading.local()

        def run(feed: dict[str, np.ndarray]) -> np.ndarray:
            if not hasattr(local, "request"):
                local.request = compiled.create_infer_request()
            scores: np.ndarray = local.request.infer({name: feed[name] for name in names})[0]
            return scores.copy()

        return run
