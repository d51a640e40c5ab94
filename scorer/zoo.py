"""Zoos on disk: finds models by name, version or path, and keeps a zoo's index.

<zoo>/<name>/<version>/model.keras     the model; or model.h5, as its author saved it
<zoo>/<name>/<version>/vectorizer.*    what turns a text into its input, where it lacks that
<zoo>/<name>/<version>/README.md       its card
<zoo>/index.json                       SHA-256 and size of every file: the zoo's lock file
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from scorer.card import Card, Name, Version, read_card
from scorer.errors import BundleError, CardError, ModelNotFound
from scorer.faults import in_words
from scorer.files import read_regular, write_whole
from scorer.homes import user_folder

MODEL_FILE: Final = "model.keras"
H5_FILE: Final = "model.h5"
ARCHIVES: Final = (MODEL_FILE, H5_FILE)
CARD_FILE: Final = "README.md"
INDEX_FILE: Final = "index.json"
MAX_INDEX_BYTES = 1 << 20
MAX_FILE_BYTES = 512 << 20


FileName = Literal[
    "model.keras",
    "model.h5",
    "README.md",
    "vectorizer.json",
    "vectorizer.txt",
    "vectorizer.keras",
]


class IndexedFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class IndexedModel(BaseModel):
    """One version of one model. File names are fixed, so an index cannot point elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    version: Version
    files: dict[FileName, IndexedFile]

    @model_validator(mode="after")
    def _whole(self) -> IndexedModel:
        archives = [name for name in ARCHIVES if name in self.files]
        others = self.files.keys() - {*archives, CARD_FILE}
        if len(archives) != 1 or CARD_FILE not in self.files or len(others) > 1:
            raise ValueError(
                f"{self.name} needs the digests of {MODEL_FILE} (or {H5_FILE}), of {CARD_FILE} "
                "and of one vectorizer at most"
            )
        return self

    @property
    def archive(self) -> FileName:
        """The file of the model itself."""
        return "model.keras" if "model.keras" in self.files else "model.h5"


