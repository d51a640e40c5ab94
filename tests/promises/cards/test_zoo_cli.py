"""The `zoo` command as its users meet it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from scorer.cli.zoo import main
from scorer.model import load_model
from scorer.tasks import task_names
from scorer.zoo import user_zoo
from tests.support import tiny


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def own_zoo(tiny_zoo: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_zoo, tmp_path / "zoo"))


def test_list_groups_every_model_by_its_task(tiny_zoo: Path) -> None:
    done = run("list", "--zoo", tiny_zoo)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["MODEL", "FOR", "FIGURE", "ROWS/S", "MB"]
    firsts = [line.split()[0] for line in lines[1:] if line]
    named = [name for name in firsts if name.startswith("tiny-") or name in task_names()]
    assert named == [
        *("binary", "tiny-binary"),
        *("multiclass", "tiny-stars"),
        *("multilabel", "tiny-tags"),
        *("regression", "tiny-points"),
    ]
    versions = run("list", "--zoo", tiny_zoo, "--all-versions").stdout
    assert "tiny-binary@1.0.0 " in versions


def test_list_as_json(tiny_zoo: Path) -> None:
    listed = json.loads(run("list", "--zoo", tiny_zoo, "--json").stdout)
    (entry,) = [model for model in listed if model["name"] == "tiny-binary"]
    assert entry["metric"] == "accuracy"
    size = (tiny_zoo / "tiny-binary" / "1.0.0" / "model.keras").stat().st_size
    assert entry["bytes"] == size


def test_show_tells_the_network_and_the_card(tiny_zoo: Path) -> None:
    done = run("show", "tiny-binary", "--zoo", tiny_zoo)
    assert done.exit_code == 0
    for part in ("Bidirectional(LSTM)", "units=5", f"{len(tiny.WORDS)} words", "A tiny untrained"):
        assert part in done.stdout
    shown = json.loads(run("show", "tiny-binary", "--zoo", tiny_zoo, "--json").stdout)
    layers = [layer for branch in shown["branches"] for layer in branch["layers"]]
    assert shown["parameters"] == sum(layer["parameters"] for layer in layers)
    assert shown["head"] == []
    assert shown["card"]["scorer"]["name"] == "tiny-binary"


def test_an_unknown_model_is_one_line_and_exit_code_2(tiny_zoo: Path) -> None:
    done = run("show", "tiny-binari", "--zoo", tiny_zoo)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "did you mean 'tiny-binary'?" in done.stderr


def test_verify_passes_on_every_engine(tiny_zoo: Path) -> None:
    done = run("verify", "tiny-binary", "tiny-stars", "tiny-points", "--zoo", tiny_zoo, "--json")
    results = json.loads(done.stdout)
    assert done.exit_code == 0, results
    names = {check["name"] for check in results[0]["checks"]}
    for engine in ("cpu", "keras"):
        assert {f"{engine} engine, golden rows", f"{engine} engine, batch invariance"} <= names


def test_verify_finds_a_damaged_model(own_zoo: Path) -> None:
    with (own_zoo / "tiny-stars" / "1.0.0" / "model.keras").open("r+b") as file:
        file.seek(100)
        file.write(b"\0\0\0")
    done = run("verify", "tiny-stars", "--zoo", own_zoo, "--engine", "cpu")
    assert done.exit_code == 1
    assert "FAIL  tiny-stars@1.0.0" in done.stdout
    assert "changed or damaged" in done.stdout


def test_verify_finds_a_card_that_promises_other_scores(own_zoo: Path) -> None:
    from scorer.card import Card, read_card, render_card
    from scorer.zoo import write_index

    path = own_zoo / "tiny-points" / "1.0.0" / "README.md"
    card = read_card(path)
    fields = {**card.model_dump(by_alias=True), "body": card.body}
    row = fields["scorer"]["golden"][0]
    row["output"] = (row["output"][0] + 1e-3,)
    path.write_text(render_card(Card.model_validate(fields)), encoding="utf-8")
    write_index(own_zoo)
    done = run("verify", "tiny-points", "--zoo", own_zoo, "--engine", "cpu")
    assert done.exit_code == 1
    assert "FAIL  cpu engine, golden rows" in done.stdout


def test_a_model_is_added_with_a_card_and_used(tiny_bundle: Path) -> None:
    archive, card = tiny_bundle / "model.keras", tiny_bundle / "README.md"
    done = run("add", archive, "--card", card)
    assert done.exit_code == 0, done.stderr
    assert (user_zoo() / "tiny-binary" / "1.0.0" / "model.keras").is_file()
    assert run("show", "tiny-binary").exit_code == 0
    again = run("add", archive, "--card", card)
    assert again.exit_code == 2
    assert "already exists; use --force" in again.stderr
    assert run("add", archive, "--card", card, "--force").exit_code == 0


def test_a_model_is_added_without_a_card(tiny_bundle: Path) -> None:
    options = ["--task", "binary", "--label", "no", "--label", "yes", "--text-column", "body"]
    done = run("add", tiny_bundle / "model.keras", "--name", "mine", *options)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(run("show", "mine", "--json").stdout)["card"]["scorer"]
    assert [label["name"] for label in shown["labels"]] == ["no", "yes"]
    texts = {row["text"]: row["output"] for row in shown["golden"]}
    assert texts[""] is None
    assert all(output is not None for text, output in texts.items() if text)
    assert run("verify", "mine").exit_code == 0
    assert run("remove", "mine").exit_code == 0
    assert run("show", "mine").exit_code == 2


def test_a_model_that_says_nothing_of_an_empty_text_is_added(tmp_path: Path) -> None:
    def average(keras: Any, ids: int) -> list[Any]:
        layers = keras.layers
        return [
            layers.Embedding(ids, 4, mask_zero=True),
            layers.GlobalAveragePooling1D(),  # of no tokens: 0 / 0
            layers.Dense(1, activation="sigmoid"),
        ]

    tiny.build_model(average).save(tmp_path / "average.keras")
    options = ["--task", "binary", "--label", "no", "--label", "yes", "--text-column", "body"]
    done = run("add", tmp_path / "average.keras", "--name", "average", *options)
    assert done.exit_code == 0, done.stderr
    assert run("verify", "average").exit_code == 0


@pytest.mark.filterwarnings("ignore:Layer.*does not support masking")
@pytest.mark.parametrize("merge", ["Concatenate", "Add"])
def test_a_model_of_branches_is_added_and_used(merge: str, tmp_path: Path) -> None:
    """From plain Keras to scores: golden rows on both engines, whatever a row's neighbours."""
    import keras

    layers, text = keras.layers, keras.Input((), dtype="string")
    deep, wide, letters = (
        layers.TextVectorization(),
        layers.TextVectorization(ngrams=2, output_mode="multi_hot"),
        layers.TextVectorization(split="character", ngrams=2, output_mode="count"),
    )
    deep.set_vocabulary(list(tiny.WORDS))
    wide.set_vocabulary([*tiny.WORDS, "very good", "the film", "slow slow", "so so"])
    letters.set_vocabulary([*"aeiou", "t h", "e  ", "  a"])
    x = layers.Embedding(len(tiny.WORDS) + 2, 5, mask_zero=True)(deep(text))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Dropout(0.3)(x))
    x = layers.Dense(1)(layers.GlobalMaxPooling1D()(layers.Activation("relu")(x)))
    y = layers.Dense(1)(layers.UnitNormalization()(layers.Rescaling(1)(letters(text))))
    out = getattr(layers, merge)()([x, layers.Dense(1)(wide(text)), y])
    if merge == "Concatenate":
        out = layers.Dense(1)(out)
    model = keras.Model(text, layers.Activation("sigmoid")(out))
    tiny.spread_weights(model, 4)
    model.save(tmp_path / "both.keras")

    options = ["--task", "binary", "--label", "no", "--label", "yes", "--text-column", "body"]
    done = run("add", tmp_path / "both.keras", "--name", "both", *options)
    assert done.exit_code == 0, done.stderr
    verified = json.loads(run("verify", "both", "--json").stdout)
    assert verified[0]["passed"], verified
    checks = {check["name"] for check in verified[0]["checks"]}
    assert {f"{e} engine, batch invariance" for e in ("cpu", "keras")} <= checks
    shown = json.loads(run("show", "both", "--json").stdout)
    assert [branch["vectorizer"]["ngrams"] for branch in shown["branches"]] == [[1], [1, 2], [1, 2]]
    assert shown["head"][0]["kind"] == merge
    told = " ".join(run("show", "both").stdout.split())
    assert "n-grams of 1 and 2 words" in told
    assert "8 n-grams of 1 and 2 characters" in told

    loaded = load_model("both")
    scores = loaded.score(pa.array([*tiny.TEXTS, "", None]))
    np.testing.assert_allclose(scores.outputs[:6], tiny.predict(model, tiny.TEXTS), atol=1e-5)
    assert scores.scored.tolist() == [True] * 6 + [False] * 2
    assert scores.n_tokens[:6].tolist() == [len(text.split()) for text in tiny.TEXTS]
    exported = run("export", "both", "-o", tmp_path / "both.onnx")
    assert exported.exit_code == 0, exported.stderr
    assert "from the card's golden rows" in exported.stdout


