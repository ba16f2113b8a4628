"""Folders with a small BERT encoder: its numbers as safetensors, its vocabulary, its sizes."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Weights", "read_weights", "turned", "write_folder"]

#: Tensors by their names in Hugging Face ``transformers``.
Weights = dict[str, np.ndarray]


def read_weights(path: Path) -> Weights:
    """The float32 tensors of a safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header: Mapping[str, Any] = json.loads(content[8 : 8 + length])
    found = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            start, end = (8 + length + place for place in entry["data_offsets"])
            found[name] = np.frombuffer(content[start:end], "<f4").reshape(entry["shape"])
    return found


def write_folder(
    folder: Path, weights: Weights, tokens: list[str], config: Mapping[str, Any], small: bool
) -> None:
    """Writes an encoder; a small one with a byte for each number of a matrix and a factor for each
    of its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    stored: Weights = {}
    for name, values in sorted(weights.items()):
        if small and values.ndim == 2:
            factors = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12) / 127
            stored[name] = np.rint(values / factors).astype(np.int8)
            stored[name + "_scale"] = factors.astype(np.float32)
        else:
            stored[name] = np.ascontiguousarray(values, np.float32)
    header, place = {}, 0
    for name, values in stored.items():
        kind = "I8" if values.dtype == np.int8 else "F32"
        header[name] = {
            "dtype": kind, "shape": values.shape, "data_offsets": [place, place + values.nbytes]
        }
        place += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in stored.values():
            file.write(values.tobytes())


def turned(state: Mapping[str, np.ndarray]) -> Weights:
    """Parameters of an ONNX encoder, whose linear layers are [in, out], as safetensors has them."""
    linear = re.compile(r"encoder\.layer\.\d+\.(?!.*LayerNorm).*\.weight")
    return {
        name: values.T if linear.fullmatch(name) else values for name, values in state.items()
    }
