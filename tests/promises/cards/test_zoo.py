"""Finding models in zoos, and what happens when a zoo is not what its index says."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from scorer import zoo
from scorer.errors import BundleError, CardError, ModelNotFound
from scorer.model import load_model


@pytest.fixture
def own_zoo(tiny_zoo: Path, tmp_path: Path) -> Path:
    """A copy of the tiny zoo that a test may change."""
    return Path(shutil.copytree(tiny_zoo, tmp_path / "zoo"))


def add_version(own_zoo: Path, version: str) -> None:
    old, new = own_zoo / "tiny-binary" / "1.0.0", own_zoo / "tiny-binary" / version
    shutil.copytree(old, new)
    card = (new / "README.md").read_text(encoding="utf-8")
    (new / "README.md").write_text(card.replace("version: 1.0.0", f"version: {version}"))
    zoo.write_index(own_zoo)


def test_a_name_is_its_newest_version(own_zoo: Path) -> None:
    add_version(own_zoo, "1.2.0")
    add_version(own_zoo, "1.10.0")
    assert zoo.find("tiny-binary", [own_zoo]).card.ref == "tiny-binary@1.10.0"
    assert zoo.find("tiny-binary@1.2.0", [own_zoo]).card.ref == "tiny-binary@1.2.0"
    listed = [entry.card.ref for entry in zoo.list_models([own_zoo])]
    assert [ref for ref in listed if ref.startswith("tiny-binary")] == ["tiny-binary@1.10.0"]


def test_an_unknown_version_lists_those_there_are(own_zoo: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"no version '2.0.0'; there are: 1.0.0"):
        zoo.find("tiny-binary@2.0.0", [own_zoo])


def test_an_unknown_name_suggests_the_nearest(own_zoo: Path) -> None:
    near = r"no model 'tiny-binnary' \(did you mean 'tiny-binary'\?\); there are: .*tiny-stars"
    with pytest.raises(ModelNotFound, match=near):
        zoo.find("tiny-binnary", [own_zoo])
    with pytest.raises(ModelNotFound, match=r"no model 'xyz'; there are: "):
        zoo.find("xyz", [own_zoo])


def test_zoos_are_searched_in_order(
    own_zoo: Path, tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORER_ZOO", str(tiny_zoo))
    assert zoo.find("tiny-binary").zoo == tiny_zoo
    assert zoo.find("tiny-binary", [own_zoo]).zoo == own_zoo
    monkeypatch.setenv("XDG_DATA_HOME", str(own_zoo.parent / "home"))
    shutil.copytree(own_zoo, own_zoo.parent / "home" / "scorer" / "zoo")
    monkeypatch.delenv("SCORER_ZOO")
    assert zoo.find("tiny-binary").zoo == zoo.user_zoo()


def test_a_path_names_a_bundle_outside_any_zoo(tiny_bundle: Path) -> None:
    by_folder = zoo.find(str(tiny_bundle))
    by_file = zoo.find(str(tiny_bundle / "model.keras"))
    assert by_folder == by_file
    assert by_folder.digest is None


def test_a_path_without_a_card_says_what_to_do(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_bundle / "model.keras", tmp_path / "mine.keras")
    with pytest.raises(ModelNotFound, match=r"no card .* beside it; `zoo add`"):
        zoo.find(str(tmp_path / "mine.keras"))


def test_a_changed_model_is_refused(own_zoo: Path) -> None:
    model = own_zoo / "tiny-binary" / "1.0.0" / "model.keras"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    with pytest.raises(BundleError, match=r"digest is .*, the zoo's index says"):
        load_model("tiny-binary", zoos=[own_zoo])


def test_a_changed_card_is_refused(own_zoo: Path) -> None:
    with (own_zoo / "tiny-binary" / "1.0.0" / "README.md").open("a") as card:
        card.write("\nand more\n")
    with pytest.raises(BundleError, match="the zoo's index says"):
        _ = zoo.find("tiny-binary", [own_zoo]).card


def test_a_card_of_another_model_is_refused(own_zoo: Path) -> None:
    card = (own_zoo / "tiny-stars" / "1.0.0" / "README.md").read_bytes()
    (own_zoo / "tiny-binary" / "1.0.0" / "README.md").write_bytes(card)
    zoo.write_index(own_zoo)
    with pytest.raises(CardError, match=r"describes another model, tiny-stars@1\.0\.0"):
        _ = zoo.find("tiny-binary", [own_zoo]).card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../../etc"}, "models.0.name"),
        ({"version": "../1.0.0"}, "models.0.version"),
        ({"files": {"../model.keras": {"sha256": "0" * 64, "size": 1}}}, "models.0.files"),
    ],
)
def test_an_index_cannot_point_elsewhere(
    own_zoo: Path, change: dict[str, object], message: str
) -> None:
    index = json.loads((own_zoo / "index.json").read_text())
    index["models"][0].update(change)
    (own_zoo / "index.json").write_text(json.dumps(index))
    with pytest.raises(CardError, match=message):
        zoo.list_models([own_zoo])


def test_a_link_out_of_the_zoo_is_refused(own_zoo: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(own_zoo / "tiny-binary", outside)
    (own_zoo / "tiny-binary").symlink_to(outside)
    with pytest.raises(BundleError, match="points outside its zoo"):
        zoo.find("tiny-binary", [own_zoo])


def test_no_zoo_at_all_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "shipped_zoo", lambda: tmp_path / "nothing")
    assert zoo.list_models([tmp_path]) == []
    with pytest.raises(ModelNotFound, match="every zoo is empty"):
        zoo.find("anything", [tmp_path])


def test_the_shipped_zoo_stays_small() -> None:
    """Every clone and every wheel carries it: 100 MB in all, 16 MB a bundle (10^6 bytes each)."""
    shipped = zoo.shipped_zoo()
    sizes = {path: path.stat().st_size for path in shipped.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 100_000_000
    for folder in {path.parent for path in sizes if path.name == zoo.MODEL_FILE}:
        assert sum(size for path, size in sizes.items() if path.parent == folder) < 16_000_000


def bundle_with(zoo_folder: Path, tiny_bundle: Path, files: dict[str, bytes]) -> Path:
    """A bundle of the card of tiny-binary and these files, in a zoo that is not indexed yet."""
    folder = zoo_folder / "tiny-binary" / "1.0.0"
    folder.mkdir(parents=True)
    card = (tiny_bundle / "README.md").read_text(encoding="utf-8")
    described = "scorer:\n  vectorizer: {kind: tokenizer}\n"
    (folder / "README.md").write_text(card.replace("scorer:\n", described), encoding="utf-8")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_zoo_keeps_an_archive_as_it_is_and_its_vectorizer(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    folder = bundle_with(tmp_path, tiny_bundle, {"model.h5": b"a", "vectorizer.json": b"{}"})
    zoo.write_index(tmp_path)
    entry = zoo.find("tiny-binary", (tmp_path,))
    assert entry.model_path == folder / "model.h5"
    assert entry.vectorizer_path == folder / "vectorizer.json"
    assert entry.vectorizer_digest == hashlib.sha256(b"{}").hexdigest()
    entry.check_files()
    (folder / "vectorizer.json").write_bytes(b"[]")
    with pytest.raises(BundleError, match=r"vectorizer\.json: digest"):
        entry.check_files()


def test_an_index_that_lacks_the_vectorizer_of_a_card_is_refused(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    bundle_with(tmp_path, tiny_bundle, {"model.keras": b"a"})
    zoo.write_index(tmp_path)
    entry = zoo.find("tiny-binary", (tmp_path,))
    with pytest.raises(BundleError, match="the zoo's index does not"):
        _ = entry.vectorizer_digest


def test_two_archives_in_one_folder_are_refused(tmp_path: Path, tiny_bundle: Path) -> None:
    bundle_with(tmp_path, tiny_bundle, {"model.keras": b"a", "model.h5": b"b"})
    with pytest.raises(ValueError, match="needs the digests of"):
        zoo.write_index(tmp_path)
