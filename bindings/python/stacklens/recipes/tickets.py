"""What kinds of names a thread of Stack Overflow is about, told from its question and its answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import models
from ._baselines import word_features
from ._recipe import Claim, Options, Recipe, Result
from ._stackoverflow import TYPES, posts, spans_of

SEEDS = (1, 2, 3)
#: Kinds that this share of the threads to learn from have, so that there is something to tell.
SHARES = (0.1, 0.9)
BRANCHES = ("lstm", "transformer")


@dataclass(frozen=True)
class Threads:
    """Questions with their answers.

    Attributes
    ----------
    questions, answers : list of str
        An empty text where nobody answered.
    kinds : array [threads, types]
        1 where a name of the type occurs.
    """

    questions: Sequence[str]
    answers: Sequence[str]
    kinds: np.ndarray

    def taking(self, rows: Any) -> Threads:
        """Some of them."""
        return Threads(
            [self.questions[row] for row in rows], [self.answers[row] for row in rows],
            self.kinds[rows],
        )


def run(options: Options) -> Result:
    """F1 over the kinds on dev, learned from train."""
    folder = options.data / "stackoverflow_ner"
    train, dev = threads(folder / "train.txt"), threads(folder / "dev.txt")
    if options.quick:
        train, dev = train.taking(range(60)), dev.taking(range(20))
    share = train.kinds.mean(axis=0)
    told = (share >= SHARES[0]) & (share <= SHARES[1])
    learned, truth = train.kinds[:, told], dev.kinds[:, told]
    result = Result(
        f"Stack Overflow, {told.sum()} kinds of names: {len(learned)} threads to learn from, "
        f"{len(truth)} to tell; F1 over all kinds and mean of each kind's",
        ("model", "reads", "micro F1", "macro F1", "seconds"),
    )
    usual = np.tile(learned.mean(axis=0) >= 0.5, (len(truth), 1))
    result.rows.append(("what most threads have", "nothing", *f1(truth, usual), 0.0))
    start = time.perf_counter()
    found = by_words(train, learned, dev)
    result.rows.append(("TF-IDF + regression", "both", *f1(truth, found), time.perf_counter() - start))
    means = {}
    for branch in BRANCHES:
        figures = []
        for seed in options.pick_seeds(SEEDS):
            start = time.perf_counter()
            model = models.TicketClassifier(int(told.sum()), branch=branch, seed=seed)
            model.fit(
                train.questions, learned, train.answers, tune_thresholds=True, progress=False,
                epochs=1 if options.quick else 50,
            )
            both = f1(truth, model.predict(dev.questions, dev.answers).labels)
            alone = f1(truth, model.predict(dev.questions).labels)
            figures.append([*both, *alone, time.perf_counter() - start])
            options.say(f"{branch}, seed {seed}: micro F1 {both[0]:.4f}, without answers {alone[0]:.4f}")
        mean = np.mean(figures, axis=0)
        means[branch] = mean
        result.rows.append((f"classifier, {branch}", "both", *map(float, mean[:2]), float(mean[4])))
        result.rows.append((f"classifier, {branch}", "questions", *map(float, mean[2:])))
    least = min(float(mean[0]) for mean in means.values()) - f1(truth, usual)[0]
    gain = min(float(mean[0] - mean[2]) for mean in means.values())
    result.claims = [
        Claim("micro F1 above what most threads have, of either branch", least, 0.1),
        Claim("micro F1 with answers above that without, of either branch", gain, 0.05),
    ]
    return result


def threads(file: Path) -> Threads:
    """The threads of a file, in its order."""
    texts: dict[str, tuple[list[str], list[str]]] = {}
    kinds: dict[str, set[str]] = {}
    for post in posts(file):
        texts.setdefault(post.question, ([], []))[post.is_answer].append(post.text)
        kinds.setdefault(post.question, set()).update(name for _, _, name in spans_of(post.tags))
    return Threads(
        [" ".join(asked) for asked, _ in texts.values()],
        [" ".join(answered) for _, answered in texts.values()],
        np.array([[name in found for name in TYPES] for found in kinds.values()], np.int64),
    )


def by_words(train: Threads, learned: np.ndarray, dev: Threads) -> np.ndarray:
    """What a regression for each kind says, on words and pairs of words of each text; its strength and
    class weights are those that do best on a fifth of what it learns from."""
    from scipy.sparse import hstack
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    sides = ([*train.questions, *dev.questions], [*train.answers, *dev.answers])
    known = np.arange(len(learned))

    def features(rows: np.ndarray) -> Any:
        return hstack([word_features(side, rows) for side in sides]).tocsr()

    def told(x: Any, rows: np.ndarray, others: Any, strength: float, weight: Any) -> np.ndarray:
        model = OneVsRestClassifier(
            LogisticRegression(C=strength, class_weight=weight, max_iter=2_000)
        )
        found: np.ndarray = model.fit(x[rows], learned[rows]).predict(x[others])
        return found

    held = known % 5 == 0
    x = features(known[~held])
    best = max(
        ((strength, weight) for strength in (0.3, 1.0, 3.0, 10.0, 30.0) for weight in (None, "balanced")),
        key=lambda way: f1(learned[held], told(x, known[~held], known[held], *way))[0],
    )
    return told(features(known), known, slice(len(learned), None), *best)


def f1(truth: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """F1 over all labels, and the mean of each label's; 0 for one that is neither there nor found."""
    found = found.astype(bool)
    hits, both = (truth * found).sum(axis=0), truth.sum(axis=0) + found.sum(axis=0)
    return float(2 * hits.sum() / max(1, both.sum())), float(np.mean(2 * hits / np.maximum(1, both)))


RECIPE = Recipe(
    "tickets", "kinds of names in questions and answers: the ticket classifier", 5, run,
    needs=("sklearn",),
)
