"""Which words moved a score: exact for sums over n-grams, by occlusion elsewhere.

    parts.py        a network as a sum: bags of words with a weight each, and the rest of it
    linear.py       what each word adds to such a sum
    occlusion.py    the rest: the text with one word after another replaced by an unknown one
    explainer.py    both together, for many texts in one batch
    explanation.py  what comes out, for people and programs

docs/explain.md says what the weights mean and where the method comes from.
"""

from __future__ import annotations

from scorer.explain.explainer import Explainer
from scorer.explain.explanation import Explanation, Word

__all__ = ["Explainer", "Explanation", "Word"]