def test_what_a_card_needs_is_asked_for(tiny_bundle: Path) -> None:
    done = run("add", tiny_bundle / "model.keras", "--name", "mine")
    assert done.exit_code == 2
    assert "without --card the model needs --task" in done.stderr


def test_a_model_whose_score_depends_on_its_neighbours_is_refused(tmp_path: Path) -> None:
    def unmasked(keras: Any, ids: int) -> list[Any]:
        layers = keras.layers
        return [
            layers.Embedding(ids, 4),
            layers.LSTM(3),
            layers.Dense(1, activation="sigmoid"),
        ]

    tiny.build_model(unmasked).save(tmp_path / "padded.keras")
    options = ["--task", "binary", "--label", "no", "--label", "yes", "--text-column", "body"]
    done = run("add", tmp_path / "padded.keras", "--name", "padded", *options)
    assert done.exit_code == 1
    assert "a score would depend on its neighbours" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (user_zoo() / "padded").exists()


def test_removing_a_shipped_model_is_a_dry_run(
    own_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.zoo.shipped_zoo", lambda: own_zoo)
    done = run("remove", "tiny-stars")
    assert "Would remove" in done.stdout
    assert (own_zoo / "tiny-stars").exists()
    assert run("remove", "tiny-stars", "--yes").exit_code == 0
    assert not (own_zoo / "tiny-stars").exists()
    assert run("show", "tiny-stars").exit_code == 2
