"""Whether a post of Stack Overflow asks or answers, told from its first words."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import models
from ._baselines import chosen_regression, word_features
from ._recipe import Claim, Options, Recipe, Result
from ._stackoverflow import Post, posts

SEEDS = (1, 2, 3)
CELLS = ("lstm", "gru", "rnn")
#: Words of a post that are read.
WORDS = 50


def run(options: Options) -> Result:
    """Accuracy on dev of each recurrent cell, learned from train."""
    folder = options.data / "stackoverflow_ner"
    train, dev = _beginnings(posts(folder / "train.txt")), _beginnings(posts(folder / "dev.txt"))
    if options.quick:
        train, dev = [side[:80] for side in train], [side[:40] for side in dev]
    (texts, asks), (others, truth) = train, dev
    result = Result(
        f"Stack Overflow, the first {WORDS} words: {len(texts)} posts to learn from, {len(others)} to "
        "tell whether they ask",
        ("model", "parameters", "accuracy", "deviation", "seconds"),
    )
    usual = float(max(np.mean(truth), 1 - np.mean(truth)))
    result.rows.append(("what most posts are", "", usual, "", 0.0))
    start = time.perf_counter()
    plain = float(np.mean(_by_words(texts, asks, others) == truth))
    result.rows.append(("TF-IDF + regression", "", plain, "", time.perf_counter() - start))
    means = {}
    for cell in CELLS:
        found, start = [], time.perf_counter()
        seeds = options.pick_seeds(SEEDS)
        for seed in seeds:
            model = models.SentimentClassifier(cell=cell, length=WORDS, seed=seed)
            model.fit(texts, asks, epochs=1 if options.quick else 20, progress=False)
            found.append(float(np.mean(model.predict(others)[1] == truth)))
            options.say(f"{cell}, seed {seed}: {found[-1]:.4f} of the posts")
        means[cell] = float(np.mean(found))
        result.rows.append(
            (cell, str(model.parameter_count), means[cell], float(np.std(found)),
             (time.perf_counter() - start) / len(seeds))
        )  # fmt: skip
    result.claims = [
        Claim("accuracy of the LSTM less the share of what most posts are", means["lstm"] - usual, 0.05)
    ]
    return result


def _beginnings(found: Sequence[Post]) -> list[Any]:
    """The first words of posts, and whether they ask."""
    return [
        [" ".join(post.text.split()[:WORDS]) for post in found],
        np.array([not post.is_answer for post in found], np.int64),
    ]


def _by_words(texts: Sequence[str], asks: np.ndarray, others: Sequence[str]) -> np.ndarray:
    """What a regression on words and pairs of words says, chosen on a fifth of what it learns from."""
    rows = np.arange(len(texts))
    held = rows % 5 == 0
    model = chosen_regression(word_features(texts, rows[~held]), asks, rows[~held], rows[held])
    features = word_features([*texts, *others], rows)
    found: np.ndarray = model.fit(features[rows], asks).predict(features[len(texts) :])
    return found


RECIPE = Recipe(
    "questions", "posts that ask and posts that answer: the recurrent classifier", 2, run,
    needs=("sklearn",),
)
