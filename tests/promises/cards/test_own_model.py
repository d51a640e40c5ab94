"""`zoo add` with the pieces as they lie around: what `score` then says is what the program said."""

from __future__ import annotations

import csv
import json
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scorer.adding.vectorizer import kind_of_file
from scorer.cli.score import main as score
from scorer.cli.zoo import main as zoo
from scorer.errors import BundleError
from scorer.zoo import user_zoo
from tests.support import tiny

TEXTS = (
    *tiny.TEXTS,
    "Bad <br />film: DULL, dull story",
    "zzz qqq",
    "good great fine superb story plot actor scene film wine and the a of",
)
LABELS = ("--label", "no", "--label", "yes")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(zoo, [str(a) for a in arguments])


@dataclass
class Program:
    """A user's program: its model, what makes the model's inputs of a text, and what it knows.

    inputs   texts -> what `model.predict` is given
    options  of `zoo add`
    final    what the program does to the model's outputs
    columns  of numbers beside the text, one value for each of TEXTS
    """

    model: Any
    inputs: Callable[[Sequence[str]], Any]
    options: tuple[str, ...] = ()
    pieces: dict[str, str] = field(default_factory=dict)
    archive: str = "model.keras"
    final: Callable[[np.ndarray], np.ndarray] | None = None
    columns: dict[str, list[float]] = field(default_factory=dict)

    def save(self, folder: Path) -> np.ndarray:
        """Write the archive and what lies beside it; the program's answers, float32 (rows, k)."""
        tiny.spread_weights(self.model, 3)
        self.model.save(folder / self.archive)
        for name, text in self.pieces.items():
            (folder / name).write_text(text, encoding="utf-8")
        answers = np.asarray(self.model(self.inputs(TEXTS)))
        answers = answers if self.final is None else self.final(answers)
        with (folder / "expected.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            outputs = [f"y{i}" for i in range(answers.shape[1])]
            writer.writerow(["review", *self.columns, *outputs])
            beside = zip(*self.columns.values(), strict=True) if self.columns else [()] * len(TEXTS)
            rows = zip(TEXTS, beside, answers.tolist(), strict=True)
            writer.writerows([text, *numbers, *row] for text, numbers, row in rows)
        return answers


def _tokenizer(**settings: Any) -> Any:
    from keras.src.legacy.preprocessing.text import Tokenizer

    tokenizer = Tokenizer(**settings)
    tokenizer.fit_on_texts(tiny.TEXTS)
    return tokenizer


def _padded(rows: Any, length: int, **sides: Any) -> np.ndarray:
    import keras

    padded: np.ndarray = keras.utils.pad_sequences(rows, maxlen=length, **sides)
    return padded


def _lstm(ids: int, length: int | None, *, outputs: int = 1, activation: str = "sigmoid") -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((length,)),
            layers.Embedding(ids, 4),
            layers.LSTM(3),
            layers.Dense(outputs, activation=activation),
        ]
    )


def tokenizer_and_h5() -> Program:
    """The commonest program there is: Tokenizer, pad_sequences, .h5; two outputs with softmax."""
    tokenizer = _tokenizer(num_words=20)
    return Program(
        _lstm(20, 8, outputs=2, activation="softmax"),
        lambda texts: _padded(tokenizer.texts_to_sequences(texts), 8),
        ("--vectorizer", "tok.json", "--sequence-length", "8"),
        {"tok.json": tokenizer.to_json()},
        archive="model.h5",
    )


def vocabulary_and_logits() -> Program:
    """TextVectorization outside, of which get_vocabulary() is left; the model gives logits."""
    import keras
    import tensorflow as tf

    vectorize = keras.layers.TextVectorization(output_sequence_length=6)
    vectorize.set_vocabulary(list(tiny.WORDS))
    return Program(
        _lstm(vectorize.vocabulary_size(), None, activation="linear"),
        lambda texts: vectorize(tf.constant(texts)),
        ("--vectorizer", "words.txt", "--sequence-length", "6", "--output-activation", "sigmoid"),
        {"words.txt": "\n".join(vectorize.get_vocabulary())},
        final=lambda logits: 1 / (1 + np.exp(-logits)),
    )


