"""Writes a bundle's card: the promises the tool holds it to, and the same in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scorer.card import (
    Card,
    Figure,
    Golden,
    Histogram,
    Label,
    Reference,
    ScorerCard,
    Training,
)
from scorer.evaluation.drift import reference_score
from scorer.evaluation.metrics import measure
from scorer.evaluation.resample import Resampler
from scorer.evaluation.sample import Problem, Sample
from scripts.training.corpus import Corpus
from scripts.training.datasets import DATASETS, DataSet
from scripts.training.export import predict_alone
from scripts.training.learner import Trained, class_codes
from scripts.training.recipe import LayerSpec, Recipe
from scripts.training.types import AnyArray

_SHOWN = {
    "binary": ("accuracy", "ece"),
    "multiclass": ("accuracy", "macro_f1"),
    "regression": ("mae", "rmse"),
}
_METRIC_NAMES = {
    "accuracy": "Accuracy", "macro_f1": "Macro F1", "mae": "Mean absolute error",
    "rmse": "Root mean squared error", "ece": "Expected calibration error",
}  # fmt: skip
_BINS = 10


@dataclass(frozen=True)
class Measured:
    """A corpus to be measured on and what its figures stand beside."""

    corpus: Corpus
    data: str
    source: float | None = None
    baseline: float | None = None
    note: str = ""


def figures(trained: Trained, on: Measured) -> list[Figure]:
    """The figures of a task's kind with 95% bootstrap intervals; the first is the headline."""
    recipe, labels = trained.parts.recipe, trained.parts.labels
    outputs, tokens = trained.outputs(on.corpus.texts)
    scored = tokens.n_tokens > 0
    truth = on.corpus.labels[scored]
    if recipe.task == "regression":
        target: AnyArray = truth.astype(np.float64)
    else:
        target = class_codes(truth, labels).astype(np.int16)
    sample = Sample(Problem(recipe.task, labels), target, outputs[scored])
    found = measure(sample, Resampler(len(sample)))
    made = []
    for n, metric in enumerate(_SHOWN[recipe.task]):
        low, high = found.interval(metric) or (None, None)
        beside = {"source": on.source, "baseline": on.baseline} if n == 0 else {}
        made.append(
            Figure.model_validate(
                {
                    "metric": metric,
                    "value": round(found.values[metric], 4),
                    "low": None if low is None else round(low, 4),
                    "high": None if high is None else round(high, 4),
                    "data": on.data,
                    "rows": len(sample),
                    "note": on.note,
                    **beside,
                }
            )
        )
    return made


def reference(trained: Trained) -> Reference:
    """Histograms for drift: lengths and unknown words of the training rows, and the scores of the
    validation rows, since scores on rows learnt by heart are surer than any later ones."""
    parts = trained.parts
    tokens = parts.vocabulary.tokenize(parts.train.texts)
    scored = tokens.n_tokens > 0
    lengths = tokens.n_tokens[scored]
    outputs, held = trained.outputs(parts.validation.texts)
    problem = Problem(parts.recipe.task, parts.labels)
    return Reference(
        rows=int(scored.sum()),
        tokens=_histogram(lengths),
        oov_share=_histogram(tokens.n_oov[scored] / lengths),
        score=_histogram(reference_score(problem, outputs[held.n_tokens > 0])),
    )


def _histogram(values: AnyArray) -> Histogram:
    """Bins of about equal counts, so that each has enough rows to compare."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]).round(4))
    edges = edges[edges > values.min()]
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()))


def golden_rows(trained: Trained, model: Any, texts: tuple[str, ...]) -> tuple[Golden, ...]:
    """Plain Keras' outputs, each text alone. Raises where the trained network says otherwise."""
    ours, tokens = trained.outputs(pa.array(texts, pa.large_string()))
    scored = tokens.n_tokens > 0
    expected = np.full_like(ours, np.nan)  # Keras' own LSTM fails on a text without tokens
    expected[scored] = predict_alone(
        model, [t for t, has in zip(texts, scored, strict=True) if has]
    )
    gap = float(np.abs(ours - expected)[scored].max())
    if gap > 1e-5 * max(1.0, float(np.nanmax(np.abs(expected)))):
        raise ValueError(f"Keras and the trained network differ by {gap:.1e}")
    return tuple(
        Golden(text=text, output=tuple(row.tolist()) if has else None)
        for text, row, has in zip(texts, expected, scored, strict=True)
    )


