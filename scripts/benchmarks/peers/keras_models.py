"""The bundle as Keras itself runs it: `predict` on strings, plain and behind MLflow's pyfunc."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.benchmarks.peers.base import Job, Peer, Score, fastest

BATCHES = (32, 128, 512)
SAMPLE = 512


@dataclass(frozen=True, kw_only=True)
class KerasPredict(Peer):
    """`keras.saving.load_model` and `predict`, at the best of three batch sizes."""

    model: str

    def prepare(self, job: Job) -> str:
        _copy_archive(self.model, job)
        texts = job.training().sample(SAMPLE).texts
        predict = _loaded(job).predict
        batch = fastest(BATCHES, lambda size: _scorer(predict, size), texts)
        (job.folder / "batch.txt").write_text(str(batch), encoding="utf-8")
        return f"batches of {batch}"

    def load(self, job: Job) -> Score:
        batch = int((job.folder / "batch.txt").read_text(encoding="utf-8"))
        return _scorer(_loaded(job).predict, batch)


@dataclass(frozen=True, kw_only=True)
class MlflowPyfunc(Peer):
    """The same model saved by `mlflow.keras`, loaded by `mlflow.pyfunc`."""

    model: str

    def prepare(self, job: Job) -> str:
        import mlflow.keras

        _copy_archive(self.model, job)
        mlflow.keras.save_model(_loaded(job), str(job.folder / "mlflow"))
        return ""

    def load(self, job: Job) -> Score:
        import mlflow.pyfunc
        import tensorflow as tf

        _limit_threads(job.threads)
        model = mlflow.pyfunc.load_model(str(job.folder / "mlflow"))

        def score(texts: list[str]) -> list[bool]:
            # Keras takes no NumPy strings, and pyfunc passes a tensor on only inside a list.
            positive: list[bool] = (model.predict([tf.constant(texts)])[:, 0] >= 0.5).tolist()
            return positive

        return score


def _copy_archive(model: str, job: Job) -> None:
    from scorer import zoo

    shutil.copy(zoo.find(model).model_path, job.folder / "model.keras")


def _limit_threads(threads: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def _loaded(job: Job) -> Any:
    import keras

    _limit_threads(job.threads)
    return keras.saving.load_model(job.folder / "model.keras", compile=False)


def _scorer(predict: Callable[..., Any], batch: int) -> Score:
    import tensorflow as tf

    def score(texts: list[str]) -> list[bool]:
        outputs = predict(tf.constant(texts), batch_size=batch, verbose=0)
        positive: list[bool] = (outputs[:, 0] >= 0.5).tolist()
        return positive

    return score
