"""Whole models beside ONNX Runtime: one run of each at a time, both on two threads.

The networks are made by `scripts/zoo --speed` (PyTorch, random weights, opset 17); a forest of 100
trees is grown by scikit-learn and written by skl2onnx. ONNX Runtime runs each file with all of its
optimisations. The last line is the geometric mean of the ratios.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import stacklens
from _common import THREADS, alternate, arguments, measuring, peer_session, table, write

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = (
    "resnet50", "mobilenetv3", "efficientnet_b0", "vit_b_16", "bert_base", "gpt2", "lstm_2x256",
)
FOREST_ROWS = (1, 10_000)


def made(cache: Path, names: list[str]) -> None:
    """Has the missing files made."""
    files = [cache / "speed" / f"{name}.npz" for name in names] + [cache / "speed" / "forest.onnx"]
    if not all(file.exists() for file in files):
        command = [ROOT / "scripts" / "zoo", "--speed", "--cache", cache]
        subprocess.run([sys.executable, *map(str, command)], check=True)


def cases(cache: Path, only: str) -> list[tuple[str, Path, dict[str, np.ndarray]]]:
    names = [name for name in NETWORKS if re.search(only, name)]
    made(cache, names)
    result = []
    for name in names:
        with np.load(cache / "speed" / f"{name}.npz") as stored:
            result.append((name, cache / "speed" / f"{name}.onnx", dict(stored)))
    for count in FOREST_ROWS:
        name = f"forest_{count}"
        if re.search(only, name):
            rows = np.random.default_rng(5).standard_normal((count, 30)).astype(np.float32)
            result.append((name, cache / "speed" / "forest.onnx", {"x": rows}))
    return result


def worst(ours: list[Any], theirs: list[Any]) -> float:
    """Largest difference relative to an output's largest magnitude; of labels, the share that
    differs."""
    def one(a: Any, b: Any) -> float:
        if b.dtype.kind != "f":
            return float(np.mean(a != b))
        return float(np.abs(np.asarray(a, np.float64) - b).max() / max(np.abs(b).max(), 1e-30))

    return max(map(one, ours, theirs))


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="rows whose name matches this expression")
    cache = os.environ.get("STACKLENS_ZOO_CACHE", ROOT / "build" / "zoo")
    parser.add_argument("--cache", type=Path, default=Path(cache), help="where the models lie")
    options = parser.parse_args()
    figures, rows = [], []
    for name, path, feed in cases(options.cache, options.only):
        measuring(name)
        peer = peer_session(path)
        session = stacklens.Session(path, threads=THREADS)
        names = {item.name for item in peer.get_inputs()}
        feed = {key: value for key, value in feed.items() if key in names}
        difference = worst(session.run(None, feed), peer.run(None, feed))
        medians = alternate(
            {
                "peer": partial(peer.run, None, feed),
                "stacklens": partial(session.run, None, feed),
            },
            *((3, 3) if options.quick else (9, 7)),
        )
        ratio = medians["peer"] / medians["stacklens"]
        figures.append(
            {"model": name, "seconds": medians, "ratio": ratio, "difference": difference})
        rows.append([name, f"{medians['peer'] * 1e3:.3f}", f"{medians['stacklens'] * 1e3:.3f}",
                     f"{ratio:.2f}x", f"{difference:.0e}"])
        del peer, session
    mean = math.exp(sum(math.log(item["ratio"]) for item in figures) / max(1, len(figures)))
    table(["model", "ORT", "StackLens", "ratio", "difference"],
          [*rows, ["geometric mean", "", "", f"{mean:.2f}x", ""]],
          f"{THREADS} threads, {stacklens.cpu_features()}; milliseconds")
    write(options.json, {"models": figures, "geometric_mean": mean})
    return 0


if __name__ == "__main__":
    sys.exit(main())
