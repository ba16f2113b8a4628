"""The comparison: a file in ONNX Runtime and here, on inputs of two sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .recipe import Recipe

# Largest difference relative to the largest magnitude of an output. The quantised graphs round at
# every layer, and a sum that differs in its last bit may round to the next step: what is left is
# measured against the step of an 8-bit output.
TOLERANCE = 1e-4
QUANTISED_TOLERANCE = 2e-2


@dataclass
class Row:
    """One line of the table."""

    model: str
    exporter: str
    opset: int
    variant: str
    nodes: int = 0
    difference: float = 0.0
    status: str = "ok"
    detail: str = ""

    def json(self) -> dict[str, Any]:
        return asdict(self)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest magnitude expected."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise ValueError(
            f"{found.dtype}{list(found.shape)}, expected {expected.dtype}{list(expected.shape)}"
        )
    if expected.size == 0:
        return 0.0
    if expected.dtype.kind != "f":
        return float(np.mean(found != expected))
    if not np.isfinite(expected).all():
        raise ValueError("the expected values are not finite")
    wide = expected.astype(np.float64)
    scale = np.abs(wide).max()
    if scale < 1e-6:
        raise ValueError("the expected values vanish")
    return float(np.abs(found.astype(np.float64) - wide).max() / scale)


def compare(recipe: Recipe, path: Path, row: Row) -> None:
    """Fills in the row's difference and status."""
    import stacklens

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # As the file says: an optimised file is not optimised again, a plain one is the oracle as it is.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if "qdq" in row.variant or "dynamic" in row.variant:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    try:
        peer = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        row.status, row.detail = "ORT refuses", first_line(error)
        return
    try:
        session = stacklens.Session(path, threads=1)
    except Exception as error:
        row.status, row.detail = "not loaded", first_line(error)
        return
    names = {item.name for item in peer.get_inputs()}
    for step in (0, 1):
        feed = {key: value for key, value in recipe.feed(step).items() if key in names}
        try:
            expected = peer.run(None, feed)
        except Exception as error:
            row.status, row.detail = "ORT fails", f"size {step}: {first_line(error)}"
            return
        try:
            found = session.run(None, feed)
            worst = max(difference(a, b) for a, b in zip(found, expected))
        except Exception as error:
            row.status, row.detail = "failed", f"size {step}: {first_line(error)}"
            return
        row.difference = max(row.difference, worst)
    limit = QUANTISED_TOLERANCE if "int8" in row.variant else TOLERANCE
    if row.difference > limit:
        row.status, row.detail = "differs", f"more than {limit}"


def first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines() or [type(error).__name__]
    return text[0][:160]
