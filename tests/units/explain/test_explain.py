"""Explanations: sums are exact, occlusion is what replacing each word by hand gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.bundle import Bundle, Layer
from scorer.card import Card
from scorer.engines import load_engine
from scorer.errors import InputError, UsageError
from scorer.explain import Explanation
from scorer.model import Model
from scorer.vectorizer import VectorizerSpec
from scorer.vectorizer.preparation import Preparation, Replace
from tests.support import networks as nets

WORDS = tuple("good bad dull warm film plot slow the a not".split())
PAIRS = ("not good", "not bad", "the film", "dull plot", "a warm film")
UNKNOWN = "\ue000"
TEXT = "  The film, not good -- a dull plot and NOT bad: a warm film...  bad  "


def words(mode: str = "int", *, ngrams: tuple[int, ...] = (1,), **more: Any) -> VectorizerSpec:
    vocabulary = WORDS + (PAIRS if max(ngrams) > 1 else ())
    columns = len(vocabulary) + 1
    idf = np.linspace(0.5, 2, columns, dtype=np.float32) if "idf" in mode else None
    spec = VectorizerSpec(
        "lower_and_strip_punctuation", "whitespace", mode, None, vocabulary, idf_weights=idf
    )
    return replace(spec, ngrams=ngrams, **more)


def linear(spec: VectorizerSpec, outputs: int = 1, *, unit: bool = False) -> nets.Branch:
    rng = np.random.default_rng(outputs)
    last = nets.dense(rng, spec.columns, outputs, "linear")
    return nets.Branch(spec, (nets.unit(), last) if unit else (last,))


def deep(outputs: int = 1, last: str = "linear") -> nets.Branch:
    rng = np.random.default_rng(7)
    layers = (
        nets.embedding(rng, len(WORDS), 6),
        nets.bilstm(rng, 6, 4),
        nets.dense(rng, 8, outputs, last),
    )
    return nets.Branch(words(), layers)


def model(bundle: Bundle, task: str = "binary", **card: Any) -> Model:
    count = {"binary": 2, "multiclass": 3, "multilabel": 3, "regression": 0}[task]
    labels = [{"name": name} for name in ("low", "mid", "high")[:count]]
    fields = {"schema": 1, "name": "m", "version": "1.0.0", "task": task, "labels": labels}
    fields |= {"text_columns": ["text"], **card}
    made = Card.model_validate({"license": "mit", "scorer": fields})
    return Model(made, bundle, load_engine(bundle))


def logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def one(of: Model, text: str = TEXT, **more: Any) -> Explanation:
    explanation: Explanation = of.explain(text, **more)
    return explanation


LINEAR = {
    "count": linear(words("count")),
    "multi_hot": linear(words("multi_hot", ngrams=(1, 2, 3))),
    "tf_idf": linear(words("tf_idf", ngrams=(2, 1))),
    "freq": linear(words("freq")),
    "log_tf_idf": linear(words("log_tf_idf")),
    "unit": linear(words("count", ngrams=(1, 2)), unit=True),
    "characters": linear(
        VectorizerSpec("lower", "character", "count", None, ("a", "b", "a b", " "), ngrams=(1, 2))
    ),
    "leaves unknown words out": linear(
        words("count", word_ids=np.arange(len(WORDS), dtype=np.int32), unknown_id=None, width=10)
    ),
}
TEXTS = st.lists(st.sampled_from((*WORDS, "zzz", "--", "Good!")), min_size=1, max_size=12)


@pytest.mark.parametrize("name", LINEAR)
@settings(max_examples=12)
@given(found=TEXTS)
def test_the_words_of_a_sum_add_up_to_the_score(name: str, found: list[str]) -> None:
    branch = LINEAR[name]
    of = model(nets.bundle(branch.vectorizer, *branch.layers), "regression")
    (explained,) = of.explain([" ".join(found)])
    (score,) = of.score(pa.array([" ".join(found)])).outputs[:, 0]
    if explained is None:
        assert not of.score(pa.array([" ".join(found)])).scored[0]
        return
    assert explained.exact
    assert explained.score == pytest.approx(score, abs=1e-5)
    assert explained.base + explained.total == pytest.approx(score, abs=1e-5)
    assert explained.rest == pytest.approx(0, abs=1e-9)
    assert [w.text for w in explained.words] == found
    assert "".join(piece for piece, _ in explained.pieces()) == " ".join(found)


def test_an_ngrams_term_is_shared_among_its_words_and_places() -> None:
    spec = words("multi_hot", ngrams=(1, 2))
    kernel = np.zeros((spec.columns, 1), np.float32)
    kernel[1 + spec.vocabulary.index("not good")] = 8
    kernel[1 + spec.vocabulary.index("film")] = 1
    layer = Layer("Dense", "d", {"units": 1, "activation": "linear", "use_bias": False}, (kernel,))
    found = one(model(nets.bundle(spec, layer), "regression"), "not good film, not good")
    assert [w.weight for w in found.words] == [2, 2, 1, 2, 2]
    assert found.strongest(2) == [("good", 4), ("not", 4)]
    assert found.in_short(3) == "good +4.00; not +4.00; film +1.00"


def test_occlusion_is_what_each_word_replaced_by_hand_gives() -> None:
    branch = deep(last="sigmoid")
    of = model(nets.bundle(branch.vectorizer, *branch.layers))
    found = one(of)
    assert not found.exact

    def said(text: str) -> float:
        return logit(float(of.score(pa.array([text])).outputs[0, 0]))

    assert found.score == pytest.approx(said(TEXT), abs=1e-5)
    for word in found.words:
        instead = TEXT[: word.start] + UNKNOWN + TEXT[word.end :]
        expected = 0 if word.text == "--" else said(TEXT) - said(instead)
        assert word.weight == pytest.approx(expected, abs=1e-5), word
    nothing = " ".join(UNKNOWN if w.text != "--" else w.text for w in found.words)
    assert found.base == pytest.approx(said(nothing), abs=1e-5)
    assert found.score == pytest.approx(found.base + found.total + found.rest)


def test_branches_that_are_added_are_explained_each_in_its_way() -> None:
    bag, network = linear(words("multi_hot", ngrams=(1, 2, 3))), deep()
    both = nets.merged(bag, network, head=(nets.merge("Add"), nets.activation("sigmoid")))
    alone = [
        one(model(nets.bundle(each.vectorizer, *each.layers), "regression"))
        for each in (bag, network)
    ]
    found = one(model(both))
    sums = [
        first.weight + second.weight
        for first, second in zip(*(e.words for e in alone), strict=True)
    ]
    np.testing.assert_allclose([w.weight for w in found.words], sums, atol=1e-5)
    assert found.base == pytest.approx(sum(each.base for each in alone), abs=1e-5)
    said = float(model(both).score(pa.array([TEXT])).outputs[0, 0])
    assert found.score == pytest.approx(logit(said), abs=1e-5)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_multiclass_score_is_the_predicted_labels(activation: str | None) -> None:
    network = deep(3, activation or "linear")
    card = {} if activation else {"output_activation": "softmax"}
    of = model(nets.bundle(network.vectorizer, *network.layers), "multiclass", **card)
    said = of.score(pa.array([TEXT])).outputs[0]
    found = one(of)
    logits = np.log(said)
    best = int(said.argmax())
    assert (found.label, found.scale) == (("low", "mid", "high")[best], "logit")
    assert found.score == pytest.approx(logits[best] - logits.mean(), abs=1e-5)
    three = [one(of, label=label).words for label in ("low", "mid", "high")]
    for word in zip(*three, strict=True):
        assert sum(each.weight for each in word) == pytest.approx(0, abs=1e-9)


def test_a_multilabel_score_is_explained_by_label() -> None:
    branch = linear(words("count"), 3)
    last = nets.activation("sigmoid")
    of = model(nets.bundle(branch.vectorizer, *branch.layers, last), "multilabel")
    said = of.score(pa.array([TEXT])).outputs[0]
    for code, label in enumerate(("low", "mid", "high")):
        found = one(of, label=label)
        assert found.exact
        assert found.score == pytest.approx(logit(float(said[code])), abs=1e-5)
    assert one(of).label == ("low", "mid", "high")[int(said.argmax())]


def test_a_binary_label_speaks_against_the_other() -> None:
    branch = linear(words("count"))
    of = model(nets.bundle(branch.vectorizer, *branch.layers, nets.activation("sigmoid")))
    high, low = one(of), one(of, label="low")
    assert high.label == "mid", "the last of two labels"
    assert [w.weight for w in low.words] == [-w.weight for w in high.words]
    with pytest.raises(UsageError, match=r"m@1\.0\.0 has no label 'x': its labels are low, mid"):
        of.explain(TEXT, label="x")


def test_columns_beside_the_text_are_words_of_a_template() -> None:
    branch = linear(words("count"))
    of = model(
        nets.bundle(branch.vectorizer, *branch.layers),
        "regression",
        text_template="{text} {kind}",
    )
    (found,) = of.explain({"text": ["good film"], "kind": ["dull"]})
    assert [w.text for w in found.words] == ["good", "film", "dull"]


def test_words_that_a_pattern_joins_are_taken_out_one_by_one() -> None:
    joined = Preparation((Replace(r"not (\w+)", r"not\1"),))
    spec = replace(words("count"), preparation=joined, vocabulary=("notgood", "film"))
    of = model(nets.bundle(spec, *linear(spec).layers), "regression")
    found = one(of, "a film not good")
    said = [float(x) for x in of.score(pa.array(["a film not good", "a film not "])).outputs[:, 0]]
    assert found.words[3].weight == pytest.approx(said[0] - said[1], abs=1e-5)
    assert found.score == pytest.approx(said[0], abs=1e-5)


def test_many_texts_are_explained_as_each_alone() -> None:
    branch = deep()
    of = model(nets.bundle(branch.vectorizer, *branch.layers), "regression")
    texts = [TEXT, None, "", "film", "?!", "not good " * 5]
    alone = [None if not text or text == "?!" else one(of, text) for text in texts]
    for threads in (1, 3):
        assert of.explain(texts, threads=threads) == alone
    with pytest.raises(InputError, match="no word that the model reads"):
        of.explain("?!")


def test_what_people_see_is_safe_and_whole() -> None:
    branch = linear(words("count"))
    of = model(nets.bundle(branch.vectorizer, *branch.layers, nets.activation("sigmoid")))
    found = one(of, "<b>good</b> film\x1b[2J bad")
    page = found._repr_html_()
    assert "<b>good" not in page
    assert "\x1b" not in page + repr(found)
    assert "&lt;b&gt;good&lt;/b&gt;" in page
    assert repr(found).startswith("<Explanation m@1.0.0: ")
    assert found.as_dict()["total"] == found.total
    assert found.balance().startswith(f"logit of mid {found.score:+.2f} = {found.base:+.2f} ")


def test_a_column_holds_the_strongest_words() -> None:
    branch = deep(last="sigmoid")
    of = model(nets.bundle(branch.vectorizer, *branch.layers))
    table = of.predict([TEXT, None, "film"], explain=2, prefix="m_")
    assert table["m_explanation"].to_pylist() == [
        one(of).in_short(2),
        None,
        one(of, "film").in_short(2),
    ]
    with pytest.raises(UsageError, match="explain is 0"):
        of.predict([TEXT], explain=0)
