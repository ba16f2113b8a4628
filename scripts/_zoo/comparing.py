"""The comparison: a file in ONNX Runtime and here, on inputs of two sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .recipe import Recipe
from .stepwise import blame

# Largest difference of floats, relative to the largest magnitude of an output.
TOLERANCE = 1e-4
# Quantised graphs round at every layer. A sum that differs in its last bit may fall on the other side
# of a half, which moves one value by one step and everything behind it a little. Their differences
# are counted in steps of the output: the 255th part of its range, zero included, which is the scale
# that quantising that output to 8 bits has.
STEPS = 1.0
GOOD, BAD = "agrees", ("refused", "fails", "differs", "crashed")


@dataclass
class Row:
    """One line of the table."""

    model: str
    exporter: str
    opset: int
    variant: str
    nodes: int = 0
    difference: float = 0.0
    # What `difference` counts: relative to the largest magnitude, or steps of an 8-bit output.
    unit: str = "relative"
    status: str = GOOD
    detail: str = ""

    @property
    def is_quantised(self) -> bool:
        return "int8" in self.variant

    def key(self) -> str:
        return f"{self.model}/{self.exporter}-{self.opset}/{self.variant}"

    def json(self) -> dict[str, Any]:
        return asdict(self)


def difference(found: np.ndarray, expected: np.ndarray, in_steps: bool) -> float:
    """Largest difference, relative to the largest magnitude expected or in steps of 8 bits."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise ValueError(
            f"{found.dtype}{list(found.shape)}, expected {expected.dtype}{list(expected.shape)}"
        )
    if expected.size == 0:
        return 0.0
    if expected.dtype.kind != "f":
        return float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max())
    if not np.isfinite(expected).all():
        raise ValueError("the expected values are not finite")
    wide = expected.astype(np.float64)
    scale = np.abs(wide).max()
    if scale < 1e-6:
        raise ValueError("the expected values vanish")
    if in_steps:
        scale = (max(wide.max(), 0.0) - min(wide.min(), 0.0)) / 255
    return float(np.abs(found.astype(np.float64) - wide).max() / scale)


def peer_session(path: Path, level: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(recipe: Recipe, path: Path, row: Row) -> None:
    """Fills in the row's difference and status.

    The oracle is ONNX Runtime as the file says, without optimising. A quantised file means two
    things there, since its optimiser replaces floats between DequantizeLinear and QuantizeLinear by
    integer kernels that round elsewhere; the nearer of the two counts. Where both are more than a
    step away, every node is compared alone.
    """
    import stacklens

    row.unit = "steps" if row.is_quantised else "relative"
    peers = []
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL")[: 1 + row.is_quantised]:
        try:
            peers.append(peer_session(path, level))
        except Exception as error:
            row.status, row.detail = "ORT refuses", first_line(error)
    if not peers:
        return
    row.status, row.detail = GOOD, ""
    try:
        session = stacklens.Session(path, threads=1)
    except Exception as error:
        row.status, row.detail = "refused", first_line(error)
        return
    names = {item.name for item in peers[0].get_inputs()}
    worst, failed, feeds = [0.0] * len(peers), [], []
    for step in (0, 1):
        feed = {key: value for key, value in recipe.feed(step).items() if key in names}
        try:
            expected = [peer.run(None, feed) for peer in peers]
        except Exception as error:  # a quantised computation of places may leave its table
            failed.append(f"ONNX Runtime fails at size {step}: {first_line(error)}")
            continue
        feeds.append(feed)
        try:
            found = session.run(None, feed)
            for index, outputs in enumerate(expected):
                gaps = [difference(a, b, row.is_quantised) for a, b in zip(found, outputs)]
                worst[index] = max(worst[index], *gaps)
        except Exception as error:
            row.status, row.detail = "fails", f"size {step}: {first_line(error)}"
            return
    if len(failed) == 2:
        row.status, row.detail = "ORT fails", failed[0]
        return
    row.detail = failed[0] if failed else ""
    row.difference = min(worst)
    limit = STEPS if row.is_quantised else TOLERANCE
    if row.difference <= limit:
        return
    row.status, row.detail = "differs", f"more than {limit}"
    if row.is_quantised:
        faults = [blame(path, feed) for feed in feeds]
        row.detail = "; ".join(fault for fault in faults if fault)
        if not row.detail:
            row.status, row.detail = GOOD, "roundings add up; every node alone agrees"


def first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines() or [type(error).__name__]
    return text[0][:160]
