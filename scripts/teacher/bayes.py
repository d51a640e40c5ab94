"""Logistic regression on n-grams weighted by naive Bayes (Wang and Manning 2012)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from scripts.training.types import AnyArray, Ints


def fit_naive_bayes(counts: sp.csr_matrix, rows: Ints, positive: AnyArray) -> AnyArray:
    """Logits of all texts, learnt on `rows`, whose labels are `positive` (0 or 1).

    An n-gram's presence weighs log((p / |p|) / (q / |q|)), p and q being one more than its texts
    among the positive and the negative rows; n-grams that fewer than two of the rows have are left
    out.
    """
    present = counts.copy()
    present.data[:] = 1
    own = present[rows]
    known = np.asarray(own.sum(axis=0)).ravel() >= 2
    present, own = present[:, known], own[:, known]
    p, q = (1 + np.asarray(own[positive == k].sum(axis=0)).ravel() for k in (1, 0))
    ratio = np.log((p / p.sum()) / (q / q.sum())).astype(np.float32)
    weighted = (present @ sp.diags(ratio)).tocsr()
    model = LogisticRegression(C=0.1, max_iter=200).fit(weighted[rows], positive)
    logits: AnyArray = model.decision_function(weighted)
    return logits
