"""What a card says in words, from its recipe, its front matter and its archive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from scorer.bundle import Bundle, read_entry
from scorer.card import Golden, PromisedFigure, ScorerCard, TrainedPart, render_card
from scorer.card import Training as TrainingCard
from scorer.card.out_of_domain import DomainFigures
from scorer.figures import figure_spec
from scorer.vectorizer import VectorizerSpec
from scorer.zoo import Entry
from scripts.training.datasets import DATASETS, DataSet
from scripts.training.recipe import LayerSpec, Recipe, Training, Wide, read_recipe

_VECTORS = {
    "glove": "GloVe 6B",
    "word2vec": "Google News word2vec",
    "teacher": "the teachers'",
}
_HEADER = (
    "| figure | value | 95% interval | majority baseline | rows | measured on |\n"
    "|---|---|---|---|---|---|"
)


def rewrite_card(entry: Entry, **changes: Any) -> None:
    """Writes a bundle's card again, with changed fields of `scorer:` and the body that follows.

    The zoo's index is stale afterwards: `write_index` brings it up to date.
    """
    entry = Entry(entry.model_path, entry.card_path)  # without the digests of the index
    card = entry.card
    scorer = card.scorer.model_copy(update=changes)
    recipe = read_recipe(scorer.name)
    body = card_body(recipe, scorer, read_entry(entry), own_data=False)
    index = {"model-index": [model_index(recipe, scorer.figures)]}
    card = card.model_copy(update={"scorer": scorer, "body": body, **index})
    entry.card_path.write_text(render_card(card), encoding="utf-8")


def model_index(recipe: Recipe, made: Sequence[PromisedFigure]) -> dict[str, Any]:
    """The figures as a model hub reads them."""
    title = DATASETS[recipe.data.set].title
    results = [
        {
            "task": {"type": "text-classification"},
            "dataset": {"type": recipe.data.set, "name": f"{title}: {f.data}"},
            "metrics": [{"type": f.metric, "value": f.value, "name": figure_title(f.metric)}],
        }
        for f in made
    ]
    return {"name": recipe.name, "results": results}


def card_body(recipe: Recipe, card: ScorerCard, bundle: Bundle, *, own_data: bool) -> str:
    """The Markdown of a card. With `own_data` it does not speak of the published data set."""
    data = DATASETS[recipe.data.set]
    sections = {
        f"# {card.name}": recipe.summary,
        "## Intended use": _use(card, data),
        "## How to use it": _how(card),
        "## Figures": _figures(recipe, card, own_data=own_data),
        "## Other data": _other_data(card),
        "## Limits": _limits(recipe, data),
        "## Data": "The user's own rows." if own_data else data.about,
        "## Training": _training(recipe, card.training),
        "## Network": _network(recipe, bundle),
    }
    return "\n" + "\n\n".join(f"{head}\n\n{text}" for head, text in sections.items() if text) + "\n"


def _use(card: ScorerCard, data: DataSet) -> str:
    kept = f" Do not use it for: {card.not_for}" if card.not_for else ""
    return f"{data.use}{kept}{_composed(card)}"


def _composed(card: ScorerCard) -> str:
    if card.text_template is None:
        return ""
    return (
        f"\n\nThe model reads one text made of several columns: `{card.text_template}`, where "
        "`{text}` is the text itself. `score` composes it; in plain Keras, do so first. An empty "
        "or absent column leaves its place empty."
    )


def _how(card: ScorerCard) -> str:
    lines = ["import scorer", "", f'model = scorer.load("{card.name}")']
    for row in [row for row in card.golden if row.output is not None][:2]:
        lines += [
            f"model.predict({json.dumps(row.text, ensure_ascii=False)})",
            f"# {_says(card, row)}",
        ]
    code = "\n".join(lines)
    return (
        f"```sh\nscore --model {card.name} FILE.csv\n```\n\n```python\n{code}\n```\n\n"
        "The archive is plain Keras: `keras.saving.load_model` and `predict` on texts give the "
        "same scores. A score does not depend on the other rows of a batch."
    )


def _says(card: ScorerCard, row: Golden) -> str:
    outputs = pa.array(row.output or ()).to_numpy().astype("float32")[None]
    problem = card.problem()
    if not problem.labels:
        return f"{outputs[0, 0]:.1f}"
    probabilities = problem.task.probabilities(outputs)[0]
    code = int(problem.decide(outputs)[0])
    return f"{problem.labels[code]}, probability {probabilities[code]:.3f}"


def _figures(recipe: Recipe, card: ScorerCard, *, own_data: bool) -> str:
    text = "\n".join([_HEADER, *map(_figure_row, card.figures)])
    notes = dict.fromkeys(f.note for f in card.figures if f.note)
    text += "".join(f"\n\n{note}" for note in notes)
    if not own_data:
        text += _beside(recipe)
    if card.by_domain:
        text += "\n\nBy domain, on held-out rows:\n\n" + _domain_table(card.by_domain)
    return text


def _figure_row(f: PromisedFigure) -> str:
    majority = "" if f.majority_baseline is None else f"{f.majority_baseline:.4f}"
    interval = _interval(f.low, f.high)
    values = [figure_title(f.metric), f"{f.value:.4f}", interval, majority, f"{f.rows:,}", f.data]
    return _cells(values)


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def figure_title(name: str) -> str:
    """A figure's name in full, with a capital at its start."""
    text = figure_spec(name).text
    return text[:1].upper() + text[1:]