def write_card(trained: Trained, model: Any, made: list[Figure], *, own_data: bool) -> Card:
    """The whole card. With `own_data` it does not speak of the published data set."""
    recipe = trained.parts.recipe
    data = DATASETS[recipe.data.set]
    scorer = ScorerCard.model_validate(
        {
            "schema": 1,
            "name": recipe.name,
            "version": recipe.version,
            "task": recipe.task,
            "labels": _labels(trained, data),
            "text_columns": data.text_columns,
            "label_columns": data.label_columns,
            "figures": made,
            "golden": golden_rows(trained, model, data.golden),
            "reference": reference(trained),
            "training": Training(
                recipe=f"scripts/recipes/{recipe.name}.toml",
                seed=recipe.seed,
                data="the user's own data" if own_data else data.title,
            ),
        }
    )
    fields: dict[str, Any] = {
        "license": "other" if own_data else data.model_licence,
        "language": ["en"],
        "library_name": "keras",
        "pipeline_tag": "text-classification",
        "tags": ["scorer", recipe.task, *_kinds(recipe)],
        "datasets": [] if own_data else list(data.hub),
        "model-index": [_model_index(recipe, made, data.title)],
        "scorer": scorer,
        "body": _body(trained, data, made, own_data=own_data),
    }
    return Card.model_validate({k: v for k, v in fields.items() if v != []})


def _labels(trained: Trained, data: DataSet) -> tuple[Label, ...]:
    names = trained.parts.labels
    if names == tuple(label.name for label in data.labels):
        return data.labels
    return tuple(Label(name=name) for name in names)


def _kinds(recipe: Recipe) -> list[str]:
    tags = {"LSTM": "lstm", "Bidirectional": "bilstm", "Conv1D": "cnn"}
    return sorted({tags[s.kind] for s in recipe.layers if s.kind in tags}) or ["bag-of-words"]


def _model_index(recipe: Recipe, made: list[Figure], title: str) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "text-classification"},
            "dataset": {"type": recipe.data.set, "name": f"{title}: {f.data}"},
            "metrics": [{"type": f.metric, "value": f.value, "name": _METRIC_NAMES[f.metric]}],
        }
        for f in made
    ]
    return {"name": recipe.name, "results": results}


def _body(trained: Trained, data: DataSet, made: list[Figure], *, own_data: bool) -> str:
    recipe = trained.parts.recipe
    about = "Trained on the user's own rows." if own_data else data.about
    sections = [
        f"# {recipe.name}\n\n{recipe.summary}",
        f"## Network\n\n{_network(trained)}",
        f"## Intended use\n\n{data.use} The archive takes raw text; `keras.saving.load_model` "
        "and `predict` on strings are all it needs. A score does not depend on the other rows "
        "of a batch.",
        f"## Data\n\n{about}",
        f"## Training\n\n{_training(trained)}",
        f"## Figures\n\n{_figures(recipe, made, own_data=own_data)}",
        "## Limits\n\n" + "\n".join(f"* {line}" for line in (*recipe.limits, *data.limits)),
    ]
    return "\n" + "\n\n".join(sections) + "\n"


def _network(trained: Trained) -> str:
    recipe, vocabulary = trained.parts.recipe, trained.parts.vocabulary
    count = sum(array.size for array in trained.scorer.arrays())
    lines = [f"1. {_vectorizer_line(recipe, len(vocabulary.words))}"]
    lines += [f"{n}. {_layer_line(layer)}" for n, layer in enumerate(recipe.layers, start=2)]
    return "\n".join(lines) + f"\n\n{count:,} weights in float32."


def _vectorizer_line(recipe: Recipe, words: int) -> str:
    settings = recipe.vectorizer
    line = f"TextVectorization: lower case, punctuation deleted, {words:,} words"
    if settings.output_mode != "int":
        line += f', output mode "{settings.output_mode}"'
    if settings.output_sequence_length:
        line += f", the first {settings.output_sequence_length} tokens"
    return line


