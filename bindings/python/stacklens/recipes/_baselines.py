"""Plain ways to tell classes of texts, which models are held against. Needs scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["chosen_regression", "macro_f1", "word_features"]


def macro_f1(truth: np.ndarray, found: np.ndarray) -> float:
    """The mean F1 of the classes that occur or were found."""
    classes = np.union1d(truth, found)
    hits = [((truth == name) & (found == name)).sum() for name in classes]
    both = [(truth == name).sum() + (found == name).sum() for name in classes]
    return float(np.mean([2 * hit / total for hit, total in zip(hits, both)]))


def word_features(texts: Sequence[str], learned: np.ndarray) -> Any:
    """Words and pairs of words, as often as they are rare in what is learned from.

    Parameters
    ----------
    texts : list of str
    learned : array
        Rows that say which words there are.

    Returns
    -------
    sparse matrix [texts, words]
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    return vectorizer.fit([texts[row] for row in learned]).transform(texts)


def chosen_regression(features: Any, labels: np.ndarray, learned: np.ndarray, held: np.ndarray) -> Any:
    """The logistic regression whose strength and class weights do best on held rows, fitted to others.

    Parameters
    ----------
    features : matrix [texts, width]
    labels : array [texts]
    learned, held : array
        Rows.
    """
    from sklearn.linear_model import LogisticRegression

    fits = [
        LogisticRegression(C=strength, class_weight=weight, max_iter=2_000)
        .fit(features[learned], labels[learned])
        for strength in (0.3, 1.0, 3.0, 10.0, 30.0, 100.0) for weight in (None, "balanced")
    ]
    return max(fits, key=lambda fit: macro_f1(labels[held], fit.predict(features[held])))
