"""The vectorizer inside an ONNX graph makes of every text what ours makes."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from scorer.bundle import Bundle, Input, input_of
from scorer.card import Card, ScorerCard
from scorer.card.vectorizer import VectorizerCard
from scorer.errors import UnsupportedModel
from scorer.export import vectorizers_to_onnx
from scorer.export.checks import random_texts, text_read_otherwise
from scorer.layers.spec import TensorSpec
from scorer.vectorizer import Padding, VectorizerSpec, spec_from_config
from scorer.vectorizer.described import described_spec
from tests.support import tiny

WORDS = (
    *("film", "wine", "the", "a", "don", "dont", "don't", "über", "café", "İstanbul", "i̇stanbul"),
    *("ß", "日本", "映画", "br", "x", "good film", "film the", "the film", "a b c", "É", "é", "b"),
)


def card() -> ScorerCard:
    fields = {**tiny.card_fields("tiny-binary", [("a", [0.5])]), "body": ""}
    return Card.model_validate(fields).scorer


def bundle_of(*specs: VectorizerSpec) -> Bundle:
    inputs = tuple(input_of(f"text_{n}", spec) for n, spec in enumerate(specs))
    return Bundle(Path("model.keras"), "", inputs)


def layer(**settings: Any) -> VectorizerSpec:
    words = [word for word in WORDS if settings.get("ngrams") or " " not in word]
    weights = None
    if settings.get("output_mode") == "tf_idf":
        weights = np.linspace(0.5, 2, len(words) + 1).astype(np.float32)
    return spec_from_config(settings, words, weights)


def tokenizer(**settings: Any) -> dict[str, Any]:
    """What `Tokenizer.to_json()` writes, parsed."""
    words = [w for w in WORDS if " " not in w]
    if settings.get("char_level"):
        words = sorted(set("".join(WORDS)))
    index = {word: rank for rank, word in enumerate(words, start=1)}
    config = {
        "filters": '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n',
        "document_count": 9,
        "word_index": index,
        "index_docs": {str(rank): rank % 5 for rank in index.values()},
        **settings,
    }
    return {"class_name": "Tokenizer", "config": config}


def described(content: Any, **settings: Any) -> VectorizerSpec:
    return described_spec(VectorizerCard(**settings), content)


def word_index(**settings: Any) -> VectorizerSpec:
    index = {word: rank for rank, word in enumerate(WORDS) if " " not in word}
    return described(index, kind="word_index", **settings)


PRE = {"kind": "tokenizer", "sequence_length": 6}
BREAKS = ("<br />=> ",)
SPECS: dict[str, VectorizerSpec] = {
    "its defaults": layer(),
    "a length": layer(output_sequence_length=6),
    "nothing standardized": layer(standardize=None),
    "lower": layer(standardize="lower", split="character"),
    "signs stripped, characters": layer(standardize="strip_punctuation", split="character"),
    "one token": layer(split=None),
    "bigrams as ids": layer(ngrams=2, output_sequence_length=9),
    "bigrams alone, of characters": layer(ngrams=[2], split="character"),
    "counts of three sizes": layer(ngrams=[1, 3, 2], output_mode="count"),
    "idf": layer(output_mode="tf_idf", ngrams=2),
    "multi-hot, wider": layer(output_mode="multi_hot", max_tokens=40, pad_to_max_tokens=True),
    "Tokenizer": described(tokenizer(), **PRE),
    "its unknown words": described(tokenizer(oov_token="dont"), **PRE, padding="post"),
    "its fewer words": described(tokenizer(num_words=7), **PRE, truncating="post", padding_id=3),
    "its characters": described(tokenizer(char_level=True), **PRE),
    "not lowered": described(tokenizer(lower=False, split="x"), **PRE),
    "its frequencies": described(tokenizer(num_words=9), kind="tokenizer", matrix="freq"),
    "its idf": described(tokenizer(), kind="tokenizer", matrix="tfidf"),
    "after replacements": described(tokenizer(), **PRE, replace=(*BREAKS, "[^a-z]+=> ", "b=>")),
    "lowered before": described(tokenizer(), **PRE, standardize="lower", replace=BREAKS),
    "word index": word_index(index_from=3, start_id=1, oov_id=2, num_words=12, sequence_length=8),
    "its zeros": word_index(start_id=0, oov_id=0),
    "its bag": word_index(matrix="count", start_id=4, replace=(r"\d=>", r"\s+=> ")),
    "masked": VectorizerSpec(
        None,
        "whitespace",
        "int",
        5,
        ("film", "wine", "the", "a"),
        word_ids=np.array([0, 1, 2, 3], np.int32),
        padding=Padding("pre", "pre", masked=True),
    ),
}


@pytest.mark.parametrize("case", SPECS)
def test_the_graph_reads_random_texts_as_we_do(case: str) -> None:
    texts = random_texts([SPECS[case]], seed=len(case))
    fixed = ["", " ", "...", "don't", "DON'T <BR /><br /><br />Film", "x<br />", "\0a\0", "ΑΣ ΑΣΑ"]
    given = pa.concat_arrays([pa.array(fixed), texts.slice(0, 60)])
    assert text_read_otherwise(bundle_of(SPECS[case]), card(), given) is None


def test_numbers_beside_the_text_are_not_read_as_texts() -> None:
    texts = bundle_of(SPECS["its defaults"])
    numbers = Input("numbers", None, TensorSpec((2,)), "numbers")
    both = replace(texts, inputs=(*texts.inputs, numbers))
    assert text_read_otherwise(both, card(), pa.array(["film wine", ""])) is None


def test_a_graph_that_reads_otherwise_is_noticed() -> None:
    """Python's lowering where the layer has ASCII's."""
    spec = layer()
    other = described(tokenizer(), kind="tokenizer")
    bundle = bundle_of(spec)
    model = vectorizers_to_onnx(bundle_of(other), card())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scorer.export.checks.vectorizers_to_onnx", lambda *_: model)
        found = text_read_otherwise(bundle, card(), pa.array(["film", "ÜBER film"]))
    assert found == "film"


@pytest.mark.parametrize(
    ("replace", "said"),
    [
        ("<.*?>=> ", "no operator that replaces '<.*?>' by ' '"),
        ("<br />=>x", "no operator that replaces '<br />' by 'x'"),
        ("[0-9]+=>#1", "no operator that puts '#1' in place of a run"),
        ("x=>a b", "puts both words and separators in place of 'x'"),
    ],
)
def test_what_has_no_operator_is_named(replace: str, said: str) -> None:
    spec = described(tokenizer(filters=""), **PRE, replace=(replace,))
    with pytest.raises(UnsupportedModel) as caught:
        vectorizers_to_onnx(bundle_of(spec), card())
    assert said in str(caught.value)


def test_greek_words_are_left_to_python() -> None:
    spec = described(tokenizer(word_index={"λόγος": 1}), kind="tokenizer")
    with pytest.raises(UnsupportedModel, match="Greek words"):
        vectorizers_to_onnx(bundle_of(spec), card())


def test_random_single_characters_are_told_apart() -> None:
    rng = random.Random(5)
    codes = [c for c in rng.choices(range(1, 0x110000), k=800) if not 0xD800 <= c < 0xE000]
    texts = pa.array(f"film{chr(code)}film {chr(code)}a" for code in [*range(1, 0x180), *codes])
    for case in ("its defaults", "Tokenizer", "word index"):
        assert text_read_otherwise(bundle_of(SPECS[case]), card(), texts) is None
