"""The HDFS sessions of the DeepLog experiment."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np

__all__ = ["ALL_NORMAL", "counts", "labelled", "sessions", "without"]

#: Normal sessions of the whole test set; a file with some of them stands for all.
ALL_NORMAL = 553_366


def sessions(data: Path, name: str, limit: int = 0) -> list[list[int]]:
    """The event keys of each session of a file, 1 to 28."""
    text = (data / "hdfs_deeplog" / name).read_text()
    rows = [[int(key) for key in line.split()] for line in text.splitlines() if line.strip()]
    return rows[:limit] if limit else rows


def labelled(data: Path) -> tuple[list[list[int]], list[list[int]]]:
    """The normal and the abnormal sessions that choices may look at; they are test sessions too."""
    with (data / "hdfs_deeplog" / "robust_log_valid.csv").open() as file:
        rows = [(row["Sequence"].split(), row["label"]) for row in csv.DictReader(file)]
    parts: tuple[list[list[int]], list[list[int]]] = ([], [])
    for keys, label in rows:
        parts[int(label)].append([int(key) for key in keys])
    return parts


def without(rows: list[list[int]], others: list[list[int]]) -> list[list[int]]:
    """The sessions but for one copy of each of the others."""
    left = Counter(map(tuple, others))
    kept = []
    for row in rows:
        if left[tuple(row)] > 0:
            left[tuple(row)] -= 1
        else:
            kept.append(row)
    return kept


def counts(rows: list[list[int]], keys: int = 28) -> np.ndarray:
    """Of each session: log(1 + count) of each key and of all, and which keys occur."""
    table = np.zeros((len(rows), keys + 1), np.float32)
    for place, row in enumerate(rows):
        for key in row:
            table[place, key - 1] += 1
        table[place, keys] = len(row)
    return np.concatenate([np.log1p(table), table > 0], axis=1, dtype=np.float32)
