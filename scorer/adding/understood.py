"""All that was understood of a model before it is added, in words: `zoo add --dry-run`.

What is in the way of adding it stands at the end, with what would help.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from scorer.adding.answers import QUESTIONS, option_of
from scorer.adding.words import input_words, layer_line, vectorizer_lines
from scorer.bundle import Bundle, Input, Pieces, input_of, read_bundle
from scorer.bundle.archive import open_archive, read_archive, read_member
from scorer.bundle.dangers import load_json
from scorer.bundle.foreign import HDF5
from scorer.bundle.hdf5.reader import opened
from scorer.bundle.keras2.archive import H5
from scorer.bundle.pieces import replace_card
from scorer.card import ScorerCard
from scorer.card.vectorizer import VectorizerCard
from scorer.engines import load_engine, refuse_padding_readers
from scorer.errors import ScorerError, UnsupportedModel
from scorer.layers.spec import FIX_LENGTH
from scorer.verify import available_engines

#: how the length of a row stands in the next command, and a length that stands for it meanwhile
_LENGTH, _ANY_LENGTH = "--sequence-length N", 97


@dataclass
class Understood:
    """Lines of what was understood, and what is in the way.

    lacking   of what is missing, what options would give, by these as they stand in a command
    missing   everything else
    """

    lines: list[str] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)
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


def read_as_far_as_known(
    archive: Path, card: ScorerCard, vectorizer: Path | None
) -> tuple[Bundle, dict[str, str]]:
    """The model, with something in the place of what is missing; and that, as `lacking` has it.

    Raises ScorerError for what no answer would mend.
    """
    pieces = Pieces(card.vectorizer, vectorizer, None, card.inputs, {})
    assert pieces.lacking is not None
    try:
        bundle = read_bundle(archive, pieces=pieces)
        refuse_padding_readers(bundle)
    except UnsupportedModel as error:
        told = card.vectorizer or VectorizerCard()
        if FIX_LENGTH not in str(error) or told.sequence_length is not None:
            raise
        described = replace_card(told, sequence_length=_ANY_LENGTH)
        bundle = read_bundle(archive, pieces=replace(pieces, described=described))
        pieces.lacking[_LENGTH] = str(error)
    return bundle, pieces.lacking


def understand(known: Understood, archive: Path, card: ScorerCard, vectorizer: Path | None) -> None:
    """Say what a model is made of, and what keeps it from being served."""
    bundle, known.lacking = read_as_far_as_known(archive, card, vectorizer)
    shown = set()
    inputs = [_as_given(given, known) for given in bundle.inputs]
    for given in inputs:
        known.say("input", input_words(given, card.inputs, card.text_columns))
    for given in inputs:
        if given.vectorizer is not None and given.vectorizer not in shown:
            shown.add(given.vectorizer)
            for line in vectorizer_lines(given.vectorizer, card.vectorizer):
                known.say("vectorizer", line)
    for layer in bundle.layers:
        known.say("layer", layer_line(layer))
    known.say("weights", f"{bundle.parameters:,}")
    known.say("outputs", head_words(bundle))
    if bundle.policies:
        known.say("precision", f"{', '.join(bundle.policies)}: the engines compute in float32")
    for line in engine_words(bundle):
        known.say("engine", line)


def _as_given(given: Input, known: Understood) -> Input:
    """The input without the length that stands in the place of a missing one."""
    spec = given.vectorizer
    if _LENGTH not in known.lacking or spec is None or spec.output_sequence_length != _ANY_LENGTH:
        return given
    return input_of(given.name, replace(spec, output_sequence_length=None), given.source)


def needed(name: str) -> str:
    """What is said of an answer that is not there."""
    return f"{option_of(name)}: {QUESTIONS[name][0].lower()}{QUESTIONS[name][1:]}"