def _layer_line(layer: LayerSpec) -> str:
    parts = {
        "Embedding": f"{layer.units} dimensions"
        + (", padding masked" if layer.mask_zero else ", padding read as a word")
        + (f", begun from {_VECTORS[layer.vectors]}" if layer.vectors else "")
        + ("" if layer.trainable else ", frozen"),
        "Conv1D": f"{layer.units} filters of width {layer.width}, relu",
        "Dropout": f"{layer.rate}",
        "SpatialDropout1D": f"{layer.rate}",
        "LSTM": f"{layer.units} units",
        "Bidirectional": f"LSTM, {layer.units} units each way",
        "Dense": f"{layer.units}, {layer.activation or 'linear'}",
        "GlobalMaxPooling1D": "",
    }[layer.kind]
    if layer.return_sequences:
        parts += ", all steps"
    return f"{layer.kind}: {parts}" if parts else layer.kind


_RETRAIN = (
    "The recipe is `scripts/recipes/{name}.toml`; `python scripts/train.py {name}` with the "
    "data's files trains it again."
)
_VECTORS = {"glove": "GloVe 6B", "word2vec": "Google News word2vec"}


def _training(trained: Trained) -> str:
    recipe, parts, settings = trained.parts.recipe, trained.parts, trained.parts.recipe.training
    split = f"split by {recipe.data.split_by}" if recipe.data.split_by else "drawn at random"
    held = f"{len(parts.validation):,} rows {split} were held out for validation"
    text = f"{len(parts.train):,} rows; {held}. Seed {recipe.seed}. "
    if settings.optimizer == "lbfgs":
        return text + (
            "Logistic regression by L-BFGS with an L2 penalty (scikit-learn, "
            f"C = {settings.inverse_l2:g}), its weights put into the Dense layer. The penalty was "
            f"chosen on the validation part.\n\n{_RETRAIN.format(name=recipe.name)}"
        )
    best = min(trained.curve, key=lambda e: e.loss)
    text += (
        f"AdamW, batches of {settings.batch_size}, learning rate {settings.learning_rate:g} with a "
        f"tenth of warm-up and one cosine over {settings.epochs} epochs, gradients clipped at "
        f"norm {settings.clip_norm:g}"
    )
    extras = {
        f"weight decay {settings.weight_decay:g}": settings.weight_decay,
        f"label smoothing {settings.label_smoothing:g}": settings.label_smoothing,
        f"{settings.word_dropout:.0%} of the words replaced by the unknown one":
            settings.word_dropout,
        f"a random window of at most {settings.crop} words of each text in each epoch":
            settings.crop,
    }  # fmt: skip
    text += "".join(f", {line}" for line, on in extras.items() if on)
    text += (
        f". Stopped on the validation loss of whole texts; the weights are those of epoch "
        f"{best.epoch} (loss {best.loss:.3f})."
    )
    if trained.vectors_found is not None:
        kind = _VECTORS[recipe.layers[0].vectors or "glove"]
        text += (
            f" {trained.vectors_found:.1%} of the vocabulary's words have their exact {kind} "
            "vector (in the word's own spelling, else that of the most frequent word that "
            "lower-casing and deleting punctuation bring down to it); the others began from a "
            "normal distribution of the same mean and spread."
        )
    return text + f"\n\n{_RETRAIN.format(name=recipe.name)}"


def _figures(recipe: Recipe, made: list[Figure], *, own_data: bool) -> str:
    rows = ["| figure | value | 95% interval | rows | measured on |", "|---|---|---|---|---|"]
    for f in made:
        interval = "" if f.low is None else f"{f.low:.4f} to {f.high:.4f}"
        name = _METRIC_NAMES[f.metric]
        rows.append(f"| {name} | {f.value:.4f} | {interval} | {f.rows:,} | {f.data} |")
    text = "\n".join(rows)
    notes = dict.fromkeys(f.note for f in made if f.note)
    text += "".join(f"\n\n{note}" for note in notes)
    if not own_data:
        text += f"\n\nThe notebook whose network this retraces: {recipe.source.said}."
        if recipe.source.baseline_name:
            text += f" For comparison: {recipe.source.baseline_name}."
    return text
