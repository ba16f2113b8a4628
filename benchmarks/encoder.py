"""Latency of all-MiniLM-L6-v2 from token ids to vectors, beside ONNX Runtime on the same ids.

ONNX Runtime runs the file that the embedder wrote, with all its optimisations, up to the pooled
vector; both sides use two threads and take turns in one process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import stacklens
from _common import THREADS, alternate, arguments, measuring, minilm, peer_session, table, write

SHAPES = [(1, 16), (1, 32), (1, 128), (32, 32), (32, 128)]


def main() -> None:
    parser = arguments(__doc__ or "")
    options = parser.parse_args()
    embedders = {
        precision: stacklens.Embedder(minilm(), precision=precision, threads=THREADS)
        for precision in ("fp32", "bf16", "int8")
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        embedders["fp32"].save_onnx(path)
        peer = peer_session(path)
    random = np.random.default_rng(42)
    figures, rows = [], []
    for batch, length in SHAPES:
        measuring(f"{batch} x {length}")
        ids = random.integers(1000, 30000, (batch, length))
        ids[:, 0], ids[:, -1] = 101, 102
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        rows_of_ids = list(ids)
        contestants = {"peer": lambda: peer.run(["sentence_embedding"], feed)}
        for name, embedder in embedders.items():
            contestants[name] = lambda e=embedder: e.encode_ids(rows_of_ids)
        runs = max(3, 600 // (batch * length)) if not options.quick else 3
        medians = alternate(contestants, 3 if options.quick else 9, runs)
        figures.append({"batch": batch, "tokens": length, "seconds": medians})
        rows.append(
            [f"{batch} x {length}"]
            + [f"{medians[name] * 1e3:.2f}" for name in ("peer", "fp32", "bf16", "int8")]
            + [f"{medians['peer'] / medians[n]:.2f}x" for n in ("fp32", "bf16", "int8")]
            + [f"{medians['fp32'] / medians[n]:.2f}x" for n in ("bf16", "int8")]
        )
    table(
        ["batch x tokens", "ORT fp32", "fp32", "bf16", "int8", "fp32 / ORT", "bf16 / ORT",
         "int8 / ORT", "bf16 / fp32", "int8 / fp32"],
        rows,
        f"all-MiniLM-L6-v2, {THREADS} threads, {stacklens.cpu_features()}; milliseconds",
    )
    write(options.json, figures)


if __name__ == "__main__":
    main()
