"""All that was understood of a model before it is added, in words: `zoo add --dry-run`.

What is in the way of adding it stands at the end, with what would help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scorer.adding.answers import QUESTIONS, option_of
from scorer.adding.words import input_words, layer_line, vectorizer_lines
from scorer.bundle import Bundle
from scorer.bundle.archive import open_archive, read_archive, read_member
from scorer.bundle.dangers import load_json
from scorer.bundle.foreign import HDF5
from scorer.bundle.hdf5 import opened
from scorer.bundle.legacy import H5
from scorer.card import ScorerCard
from scorer.engines import load_engine, refuse_padding_readers
from scorer.errors import ScorerError, UnsupportedModel
from scorer.verify import available_engines


@dataclass
class Understood:
    """Lines of what was understood, and what is in the way."""

    lines: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def say(self, name: str, text: str) -> None:
        self.lines.append(f"{name:<12}{text}")


def archive_words(path: Path) -> str:
    """What the archive is, and which Keras wrote it. Raises BundleError for any other file."""
    data, _ = read_archive(path)
    if data.startswith(HDF5):
        with opened(data, H5) as file:
            version = file.root.attributes.get("keras_version")
        return f"one HDF5 file (.h5), written by Keras {_version(version)}"
    with open_archive(data) as archive:
        names = archive.namelist()
        found = load_json(read_member(archive, "metadata.json")) if "metadata.json" in names else {}
    version = found.get("keras_version") if isinstance(found, dict) else None
    return f"a .keras archive, written by Keras {_version(version)}"


def _version(found: object) -> str:
    return found[:40] if isinstance(found, str) else "of an unknown version"


def head_words(bundle: Bundle) -> str:
    """The outputs, and which task they suggest."""
    count = bundle.outputs
    activation = _last_activation(bundle)
    many = "1 output" if count == 1 else f"{count} outputs"
    if activation == "sigmoid":
        task = "binary" if count == 1 else "multilabel"
    elif activation == "softmax":
        task = "binary" if count == 2 else "multiclass"
    elif activation == "linear" and count == 1:
        return f"{many}, linear: --task regression; or logits: --output-activation sigmoid"
    else:
        return f"{many}, {activation}: if they are logits, --output-activation sigmoid or softmax"
    return f"{many}, {activation}: --task {task}"


def _last_activation(bundle: Bundle) -> str:
    layer = bundle.nodes[-1].layer
    if layer.kind == "Softmax":
        return "softmax"
    return str(layer.settings.get("activation", "linear"))


def engine_words(bundle: Bundle) -> Iterator[str]:
    """For each engine at hand, whether it runs the model, and why not."""
    first = True
    for name in available_engines():
        try:
            load_engine(bundle, device="cpu", engine=name)
        except ScorerError as error:
            yield f"{name}: does not run it: {error}"
            continue
        yield f"{name}: runs it" + (", and is the one that `score` takes" if first else "")
        first = False


def understand_bundle(known: Understood, bundle: Bundle, card: ScorerCard | None) -> None:
    """Say what a model is made of, and what keeps it from being served."""
    inputs = card.inputs if card else ()
    for given in bundle.inputs:
        known.say("input", input_words(given, inputs, card.text_columns if card else ()))
    told, shown = card.vectorizer if card else None, set()
    for given in bundle.inputs:
        if given.vectorizer is not None and id(given.vectorizer) not in shown:
            shown.add(id(given.vectorizer))
            for line in vectorizer_lines(given.vectorizer, told):
                known.say("vectorizer", line)
    for layer in bundle.layers:
        known.say("layer", layer_line(layer))
    known.say("weights", f"{bundle.parameters:,}")
    known.say("outputs", head_words(bundle))
    if bundle.policies:
        known.say("precision", f"{', '.join(bundle.policies)}: the engines compute in float32")
    try:
        refuse_padding_readers(bundle)
    except UnsupportedModel as error:
        known.missing.append(str(error))
        return
    for line in engine_words(bundle):
        known.say("engine", line)


def needed(name: str) -> str:
    """What is said of an answer that is not there."""
    return f"{option_of(name)}: {QUESTIONS[name][0].lower()}{QUESTIONS[name][1:]}"
