"""Quantised models beside ONNX Runtime: the same files, as `stacklens.quantize` writes them.

One run of each at a time, both on two threads. The float32 networks are those of the benchmark
`models`; the encoder is all-MiniLM-L6-v2 as `Embedder.save_onnx` writes it. Files are made where they
are missing, under CACHE/quantized. `moved` is the cosine between the outputs of the quantised file
and of the float32 one, both run here. Files that ONNX Runtime refuses are listed without a ratio.
"""

from __future__ import annotations

import gc
import math
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import stacklens
from _common import THREADS, alternate, arguments, measuring, minilm, peer_session, table, write
from models import ROOT, made, worst

TRANSFORMERS = ("bert_base", "gpt2", "vit_b_16")
CASES = {
    "int8-dynamic": (*TRANSFORMERS, "minilm", "lstm_2x256"),
    "int8-static": ("resnet50", "mobilenetv3", "efficientnet_b0", "vit_b_16"),
    "int4-weights": ("bert_base", "gpt2"),
    "bf16": ("bert_base", "resnet50"),
    "fp16": ("bert_base", "resnet50"),
}
OPSETS = {"int4-weights": 21}
SAMPLES = 4
TEXT_COUNT, TEXT_LENGTH = 8, 64


class Case(NamedTuple):
    mode: str
    model: str
    path: Path
    source: Path
    feed: dict[str, np.ndarray]


def encoder(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The encoder as a file, and a batch of token numbers."""
    path = folder / "minilm.onnx"
    if not path.exists():
        with stacklens.Embedder(minilm(), threads=THREADS) as embedder:
            embedder.save_onnx(path)
    rng = np.random.default_rng(7)
    shape = (TEXT_COUNT, TEXT_LENGTH)
    feed = {
        "input_ids": rng.integers(1000, 30_000, shape),
        "attention_mask": np.ones(shape, np.int64),
        "token_type_ids": np.zeros(shape, np.int64),
    }
    return path, feed


def samples(feed: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The feed itself and random ones of its shape."""
    rng = np.random.default_rng(11)
    drawn = [
        {name: rng.standard_normal(x.shape).astype(x.dtype) for name, x in feed.items()}
        for _ in range(SAMPLES - 1)
    ]
    return [feed, *drawn]


def cases(cache: Path, only: str) -> list[Case]:
    wanted = [(mode, name) for mode, names in CASES.items() for name in names
              if re.search(only, f"{mode} {name}")]
    made(cache, sorted({name for _, name in wanted} - {"minilm"}))
    folder = cache / "quantized"
    folder.mkdir(parents=True, exist_ok=True)
    result = []
    for mode, name in wanted:
        if name == "minilm":
            source, feed = encoder(folder)
        else:
            source = cache / "speed" / f"{name}.onnx"
            with np.load(cache / "speed" / f"{name}.npz") as stored:
                feed = dict(stored)
        path = folder / f"{name}.{mode}.onnx"
        if not path.exists():
            measuring(f"{mode} {name}: quantising")
            calibration = samples(feed) if mode == "int8-static" else None
            model = stacklens.quantize(source, mode, calibration=calibration)
            model.save(path, opset=OPSETS.get(mode, 17))
            del model
            gc.collect()
        result.append(Case(mode, name, path, source, feed))
    return result


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))


def compare(case: Case, quick: bool) -> dict[str, Any]:
    session = stacklens.Session(case.path, threads=THREADS)
    feed = {name: case.feed[name] for name in (item.name for item in session.inputs)}
    ours = session.run(None, feed)
    whole = stacklens.Session(case.source, threads=THREADS)
    moved = cosine(ours[0], whole.run(None, feed)[0])
    del whole
    figures = {"mode": case.mode, "model": case.model, "moved": moved}
    bodies = {"stacklens": partial(session.run, None, feed)}
    try:
        peer = peer_session(case.path)
        figures["difference"] = worst(ours, peer.run(None, feed))
        bodies = {"peer": partial(peer.run, None, feed), **bodies}
    except Exception as error:  # ONNX Runtime has an exception for each kind of refusal
        figures["refusal"] = str(error).splitlines()[0]
    medians = alternate(bodies, *((3, 3) if quick else (7, 5)))
    figures["seconds"] = medians
    if "peer" in medians:
        figures["ratio"] = medians["peer"] / medians["stacklens"]
    return figures


def row(figures: dict[str, Any]) -> list[str]:
    seconds = figures["seconds"]
    ours = f"{seconds['stacklens'] * 1e3:.3f}"
    start, end = [figures["mode"], figures["model"]], f"{figures['moved']:.5f}"
    if "ratio" not in figures:
        return [*start, "refused", ours, "", "", end]
    return [*start, f"{seconds['peer'] * 1e3:.3f}", ours, f"{figures['ratio']:.2f}x",
            f"{figures['difference']:.0e}", end]


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", default="", help="rows whose 'mode model' matches this expression")
    cache = os.environ.get("STACKLENS_ZOO_CACHE", ROOT / "build" / "zoo")
    parser.add_argument("--cache", type=Path, default=Path(cache), help="where the models lie")
    options = parser.parse_args()
    figures = []
    for case in cases(options.cache, options.only):
        measuring(f"{case.mode} {case.model}")
        figures.append(compare(case, options.quick))
        gc.collect()
    ratios = [math.log(item["ratio"]) for item in figures if "ratio" in item]
    mean = math.exp(sum(ratios) / max(1, len(ratios)))
    table(["mode", "model", "ORT", "StackLens", "ratio", "difference", "moved"],
          [*map(row, figures), ["geometric mean", "", "", "", f"{mean:.2f}x", "", ""]],
          f"{THREADS} threads, {stacklens.cpu_features()}; milliseconds")
    write(options.json, {"models": figures, "geometric_mean": mean})
    return 0


if __name__ == "__main__":
    sys.exit(main())
