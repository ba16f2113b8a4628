"""Word vectors beside gensim's: the same text and settings, neighbours and seconds.

Mikolov et al., "Efficient estimation of word representations in vector space" and "Distributed
representations of words and phrases and their compositionality" (2013). Two trainings of gensim that
differ by their seed agree to some degree in who is whose neighbour; ours agrees with gensim's to the
same degree where it learns the same.
"""

from __future__ import annotations

import csv
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import models
from ._recipe import Claim, Options, Recipe, Result

SEEDS = (1, 2, 3)
THREADS = 2
#: Neighbours of each of the most frequent words.
WORDS, NEIGHBOURS = 1000, 10
EPOCHS = 5
_WORD = re.compile(r"[^\W_]+")


def texts(data: Path) -> Iterator[str]:
    """Lines of issue reports, posts and logs."""
    csv.field_size_limit(1 << 30)
    with (data / "gitbugs_hadoop" / "hadoop_bugs.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["Summary"]
            yield from row["Description"].splitlines()
    post: list[str] = []
    tokens = (data / "stackoverflow_ner" / "train.txt").read_text(encoding="utf-8").split("\n")
    for line in tokens:
        token = line.split("\t")[0].strip()
        if token:
            post.append(token)
        else:
            yield " ".join(post)
            post = []
    for path in sorted((data / "loghub_2k").glob("*/*_structured.csv")):
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                yield row["Content"]


def neighbours(words: list[str], vectors: np.ndarray, order: list[str]) -> np.ndarray:
    """The nearest of all words to each of the first ones of an order."""
    place = {word: index for index, word in enumerate(words)}
    rows = vectors[[place[word] for word in order]]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows[:WORDS] @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    return np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]


def overlap(left: np.ndarray, right: np.ndarray) -> float:
    """The share of neighbours that two trainings have in common."""
    shared = [len(np.intersect1d(a, b)) for a, b in zip(left, right)]
    return float(np.mean(shared)) / NEIGHBOURS


def ours(sentences: list[list[str]], architecture: str, seed: int, epochs: int) -> Any:
    """Words and vectors."""
    model = models.WordVectors(architecture=architecture, seed=seed, threads=THREADS)
    model.fit(sentences, epochs=epochs, progress=False)
    return model


def gensims(sentences: list[list[str]], architecture: str, seed: int, epochs: int) -> Any:
    """The same by gensim."""
    from gensim.models import Word2Vec

    return Word2Vec(
        sentences, vector_size=100, window=5, min_count=5, negative=5, sample=1e-3,
        sg=int(architecture == "skip_gram"), epochs=epochs, workers=THREADS, seed=seed,
    )


def _trained(
    options: Options, sentences: list[list[str]], architecture: str, seed: int, epochs: int
) -> dict[str, tuple[float, list[str], np.ndarray]]:
    """Seconds, words and vectors of both."""
    start = time.perf_counter()
    theirs = gensims(sentences, architecture, seed, epochs)
    between = time.perf_counter()
    model = ours(sentences, architecture, seed, epochs)
    seconds = (time.perf_counter() - between, between - start)
    options.say(f"{architecture}, seed {seed}: {seconds[0]:.2f} s, gensim {seconds[1]:.2f} s")
    words = list(model.words)
    return {
        "ours": (seconds[0], words, np.asarray(model.vector(words))),
        "gensim": (seconds[1], list(theirs.wv.index_to_key), theirs.wv.vectors),
    }


def run(options: Options) -> Result:
    """Both by turns, for each seed."""
    import gensim

    sentences = [words for text in texts(options.data) if (words := _WORD.findall(text.lower()))]
    epochs, seeds = EPOCHS, options.pick_seeds(SEEDS)
    if len(seeds) == 1:  # what is compared needs two trainings
        seeds = (seeds[0], seeds[0] + 1)
    if options.quick:
        sentences, epochs = sentences[::20], 1
    count = sum(map(len, sentences))
    result = Result(
        f"Word vectors, {count} words of issues, posts and logs, width 100, window 5, 5 negatives, "
        f"{epochs} epochs, {THREADS} threads, {len(seeds)} seeds; top {NEIGHBOURS} neighbours of the "
        f"{WORDS} most frequent words; gensim {gensim.__version__}",
        ("architecture", "seconds", "gensim's seconds", "faster", "agrees with gensim",
         "gensim with itself", "with itself"),
    )
    trained = {
        architecture: [_trained(options, sentences, architecture, seed, epochs) for seed in seeds]
        for architecture in ("skip_gram", "cbow")
    }
    # Products over all words leave threads awake that would disturb what is timed: neighbours come last.
    for architecture, found in trained.items():
        seconds = {who: [each[who][0] for each in found] for who in ("ours", "gensim")}
        order = found[0]["gensim"][1]
        tops = {
            who: [neighbours(*each[who][1:], order) for each in found] for who in ("ours", "gensim")
        }
        self_overlap = {
            who: statistics.fmean(
                overlap(a, b) for i, a in enumerate(top) for b in top[:i]
            ) for who, top in tops.items()
        }  # fmt: skip
        between = statistics.fmean(
            overlap(a, b) for a in tops["ours"] for b in tops["gensim"]
        )
        medians = {who: statistics.median(times) for who, times in seconds.items()}
        ratio = medians["gensim"] / medians["ours"]
        result.rows.append((
            architecture, medians["ours"], medians["gensim"], ratio, between,
            self_overlap["gensim"], self_overlap["ours"],
        ))
        result.figures[architecture] = {"seeds": list(seeds), "seconds": seconds}
        if not options.quick:
            result.claims += [
                Claim(f"times faster than gensim, {architecture}", ratio, 3),
                Claim(
                    f"agreement with gensim as a share of gensim's with itself, {architecture}",
                    between / self_overlap["gensim"], 0.95,
                ),
            ]
    return result


RECIPE = Recipe(
    "word2vec", "word vectors beside gensim's: the same neighbours, in less time", 3, run,
    needs=("gensim",),
)
