"""A report says which words were behind its largest mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorer.evaluation import evaluate_file
from scorer.evaluation import why as why_module
from scorer.evaluation.result import Mistake
from tests.support import networks as nets
from tests.support.parrot import parrot
from tests.units.explain.test_explain import deep, linear, model, words


def mistakes(of: object, folder: Path, text: str) -> tuple[Mistake, ...]:
    path = folder / "rows.csv"
    path.write_text(text)
    return evaluate_file(of, path).models[0].mistakes  # type: ignore[arg-type]


def test_mistakes_say_which_words_moved_them(tmp_path: Path) -> None:
    branch = deep(last="sigmoid")
    of = model(nets.bundle(branch.vectorizer, *branch.layers), label_columns=["label"])
    both = "".join(f'"the good film, {n}",{label}\n' for n in range(2) for label in ("low", "mid"))
    found = mistakes(of, tmp_path, "text,label\n" + both)
    assert found
    for mistake in found:
        why, said = mistake.why, of.explain(mistake.text)
        assert why is not None
        assert (why.label, why.exact) == ("mid", False)
        assert why.score == pytest.approx(said.score, abs=1e-4)
        assert why.total == pytest.approx(said.total, abs=1e-4)
        for word in why.words:
            assert mistake.text[word.start : word.end] == word.word
        assert {w.word for w in why.words} == {w.text for w in said.words if w.weight}


def test_a_template_marks_the_texts_own_words_alone(tmp_path: Path) -> None:
    branch = linear(words("count"))
    of = model(
        nets.bundle(branch.vectorizer, *branch.layers),
        "regression",
        text_template="{kind} {text}",
        label_columns=["points"],
    )
    (found,) = mistakes(of, tmp_path, "text,kind,points\ngood film,dull,9\n")
    assert found.why is not None
    places = [(word.word, word.start, word.end) for word in found.why.words]
    assert places == [("dull", None, None), ("good", 0, 4), ("film", 5, 9)]


def test_long_texts_late_mistakes_and_slow_engines_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(why_module, "MISTAKES", 2)
    monkeypatch.setattr(why_module, "WORDS", 3)
    branch = linear(words("count"))
    card = {"label_columns": ["points"]}
    of = model(nets.bundle(branch.vectorizer, *branch.layers), "regression", **card)
    rows = "text,points\ngood film a the,90\ngood,80\nbad,70\n"
    assert [m.why is not None for m in mistakes(of, tmp_path, rows)] == [False, True, False]
    assert not any(m.why for m in mistakes(parrot("regression"), tmp_path, rows))
