"""Logistic regression on bags of words: one Dense layer, found by L-BFGS instead of by batches."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from scorer.vectorizer import TokenBatch
from scripts.training.types import AnyArray, Floats
from scripts.training.vocabulary import Vocabulary


def bag_of_words(tokens: TokenBatch, vocabulary: Vocabulary) -> sp.csr_matrix:
    """Keras' counts (rows, columns), times idf if any; column 0 is the unknown word."""
    columns = len(vocabulary.words) + 1
    ones = np.ones(tokens.ids.size, np.float32)
    shape = (tokens.offsets.size - 1, columns)
    counts = sp.csr_matrix((ones, tokens.ids - 1, tokens.offsets), shape=shape)
    counts.sum_duplicates()
    if vocabulary.idf is not None:
        counts = counts @ sp.diags(vocabulary.idf)
    return counts.tocsr()


def fit_logistic(bags: sp.csr_matrix, positive: AnyArray, strength: float) -> tuple[Floats, Floats]:
    """Kernel (columns, 1) and bias (1,). `strength` is scikit-learn's C: less is more L2.

    The columns stay as Keras gives them. L2 then presses hardest on rare words, whose columns are
    small; brought to one scale, the columns did worse on the validation part.
    """
    model = LogisticRegression(C=strength, max_iter=2000).fit(bags.astype(np.float64), positive)
    return model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)
