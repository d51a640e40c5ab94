"""Adds models to a zoo and removes them.

A model is added only when it is fit to be served: the archive passes the checks, every engine at
hand gives the expected outputs, these are what the task speaks of, and no score depends on a row's
neighbours.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from scorer.adding.causes import likely_cause
from scorer.adding.expected import compare, golden_rows, read_expected
from scorer.bundle import Bundle, Pieces, read_bundle
from scorer.card import Card, Golden, render_card
from scorer.engines import load_engine, refuse_padding_readers
from scorer.errors import (
    BundleError,
    OutputExists,
    ScorerError,
    UnsupportedModel,
    UsageError,
)
from scorer.feeding import feeding
from scorer.model import Model, check_outputs
from scorer.scores import activated, finite_rows
from scorer.verify import (
    available_engines,
    golden_inputs,
    score_golden,
    tolerance,
    verify_engine,
)
from scorer.zoo import ARCHIVES, CARD_FILE, Entry, index_file, list_models, write_index

#: for a card without golden rows; ours, in plain words, with the awkward cases that go wrong
GOLDEN_TEXTS = (
    "A warm and funny story; I would gladly see it again.",
    "Dull from the first minute to the last, and badly made.",
    "It was not bad, but I would not call it good either!",
    "",
    "zxqv qqwj wvvk",
    "so so so long " * 400,
    "Ça va très bien — ÜBER-gut, 日本語 🎬",
)
#: how far two outputs of a binary model may be from a sum of 1
_SUM_ROOM = 1e-3


@dataclass(frozen=True)
class Offer:
    """A model that is offered to a zoo.

    archive     the file that `model.save()` wrote
    vectorizer  what turns texts into its inputs, where it lies beside the archive
    expected    a table of rows with the outputs of the user's own program
    """

    archive: Path
    card: Card
    vectorizer: Path | None = None
    expected: Path | None = None

    def read(self, card: Card | None = None) -> Bundle:
        """The archive with its pieces, as `card`, or the offer's own, describes them."""
        told = (card or self.card).scorer
        pieces = Pieces(told.vectorizer, self.vectorizer, None, told.inputs)
        return read_bundle(self.archive, pieces=pieces)


@dataclass(frozen=True)
class Added:
    """A model that is in its zoo now, and what its user should know of it."""

    entry: Entry
    notes: tuple[str, ...] = ()


@dataclass
class _Fitting:
    """Makes an offer fit for its zoo; `notes` is what its user should know."""

    offer: Offer
    bundle: Bundle
    card: Card
    notes: list[str] = field(default_factory=list)

    def models(self) -> list[Model]:
        """The model on every engine that can run it. Raises UnsupportedModel where none can."""
        models, failures = [], []
        for name in available_engines():
            try:
                engine = load_engine(self.bundle, device="cpu", engine=name)
            except UnsupportedModel as error:
                failures.append(f"the {name} engine does not run it: {error}")
                continue
            models.append(Model(self.card, self.bundle, engine))
        if not models:
            raise UnsupportedModel(f"{self.bundle.path}: refused: {'; '.join(failures)}")
        self.notes += failures
        return models

    def with_golden(self, models: Sequence[Model]) -> Card:
        """The card with golden rows: the expected ones, its own, or what the first engine says.

        Keras itself is asked where it is installed.
        """
        if self.offer.expected is not None:
            return _with_rows(self.card, self._expected_rows(models, self.offer.expected))
        if self.card.scorer.golden:
            return self.card
        if self._has_pieces:
            self.notes.append(
                "nothing proves that the pieces belong together: give --expect FILE.csv, some "
                "texts with the outputs of your own program"
            )
        rows = _golden_inputs(self.card, self.bundle)
        scores = score_golden(models[-1], rows)
        found = zip(rows, scores.outputs.tolist(), scores.scored.tolist(), strict=True)
        golden = [
            {**row.model_dump(), "output": output if scored else None}
            for (row, output, scored), numberless in zip(found, scores.numberless, strict=True)
            if not numberless
        ]
        if len(golden) < len(rows):
            self.notes.append(
                f"the model gives no number (NaN or infinite) for {len(rows) - len(golden)} of "
                f"{len(rows)} sample texts, for example one of unknown words: they are left out of "
                "its golden rows"
            )
        return _with_rows(self.card, golden)

    @property
    def _has_pieces(self) -> bool:
        told = self.card.scorer
        return bool(told.vectorizer or told.inputs or told.output_activation)

    def _expected_rows(self, models: Sequence[Model], path: Path) -> list[dict[str, Any]]:
        """Golden rows of the user's own outputs. Raises ScorerError where an engine differs."""
        expected = read_expected(path, models[0])
        allowed = tolerance(self.bundle)
        comparisons = [compare(model, expected) for model in models]
        for model, found in zip(models, comparisons, strict=True):
            if found.gap > allowed:
                cause = likely_cause(found, self.card, self._loaded, allowed)
                raise ScorerError(f"{found.difference(allowed)}; {cause}")
            if not found.scored.any():
                raise ScorerError(f"{expected.name}: no row has a word that the model reads")
            self.notes.append(
                f"{int(found.scored.sum())} rows of {expected.name} agree on the "
                f"{model.engine.name} engine: at most {found.gap:.1e} apart (allowed {allowed:.0e})"
            )
        numberless = int((~finite_rows(expected.outputs)).sum())
        if numberless:
            self.notes.append(
                f"your program gives NaN or an infinite number for {numberless} rows of "
                f"{expected.name}: `score` leaves such rows unscored"
            )
        unscored = int((~comparisons[0].scored & finite_rows(expected.outputs)).sum())
        if unscored:
            self.notes.append(
                f"{unscored} rows of {expected.name} hold no word or lack a number: `score` leaves "
                "such rows unscored, so they were not compared"
            )
        return golden_rows(comparisons[0])

    def _loaded(self, card: Card) -> Model:
        """The model that another card describes, on the first engine that runs it."""
        bundle = self.offer.read(card)
        return replace(self, bundle=bundle, card=card, notes=[]).models()[0]

    def check_range(self, models: Sequence[Model]) -> None:
        """Raise BundleError where the outputs are not what the card's task speaks of.

        Looked at are the golden rows and our own texts, where the model gives numbers for them.
        """
        card = self.card.scorer
        rows = [
            *(row for row in card.golden if row.output is not None),
            *_golden_inputs(self.card, self.bundle),
        ]
        fed = models[0].feeding(*golden_inputs(card, rows))
        outputs = activated(models[0].engine.run(*fed.given), card)
        counted = (fed.text.n_tokens > 0) & fed.readable & np.isfinite(outputs).all(axis=1)
        outputs = outputs[counted]
        if not len(outputs):
            return
        fault = card.task.fault(outputs)
        if fault is not None:
            raise BundleError(f"{self.bundle.path}: {fault}")
        apart = np.abs(outputs.sum(axis=1) - 1).max(initial=0) > _SUM_ROOM
        if outputs.shape[1] > card.outputs and apart:
            raise BundleError(
                f"{self.bundle.path}: the two outputs of this binary model do not add up to 1: if "
                "they are logits, give --output-activation softmax; if each is a probability of "
                "its own, --task multilabel"
            )