def _beside(recipe: Recipe) -> str:
    source, sentences = recipe.source, []
    if source.notebook is not None:
        sentences.append(f"The notebook that this model rebuilds reports {source.said}.")
    if source.baseline_name:
        sentences.append(f"For comparison: {source.baseline_name}.")
    return "\n\n" + " ".join(sentences) if sentences else ""


def _other_data(card: ScorerCard) -> str:
    if not card.out_of_domain:
        return ""
    notes = dict.fromkeys(each.note for each in card.out_of_domain if each.note)
    return (
        "Out-of-domain: data sets that the model was not trained on.\n\n"
        + _domain_table(card.out_of_domain)
        + "".join(f"\n\n{note}" for note in notes)
    )


def _domain_table(rows: Sequence[DomainFigures]) -> str:
    """Accuracy beside the majority baseline first, then whatever else was measured."""
    metrics = list(dict.fromkeys(f.metric for row in rows for f in row.figures))
    head = ["data", "rows", "majority baseline", *(figure_title(m).lower() for m in metrics)]
    lines = [_cells(head), "|" + "---|" * len(head)]
    for row in rows:
        found = {f.metric: f"{f.value:.3f}" for f in row.figures}
        majority = "" if row.majority_baseline is None else f"{row.majority_baseline:.3f}"
        values = (found.get(metric, "") for metric in metrics)
        lines.append(_cells([row.data, f"{row.rows:,}", majority, *values]))
    return "\n".join(lines)


def _cells(values: Iterable[str]) -> str:
    return f"| {' | '.join(values)} |"


def _limits(recipe: Recipe, data: DataSet) -> str:
    alone = data.limits_alone if recipe.data.template is None else ()
    return "\n".join(f"* {line}" for line in (*recipe.limits, *data.limits, *alone))


def _training(recipe: Recipe, made: TrainingCard | None) -> str:
    """One table, then the command."""
    if made is None:
        return ""
    rows = {
        "Rows": f"{made.rows:,}" if made.rows else "",
        "Validation rows": _validation_rows(recipe, made),
        "Texts with another model's probabilities": f"{made.taught_rows:,}"
        * bool(made.taught_rows),
        "Seed": str(made.seed),
        **_how_trained(recipe, made),
        "Last training": "on all rows, with the epochs and the mix that validation chose"
        * recipe.data.refit,
        "Trained by": _trained_by(made),
    }
    table = "\n".join(f"| {name} | {text} |" for name, text in rows.items() if text)
    command = f"python scripts/train.py {recipe.name}"
    return f"| | |\n|---|---|\n{table}\n\nRecipe: `{made.recipe}`, trained by `{command}`."


def _validation_rows(recipe: Recipe, made: TrainingCard) -> str:
    if not made.validation_rows:
        return ""
    by = f"by {recipe.data.split_by}" if recipe.data.split_by else "at random"
    return f"{made.validation_rows:,}, drawn {by}"


def _trained_by(made: TrainingCard) -> str:
    parts = (
        f"release {made.release}" * bool(made.release),
        f"commit {made.commit}" * bool(made.commit),
    )
    return ", ".join(part for part in parts if part)


