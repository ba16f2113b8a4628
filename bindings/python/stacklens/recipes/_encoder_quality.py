"""How good the vectors of an encoder are: similar sentences, duplicates, neighbours of log lines."""

from __future__ import annotations

import collections
import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["COLUMNS", "Encode", "quality", "tf_idf_duplicates"]

#: Texts to vectors of length 1.
Encode = Callable[[Sequence[str]], np.ndarray]
COLUMNS = (
    "STS dev, Spearman", "duplicate first", "in the top 5", "in the top 10", "reciprocal rank",
    "log lines, neighbours of the same template",
)  # fmt: skip
NEIGHBOURS = 5


def quality(encode: Encode, data: Path) -> list[float]:
    """The figures of `COLUMNS`."""
    return [_similar(encode, data / "stsb"), *_duplicates(encode, data), _neighbours(encode, data)]


def _similar(encode: Encode, folder: Path) -> float:
    from scipy.stats import spearmanr

    rows = [
        line.split("\t")
        for line in (folder / "sts-dev.tsv").read_text(encoding="utf-8").splitlines()
    ]
    left, right = encode([row[5] for row in rows]), encode([row[6] for row in rows])
    return float(spearmanr((left * right).sum(axis=1), [float(row[4]) for row in rows])[0])


def _issues(data: Path) -> tuple[list[str], list[str], list[tuple[int, int]]]:
    """Summaries of all issues, these with their descriptions, and which are duplicates of which."""
    folder = data / "gitbugs_hadoop"
    rows = list(_rows(folder / "hadoop_bugs.csv"))
    place = {row["Issue id"]: index for index, row in enumerate(rows)}
    pairs = [
        (place[row["Issue id"]], place[row["Duplicate id"]])
        for row in _rows(folder / "hadoop_duplicates_train.csv")
    ]
    summaries = [row["Summary"] for row in rows]
    return summaries, [f"{row['Summary']}\n{row['Description']}" for row in rows], pairs


def _duplicates(encode: Encode, data: Path) -> list[float]:
    """An issue is the mean of two vectors: its summary's, and that of all of it."""
    summaries, texts, pairs = _issues(data)
    vectors = encode(summaries) + encode(texts)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return _ranked((vectors @ vectors[first] for first, _ in pairs), pairs)


def tf_idf_duplicates(data: Path, both: bool) -> list[float]:
    """Duplicates by the cosine of sublinear TF-IDF over words: rank 1, 5, 10, reciprocal rank.

    Parameters
    ----------
    both : bool
        Whether an issue is the mean of two vectors, as above, or the vector of all of it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    summaries, texts, pairs = _issues(data)
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    vectors = vectorizer.fit_transform(texts)
    if both:
        vectors = normalize(vectors + vectorizer.transform(summaries))
    scores = (np.asarray((vectors @ vectors[first].T).todense())[:, 0] for first, _ in pairs)
    return _ranked(scores, pairs)


def _ranked(scores: Iterable[np.ndarray], pairs: list[tuple[int, int]]) -> list[float]:
    ranks = []
    for row, (first, second) in zip(scores, pairs):
        better = row > row[second]
        better[first] = False
        ranks.append(1 + int(better.sum()))
    found = np.array(ranks)
    return [*(float((found <= most).mean()) for most in (1, 5, 10)), float((1 / found).mean())]


def _neighbours(encode: Encode, data: Path) -> float:
    """The share of the nearest lines, of the same system but not equal, that have the line's template,
    of those that could: the mean of eight systems."""
    shares = []
    for path in sorted((data / "loghub_2k").glob("*/*_structured.csv")):
        template = {row["Content"]: row["EventId"] for row in _rows(path)}
        count = collections.Counter(template.values())
        names = np.array(list(template.values()))
        vectors = encode(list(template))
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -np.inf)
        found = []
        for row, name in zip(cosines, names):
            most = min(NEIGHBOURS, count[name] - 1)
            if most > 0:
                found.append(float((names[np.argpartition(-row, most)[:most]] == name).mean()))
        shares.append(float(np.mean(found)))
    return float(np.mean(shares))


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        yield from csv.DictReader(file)
