"""What a card says in words for people."""

from __future__ import annotations

from scorer.card import PromisedFigure
from scorer.figures import figure_spec
from scripts.training.datasets import DATASETS, DataSet
from scripts.training.fit import best_epoch
from scripts.training.learner import Learnt, Trained
from scripts.training.recipe import LayerSpec, Recipe, Source, Training, Wide
from scripts.training.scorers import MixedScorer
from scripts.training.wide import Bag

_RETRAIN = (
    "The recipe is `scripts/recipes/{name}.toml`; `python scripts/train.py {name}` with the "
    "data's files trains it again."
)
_VECTORS = {
    "glove": "GloVe 6B",
    "word2vec": "Google News word2vec",
    "teacher": "the teachers' region",
}


def card_body(trained: Trained, made: list[PromisedFigure], *, own_data: bool) -> str:
    """The Markdown of a card. With `own_data` it does not speak of the published data set."""
    recipe = trained.parts.recipe
    data = DATASETS[recipe.data.set]
    about = "Trained on the user's own rows." if own_data else data.about
    sections = [
        f"# {recipe.name}\n\n{recipe.summary}",
        f"## Network\n\n{_network(trained)}",
        f"## Intended use\n\n{data.use} The archive takes raw text; `keras.saving.load_model` "
        "and `predict` on strings are all it needs. A score does not depend on the other rows "
        f"of a batch.{_composed(recipe)}",
        f"## Data\n\n{about}",
        f"## Training\n\n{_training(trained)}",
        f"## Figures\n\n{_figures(recipe, made, own_data=own_data)}",
        f"## Limits\n\n{_limits(recipe, data)}",
    ]
    return "\n" + "\n\n".join(sections) + "\n"


def _limits(recipe: Recipe, data: DataSet) -> str:
    alone = data.limits_alone if recipe.data.template is None else ()
    return "\n".join(f"* {line}" for line in (*recipe.limits, *data.limits, *alone))


def _composed(recipe: Recipe) -> str:
    if recipe.data.template is None:
        return ""
    return (
        " It reads a text that is composed of several columns, `{text}` being the text itself: "
        f"`{recipe.data.template}`. The tool composes it; in plain Keras, do so first. A column "
        "that is empty or absent leaves its place empty."
    )


def _network(trained: Trained) -> str:
    count = sum(array.size for array in trained.scorer.arrays())
    chains = [_chain(learnt) for learnt in trained.learnt]
    lines = "\n\nBeside it, a second network on the same texts:\n\n".join(chains)
    return f"{lines}{_wide_line(trained)}\n\n{count:,} weights in float32."


def _chain(learnt: Learnt) -> str:
    lines = [f"1. {_vectorizer_line(learnt.recipe, len(learnt.vocabulary.words))}"]
    lines += [f"{n}. {_layer_line(layer)}" for n, layer in enumerate(learnt.recipe.layers, 2)]
    return "\n".join(lines)


def _wide_line(trained: Trained) -> str:
    if not isinstance(trained.scorer, MixedScorer):
        return ""
    bags = " and ".join(_bag_line(bag) for bag in trained.scorer.bags)
    return (
        f"\n\nBeside it, {bags}. All logits are added before the head's activation, in a "
        "proportion found on the validation rows."
    )


def _bag_line(bag: Bag) -> str:
    settings = bag.grams.settings
    mode = settings.vectorizer.output_mode.replace("_", "-")
    kept = ", punctuation kept" if settings.vectorizer.standardize == "lower" else ""
    unit = ", brought to length 1" if settings.unit else ""
    return (
        f"a bag of {len(bag.grams.grams):,} {settings.title} "
        f"(TextVectorization, {mode}{kept}{unit}) with one Dense layer"
    )


def _vectorizer_line(recipe: Recipe, words: int) -> str:
    settings = recipe.vectorizer
    line = f"TextVectorization: lower case, punctuation deleted, {words:,} words"
    if settings.output_mode != "int":
        line += f', output mode "{settings.output_mode}"'
    if settings.output_sequence_length:
        line += f", the first {settings.output_sequence_length} tokens"
    return line


def _layer_line(layer: LayerSpec) -> str:
    inner = f"{layer.layer.kind}, {_arguments(layer.layer)}" if layer.layer else ""
    parts = ", ".join(part for part in (inner, _arguments(layer)) if part)
    if layer.vectors:
        parts += f", initialized from {_VECTORS[layer.vectors]} vectors"
    return f"{layer.kind}: {parts}" if parts else layer.kind


def _arguments(layer: LayerSpec) -> str:
    """Keras' own names and values: `units 64, return_sequences`."""
    return ", ".join(
        name if value is True else f"{name} {value}" for name, value in layer.arguments.items()
    )