def _how_trained(recipe: Recipe, made: TrainingCard) -> dict[str, str]:
    if recipe.training.optimizer == "lbfgs":
        return {
            "Optimizer": "L-BFGS on the logistic loss with an L2 penalty (scikit-learn, "
            f"C = {recipe.training.inverse_l2:g})"
        }
    parts = {
        f"Network{f' {n}' * (len(recipe.networks) > 1)}": _epochs(each.training, trained)
        + _vectors(each.layers[0], trained)
        for n, (each, trained) in enumerate(zip(recipe.networks, made.networks, strict=True), 1)
    }
    return parts | {wide.title.capitalize(): _bag(wide) for wide in recipe.wide}


def _epochs(settings: Training, trained: TrainedPart) -> str:
    extras = {
        f"weight decay {settings.weight_decay:g}": settings.weight_decay,
        f"label smoothing {settings.label_smoothing:g}": settings.label_smoothing,
        f"word dropout {settings.word_dropout:g}": settings.word_dropout,
        f"random windows of {settings.crop} words": settings.crop,
    }
    name = "SGD" if settings.optimizer == "sgd" else "AdamW"
    return (
        f"{name}, batch size {settings.batch_size}, learning rate {settings.learning_rate:g}, "
        f"{settings.epochs} epochs at most"
        + "".join(f", {line}" for line, on in extras.items() if on)
        + f"; weights of epoch {trained.epoch} (validation loss {trained.validation_loss:.3f})"
    )


def _vectors(embedding: LayerSpec, trained: TrainedPart) -> str:
    if trained.vectors_found is None:
        return ""
    name = _VECTORS.get(embedding.vectors or "", "another bundle's")
    return f"; {trained.vectors_found:.0%} of the words start from {name} vectors"


def _bag(wide: Wide) -> str:
    rare = f" times (idf / mean idf) ** {wide.rare:g}" if wide.rare else ""
    return f"L-BFGS, {wide.steps} steps, L2 penalty {wide.l2:g} on weights divided by idf{rare}"


def _network(recipe: Recipe, bundle: Bundle) -> str:
    specs = bundle.vectorizers
    chains = [
        "\n".join(
            [
                f"1. {_reader(spec)}",
                *(f"{n}. {layer_line(x)}" for n, x in enumerate(each.layers, 2)),
            ]
        )
        for each, spec in zip(recipe.networks, specs, strict=False)
    ]
    bags = [
        f"* {_reader(spec)}{', L2-normalized' * wide.unit}, one Dense layer"
        for wide, spec in zip(recipe.wide, specs[len(chains) :], strict=True)
    ]
    parts = "\n\nand\n\n".join(chains)
    if bags:
        lines = "\n".join(bags)
        parts += (
            f"\n\nBeside it:\n\n{lines}\n\nThe head's activation follows the sum of all logits."
        )
    return f"{parts}\n\n{bundle.parameters:,} weights, float32."


def _reader(spec: VectorizerSpec) -> str:
    words = f"{len(spec.vocabulary):,} {spec.token_kind}"
    if spec.ngrams != (1,):
        words = f"{len(spec.vocabulary):,} n-grams of up to {max(spec.ngrams)} {spec.token_kind}"
    mode = "" if spec.output_mode == "int" else f", {spec.output_mode}"
    kept = ", punctuation kept" if spec.standardize == "lower" else ""
    most = spec.output_sequence_length
    return f"TextVectorization: {words}{mode}{kept}" + (f", first {most} tokens" if most else "")


def layer_line(layer: LayerSpec) -> str:
    """Keras' class with its arguments: `LSTM: units 64, return_sequences`."""
    inner = f"{layer.layer.kind} ({_arguments(layer.layer)})" if layer.layer else ""
    parts = ", ".join(part for part in (inner, _arguments(layer)) if part)
    if layer.vectors:
        parts += f", initialized from {_VECTORS[layer.vectors]} vectors"
    return f"{layer.kind}: {parts}" if parts else layer.kind


def _arguments(layer: LayerSpec) -> str:
    return ", ".join(
        name if value is True else f"{name} {value}" for name, value in layer.arguments.items()
    )
