"""The HDFS sessions of the DeepLog experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["ALL_NORMAL", "counts", "sessions"]

#: Normal sessions of the whole test set; a file with some of them stands for all.
ALL_NORMAL = 553_366


def sessions(data: Path, name: str, limit: int = 0) -> list[list[int]]:
    """The event keys of each session of a file, 1 to 28."""
    text = (data / "hdfs_deeplog" / name).read_text()
    rows = [[int(key) for key in line.split()] for line in text.splitlines() if line.strip()]
    return rows[:limit] if limit else rows


def counts(rows: list[list[int]], keys: int = 28) -> np.ndarray:
    """How often each key occurs in each session, as log(1 + count), and the session's length."""
    table = np.zeros((len(rows), keys + 1), np.float32)
    for place, row in enumerate(rows):
        for key in row:
            table[place, key - 1] += 1
        table[place, keys] = len(row)
    return np.log1p(table)
