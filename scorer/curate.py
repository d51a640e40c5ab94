"""Puts models into a zoo and takes them out.

A model is added only when it is fit to be served: the archive passes the checks, every engine at
hand agrees on its golden rows, and no score depends on a row's neighbours.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from scorer.bundle import Bundle, read_bundle
from scorer.card import Card, render_card
from scorer.engines import load_engine, refuse_padding_readers
from scorer.errors import (
    BundleError,
    CardError,
    OutputExists,
    ScorerError,
    UnsupportedModel,
    UsageError,
)
from scorer.model import Model
from scorer.verify import available_engines, verify_engine
from scorer.zoo import CARD_FILE, MODEL_FILE, Entry, index_file, list_models, write_index

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


@dataclass(frozen=True)
class NewCard:
    """The fields of a card that cannot be read from the model."""

    name: str
    version: str
    task: str
    license: str
    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    label_columns: tuple[str, ...]


def draft_card(new: NewCard) -> Card:
    """A card from its few needed fields. Raises CardError naming the field that is wrong."""
    fields: dict[str, Any] = {
        "license": new.license,
        "library_name": "keras",
        "tags": ["scorer", new.task],
        "body": f"# {new.name}\n\nAdded with `zoo add`; nothing more is known of its training.\n",
        "scorer": {
            "schema": 1,
            "name": new.name,
            "version": new.version,
            "task": new.task,
            "labels": [{"name": label} for label in new.labels],
            "text_columns": list(new.text_columns),
            "label_columns": list(new.label_columns),
        },
    }
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CardError(f"card field `{where}`: {first['msg']}") from error


def add(archive: Path, card: Card, zoo: Path, *, force: bool = False) -> Entry:
    """Check a model and place it in `zoo`; its card gets golden rows where it has none.

    Raises ScorerError naming what failed; the zoo is then as it was.
    """
    target = zoo / card.scorer.name / card.scorer.version
    if target.exists() and not force:
        raise OutputExists(f"{target}: {card.ref} is there already; give --force to replace it")
    bundle = read_bundle(archive)
    refuse_padding_readers(bundle)
    card = _with_golden(card, bundle)
    _refuse_unfit(card, bundle)
    zoo.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=zoo, prefix=".adding-") as staging:
        shutil.copyfile(archive, Path(staging) / MODEL_FILE)
        if index_file(Path(staging) / MODEL_FILE).sha256 != bundle.digest:
            raise BundleError(f"{archive}: changed while it was added; try again")
        (Path(staging) / CARD_FILE).write_text(render_card(card), encoding="utf-8")
        _replace_folder(Path(staging), target)
    write_index(zoo)
    added = [e for e in list_models((zoo,), all_versions=True) if e.model_path.parent == target]
    return added[0]


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


def _with_golden(card: Card, bundle: Bundle) -> Card:
    """The card with golden rows, from Keras itself where it is installed."""
    if card.scorer.golden:
        return card
    engine = "keras" if "keras" in available_engines() else "cpu"
    model = Model(card, bundle, load_engine(bundle, device="cpu", engine=engine))
    scores = model.score(pa.array(GOLDEN_TEXTS, pa.string()))
    golden = [
        {"text": text, "output": row.tolist() if scored else None}
        for text, row, scored in zip(GOLDEN_TEXTS, scores.outputs, scores.scored, strict=True)
    ]
    fields = card.model_dump(by_alias=True) | {"body": card.body}
    fields["scorer"]["golden"] = golden
    return Card.model_validate(fields)


def _refuse_unfit(card: Card, bundle: Bundle) -> None:
    """Every engine that has the model's layers must pass; one at least must have them."""
    failures: Sequence[str] = []
    passed = False
    for engine in available_engines():
        try:
            load_engine(bundle, device="cpu", engine=engine)
        except UnsupportedModel as error:
            failures = [*failures, str(error)]
            continue
        for check in verify_engine(card, bundle, engine):
            if not check.passed:
                raise ScorerError(f"{bundle.path}: refused: {check.name}: {check.detail}")
        passed = True
    if not passed:
        raise UnsupportedModel(f"{bundle.path}: refused: no engine runs it: {'; '.join(failures)}")


def _replace_folder(staging: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(staging, target)
