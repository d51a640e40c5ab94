"""A zoo from a stranger: it leads nowhere else, costs little, and fails in one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scorer import zoo
from scorer.errors import BundleError, CardError, ScorerError


@pytest.fixture
def own_zoo(tiny_zoo: Path, tmp_path: Path) -> Path:
    """A zoo that a test may spoil."""
    return Path(shutil.copytree(tiny_zoo, tmp_path / "zoo"))


def respell(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads((path / zoo.INDEX_FILE).read_text())
    edit(index)
    (path / zoo.INDEX_FILE).write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda index: index["models"][0].update(name="../../etc"), "field `models.0.name`"),
        (lambda index: index["models"][0].update(name="a/b"), "field `models.0.name`"),
        (lambda index: index["models"][0].update(version=".."), "field `models.0.version`"),
        (lambda index: index["models"][0].update(version="١.٠.٠"), "field `models.0.version`"),
        (lambda index: index["models"][0].update(files={}), "needs the digests"),
        (lambda index: index["models"][0]["files"].update({"x.py": {}}), "field `models.0.files"),
        (lambda index: index["models"][0]["files"]["README.md"].update(sha256="0"), "sha256`"),
        (lambda index: index["models"][0]["files"]["README.md"].update(size=-1), "size`"),
        (lambda index: index.update(models=[0] * 1000), "field `models.0`"),
        (lambda index: index.update(surprise=1), "field `surprise`"),
        (lambda index: index.update(schema=2), "field `schema`"),
    ],
)
def test_an_index_that_breaks_a_rule_is_refused(
    edit: Callable[[dict[str, Any]], Any], says: str, own_zoo: Path
) -> None:
    respell(own_zoo, edit)
    with pytest.raises(CardError) as caught:
        zoo.list_models((own_zoo,))
    message = str(caught.value)
    assert says in message
    assert str(own_zoo / zoo.INDEX_FILE) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"[]", b'{"models": "x"}']
)
def test_an_index_that_is_none_is_refused(content: bytes, own_zoo: Path) -> None:
    (own_zoo / zoo.INDEX_FILE).write_bytes(content)
    with pytest.raises(CardError):
        zoo.list_models((own_zoo,))


def test_a_huge_index_is_not_read(own_zoo: Path) -> None:
    (own_zoo / zoo.INDEX_FILE).write_bytes(b" " * (2 << 20))
    with pytest.raises(CardError, match="larger than 1 MB"):
        zoo.list_models((own_zoo,))


@pytest.mark.parametrize("name", [zoo.MODEL_FILE, zoo.CARD_FILE])
def test_a_link_out_of_the_zoo_is_refused(name: str, own_zoo: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    inside = own_zoo / "tiny-binary" / "1.0.0" / name
    inside.rename(secret)
    inside.symlink_to(secret)
    with pytest.raises(BundleError, match="leads out of its zoo"):
        zoo.find("tiny-binary", (own_zoo,))


def test_a_folder_linked_out_of_the_zoo_is_refused(own_zoo: Path, tmp_path: Path) -> None:
    (own_zoo / "tiny-binary").rename(tmp_path / "elsewhere")
    (own_zoo / "tiny-binary").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="leads out of its zoo"):
        zoo.find("tiny-binary", (own_zoo,))


@pytest.mark.parametrize("name", [zoo.MODEL_FILE, zoo.CARD_FILE, zoo.INDEX_FILE])
def test_a_pipe_in_a_zoo_is_refused_and_not_waited_for(name: str, own_zoo: Path) -> None:
    from scorer.verify import verify

    path = own_zoo / name if name == zoo.INDEX_FILE else own_zoo / "tiny-binary" / "1.0.0" / name
    path.unlink()
    os.mkfifo(path)
    try:
        checks = list(verify(zoo.find("tiny-binary", (own_zoo,)), []))
        told = checks[-1].detail
        assert not checks[-1].passed
    except ScorerError as error:
        told = str(error)
    assert "not a regular file" in told


def test_a_changed_card_is_refused(own_zoo: Path) -> None:
    path = own_zoo / "tiny-binary" / "1.0.0" / zoo.CARD_FILE
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(BundleError, match="it was changed or damaged"):
        _ = zoo.find("tiny-binary", (own_zoo,)).card
