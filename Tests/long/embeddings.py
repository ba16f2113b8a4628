#!/usr/bin/env python3
"""Embeddings of 16,000 real log lines against PyTorch and ONNX Runtime, tokens against Hugging Face.

Needs sentence-transformers (tested with 6.2.0, torch 2.15.0), onnxruntime and tokenizers beside the
package. Prints a line for each check and exits 1 when one fails.
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bindings" / "python"))
sys.path.insert(0, str(ROOT / "benchmarks"))

from _common import DATA, log_lines, minilm, peer_session  # noqa: E402

import stacklens  # noqa: E402

MAX_LENGTH = 256
failures = 0


def check(name: str, value: float, bound: float, at_most: bool = True) -> None:
    """Prints one figure with its bound."""
    global failures
    good = value <= bound if at_most else value >= bound
    failures += not good
    sign = "<=" if at_most else ">="
    print(f"{'ok  ' if good else 'FAIL'}  {name:66} {value:.9g} ({sign} {bound:g})", flush=True)


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Row by row, in double precision."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / lengths


def tokens(lines: list[str], folder: Path) -> list[list[int]]:
    """Holds the ids of lines and hard strings against Hugging Face's; returns those of the lines."""
    import tokenizers

    peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer.no_padding()
    peer.enable_truncation(MAX_LENGTH)
    ours = stacklens.Tokenizer(folder)
    spec = importlib.util.spec_from_file_location("hard", ROOT / "scripts/generate-hard-text.py")
    assert spec is not None and spec.loader is not None
    hard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hard)
    sentences = [
        field
        for file in sorted(DATA.glob("data/stsb/*.tsv"))
        for line in file.read_text(encoding="utf-8").splitlines()
        for field in line.split("\t")
    ]
    result: list[list[int]] = []
    for name, texts in [
        ("log lines", lines), ("generated hard strings", hard.hard_texts(20000, 42)),
        ("real sentences and fields", sentences),
    ]:
        expected = [encoding.ids for encoding in peer.encode_batch(texts)]
        found = [list(e.ids) for e in ours.encode_batch(texts, max_length=MAX_LENGTH)]
        different = sum(a != b for a, b in zip(expected, found))
        check(f"{len(texts)} {name}: texts whose ids differ", different, 0)
        if not result:
            result = found
    return result


def exported(embedder: stacklens.Embedder, ids: list[list[int]]) -> np.ndarray:
    """The vectors that ONNX Runtime computes from the exported file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        embedder.save_onnx(path)
        session = peer_session(path)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    vectors = np.empty((len(ids), embedder.dimension), np.float32)
    for start in range(0, len(order), 32):
        part = order[start : start + 32]
        width = max(len(ids[i]) for i in part)
        matrix, mask = (np.zeros((len(part), width), np.int64) for _ in range(2))
        for row, index in enumerate(part):
            matrix[row, : len(ids[index])] = ids[index]
            mask[row, : len(ids[index])] = 1
        feed = {
            "input_ids": matrix, "attention_mask": mask, "token_type_ids": np.zeros_like(matrix)
        }
        pooled = session.run(["sentence_embedding"], feed)[0]
        vectors[part] = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    return vectors


def bit_for_bit(folder: Path, lines: list[str], precision: str) -> None:
    """The vector of a text alone, in batches, in any order, with 1 and 2 threads, from 4 threads."""
    texts = random.Random(1).sample(lines, 2000)
    embedder = stacklens.Embedder(folder, precision=precision, threads=2)
    single = stacklens.Embedder(folder, precision=precision, threads=1)
    reference = embedder.encode(texts)

    def different(vectors: np.ndarray) -> int:
        return int((vectors.view(np.uint32) != reference.view(np.uint32)).any(axis=1).sum())

    alone = np.concatenate([embedder.encode([text]) for text in texts])
    check(f"{precision}: vectors that differ alone", different(alone), 0)
    check(f"{precision}: vectors that differ on 1 thread", different(single.encode(texts)), 0)
    order = np.random.default_rng(2).permutation(len(texts))
    mixed = np.empty_like(reference)
    start = 0
    while start < len(order):
        part = order[start : start + int(random.Random(start).randint(1, 70))]
        mixed[part] = embedder.encode([texts[i] for i in part])
        start += len(part)
    check(f"{precision}: vectors that differ in random batches and order", different(mixed), 0)
    results: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        results[number] = embedder.encode(texts)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(
        f"{precision}: vectors that differ from 4 threads at once",
        sum(different(vectors) for vectors in results.values()), 0,
    )


def main() -> int:
    lines, folder = log_lines(), minilm()
    if "--quick" in sys.argv:
        lines = lines[::20]
    ids = tokens(lines, folder)
    embedder = stacklens.Embedder(folder, threads=2)
    ours = embedder.encode(lines)
    if importlib.util.find_spec("sentence_transformers"):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from sentence_transformers import SentenceTransformer

        peer = SentenceTransformer(str(folder), device="cpu")
        theirs = peer.encode(lines, batch_size=32, normalize_embeddings=True)
        check("fp32 to sentence-transformers: smallest cosine", cosines(ours, theirs).min(),
              0.99999, at_most=False)
        check("fp32 to sentence-transformers: largest difference", np.abs(ours - theirs).max(), 1e-5)
    else:
        print("skip  sentence-transformers is not installed")
    other = exported(embedder, ids)
    check("exported file in ONNX Runtime: smallest cosine", cosines(ours, other).min(), 0.99999,
          at_most=False)
    check("exported file in ONNX Runtime: largest difference", np.abs(ours - other).max(), 1e-5)
    for precision, bound in [("bf16", 0.9999), ("int8", 0.995)]:
        low = stacklens.Embedder(folder, precision=precision, threads=2)
        if low.precision != precision:
            print(f"skip  {precision}: this processor lacks the instructions")
            continue
        similar = cosines(low.encode(lines), ours)
        check(f"{precision} to fp32: smallest cosine (mean {similar.mean():.6f})", similar.min(),
              bound, at_most=False)
    for precision in ("fp32", "bf16", "int8"):
        if stacklens.Embedder(folder, precision=precision).precision == precision:
            bit_for_bit(folder, lines, precision)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
