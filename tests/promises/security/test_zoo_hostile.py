"""A zoo from a stranger: it leads nowhere else, costs little, and fails in one line."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scorer import zoo
from scorer.card import Card, read_card, render_card
from scorer.cli.zoo import main
from scorer.errors import BundleError, CardError, ScorerError
from scripts.hostile import archives as hostile
from scripts.hostile import config as hostile_config


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
    with pytest.raises(CardError, match="larger than 1 MiB"):
        zoo.list_models((own_zoo,))


@pytest.mark.parametrize("name", [zoo.MODEL_FILE, zoo.CARD_FILE])
def test_a_link_out_of_the_zoo_is_refused(name: str, own_zoo: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    inside = own_zoo / "tiny-binary" / "1.0.0" / name
    inside.rename(secret)
    inside.symlink_to(secret)
    with pytest.raises(BundleError, match="points outside its zoo"):
        zoo.find("tiny-binary", (own_zoo,))


def test_a_folder_linked_out_of_the_zoo_is_refused(own_zoo: Path, tmp_path: Path) -> None:
    (own_zoo / "tiny-binary").rename(tmp_path / "elsewhere")
    (own_zoo / "tiny-binary").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="points outside its zoo"):
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
    with pytest.raises(BundleError, match="the file was changed or damaged"):
        _ = zoo.find("tiny-binary", (own_zoo,)).card


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def evil_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A folder with a good card and a model that tries two things."""
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / zoo.CARD_FILE).write_bytes((tiny_bundle / zoo.CARD_FILE).read_bytes())
    model = hostile.good_config()
    layers = model["config"]["layers"]
    layers.insert(3, hostile_config.called("os", "system", command="true"))
    layers[1]["config"]["vocabulary"] = "/etc/passwd"
    members = {**hostile.good_members(), "config.json": json.dumps(model).encode()}
    hostile.pack(folder / zoo.MODEL_FILE, members)
    return folder


def test_verify_deep_tells_all_that_a_refused_model_tried(evil_bundle: Path) -> None:
    plain, deep = run("verify", evil_bundle), run("verify", evil_bundle, "--deep")
    assert plain.exit_code == deep.exit_code == 1
    assert "the file name '/etc/passwd'" in plain.output
    assert "os.system" not in plain.output
    assert "a Lambda layer, which runs Python code stored in the model ('os.system')" in deep.output
    assert "the file name '/etc/passwd', which Keras would open and read" in deep.output
    assert deep.output.count("which Keras would open and read") == 1  # it is not said twice


def test_verify_deep_finds_nothing_in_a_good_model(tiny_bundle: Path) -> None:
    done = run("verify", tiny_bundle, "--engine", "cpu", "--deep")
    assert done.exit_code == 0, done.output
    assert "it also holds" not in done.output


def test_add_tells_what_a_refused_model_tried(evil_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    done = run("add", evil_bundle, "--card", evil_bundle / zoo.CARD_FILE, "--zoo", target)
    assert done.exit_code == 1
    *faults, error = done.stderr.splitlines()
    assert error.startswith("Error: ")
    assert any("os.system" in fault for fault in faults)
    assert faults[0] == "The archive also contains:"
    assert any("/etc/passwd" in fault for fault in faults)
    assert "which Keras would open and read" in error
    assert not any(fault.strip() in error for fault in faults)
    assert not target.exists()


def test_what_a_card_says_cannot_act_on_the_terminal(own_zoo: Path) -> None:
    path = own_zoo / "tiny-binary" / "1.0.0" / zoo.CARD_FILE
    card = read_card(path)
    acting = "\x1b[2J\x9b31m\u202e\x07"
    fields = card.model_dump(by_alias=True)
    fields["scorer"]["text_columns"] = [f"text{acting}"]
    fields["scorer"]["labels"][0]["name"] = f"bad{acting}"
    fields["scorer"]["figures"][0]["data"] = f"two\nlines{acting}"
    fields["body"] = f"# A card\n\n{acting}\n"
    path.write_text(render_card(Card.model_validate(fields)), encoding="utf-8")
    zoo.write_index(own_zoo)
    for arguments in (["list"], ["show", "tiny-binary"], ["show", "tiny-binary", "--json"]):
        done = run(*arguments, "--zoo", own_zoo)
        assert done.exit_code == 0, done.output
        acts = [c for c in done.output if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"]
        assert acts == []
        assert "1b" in done.output or arguments == ["list"]  # the list has no text of the card's
    listed = run("list", "--zoo", own_zoo).output.splitlines()
    assert [line.split()[0] for line in listed if "tiny-binary" in line] == ["tiny-binary"]
