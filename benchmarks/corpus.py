"""Throughput over 16,000 real log lines, beside ONNX Runtime and, where installed, PyTorch.

First from token ids to vectors: ONNX Runtime pads batches of 32 in file order, sorted by length, and
shuffled; the embedder takes the lines as they come. Then from raw text: with Hugging Face
tokenizers in front of ONNX Runtime, and sentence-transformers. No caching, no de-duplication. The
contestants take turns over equal slices of the lines.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import stacklens
from _common import THREADS, arguments, log_lines, measuring, minilm, peer_session, table, write

BATCH = 32
MAX_LENGTH = 256


def padded(peer, ids: list[np.ndarray]) -> None:
    """Runs one batch of ids, padded to its longest."""
    width = max(map(len, ids))
    matrix = np.zeros((len(ids), width), np.int64)
    mask = np.zeros_like(matrix)
    for row, tokens in enumerate(ids):
        matrix[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    feed = {
        "input_ids": matrix, "attention_mask": mask, "token_type_ids": np.zeros_like(matrix)
    }
    peer.run(["sentence_embedding"], feed)


def in_batches(peer, ids: list[np.ndarray]) -> None:
    for start in range(0, len(ids), BATCH):
        padded(peer, ids[start : start + BATCH])


def race(what: str, contestants: dict, slices: list) -> dict[str, float]:
    """Items a second of each contestant: the median over the slices, taking turns."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for body, prepare in contestants.values():
        body(prepare(slices[0])[:64])
    for index, part in enumerate(slices):
        measuring(f"{what}, part {index + 1} of {len(slices)}")
        for name, (body, prepare) in contestants.items():
            items = prepare(part)
            start = time.perf_counter()
            body(items)
            rates[name].append(len(items) / (time.perf_counter() - start))
    # All lines count the same, so the harmonic mean over equal slices is the rate over all of them.
    return {name: statistics.harmonic_mean(values) for name, values in rates.items()}


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--lines", type=int, default=16000, help="of them, evenly spread")
    options = parser.parse_args()
    lines = log_lines()
    wanted = 1600 if options.quick else options.lines
    lines = [lines[i * len(lines) // wanted] for i in range(min(wanted, len(lines)))]
    folder = minilm()
    tokenizer = stacklens.Tokenizer(folder)
    encoded = tokenizer.encode_batch(lines, max_length=MAX_LENGTH)
    ids = [np.array(e.ids, np.int64) for e in encoded]
    embedders = {
        name: stacklens.Embedder(folder, precision=name, threads=THREADS)
        for name in ("fp32", "bf16", "int8")
    }
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "encoder.onnx"
        embedders["fp32"].save_onnx(path)
        peer = peer_session(path)

    # Every slice holds lines from all over the file, in the order of the file: 10 slices of whole
    # batches.
    batches = [list(range(s, min(s + BATCH, len(ids)))) for s in range(0, len(ids), BATCH)]
    order = list(range(len(ids)))
    random.Random(42).shuffle(order)
    shuffled = [order[s : s + BATCH] for s in range(0, len(order), BATCH)]
    rank = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    by_length = [rank[s : s + BATCH] for s in range(0, len(rank), BATCH)]
    count = 10

    def slices(groups: list[list[int]]) -> list[list[int]]:
        return [[i for group in groups[k::count] for i in group] for k in range(count)]

    def tokens(part: list[int]) -> list[np.ndarray]:
        return [ids[i] for i in part]

    figures: dict[str, dict[str, float]] = {}
    ours = {
        name: (embedder.encode_ids, tokens)
        for name, embedder in embedders.items()
    }
    ort = (lambda items: in_batches(peer, items), tokens)
    figures["file order"] = race("file order", {"ORT as given": ort, **ours}, slices(batches))
    figures["sorted"] = race("sorted", {"ORT sorted": ort}, slices(by_length))
    figures["shuffled"] = race("shuffled", {"ORT as given": ort, **ours}, slices(shuffled))

    length = sum(map(len, ids)) / len(ids)
    rows = []
    base = {
        "file order": figures["file order"]["ORT as given"],
        "shuffled": figures["shuffled"]["ORT as given"],
    }
    rows.append(["ORT fp32 padded as given", f"{base['file order']:.0f}", "", "",
                 f"{base['shuffled']:.0f}", "", ""])
    sorted_rate = figures["sorted"]["ORT sorted"]
    rows.append(["ORT fp32 sorted by length", f"{sorted_rate:.0f}", "", "", "", "", ""])
    for name in embedders:
        row = [f"stacklens {name}"]
        for kind in ("file order", "shuffled"):
            rate = figures[kind][name]
            row += [f"{rate:.0f}", f"{rate / base[kind]:.2f}x", f"{rate / sorted_rate:.2f}x"]
        rows.append(row)
    table(["", "file order", "/ given", "/ sorted", "shuffled", "/ given", "/ sorted"], rows,
          f"{len(lines)} log lines of {length:.1f} tokens; token ids to vectors, texts/s")

    figures["raw text"] = raw_text(lines, embedders, peer, folder, slices(batches))
    reference = figures["raw text"]["ORT + tokenizers"]
    table(
        ["", "texts/s", "/ ORT + tokenizers"],
        [[name, f"{rate:.0f}", f"{rate / reference:.2f}x"]
         for name, rate in figures["raw text"].items()],
        "raw text to vectors, texts/s",
    )
    write(options.json, figures)


def raw_text(lines, embedders, peer, folder: Path, slices: list) -> dict[str, float]:
    import tokenizers

    peer_tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    peer_tokenizer.enable_truncation(MAX_LENGTH)
    peer_tokenizer.no_padding()

    def peer_encode(texts: list[str]) -> None:
        for start in range(0, len(texts), BATCH):
            batch = peer_tokenizer.encode_batch(texts[start : start + BATCH])
            padded(peer, [np.array(e.ids) for e in batch])

    def texts(part: list[int]) -> list[str]:
        return [lines[i] for i in part]

    contestants = {"ORT + tokenizers": (peer_encode, texts)}
    for name, embedder in embedders.items():
        contestants[f"stacklens {name}"] = (embedder.encode, texts)
    try:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(THREADS)
        model = SentenceTransformer(str(folder), device="cpu")
        contestants["sentence-transformers"] = (
            lambda items: model.encode(items, batch_size=BATCH, normalize_embeddings=True), texts
        )
    except ImportError:
        pass
    return race("raw text", contestants, slices)


if __name__ == "__main__":
    main()