def _training(trained: Trained) -> str:
    recipe, parts = trained.parts.recipe, trained.parts
    split = f"split by {recipe.data.split_by}" if recipe.data.split_by else "drawn at random"
    held = f"{len(parts.validation):,} rows {split} were held out for validation"
    if recipe.data.met:
        held += f", {recipe.data.met:.2%} of the other rows among them"
    linear = recipe.training.optimizer == "lbfgs"
    how = _regression(recipe.training) if linear else _network_recipe(trained)
    rows = f"{len(trained.judged.parts.train):,} rows; {held}. Seed {recipe.seed}."
    if parts.soft is not None:
        rows += (
            f" Besides them, {len(parts.soft):,} texts with teachers' probabilities, unlabelled "
            "ones and excerpts (`scripts/teach.py`)."
        )
    if recipe.data.refit:
        how += (
            f" In the end all was trained once more on all {len(parts.train):,} rows, for as many "
            "epochs and with the same mix."
        )
    return f"{rows} {how}\n\n{_RETRAIN.format(name=recipe.name)}"


def _wide(recipe: Recipe) -> str:
    return "".join(
        f" The bag of {wide.title} learnt from the same rows by L-BFGS, {wide.steps} steps, with "
        f"an L2 penalty of {wide.l2:g} on weights divided by their n-gram's idf{_rare(wide)}."
        for wide in recipe.wide
    )


def _rare(wide: Wide) -> str:
    return f" (idf / mean idf) ** {wide.rare:g}" if wide.rare else ""


def _regression(settings: Training) -> str:
    return (
        "Logistic regression by L-BFGS with an L2 penalty (scikit-learn, "
        f"C = {settings.inverse_l2:g}), its weights put into the Dense layer. The penalty was "
        "chosen on the validation part."
    )


def _network_recipe(trained: Trained) -> str:
    first, *others = (_epochs(learnt) + _vectors(learnt) for learnt in trained.learnt)
    beside = "".join(f" The second network: {text}" for text in others)
    return first + beside + _wide(trained.parts.recipe)


def _epochs(learnt: Learnt) -> str:
    settings = learnt.recipe.training
    best = learnt.curve[best_epoch(learnt.curve) - 1]
    extras = {
        f"weight decay {settings.weight_decay:g}": settings.weight_decay,
        f"label smoothing {settings.label_smoothing:g}": settings.label_smoothing,
        f"{settings.word_dropout:.0%} of the words replaced by the unknown one":
            settings.word_dropout,
        f"a random window of at most {settings.crop} words of each text in each epoch":
            settings.crop,
    }  # fmt: skip
    return (
        f"AdamW, batches of {settings.batch_size}, learning rate {settings.learning_rate:g} with a "
        f"tenth of warm-up and one cosine over {settings.epochs} epochs, gradients clipped at "
        f"norm {settings.clip_norm:g}"
        + "".join(f", {line}" for line, on in extras.items() if on)
        + ". Stopped on the validation loss of whole texts; the weights are those of epoch "
        f"{best.epoch} (loss {best.loss:.3f})."
    )


def _vectors(learnt: Learnt) -> str:
    if learnt.vectors_found is None:
        return ""
    kind = _VECTORS[learnt.recipe.layers[0].vectors or "glove"]
    return (
        f" {learnt.vectors_found:.1%} of the vocabulary's words began from {kind} "
        "vectors (in the word's own spelling, else that of the most frequent word that "
        "lower-casing and deleting punctuation bring down to it); the others began from a "
        "normal distribution of the same mean and spread."
    )


def _figures(recipe: Recipe, made: list[PromisedFigure], *, own_data: bool) -> str:
    rows = ["| figure | value | 95% interval | rows | measured on |", "|---|---|---|---|---|"]
    for f in made:
        interval = "" if f.low is None else f"{f.low:.4f} to {f.high:.4f}"
        name = figure_title(f.metric)
        rows.append(f"| {name} | {f.value:.4f} | {interval} | {f.rows:,} | {f.data} |")
    text = "\n".join(rows)
    notes = dict.fromkeys(f.note for f in made if f.note)
    text += "".join(f"\n\n{note}" for note in notes)
    return text if own_data else text + _beside(recipe.source)


def figure_title(name: str) -> str:
    """A figure's name in full, with a capital at its start."""
    text = figure_spec(name).text
    return text[:1].upper() + text[1:]


def _beside(source: Source) -> str:
    sentences = []
    if source.notebook is not None:
        sentences.append(f"The notebook whose network this retraces: {source.said}.")
    if source.baseline_name:
        sentences.append(f"For comparison: {source.baseline_name}.")
    return "\n\n" + " ".join(sentences) if sentences else ""