class Index(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(alias="schema", default=1)
    models: tuple[IndexedModel, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A model that was found: its folder or file, and the digests its zoo promises (if any)."""

    model_path: Path
    card_path: Path
    index: IndexedModel | None = None
    zoo: Path | None = None

    @cached_property
    def card(self) -> Card:
        """The checked card. Raises CardError where it is not the one its zoo indexed."""
        if self.index is not None:
            check_file(self.card_path, self.index.files["README.md"])
        card = read_card(self.card_path)
        found = (card.scorer.name, card.scorer.version)
        if self.index is not None and found != (self.index.name, self.index.version):
            raise CardError(f"{self.card_path}: the card describes another model, {card.ref}")
        return card

    @property
    def digest(self) -> str | None:
        """The SHA-256 that the archive must have, where a zoo's index states one."""
        return None if self.index is None else self.index.files[self.index.archive].sha256

    @property
    def vectorizer_path(self) -> Path | None:
        """The vectorizer beside the archive, where the card speaks of one."""
        described = self.card.scorer.vectorizer
        name = None if described is None else described.file
        return None if name is None else self.model_path.with_name(name)

    @property
    def vectorizer_digest(self) -> str | None:
        """The SHA-256 that the vectorizer must have, where a zoo's index states one.

        Raises BundleError where the index lacks the file that the card speaks of.
        """
        path = self.vectorizer_path
        if path is None or self.index is None:
            return None
        for name, file in self.index.files.items():
            if name == path.name:
                return file.sha256
        raise BundleError(f"{path}: the card names this file, but the zoo's index does not list it")

    def check_files(self) -> None:
        """Raise BundleError where a file is not the one that the zoo's index promises."""
        for name, promised in self.index.files.items() if self.index is not None else ():
            check_file(self.model_path.with_name(name), promised)


def shipped_zoo() -> Path:
    """The zoo inside the installed package, or the checkout's own."""
    here = Path(__file__).resolve().parent
    installed = here / "_zoo"
    return installed if installed.is_dir() else here.parent / "zoo"


def user_zoo() -> Path | None:
    """The user's own zoo, which may not exist yet; None where the user has no home."""
    home = user_folder("data")
    return None if home is None else home / "zoo"


def search_path(zoos: Sequence[Path] = ()) -> list[Path]:
    """Zoos in the order they are searched: given ones, $SCORER_ZOO, the user's, the shipped."""
    named = [Path(p) for p in os.environ.get("SCORER_ZOO", "").split(os.pathsep) if p]
    own = user_zoo()
    return [*zoos, *named, *([own] if own is not None else []), shipped_zoo()]


def find(reference: str | Path, zoos: Sequence[Path] = ()) -> Entry:
    """The model that `name`, `name@version` or a path stands for; a Path is always a path.

    Raises ModelNotFound (listing what there is), CardError, BundleError.
    """
    if isinstance(reference, Path):
        return _find_path(reference)
    if "/" in reference or os.sep in reference or reference.endswith((".keras", ".h5")):
        return _find_path(Path(reference))
    name, _, version = reference.partition("@")
    matches = [e for e in list_models(zoos, all_versions=True) if _indexed(e).name == name]
    for entry in matches:
        if version in ("", _indexed(entry).version):
            return entry
    if matches:
        have = ", ".join(_indexed(e).version for e in matches)
        raise ModelNotFound(f"model {name!r} has no version {version!r}; there are: {have}")
    raise ModelNotFound(_not_found(name, zoos))


def list_models(zoos: Sequence[Path] = (), *, all_versions: bool = False) -> list[Entry]:
    """Every model that can be named, by name; the newest version first. Earlier zoos win."""
    found: dict[tuple[str, tuple[int, ...]], Entry] = {}
    for zoo in search_path(zoos):
        for model in read_index(zoo).models:
            found.setdefault((model.name, _version_key(model.version)), _entry(zoo, model))
    ordered = [found[key] for key in sorted(found, key=lambda k: (k[0], [-v for v in k[1]]))]
    if all_versions:
        return ordered
    newest: dict[str, Entry] = {}
    for entry in ordered:
        newest.setdefault(_indexed(entry).name, entry)
    return list(newest.values())


def read_index(zoo: Path) -> Index:
    """The index of a zoo; empty where the folder or the index does not exist."""
    path = zoo / INDEX_FILE
    try:
        raw = read_regular(path, MAX_INDEX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return Index()
    except OSError as error:
        raise CardError(f"{path}: cannot read the zoo's index: {error.strerror}") from error
    try:
        return Index.model_validate_json(raw)
    except ValidationError as error:
        raise CardError(f"{path}: {in_words(error)}") from error


def write_index(zoo: Path) -> Index:
    """Index every `<name>/<version>/` below `zoo` that holds a model and a card."""
    cards = sorted(zoo.glob(f"*/*/{CARD_FILE}"))
    folders = [card.parent for card in cards if _archive(card.parent) is not None]
    index = Index(models=tuple(index_folder(folder) for folder in folders))
    replace_text(zoo / INDEX_FILE, index.model_dump_json(by_alias=True, indent=1) + "\n")
    return index


def index_folder(folder: Path) -> IndexedModel:
    """The index entry of `<name>/<version>/`, from the files as they are."""
    known = get_args(FileName)
    files = {name: index_file(folder / name) for name in known if (folder / name).is_file()}
    return IndexedModel.model_validate(
        {"name": folder.parent.name, "version": folder.name, "files": files}
    )


def replace_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with write_whole(path) as file:
        file.write(text.encode())


def check_file(path: Path, promised: IndexedFile) -> None:
    """Raises BundleError where the file is not the one that the index promises."""
    try:
        found = index_file(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    if found != promised:
        raise BundleError(
            f"{path}: digest {found.sha256[:12]}…, the zoo's index says {promised.sha256[:12]}…: "
            "the file was changed or damaged; restore it, or `zoo add` it again"
        )


def index_file(path: Path) -> IndexedFile:
    """Digest and size of a file as it is now."""
    data = read_regular(path, MAX_FILE_BYTES)
    return IndexedFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def _entry(zoo: Path, model: IndexedModel) -> Entry:
    """The files of an indexed model. A link to anywhere outside the zoo is refused."""
    folder = zoo / model.name / model.version
    entry = Entry(folder / model.archive, folder / CARD_FILE, model, zoo)
    for path in (folder / name for name in model.files):
        if not path.resolve().is_relative_to(zoo.resolve()):
            raise BundleError(f"{path}: points outside its zoo")
    return entry


def _archive(folder: Path) -> Path | None:
    """The archive in a bundle's folder."""
    return next((folder / name for name in ARCHIVES if (folder / name).is_file()), None)


def _indexed(entry: Entry) -> IndexedModel:
    assert entry.index is not None
    return entry.index


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _find_path(path: Path) -> Entry:
    """A bundle outside any zoo: its folder, or the archive with the card beside it."""
    model = (_archive(path) or path / MODEL_FILE) if path.is_dir() else path
    if not model.is_file():
        raise ModelNotFound(f"{path}: no such model; give a folder with {MODEL_FILE}, or the file")
    card = model.with_name(CARD_FILE)
    if not card.is_file():
        raise ModelNotFound(
            f"{model}: there is no card ({CARD_FILE}) beside it; "
            "`zoo add` makes a bundle of a model and a card"
        )
    return Entry(model, card)


def _not_found(name: str, zoos: Iterable[Path]) -> str:
    names = [_indexed(entry).name for entry in list_models(tuple(zoos))]
    if not names:
        searched = ", ".join(str(path) for path in search_path(tuple(zoos)))
        return f"no model {name!r}: every zoo is empty (searched {searched})"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"no model {name!r}{hint}; there are: {', '.join(names)}"