def word_index_as_of_imdb() -> Program:
    """Ranks + 3, a start id, an unknown id, a cap; cleaning in Python."""
    import re

    ranks = {word: i + 1 for i, word in enumerate(tiny.WORDS)}

    def ids(text: str) -> list[int]:
        words = re.sub(r"[^a-z ]", " ", text.lower().replace("<br />", " ")).split()
        numbers = (ranks.get(word, 10**6) + 3 for word in words)
        return [1, *(n if n < 30 else 2 for n in numbers)]

    return Program(
        _lstm(30, 7),
        lambda texts: _padded([ids(text) for text in texts], 7),
        (
            *("--vectorizer", "index.json", "--index-from", "3", "--start-id", "1"),
            *("--oov-id", "2", "--num-words", "30", "--sequence-length", "7"),
            *("--standardize", "lower", "--replace", "<br />=> ", "--replace", "[^a-z ]=> "),
        ),
        {"index.json": json.dumps(ranks)},
    )


def matrix_of_a_tokenizer() -> Program:
    """texts_to_matrix, and nothing else."""
    import keras

    tokenizer = _tokenizer(num_words=15)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((15,)), layers.Dense(4, activation="relu"), layers.Dense(1, "sigmoid")]
    )
    return Program(
        model,
        lambda texts: tokenizer.texts_to_matrix(texts, mode="tfidf"),
        ("--vectorizer", "tok.json", "--matrix", "tfidf"),
        {"tok.json": json.dumps(tokenizer.to_json())},  # as many programs have it
    )


def text_and_numbers() -> Program:
    """Two inputs: ids of the text, and numbers beside it; in the other order than they are used."""
    import keras

    tokenizer = _tokenizer()
    layers = keras.layers
    numbers, words = keras.Input((2,), name="aux"), keras.Input((8,), name="words")
    deep = layers.LSTM(3)(layers.Embedding(60, 4, mask_zero=True)(words))
    joined = layers.Concatenate()([deep, numbers])
    model = keras.Model([numbers, words], layers.Dense(1, activation="sigmoid")(joined))
    columns = {"length": [len(t) / 50 for t in TEXTS], "shouts": [t.count("!") for t in TEXTS]}
    beside = np.array(list(zip(*columns.values(), strict=True)), np.float32)
    return Program(
        model,
        lambda texts: [beside, _padded(tokenizer.texts_to_sequences(texts), 8, padding="post")],
        (
            *("--vectorizer", "tok.json", "--sequence-length", "8", "--padding", "post"),
            *("--input", "words=review", "--input", "aux=length,shouts"),
        ),
        {"tok.json": tokenizer.to_json()},
        columns=columns,
    )


PROGRAMS = (
    tokenizer_and_h5,
    vocabulary_and_logits,
    word_index_as_of_imdb,
    matrix_of_a_tokenizer,
    text_and_numbers,
)


def added(program: Program, folder: Path, *more: str) -> Result:
    """`zoo add` of a saved program; file names in its options are those of the folder."""
    options = [str(folder / o) if o in program.pieces else o for o in program.options]
    return run(
        *("add", folder / program.archive, "--name", "mine", "--task", "binary", *LABELS),
        *("--text-column", "review", *options, *more),
    )


