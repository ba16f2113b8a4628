#!/usr/bin/env python3
"""int8-dynamic all-MiniLM-L6-v2 on 16,000 real log lines: cosine of each vector to the float32 one.

Runs the file that `stacklens.quantize` writes here and in ONNX Runtime, both on two threads. Prints the
smallest and the mean cosine of both, and exits 1 when one of ours is below 0.99.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python"))
sys.path.insert(0, str(ROOT / "benchmarks"))

from _common import THREADS, log_lines, minilm, peer_session  # noqa: E402

import stacklens  # noqa: E402

BOUND = 0.99
MAX_LENGTH = 256
BATCH = 32
Feed = dict[str, np.ndarray]


def batches(lines: list[str], folder: Path) -> Iterator[tuple[np.ndarray, Feed]]:
    """Places of the lines and their tokens, lines of like length together."""
    tokenizer = stacklens.Tokenizer(folder)
    tokens = [item.ids for item in tokenizer.encode_batch(lines, max_length=MAX_LENGTH)]
    order = np.argsort([len(ids) for ids in tokens], kind="stable")
    for start in range(0, len(order), BATCH):
        places = order[start : start + BATCH]
        shape = (len(places), max(len(tokens[place]) for place in places))
        feed = {name: np.zeros(shape, np.int64)
                for name in ("input_ids", "attention_mask", "token_type_ids")}
        for row, place in enumerate(places):
            feed["input_ids"][row, : len(tokens[place])] = tokens[place]
            feed["attention_mask"][row, : len(tokens[place])] = 1
        yield places, feed


def vectors(run: Callable[[Feed], Any], parts: list[tuple[np.ndarray, Feed]]) -> np.ndarray:
    """One vector for each line, of length 1."""
    found: dict[int, np.ndarray] = {}
    for places, feed in parts:
        found.update(zip(places.tolist(), np.asarray(run(feed), np.float64)))
    result = np.stack([found[place] for place in range(len(found))])
    return result / np.linalg.norm(result, axis=1, keepdims=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first line to take")
    parser.add_argument("--step", type=int, default=1, help="take every so many lines")
    options = parser.parse_args()
    lines = log_lines()[options.first :: options.step]
    parts = list(batches(lines, minilm()))
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder) / "minilm.onnx", Path(folder) / "minilm.int8.onnx"
        with stacklens.Embedder(minilm(), threads=THREADS) as embedder:
            embedder.save_onnx(whole)
        stacklens.quantize(whole, "int8-dynamic").save(small)
        reference = stacklens.Session(whole, threads=THREADS)
        ours = stacklens.Session(small, threads=THREADS)
        peer = peer_session(small)
    names = {item.name for item in ours.inputs}
    vector = [item.name for item in ours.outputs][-1]

    def runner(session: Any) -> Callable[[Feed], Any]:
        return lambda feed: session.run(
            [vector], {name: x for name, x in feed.items() if name in names})[0]

    expected = vectors(runner(reference), parts)
    smallest = 1.0
    for name, session in (("here", ours), ("ONNX Runtime", peer)):
        start = time.perf_counter()
        cosines = (vectors(runner(session), parts) * expected).sum(axis=1)
        seconds = time.perf_counter() - start
        print(f"{name:13} {len(lines)} lines: smallest {cosines.min():.6f}, "
              f"mean {cosines.mean():.6f}, {seconds:.1f} s", flush=True)
        if session is ours:
            smallest = cosines.min()
    return 0 if smallest >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