def fitted(offer: Offer) -> tuple[Card, Bundle, tuple[str, ...]]:
    """Check an offer: its card with golden rows, the model, and what its user should know.

    Raises ScorerError naming what keeps the model from being served.
    """
    bundle = offer.read()
    check_outputs(offer.card, bundle)
    feeding(offer.card.scorer, bundle)
    refuse_padding_readers(bundle)
    fitting = _Fitting(offer, bundle, offer.card, list(_precision_notes(bundle)))
    models = fitting.models()
    fitting.card = fitting.with_golden(models)
    fitting.check_range(models)
    for model in models:
        for check in verify_engine(fitting.card, bundle, model.engine.name):
            if not check.passed:
                raise ScorerError(f"{bundle.path}: refused: {check.name}: {check.detail}")
    return fitting.card, bundle, tuple(fitting.notes)


def add(offer: Offer, zoo: Path, *, force: bool = False) -> Added:
    """Check a model and place it in `zoo`; its card gets golden rows where it has none.

    The archive and the vectorizer's file are kept byte for byte. Raises ScorerError naming what
    failed; the zoo is then as it was.
    """
    target = zoo / offer.card.scorer.name / offer.card.scorer.version
    if target.exists() and not force:
        raise OutputExists(f"{target}: {offer.card.ref} already exists; use --force to replace it")
    card, bundle, notes = fitted(offer)
    zoo.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=zoo, prefix=".adding-") as staging:
        _stage(replace(offer, card=card), bundle, Path(staging))
        _replace_folder(Path(staging), target)
    write_index(zoo)
    added = [e for e in list_models((zoo,), all_versions=True) if e.model_path.parent == target]
    return Added(added[0], notes)


def _stage(offer: Offer, bundle: Bundle, folder: Path) -> None:
    """Lay the files of a bundle into a folder."""
    with offer.archive.open("rb") as file:
        name = ARCHIVES[file.read(4) == b"\x89HDF"]
    shutil.copyfile(offer.archive, folder / name)
    if index_file(folder / name).sha256 != bundle.digest:
        raise BundleError(f"{offer.archive}: changed while it was added; try again")
    described = offer.card.scorer.vectorizer
    if described is not None and described.file is not None and offer.vectorizer is not None:
        shutil.copyfile(offer.vectorizer, folder / described.file)
    (folder / CARD_FILE).write_text(render_card(offer.card), encoding="utf-8")


def remove(entry: Entry) -> Path:
    """Take a model out of its zoo; returns the folder that is gone."""
    if entry.zoo is None:
        raise UsageError(f"{entry.model_path}: not in a zoo; delete the folder yourself")
    folder = entry.model_path.parent
    shutil.rmtree(folder)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
    write_index(entry.zoo)
    return folder


def _golden_inputs(card: Card, bundle: Bundle) -> list[Golden]:
    """Our own texts, with categories or numbers of some size in the columns beside them."""
    beside = {name: _values(name, card, bundle) for name in card.scorer.columns_beside}
    return [
        Golden(
            text=text,
            output=None,
            columns={name: values[i % len(values)] for name, values in beside.items()} or None,
        )
        for i, text in enumerate(GOLDEN_TEXTS)
    ]


def _values(column: str, card: Card, bundle: Bundle) -> Sequence[str]:
    """Some values that a column beside the text may have."""
    sources = [each.name for each in card.scorer.inputs if column in each.columns]
    for given in bundle.inputs:
        spec = given.vectorizer
        if given.source in sources and spec is not None and spec.category and spec.vocabulary:
            return spec.vocabulary[:3]
    return ("0", "1")


def _with_rows(card: Card, golden: list[dict[str, Any]]) -> Card:
    fields = card.model_dump(by_alias=True) | {"body": card.body}
    fields["scorer"]["golden"] = golden
    return Card.model_validate(fields)


def _precision_notes(bundle: Bundle) -> Iterator[str]:
    if bundle.policies:
        yield (
            f"the archive computes in {' and '.join(bundle.policies)}: the engines compute in "
            f"float32, so outputs may differ from the program's by {tolerance(bundle):.0e}"
        )


def _replace_folder(staging: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(staging, target)