@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_a_program_is_added_and_score_says_what_it_said(
    make: Callable[[], Program], tmp_path: Path
) -> None:
    program = make()
    answers = program.save(tmp_path)
    done = added(program, tmp_path, "--expect", str(tmp_path / "expected.csv"))
    assert done.exit_code == 0, done.stderr
    assert "nothing proves" not in done.stderr
    bundle = user_zoo() / "mine" / "1.0.0"  # type: ignore[operator]
    kept = (bundle / program.archive).read_bytes()
    assert kept == (tmp_path / program.archive).read_bytes()
    for name, text in program.pieces.items():
        suffix = Path(name).suffix
        assert (bundle / f"vectorizer{suffix}").read_text(encoding="utf-8") == text
    indexed = json.loads((bundle.parent.parent / "index.json").read_text())["models"][0]["files"]
    assert len(indexed) == 3

    out = tmp_path / "out.csv"
    arguments = ["-m", "mine", str(tmp_path / "expected.csv"), "-o", str(out), "--probabilities"]
    scored = CliRunner().invoke(score, [*arguments, "--no-report", "--device", "cpu"])
    assert scored.exit_code == 0, scored.stderr
    with out.open(encoding="utf-8", newline="") as file:
        said = [float(row["probability_yes"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(said, answers[:, -1], atol=1e-5)
    verified = run("verify", "mine")
    assert verified.exit_code == 0, verified.stdout
    shown = run("show", "mine")
    assert shown.exit_code == 0, shown.stderr
    assert "vectorizer" in shown.stdout
    assert run("show", "mine", "--json").exit_code == 0


def test_a_model_of_several_columns_is_shown_and_exported_with_them(tmp_path: Path) -> None:
    program = text_and_numbers()
    program.save(tmp_path)
    assert added(program, tmp_path).exit_code == 0
    shown = run("show", "mine").stdout
    assert "reads          the column review, and length, shouts beside it\n" in shown
    assert 'scorer.load("mine").predict(table)\n' in shown
    written = run("export", "mine", "-o", tmp_path / "mine.onnx")
    assert "It reads texts: its inputs are `text`, `numbers_1`\n" in written.stdout, written.stderr


@pytest.mark.parametrize(
    ("make", "left_out", "cause"),
    [
        (tokenizer_and_h5, ("--padding", "post"), "with --sequence-length 8 --padding pre "),
        (word_index_as_of_imdb, ("--standardize", "none"), "with --standardize lower all of them"),
        (matrix_of_a_tokenizer, ("--matrix", "count"), "with --matrix tfidf all of them agree"),
    ],
)
def test_a_silent_difference_is_named_with_the_option_that_mends_it(
    make: Callable[[], Program], left_out: tuple[str, ...], cause: str, tmp_path: Path
) -> None:
    program = make()
    program.save(tmp_path)
    done = added(program, tmp_path, *left_out, "--expect", str(tmp_path / "expected.csv"))
    assert done.exit_code == 1
    (line,) = done.stderr.strip().splitlines()
    assert "expected.csv: row " in line
    assert re.search(r"the model gives \S+ for (['\"]).{,60}\1; ", line)
    assert cause in line
    assert not (user_zoo() / "mine").exists()  # type: ignore[operator]


def test_without_expected_outputs_it_is_said_that_nothing_proves_the_pieces(tmp_path: Path) -> None:
    program = matrix_of_a_tokenizer()
    program.save(tmp_path)
    done = added(program, tmp_path)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("Note: nothing proves that the pieces belong together") == 1


def _mean_of_words(hidden: str = "") -> Program:
    """Keras' mean over positions that are all masked is 0 / 0."""
    import keras

    tokenizer, layers = _tokenizer(), keras.layers
    words = [keras.Input((8,)), layers.Embedding(60, 4, mask_zero=True)]
    heads = [*([layers.Dense(4, hidden)] if hidden else []), layers.Dense(1, "sigmoid")]
    model = keras.Sequential([*words, layers.GlobalAveragePooling1D(), *heads])
    options = ("--vectorizer", "tok.json", "--sequence-length", "8")
    return Program(
        model,
        lambda texts: _padded(tokenizer.texts_to_sequences(texts), 8),
        options,
        {"tok.json": tokenizer.to_json()},
    )


def test_a_model_that_gives_no_number_for_unknown_words_is_added_without_that_row(
    tmp_path: Path,
) -> None:
    program = _mean_of_words()
    program.save(tmp_path)
    done = added(program, tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "the model gives no number (NaN or infinite) for " in done.stderr


@pytest.mark.parametrize("written", ["nan", ""])
def test_a_row_for_which_program_and_model_give_no_number_is_not_scored(
    written: str, tmp_path: Path
) -> None:
    program = _mean_of_words()
    answers = program.save(tmp_path)
    without = np.isnan(answers[:, 0])
    assert 0 < without.sum() < len(answers)
    expected = tmp_path / "expected.csv"
    expected.write_text(expected.read_text(encoding="utf-8").replace("nan", written), "utf-8")
    done = added(program, tmp_path, "--expect", str(expected))
    assert done.exit_code == 0, done.stderr
    assert "your program gives NaN or an infinite number for " in done.stderr
    for options in ((), ("--engine", "keras")):
        output = tmp_path / "scored.csv"
        arguments = ["-m", "mine", str(expected), "-o", str(output), "--force", *options]
        scored = CliRunner().invoke(score, arguments)
        assert scored.exit_code == 0, scored.stderr
        assert scored.stderr.count("the model gives NaN or an infinite number for some rows") == 1
        with output.open(encoding="utf-8", newline="") as file:
            found = [row["prediction"] == row["probability"] == "" for row in csv.DictReader(file)]
        assert found == without.tolist()


def test_a_model_that_gives_no_number_where_its_program_gives_one_is_refused(
    tmp_path: Path,
) -> None:
    program = _mean_of_words()
    program.save(tmp_path)
    expected = tmp_path / "expected.csv"
    expected.write_text(expected.read_text(encoding="utf-8").replace("nan", "0.5"), "utf-8")
    done = added(program, tmp_path, "--expect", str(expected))
    assert done.exit_code == 1
    assert "output 0 should be 0.5, the model gives nan for 'zzz qqq'" in done.stderr


def test_the_mean_over_no_words_is_what_predict_makes_of_it(tmp_path: Path) -> None:
    """TensorFlow's product with a relu in it gives 0, where relu alone gives no number."""
    program = _mean_of_words("relu")
    answers = program.save(tmp_path)
    if not np.isfinite(answers).all():
        pytest.skip("predict compiles no product with a relu on this machine")
    done = added(program, tmp_path, "--expect", str(tmp_path / "expected.csv"))
    assert done.exit_code == 0, done.stderr


def test_logits_are_refused_by_name(tmp_path: Path) -> None:
    program = vocabulary_and_logits()
    program.save(tmp_path)
    program.options = program.options[:4]
    done = added(program, tmp_path)
    assert done.exit_code == 1
    assert "the outputs reach from " in done.stderr
    assert "if these are logits, give --output-activation sigmoid" in done.stderr


def test_a_dry_run_says_what_is_understood_and_the_next_command(tmp_path: Path) -> None:
    program = tokenizer_and_h5()
    program.save(tmp_path)
    archive = tmp_path / "model.h5"
    bare = run("add", archive, "--dry-run")
    assert bare.exit_code == 0, bare.stderr
    assert "one HDF5 file (.h5), written by Keras 3" in bare.stdout
    assert "the model takes token ids, and nothing in the archive makes them" in bare.stdout
    assert "next        zoo add " in bare.stdout
    assert "--name NAME --task TASK --text-column TEXT-COLUMN --vectorizer FILE" in bare.stdout
    for part in (
        "vectorizer  none is given: --vectorizer FILE",
        "LSTM                   units=3",
        "2 outputs, softmax: --task binary",
        "cpu: runs it, and is the one that `score` takes",
    ):
        assert part in bare.stdout, bare.stdout
    whole = run("add", archive, "--dry-run", "--vectorizer", tmp_path / "tok.json")
    for part in (
        "a Tokenizer of Keras, in vectorizer.json: ",
        "every row has 8 ids: padded with 0 at its start, cut at its start",
        "LSTM                   units=3",
        "2 outputs, softmax: --task binary",
        "cpu: runs it, and is the one that `score` takes",
        "keras: runs it",
    ):
        assert part in whole.stdout, whole.stdout
    assert not (user_zoo() / "mine").exists()  # type: ignore[operator]


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_file_that_is_not_an_archive_is_named_before_what_else_is_missing(
    more: list[str], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("review,y0\n")
    for name, says in (("rows.csv", "neither a .keras archive"), ("none.keras", "No such file")):
        done = run("add", tmp_path / name, *more)
        assert done.exit_code == 1
        assert done.stderr.startswith(f"Error: {tmp_path / name}: ")
        assert says in done.stderr
        assert "--name" not in done.stderr + done.stdout


def test_a_dry_run_of_what_cannot_be_added_names_no_next_command(tmp_path: Path) -> None:
    import keras

    layers = keras.layers
    mean = layers.Lambda(lambda x: keras.ops.mean(x, axis=1))
    network = [keras.Input((5,)), layers.Embedding(9, 4), mean, layers.Dense(1)]
    keras.Sequential(network).save(tmp_path / "model.keras")
    done = run("add", tmp_path / "model.keras", "--dry-run")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "a Lambda layer" in done.stderr


def test_a_regression_has_no_labels_to_name(tmp_path: Path) -> None:
    import keras

    layers = keras.layers
    words = layers.TextVectorization(output_mode="count", vocabulary=tiny.WORDS)
    network = [keras.Input((1,), dtype="string"), words, layers.Dense(3)]
    keras.Sequential(network).save(tmp_path / "model.keras")
    named = ("--name", "mine", "--task", "regression", "--text-column", "text")
    done = run("add", tmp_path / "model.keras", *named)
    says = "a regression model has 1 output, this network has 3: look at --task\n"
    assert done.stderr.endswith(says)


def test_missing_answers_are_asked_for_on_a_terminal(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scorer.cli.zoo_add.asks", lambda: True)
    answers = "mine\nbinary\nbody\nno, yes\n"
    arguments = ["add", str(tiny_bundle / "model.keras")]
    done = CliRunner().invoke(zoo, arguments, input=answers)
    assert done.exit_code == 0, done.stderr
    card = json.loads(run("show", "mine", "--json").stdout)["card"]["scorer"]
    assert [label["name"] for label in card["labels"]] == ["no", "yes"]
    assert card["text_columns"] == ["body"]


def test_a_dry_run_says_all_that_is_missing_at_once(tmp_path: Path) -> None:
    """No vectorizer, no length, no columns; the network is told all the same."""
    import keras

    layers = keras.layers
    words, numbers = keras.Input((None,), name="words"), keras.Input((3,), name="numbers")
    pooled = layers.GlobalMaxPooling1D()(layers.Conv1D(4, 2)(layers.Embedding(30, 4)(words)))
    outputs = layers.Dense(1, activation="sigmoid")(layers.Concatenate()([pooled, numbers]))
    keras.Model([words, numbers], outputs).save(tmp_path / "model.keras")
    done = run("add", tmp_path / "model.keras", "--dry-run")
    for part in (
        "input       words: the text of",
        "as as many ids as it has words",
        "input       numbers: numbers of columns that no --input names",
        "outputs     1 output, sigmoid: --task binary",
        "cpu: runs it",
        "missing     the model has the inputs words, numbers: say which column feeds numbers",
        "missing     the model takes token ids, and nothing in the archive makes them",
        "reads padding as words",
        "--vectorizer FILE --sequence-length N",
        "--input words=COLUMN --input numbers=COLUMN",
    ):
        assert part in done.stdout, done.stdout


def test_the_vectorizer_and_the_length_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.setattr("scorer.cli.zoo_add.asks", lambda: True)
    layers = keras.layers
    network = [layers.Embedding(60, 4), layers.GlobalAveragePooling1D(), layers.Dense(1, "sigmoid")]
    keras.Sequential([keras.Input((None,)), *network]).save(tmp_path / "model.keras")
    (tmp_path / "words.txt").write_text("\n".join(["", "[UNK]", *tiny.WORDS]), encoding="utf-8")
    answers = f"asked\nbinary\nbody\nno, yes\n{tmp_path / 'words.txt'}\n12\n"
    done = CliRunner().invoke(zoo, ["add", str(tmp_path / "model.keras")], input=answers)
    assert done.exit_code == 0, done.stderr
    told = json.loads(run("show", "asked", "--json").stdout)["card"]["scorer"]["vectorizer"]
    assert (told["kind"], told["sequence_length"]) == ("vocabulary", 12)


def test_padding_needs_no_length_where_the_archive_states_one(tmp_path: Path) -> None:
    program = tokenizer_and_h5()
    program.save(tmp_path)
    program.options = (*program.options[:2], "--padding", "pre", "--truncating", "pre")
    done = added(program, tmp_path)
    assert done.exit_code == 0, done.stderr


def test_logits_on_our_own_texts_are_refused_beside_expected_ones(tmp_path: Path) -> None:
    """Rows that the user expects lie within 0 and 1, and those of other words do not."""
    program = vocabulary_and_logits()
    program.final = None
    answers = program.save(tmp_path)
    lines = (tmp_path / "expected.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.reader(lines))
    kept = [row for row, out in zip(rows[1:], answers[:, 0], strict=True) if 0 <= out <= 1]
    assert kept
    with (tmp_path / "few.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([rows[0], *kept])
    program.options = program.options[:4]
    done = added(program, tmp_path, "--expect", str(tmp_path / "few.csv"))
    assert done.exit_code == 1
    assert "if these are logits, give --output-activation sigmoid" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "without --card the model needs --name, --task and --text-column"),
        (("--name", "a", "--task", "binary"), "the model needs --text-column and --label"),
        (
            ("--name", "A b", "--task", "binary", "--text-column", "t", "--label", "x"),
            "--name must be lower-case letters, digits and single hyphens, such as 'my-model', "
            "not 'A b'",
        ),
        (
            ("--name", "a", "--task", "multiclass", "--text-column", "t", *LABELS, "--label", "x"),
            "a multiclass model with 3 labels has 3 outputs, this network has 1: look at --task",
        ),
        (
            ("--name", "a", "--task", "binary", "--text-column", "t", *LABELS, "--input", "x"),
            "--input 'x': write NAME=COLUMN or NAME=COLUMN,COLUMN,...",
        ),
        (
            ("--name", "a", "--task", "binary", "--text-column", "t", *LABELS, "--start-id", "1"),
            "--vectorizer: start_id belongs to a word index, not to the archive's own vectorizer",
        ),
    ],
)
def test_wrong_answers_are_refused_in_one_line(
    options: tuple[str, ...], message: str, tiny_bundle: Path
) -> None:
    done = run("add", tiny_bundle / "model.keras", *options)
    assert done.exit_code in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert "pydantic" not in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("t.json", b'{"class_name": "Tokenizer", "config": {}}', "tokenizer"),
        ("t.txt", json.dumps('{"class_name": "Tokenizer"}').encode(), "tokenizer"),
        ("w.json", b'{"the": 1, "film": 2}', "word_index"),
        ("v.json", b"\n[UNK]\nthe\n", "vocabulary"),
        ("v", "über\n".encode(), "vocabulary"),
        ("m.zip", b"PK\x03\x04rest", "textvectorization"),
    ],
)
def test_a_vectorizers_kind_is_told_by_its_content(
    name: str, content: bytes, kind: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of_file(tmp_path / name) == kind


_PICKLE = (
    "the tokenizer is a pickle, which is never opened: in Python, "
    "open('tokenizer.json','w').write(tokenizer.to_json())"
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.pickle", pickle.dumps({"a": 1}), _PICKLE),
        ("tokenizer", pickle.dumps({"a": 1}), _PICKLE),
        ("tokenizer.joblib", b"anything", _PICKLE),
        ("tokenizer.pkl", b"(dp0\n.", _PICKLE),
        (
            "words.json",
            b'["", "[UNK]", "the"]',
            "is a JSON list: write its words to vocabulary.txt, one a line, as get_vocabulary() "
            "has them",
        ),
        ("v.h5", b"\x89HDF\r\n", "is an .h5 file, which keeps no vocabulary"),
        ("w.npy", b"\x93NUMPY\x01", "is a NumPy array: write the words to vocabulary.txt"),
        ("w.bin", b"ab\0\0", "is neither text nor a .keras archive: give Tokenizer.to_json()"),
    ],
)
def test_other_files_are_refused_with_the_way_out(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError) as caught:
        kind_of_file(tmp_path / name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("review\ngood\n", "no column y0; there are: review; y0, y1 ... hold the final outputs"),
        ("review,y0,y1,y2\ngood,0,0,1\n", "has y0, y1, y2, and a binary model with these labels"),
        ("review,y0\ngood,high\n", "row 1: y0 is 'high', no number"),
        ("review,y0\n", "holds no rows to compare with"),
        ("text,y0\ngood,0.5\n", "no column 'body'"),
    ],
)
def test_a_table_of_expected_outputs_that_does_not_fit_is_refused(
    rows: str, message: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "expected.csv").write_text(rows.replace("review", "body"), encoding="utf-8")
    options = ["--name", "mine", "--task", "binary", *LABELS, "--text-column", "body"]
    expected = tmp_path / "expected.csv"
    done = run("add", tiny_bundle / "model.keras", *options, "--expect", expected)
    assert done.exit_code != 0
    assert message.replace("review", "body") in done.stderr
