"""The peers that `scripts/bench_peers.py` measures, in the order of its table."""

from __future__ import annotations

from scripts.benchmarks.peers.base import Peer
from scripts.benchmarks.peers.distilbert import DistilBert
from scripts.benchmarks.peers.graphs import OnnxRuntime, OpenVino
from scripts.benchmarks.peers.keras_models import KerasPredict, MlflowPyfunc
from scripts.benchmarks.peers.ours import Ours
from scripts.benchmarks.peers.trained import FastText, Linear
from scripts.benchmarks.peers.vader import Vader

MODEL = "imdb-bilstm"
_SKLEARN = (("sklearn", "scikit-learn"),)
_KERAS = (("keras", "keras"), ("tensorflow", "tensorflow-cpu"))
_TORCH = (("torch", "torch"), ("transformers", "transformers"), ("tokenizers", "tokenizers"))
_KERAS_ROWS = 3_000

PEERS: dict[str, Peer] = {
    MODEL: Ours(
        title=f"`{MODEL}`, this tool",
        how="`scorer.load`, then `predict`; so are this tool's other models",
        model=MODEL,
    ),
    **{
        name: Ours(title=f"`{name}`, this tool", model=name) for name in ("imdb-cnn", "imdb-bow-lr")
    },
    "tfidf-10k": Linear(
        title="scikit-learn TF-IDF + LR, 10,000 words",
        how="`TfidfVectorizer` and `LogisticRegression` as they come",
        needs=_SKLEARN,
        parallel=False,
        ngrams=1,
        features=10_000,
        strength=1,
    ),
    "tfidf-300k": Linear(
        title="scikit-learn TF-IDF + LR, 300,000 words and pairs",
        how="the same with bigrams and C=10",
        needs=_SKLEARN,
        parallel=False,
        ngrams=2,
        features=300_000,
        strength=10,
    ),
    "fasttext": FastText(
        title="fastText, bigrams",
        how="supervised, 10 units, 5 epochs, learning rate 0.5; lower case, punctuation set apart "
        "in Python",
        needs=(("fasttext", "fasttext-wheel"),),
        parallel=False,
    ),
    "vader": Vader(
        title="VADER",
        how="positive where the compound score is above zero; pure Python",
        needs=(("vaderSentiment", "vaderSentiment"),),
        parallel=False,
        rows=5_000,
    ),
    "onnxruntime": OnnxRuntime(
        title=f"ONNX Runtime, `{MODEL}`",
        how="token ids from our vectorizer, whose time and start-up are counted, sorted by length "
        "and padded",
        needs=(("onnxruntime", "onnxruntime"), ("onnx", "onnx")),
        model=MODEL,
    ),
    "openvino": OpenVino(
        title=f"OpenVINO, `{MODEL}`",
        how="the same, in float32; the bfloat16 that it would choose mislabels some texts",
        needs=(("openvino", "openvino"), ("onnx", "onnx")),
        model=MODEL,
    ),
    "keras": KerasPredict(
        title=f"Keras `predict`, `{MODEL}`",
        how="TensorFlow; strings in their order",
        needs=_KERAS,
        rows=_KERAS_ROWS,
        model=MODEL,
    ),
    "mlflow": MlflowPyfunc(
        title=f"MLflow pyfunc, `{MODEL}`",
        how="saved by `mlflow.keras`; it predicts in Keras' own batches of 32",
        needs=(*_KERAS, ("mlflow", "mlflow-skinny")),
        rows=_KERAS_ROWS,
        model=MODEL,
    ),
    **{
        f"distilbert-{precision}": DistilBert(
            title=f"DistilBERT, {precision}",
            how="random weights, so no accuracy; PyTorch, sorted by length, at most 512 tokens",
            needs=_TORCH,
            rows=rows,
            learnt=False,
            precision=precision,
        )
        for precision, rows in (("float32", 32), ("bfloat16", 64))
    },
}
